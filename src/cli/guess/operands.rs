//! The words after a command: which of them a suggestion repeats. Only names, and only where the
//! suggested command takes them: anything else may be a password.

use clap::{Arg, Command};

use crate::model::name::{DomainName, Username};
use crate::model::text::in_shell;

/// Commands of several names that no password follows.
const OF_SEVERAL: [&str; 4] = [
    "user suspend",
    "user resume",
    "user delete",
    "domain remove",
];

/// Returns the command line of `ours` with the names that were typed. `ours` may end with flags
/// and values: `user set --note TEXT`. `None` if there is no such command.
pub fn line(command: &Command, ours: &str, operands: &[&str]) -> Option<String> {
    if ours.starts_with("--") {
        return Some(ours.to_owned());
    }
    let end = ours.find(" --").unwrap_or(ours.len());
    let (path, flags) = ours.split_at(end);
    let mut target = command;
    for word in path.split(' ') {
        match target.find_subcommand(word) {
            Some(below) if !below.is_hide_set() => target = below,
            // A value, as in `show-server-config postfix`.
            None if target.get_positionals().next().is_some() => {}
            _ => return None,
        }
    }
    let taken = taken(target, path, operands);
    // What was typed is the text.
    let path = path
        .strip_suffix(" TEXT")
        .filter(|_| !taken.is_empty())
        .unwrap_or(path);
    let mut line = path.to_owned();
    for word in taken {
        line.push(' ');
        line.push_str(&in_shell(word));
    }
    line.push_str(flags);
    if let Some(name) = operands.first().filter(|_| line == ours) {
        line.push_str(&as_flag(target, name));
    }
    Some(line)
}

/// Returns the typed words that a command takes.
fn taken<'a>(target: &Command, path: &str, operands: &[&'a str]) -> Vec<&'a str> {
    let mut taken = Vec::new();
    let mut positionals = target.get_positionals();
    let mut current = positionals.next();
    for word in operands {
        let Some(arg) = current.filter(|arg| takes(arg, word)) else {
            break;
        };
        taken.push(*word);
        if !is_of_several(arg) {
            current = positionals.next();
        } else if !OF_SEVERAL.contains(&path) {
            break;
        }
    }
    taken
}

fn is_of_several(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|number| number.max_values() > 1)
}

fn takes(arg: &Arg, word: &str) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    match names.first().map(clap::builder::Str::as_str) {
        Some("USERNAME" | "NAME" | "OLD" | "NEW") => is_username(word),
        Some("DOMAIN") => is_domain(word),
        Some("TEXT") => is_username(word) || is_domain(word),
        _ => {
            let values = arg.get_possible_values();
            values.iter().any(|value| value.matches(word, false))
        }
    }
}

/// Returns ` --user NAME` if the command has that flag.
fn as_flag(target: &Command, name: &str) -> String {
    let has = |long: &str| {
        let mut all = target.get_arguments();
        all.any(|arg| arg.get_long() == Some(long))
    };
    if is_username(name) && has("user") {
        format!(" --user {}", in_shell(name))
    } else if is_domain(name) && has("domain") {
        format!(" --domain {name}")
    } else {
        String::new()
    }
}

/// Returns what is wrong with a second name for a command of one, and what to do.
pub fn one_at_a_time(path: &str, word: &str) -> Option<(&'static str, String)> {
    let said = "more than one value was given";
    match path {
        "user retire" => Some((
            said,
            "specify one user; to choose which password to stop: --password-id ID".to_owned(),
        )),
        "domain add" if is_domain(word) => Some((
            said,
            format!("add one at a time: smtpcred domain add {word}"),
        )),
        _ => None,
    }
}

pub fn is_username(word: &str) -> bool {
    word.parse::<Username>().is_ok()
}

pub fn is_domain(word: &str) -> bool {
    word.parse::<DomainName>().is_ok() && !is_file(word)
}

/// `users.csv` could be a domain.
fn is_file(word: &str) -> bool {
    let end = word.rsplit('.').next().unwrap_or_default();
    ["csv", "db", "json", "sql", "toml", "txt", "cf"].contains(&end)
}
