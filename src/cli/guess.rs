//! Guesses the intended command from one that does not exist: words of other programs, a noun
//! and a verb in reverse order, typing errors.

use clap::Command;

use crate::model::name::{DomainName, Username};
use crate::model::near::nearest;
use crate::model::text::in_shell;

/// Verbs of other programs, and ours. The first of ours that a noun has is meant. Verbs that
/// are aliases of ours are not here.
const VERBS: [(&str, &[&str]); 31] = [
    ("activate", &["resume"]),
    ("ban", &["suspend"]),
    ("block", &["suspend"]),
    ("change", &["set"]),
    ("change-password", &["reset"]),
    ("chpasswd", &["reset"]),
    ("chpw", &["reset"]),
    ("config", &["set", "status"]),
    ("count", &["list"]),
    ("deactivate", &["suspend"]),
    ("describe", &["show"]),
    ("dns", &["check"]),
    ("expire", &["set"]),
    ("find", &["list"]),
    ("history", &["list"]),
    ("limit", &["set"]),
    ("mod", &["set"]),
    ("query", &["list", "show"]),
    ("quota", &["set"]),
    ("reactivate", &["resume"]),
    ("reset-password", &["reset"]),
    ("restore", &["resume"]),
    ("revoke", &["suspend"]),
    ("search", &["list"]),
    ("set-password", &["reset"]),
    ("size", &["status"]),
    ("state", &["show", "status"]),
    ("status", &["show", "check"]),
    ("unban", &["resume"]),
    ("unblock", &["resume"]),
    ("view", &["show"]),
];

/// Nouns of other programs, and ours.
const NOUNS: [(&str, &str); 24] = [
    ("account", "user"),
    ("accounts", "user"),
    ("cred", "user"),
    ("credential", "user"),
    ("credentials", "user"),
    ("creds", "user"),
    ("database", "store"),
    ("db", "store"),
    ("domain", "domain"),
    ("domains", "domain"),
    ("event", "audit"),
    ("events", "audit"),
    ("history", "audit"),
    ("log", "audit"),
    ("login", "user"),
    ("logins", "user"),
    ("logs", "audit"),
    ("mailbox", "user"),
    ("mailboxes", "user"),
    ("smtp", "user"),
    ("smtpuser", "user"),
    ("user", "user"),
    ("users", "user"),
    ("usr", "user"),
];

/// A word that is not a verb of any one noun, and the command for it: alone or with anything
/// else, with a username, with a domain.
struct Topic {
    words: &'static [&'static str],
    alone: &'static str,
    user: &'static str,
    domain: &'static str,
}

const fn topic(words: &'static [&'static str], ours: &'static str) -> Topic {
    Topic {
        words,
        alone: ours,
        user: ours,
        domain: ours,
    }
}

const TOPICS: [Topic; 15] = [
    topic(&["version", "ver"], "--version"),
    topic(
        &[
            "topics",
            "commands",
            "man",
            "manual",
            "docs",
            "examples",
            "usage-examples",
        ],
        "--help",
    ),
    topic(&["failed", "refused", "bans"], "audit failures"),
    topic(
        &["server-config", "postfix-config", "setup", "install"],
        "show-server-config",
    ),
    topic(&["postfix"], "show-server-config postfix"),
    topic(&["exim", "exim4"], "show-server-config exim"),
    topic(&["dovecot"], "show-server-config dovecot"),
    topic(
        &["stats", "statistics", "quota", "traffic", "counts"],
        "usage",
    ),
    topic(&["start", "daemon", "run", "server", "listen"], "serve"),
    topic(
        &[
            "settings", "setting", "snippet", "client", "host", "options",
        ],
        "show-settings",
    ),
    topic(&["send", "mail", "ping", "sendmail", "swaks"], "test"),
    Topic {
        words: &["set", "change", "configure"],
        alone: "set-settings",
        user: "user set",
        domain: "domain set",
    },
    Topic {
        words: &["dns", "dkim", "spf", "dmarc", "mx", "records"],
        alone: "domain check",
        user: "why",
        domain: "domain check",
    },
    Topic {
        words: &[
            "check",
            "health",
            "healthcheck",
            "diagnose",
            "debug",
            "validate",
        ],
        alone: "doctor",
        user: "why",
        domain: "domain check",
    },
    topic(
        &[
            "auth",
            "login",
            "check-password",
            "verify-password",
            "authenticate",
        ],
        "verify",
    ),
];

/// Verbs with a noun in them.
const JOINED: [(&str, &str); 6] = [
    ("adduser", "create"),
    ("deluser", "delete"),
    ("moduser", "set"),
    ("useradd", "create"),
    ("userdel", "delete"),
    ("usermod", "set"),
];

/// Returns the intended command line. `words` are those of the command line without flags;
/// an unknown word follows the last known command.
pub fn meant(command: &Command, words: &[&str]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    if *first == "help" {
        let ours = meant(command, rest)?;
        let help = if ours.contains(" --") { "" } else { " --help" };
        return Some(format!("{ours}{help}"));
    }
    let ours = in_words(command, first, rest)?;
    Some(format!("smtpcred {ours}"))
}

fn in_words(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    // The noun is ours, and its verb is not.
    if let Some(noun) = shown(command, first).filter(|noun| noun.has_subcommands()) {
        let (verb, operands) = rest.split_first()?;
        return of_noun(command, noun, verb, operands);
    }
    topic_of(first, rest)
        .or_else(|| joined(first, rest))
        .or_else(|| noun_first(command, first, rest))
        .or_else(|| verb_first(command, first, rest))
        .or_else(|| split(command, first, rest))
        .or_else(|| mistyped(command, first, rest))
}

/// `user block NAME`
fn of_noun(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    let exact = |verb: &str| shown(noun, verb).map(Command::get_name);
    let of_whole = || {
        let whole = shown(command, verb)?.get_name();
        Some(with(whole, operands))
    };
    let in_noun = |verb: &str| Some(with(&format!("{} {verb}", noun.get_name()), operands));
    exact(verb)
        .or_else(|| synonym(noun, verb))
        .and_then(in_noun)
        .or_else(of_whole)
        .or_else(|| nearest(verb, names(noun)).and_then(in_noun))
}

/// `users`, `domains ls`
fn noun_first(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let noun = command.find_subcommand(noun(first)?)?;
    let Some((verb, operands)) = rest.split_first() else {
        let mut overviews = ["list", "status"].into_iter();
        let overview = overviews.find_map(|verb| shown(noun, verb))?;
        return Some(format!("{} {}", noun.get_name(), overview.get_name()));
    };
    of_noun(command, noun, verb, operands)
}

/// `list`, `add user NAME`, `delete example.com`
fn verb_first(command: &Command, verb: &str, rest: &[&str]) -> Option<String> {
    if let Some((second, operands)) = rest.split_first()
        && let Some(noun) = noun(second).and_then(|noun| command.find_subcommand(noun))
    {
        return of_noun(command, noun, verb, operands);
    }
    let is_domain = rest.first().is_some_and(|word| is_domain(word));
    let nouns = if is_domain {
        ["domain", "user", "store", "audit"]
    } else {
        ["user", "domain", "store", "audit"]
    };
    nouns.into_iter().find_map(|noun| {
        let noun = command.find_subcommand(noun)?;
        let ours = shown(noun, verb).map(Command::get_name);
        let ours = ours.or_else(|| synonym(noun, verb))?;
        Some(with(&format!("{} {ours}", noun.get_name()), rest))
    })
}

/// `create-user NAME`, `user-list`
fn split(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let (one, other) = first.split_once(['-', '_', ':', '.'])?;
    if noun(one).is_none() && noun(other).is_none() {
        return None;
    }
    let words: Vec<&str> = [one, other].iter().chain(rest).copied().collect();
    in_words(command, words[0], &words[1..])
}

fn topic_of(first: &str, rest: &[&str]) -> Option<String> {
    let topic = TOPICS.iter().find(|topic| topic.words.contains(&first))?;
    let ours = match rest.first() {
        Some(word) if is_username(word) => topic.user,
        Some(word) if is_domain(word) => topic.domain,
        _ => topic.alone,
    };
    if ours.starts_with("--") {
        return Some(ours.to_owned());
    }
    let server = ["postfix", "exim", "dovecot"];
    match rest.first() {
        Some(word) if ours == "show-server-config" && server.contains(word) => {
            Some(format!("{ours} {word}"))
        }
        _ => Some(with(ours, rest)),
    }
}

fn joined(first: &str, rest: &[&str]) -> Option<String> {
    let (_, verb) = JOINED.iter().find(|(theirs, _)| *theirs == first)?;
    Some(with(&format!("user {verb}"), rest))
}

fn mistyped(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let near = shown(command, nearest(first, names(command))?)?;
    let below = match rest.split_first() {
        Some((verb, operands)) if near.has_subcommands() => {
            return of_noun(command, near, verb, operands);
        }
        _ => rest,
    };
    Some(with(near.get_name(), below))
}

/// Repeats the first word that was typed after a command, if it is a name: anything else may be
/// a password.
fn with(ours: &str, operands: &[&str]) -> String {
    match operands.first() {
        Some(name) if is_username(name) || is_domain(name) => {
            format!("{ours} {}", in_shell(name))
        }
        _ => ours.to_owned(),
    }
}

fn is_username(word: &str) -> bool {
    word.parse::<Username>().is_ok()
}

fn is_domain(word: &str) -> bool {
    word.parse::<DomainName>().is_ok() && !is_file(word)
}

/// `users.csv` could be a domain.
fn is_file(word: &str) -> bool {
    let end = word.rsplit('.').next().unwrap_or_default();
    ["csv", "db", "json", "sql", "toml", "txt", "cf"].contains(&end)
}

fn noun(word: &str) -> Option<&'static str> {
    let found = NOUNS.iter().find(|(theirs, _)| *theirs == word);
    found.map(|(_, ours)| *ours)
}

fn synonym<'a>(noun: &'a Command, verb: &str) -> Option<&'a str> {
    let (_, ours) = VERBS.iter().find(|(theirs, _)| *theirs == verb)?;
    ours.iter()
        .find_map(|ours| Some(shown(noun, ours)?.get_name()))
}

fn shown<'a>(command: &'a Command, word: &str) -> Option<&'a Command> {
    command
        .find_subcommand(word)
        .filter(|found| !found.is_hide_set())
}

fn names(command: &Command) -> impl Iterator<Item = &str> {
    let shown = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    shown.map(Command::get_name)
}
