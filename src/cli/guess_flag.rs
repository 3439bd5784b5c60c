//! Guesses the intended flag from one that does not exist.

use clap::{Arg, Command};

use crate::model::name::{DomainName, Username};
use crate::model::text::in_shell;

/// Flags of other programs, and ours. The first of ours that a command has is meant.
const FLAGS: [(&[&str], &[&str]); 12] = [
    (&["domain", "d"], &["domain"]),
    (&["json", "j"], &["json"]),
    (
        &["db", "database", "dbfile", "db-path", "store-path", "path"],
        &["store"],
    ),
    (
        &[
            "force",
            "f",
            "assume-yes",
            "confirm",
            "no-confirm",
            "non-interactive",
        ],
        &["yes"],
    ),
    (
        &[
            "quota",
            "max-messages",
            "messages",
            "rate-limit",
            "limit-daily",
            "day-limit",
        ],
        &["daily-limit"],
    ),
    (
        &[
            "expire",
            "expires",
            "expiry",
            "expiration",
            "ttl",
            "valid",
            "valid-for",
            "expire-in",
        ],
        &["expires-in"],
    ),
    (&["until", "expire-at", "valid-until"], &["expires-at"]),
    (
        &[
            "description",
            "desc",
            "comment",
            "note",
            "title",
            "display-name",
            "app",
        ],
        &["label"],
    ),
    (
        &[
            "from",
            "mail-from",
            "senders",
            "allow-sender",
            "send-as",
            "alias",
        ],
        &["sender"],
    ),
    (
        &["n", "dry", "simulate", "noop", "check", "test"],
        &["dry-run"],
    ),
    (&["silent", "s"], &["quiet"]),
    (&["grace", "keep-old", "keep"], &["overlap"]),
];
const PASSWORDS: [&str; 6] = ["password", "pass", "passwd", "pw", "p", "secret"];
const NAMES: [&str; 10] = [
    "user", "username", "name", "email", "mail", "address", "login", "account", "u", "id",
];
const FORMATS: [&str; 4] = ["o", "output", "output-format", "out"];

/// What to say about an unknown flag or a word too many.
pub struct Answer {
    /// Says what is wrong, if clap's message would repeat a password.
    pub message: Option<String>,
    pub hint: String,
}

impl From<String> for Answer {
    fn from(hint: String) -> Self {
        Self {
            message: None,
            hint,
        }
    }
}

/// Returns what to say. `path` is the command, such as `user list`, and `args` is what was
/// typed after the program's name.
pub fn meant(command: &Command, path: &str, typed: &str, args: &[String]) -> Option<Answer> {
    let Some(flag) = typed.strip_prefix('-') else {
        return word_too_many(command, path, typed);
    };
    let flag = flag.trim_start_matches('-');
    let (flag, given) = match flag.split_once('=') {
        Some((flag, value)) => (flag, Some(value)),
        None => (flag, None),
    };
    let at = args.iter().position(|arg| arg == typed);
    let next = at.and_then(|at| args.get(at + 1)).map(String::as_str);
    let value = given.or(next).unwrap_or_default();
    if PASSWORDS.contains(&flag) && has(command, "password-stdin") {
        return Some(of_password(format!("there is no flag {}", name_of(typed))));
    }
    if NAMES.contains(&flag)
        && value.parse::<Username>().is_ok()
        && command.get_positionals().next().is_some()
    {
        let line = format!("smtpcred {path} {}", in_shell(value));
        return Some(format!("the name needs no flag: {line}").into());
    }
    if FORMATS.contains(&flag) {
        return match value {
            "json" => Some("did you mean --json?".to_owned().into()),
            "csv" => Some("did you mean --format csv?".to_owned().into()),
            _ => None,
        };
    }
    let (_, ours) = FLAGS.iter().find(|(theirs, _)| theirs.contains(&flag))?;
    let ours = ours.iter().find(|ours| has(command, ours))?;
    Some(format!("did you mean --{ours}?").into())
}

/// `user list example.com`, `user create NAME PASSWORD`
fn word_too_many(command: &Command, path: &str, word: &str) -> Option<Answer> {
    if has(command, "password-stdin") || path == "verify" || path == "test" {
        return Some(of_password(
            "unexpected argument '********' found".to_owned(),
        ));
    }
    if word.parse::<Username>().is_ok() && path == "user list" {
        return Some(format!("did you mean: smtpcred user show {}", in_shell(word)).into());
    }
    let is_domain = word.parse::<DomainName>().is_ok();
    (is_domain && has(command, "domain"))
        .then(|| format!("did you mean: smtpcred {path} --domain {word}").into())
}

/// Never repeats what may be a password.
fn of_password(message: String) -> Answer {
    Answer {
        message: Some(message),
        hint: "never pass a password as an argument: other users of this machine can read it; \
            use --password-stdin, --password-file or --choose-password, or let smtpcred \
            generate one"
            .to_owned(),
    }
}

fn name_of(typed: &str) -> &str {
    typed.split('=').next().unwrap_or(typed)
}

fn has(command: &Command, long: &str) -> bool {
    let shown = |arg: &&Arg| !arg.is_hide_set();
    let mut shown = command.get_arguments().filter(shown);
    shown.any(|arg| arg.get_long() == Some(long))
}
