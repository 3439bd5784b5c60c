//! Guesses the intended flag from one that does not exist.

use clap::{Arg, Command};

use super::answer::{Answer, has};
use super::flag_words::{
    FLAGS, FORMATS, GENERATED, NAMES, NO, OFF, ON, PASSWORDS, STATUSES, VERBOSE,
};
use super::operands::{is_domain, is_username};
use super::{Meant, extra_word, password};
use crate::model::network::Network;
use crate::model::text::in_shell;

/// A command line with a flag or a word that its command does not have.
struct Typed<'a> {
    root: &'a Command,
    /// The command that was reached, and its name, such as `user list`.
    command: &'a Command,
    path: &'a str,
    /// Its words that are no flags.
    words: Vec<&'a str>,
    /// The flag without its hyphens, and what was typed with or after it.
    flag: &'a str,
    value: &'a str,
}

/// Returns what to say. `path` is the command, such as `user list`, and `args` is what was
/// typed after the program's name.
pub fn meant(
    root: &Command,
    command: &Command,
    path: &str,
    unknown: &str,
    args: &[String],
) -> Option<Answer> {
    let words = password::words(root, args);
    let Some(flag) = unknown.strip_prefix('-') else {
        return extra_word::meant(command, path, unknown, &words);
    };
    let flag = flag.trim_start_matches('-');
    let (flag, given) = match flag.split_once('=') {
        Some((flag, value)) => (flag, Some(value)),
        None => (flag, None),
    };
    // clap names a flag without its value.
    let same = |arg: &&String| *arg == unknown || arg.starts_with(&format!("{unknown}="));
    let at = args.iter().position(|arg| same(&arg));
    let joined = at.and_then(|at| Some(args[at].split_once('=')?.1));
    let next = at.and_then(|at| args.get(at + 1)).map(String::as_str);
    let typed = Typed {
        root,
        command,
        path,
        words,
        flag,
        value: given.or(joined).or(next).unwrap_or_default(),
    };
    if PASSWORDS.contains(&flag) && (typed.has("password-stdin") || password::may_follow(path)) {
        return Some(Answer {
            message: Some(format!("there is no flag {}", name_of(unknown))),
            hint: password::hint(command, path).to_owned(),
        });
    }
    if password::may_hold(flag, command) {
        return Some(Answer {
            message: Some(password::UNKNOWN_FLAG.to_owned()),
            hint: password::hint(command, path).to_owned(),
        });
    }
    let hint = typed
        .new_name()
        .or_else(|| typed.name())
        .or_else(|| typed.operand())
        .or_else(|| typed.generated())
        .or_else(|| typed.case())
        .or_else(|| typed.status())
        .or_else(|| typed.format())
        .or_else(|| typed.network())
        .or_else(|| typed.number())
        .or_else(|| typed.same_flag())
        .or_else(|| typed.of_noun())
        .or_else(|| typed.verbose())?;
    Some(hint.into())
}

impl Typed<'_> {
    fn has(&self, long: &str) -> bool {
        has(self.command, long)
    }

    fn line(&self, rest: &str) -> String {
        format!("did you mean: smtpcred {} {rest}", self.path)
    }

    /// `user set NAME --name NEW`
    fn new_name(&self) -> Option<String> {
        let is_new = NAMES.contains(&self.flag) || ["rename", "new-name"].contains(&self.flag);
        if self.path != "user set" || !is_new {
            return None;
        }
        if self.flag == "name" && !is_username(self.value) {
            let another = "a username changes with: smtpcred user rename OLD NEW; what the user is \
                for, with --label TEXT";
            return Some(another.to_owned());
        }
        // The new name, which no known flag takes, is among the words.
        let mut others = self.words.iter().filter(|word| **word != self.value);
        let old = others.next()?;
        if !is_username(old) || !is_username(self.value) {
            return None;
        }
        let (old, new) = (in_shell(old), in_shell(self.value));
        Some(format!("did you mean: smtpcred user rename {old} {new}"))
    }

    /// `user show --user NAME`
    fn name(&self) -> Option<String> {
        let takes = self.command.get_positionals().next().is_some();
        if !NAMES.contains(&self.flag) || !is_username(self.value) || !takes {
            return None;
        }
        let line = format!("smtpcred {} {}", self.path, in_shell(self.value));
        Some(format!("the name needs no flag: {line}"))
    }

    /// `user create NAME --generate`
    fn generated(&self) -> Option<String> {
        if !GENERATED.contains(&self.flag) || !self.has("short-password") {
            return None;
        }
        Some(
            "without a flag, smtpcred generates the password; --short-password makes one of 20 \
                characters"
                .to_owned(),
        )
    }

    /// `scan PATH --close`
    fn case(&self) -> Option<String> {
        let says = "--suspend or --rotate stops what was found; the case of each user, with its \
            sessions: smtpcred user close NAME";
        (self.path == "scan" && self.flag == "close").then(|| says.to_owned())
    }

    /// `user list --expired`, `user set NAME --disable`, `user set NAME --active no`
    fn status(&self) -> Option<String> {
        let value = self.value.to_lowercase();
        let no = NO.contains(&value.as_str());
        if self.has("status") {
            if no {
                return None;
            }
            let (_, ours) = STATUSES.iter().find(|(theirs, _)| *theirs == self.flag)?;
            return Some(format!("did you mean --status {ours}?"));
        }
        if self.path != "user set" {
            return None;
        }
        let verb = match self.flag {
            "active" | "enabled" | "status" if no || OFF.contains(&value.as_str()) => "suspend",
            "active" | "enabled" => "resume",
            "status" if ON.contains(&value.as_str()) => "resume",
            "status" => return None,
            // `--disable no` means the opposite.
            _ if no => return None,
            other => other,
        };
        let user = self.root.find_subcommand("user")?;
        let known = super::own_verb(self.root, user, verb, &self.words);
        let another = known.filter(|line| !line.starts_with("user set"));
        another.map(|line| format!("did you mean: smtpcred {line}"))
    }

    /// `apply -f PLAN`, `user list --filter TEXT`, `completion --shell bash`
    fn operand(&self) -> Option<String> {
        let first = self.command.get_positionals().next()?;
        let values = first.get_possible_values();
        if values.iter().any(|value| value.matches(self.value, false)) {
            let line = format!("smtpcred {} {}", self.path, self.value);
            return Some(format!("the name needs no flag: {line}"));
        }
        let (what, value) = match self.flag {
            "f" | "file" | "filename" | "input" | "i" => ("file", ["FILE", "PLAN"]),
            "filter" | "search" | "grep" | "g" | "q" | "query" | "pattern" => {
                ("text", ["TEXT", "TEXT"])
            }
            _ => return None,
        };
        let name = first.get_value_names()?.first()?;
        if !value.contains(&name.as_str()) {
            return None;
        }
        Some(format!(
            "the {what} needs no flag: smtpcred {} {name}",
            self.path
        ))
    }

    fn format(&self) -> Option<String> {
        let typed = if FORMATS.contains(&self.flag) {
            self.value
        } else {
            self.flag
        };
        match typed {
            "json" | "j" | "jq" | "yaml" | "yml" | "jsonl" => {
                Some("did you mean --json?".to_owned())
            }
            "csv" | "tsv" | "no-headers" | "noheaders" | "no-header" => {
                Some("did you mean --format csv?".to_owned())
            }
            "no-color" | "no-colour" | "nocolor" => Some("did you mean --color never?".to_owned()),
            "wide" if self.has("wide") => Some("did you mean --wide?".to_owned()),
            _ => None,
        }
    }

    /// `-n`: a number of rows, or none at all.
    fn number(&self) -> Option<String> {
        if !["n", "lines", "tail", "num", "top", "max-count"].contains(&self.flag) {
            return None;
        }
        let is_number = self.value.parse::<u32>().is_ok();
        let counts = ["last", "limit"].into_iter().find(|long| self.has(long));
        let dry = Some("dry-run").filter(|long| self.flag == "n" && self.has(long));
        let ours = if is_number {
            counts.or(dry)
        } else {
            dry.or(counts)
        };
        if let Some(ours) = ours {
            return Some(format!("did you mean --{ours}?"));
        }
        // `audit -n 20`
        let list = self.command.find_subcommand("list")?;
        let long = ["last", "limit"].into_iter().find(|long| has(list, long))?;
        let value = if is_number { self.value } else { "20" };
        Some(self.line(&format!("list --{long} {value}")))
    }

    /// `user set NAME --from 192.0.2.10`
    fn network(&self) -> Option<String> {
        let noun = self.path.strip_suffix(" set")?;
        let network: Network = self.value.parse().ok()?;
        let is_owner = |word: &&&str| is_username(word) || (noun == "domain" && is_domain(word));
        let name = in_shell(self.words.iter().find(is_owner)?);
        Some(format!(
            "did you mean: smtpcred {noun} allow {name} {network}"
        ))
    }

    fn same_flag(&self) -> Option<String> {
        let same = FLAGS
            .iter()
            .filter(|(theirs, _)| theirs.contains(&self.flag));
        let ours = same.flat_map(|(_, ours)| *ours);
        let mut ours = ours.filter(|ours| **ours != "yes" || self.asks());
        let ours = match ours.find(|ours| self.has(ours))? {
            // A date, not a time from now.
            &"expires-in" if self.value.contains('-') => "expires-at",
            ours => ours,
        };
        Some(format!("did you mean --{ours}?"))
    }

    /// Whether the command asks for confirmation.
    fn asks(&self) -> bool {
        ["apply", "domain remove", "user delete"].contains(&self.path) || self.flag != "f"
    }

    /// `audit -f`, `user --list`: a flag without the verb, or in place of it.
    fn of_noun(&self) -> Option<String> {
        let nouns = self.command.has_subcommands() && !self.path.is_empty();
        if !nouns {
            let words = [&[self.flag], self.words.as_slice()].concat();
            let of_root = self.path.is_empty() && self.flag.len() > 1;
            return match super::meant(self.root, &words, false).filter(|_| of_root)? {
                Meant::Line(line) => Some(format!("did you mean: {line}")),
                _ => None,
            };
        }
        let list = self.command.find_subcommand("list")?;
        let mut own = list.get_arguments();
        if let Some(arg) = own.find(|arg| arg.get_long() == Some(self.flag)) {
            return Some(self.line(&format!("list --{}{}", self.flag, self.value_of(arg))));
        }
        let operand = Some(self.value).filter(|value| is_username(value) || is_domain(value));
        let operands: Vec<&str> = operand.into_iter().collect();
        let verb = super::of_noun(self.root, self.command, self.flag, &operands);
        if let Some(line) = verb.filter(|_| self.flag.len() > 1) {
            return Some(format!("did you mean: smtpcred {line}"));
        }
        let same = FLAGS
            .iter()
            .filter(|(theirs, _)| theirs.contains(&self.flag));
        let mut ours = same.flat_map(|(_, ours)| *ours);
        match ours.find(|ours| **ours != "yes" && has(list, ours)) {
            Some(ours) => Some(self.line(&format!("list --{ours}"))),
            // `config -n`
            None => ["a", "l", "n"]
                .contains(&self.flag)
                .then(|| self.line("list")),
        }
    }

    /// The value that a flag needs, for a command line to complete.
    fn value_of(&self, arg: &Arg) -> String {
        let name = arg.get_value_names().and_then(|names| names.first());
        match name.filter(|_| arg.get_action().takes_values()) {
            Some(name) if name == "USERNAME" && is_username(self.value) => {
                format!(" {}", in_shell(self.value))
            }
            Some(name) if name == "DOMAIN" && is_domain(self.value) => format!(" {}", self.value),
            Some(name) if name == "N" && self.value.parse::<u32>().is_ok() => {
                format!(" {}", self.value)
            }
            Some(name) if name.contains("DURATION") => " 7d".to_owned(),
            Some(name) => format!(" {name}"),
            None => String::new(),
        }
    }

    fn verbose(&self) -> Option<String> {
        if !VERBOSE.contains(&self.flag) {
            return None;
        }
        if self.path.is_empty() && self.flag == "v" {
            return Some("did you mean: smtpcred --version".to_owned());
        }
        if self.has("wide") {
            return Some("did you mean --wide?".to_owned());
        }
        Some(
            "there is no verbose output: errors are always complete; smtpcred doctor checks \
                everything, and smtpcred why NAME explains what happens to one user"
                .to_owned(),
        )
    }
}

fn name_of(typed: &str) -> &str {
    typed.split('=').next().unwrap_or(typed)
}
