//! Values in the wrong place, which may be passwords. No error repeats them (promise 1).

use clap::{Arg, Command};

use super::flag_words::PASSWORDS;
use super::operands::is_username;
use crate::model::near::nearest;

/// How passwords get into the program.
const HINT: &str = "never pass a password as an argument: other users of this machine can read it; \
    use --password-stdin, --password-file or --choose-password, or let smtpcred generate one";
/// How an existing one does.
const EXISTING: &str = "never pass a password as an argument: other users of this machine can read \
    it; smtpcred verify and smtpcred test ask for it, or read it from stdin or a file";
/// How the password of a user is replaced.
const RESET: &str = "never pass a password as an argument: other users of this machine can read it; \
    to replace that of a user: smtpcred user reset NAME, with --choose-password to choose it yourself";

/// Returns what to say about a password in the wrong place of this command.
pub fn hint(command: &Command, path: &str) -> &'static str {
    let takes = |long: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(long))
    };
    match path {
        "verify" | "test" => EXISTING,
        _ if takes("password-stdin") => HINT,
        _ => RESET,
    }
}

/// Returns whether a password may be typed after the name or names of this command.
pub fn may_follow(path: &str) -> bool {
    const WHOLE: [&str; 4] = ["show-settings", "test", "verify", "why"];
    const OF_USER: [&str; 8] = [
        "copy", "create", "rename", "reset", "retire", "rotate", "set", "show",
    ];
    let of_user = path.strip_prefix("user ");
    WHOLE.contains(&path) || of_user.is_some_and(|verb| OF_USER.contains(&verb))
}

/// What to say about a flag that does not exist and may contain a password.
pub const UNKNOWN_FLAG: &str = "there is no such flag; it is not repeated, because it may contain \
    a password";

/// Returns whether an unknown flag may contain a password, as `--pass:PASSWORD` does: it begins
/// with a word for one, goes on, and is not one of the command's flags with a typing error.
pub fn may_hold(flag: &str, command: &Command) -> bool {
    let begins = PASSWORDS
        .iter()
        .any(|word| word.len() > 1 && flag.len() > word.len() && flag.starts_with(word));
    begins && !PASSWORDS.contains(&flag) && {
        let own = command.get_arguments().filter_map(Arg::get_long);
        nearest(flag, own).is_none()
    }
}

/// Returns what to say about a word too many.
pub fn too_many(at: usize) -> String {
    let number = ordinal(at);
    format!("{number} value was given; it is not shown, because it may be a password")
}

/// Returns what to say about a value that is not a username, if it may be a password: a value with
/// others beside it, or `NAME:PASSWORD`.
pub fn in_place_of_name(path: &str, value: &str, words: &[&str]) -> Option<String> {
    const WITHOUT: &str = "it is not shown, because it may be a password";
    if let Some((name, _)) = value.split_once(':')
        && is_username(name)
    {
        return Some(format!(
            "a value was given with the username {name}; {WITHOUT}"
        ));
    }
    let takes_other_names = ["user rename", "user copy"].contains(&path);
    if !may_follow(path) || takes_other_names || words.len() < 2 {
        return None;
    }
    let at = words.iter().position(|word| *word == value)?;
    let number = ordinal(at);
    Some(format!(
        "{number} value was given that is not a username; {WITHOUT}"
    ))
}

fn ordinal(at: usize) -> &'static str {
    match at {
        1 => "a second",
        2 => "a third",
        _ => "another",
    }
}

/// Returns the words after a command that are no flags and no values of flags.
pub fn words<'a>(command: &Command, args: &'a [String]) -> Vec<&'a str> {
    let mut at = command;
    let mut words = Vec::new();
    let mut args = args.iter();
    let mut only_words = false;
    while let Some(arg) = args.next() {
        if only_words || !arg.starts_with('-') || arg == "-" {
            match at.find_subcommand(arg) {
                Some(below) if words.is_empty() => at = below,
                _ => words.push(arg.as_str()),
            }
        } else if arg == "--" {
            only_words = true;
        } else if !arg.contains('=') && takes_value(at, arg) {
            args.next();
        }
    }
    words
}

fn takes_value(command: &Command, flag: &str) -> bool {
    let is_it = |arg: &&Arg| match flag.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| flag.ends_with(short)),
    };
    let mut all = command.get_arguments();
    all.find(is_it)
        .is_some_and(|arg| arg.get_action().takes_values())
}
