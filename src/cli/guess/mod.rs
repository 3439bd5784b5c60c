//! Guesses the intended command from one that does not exist: words of other programs, a noun
//! and a verb in reverse order, typing errors.

mod answer;
mod extra_word;
pub mod flag;
mod flag_words;
mod operands;
pub mod password;
mod words;

use clap::Command;

use self::flag_words::PASSWORDS;
use self::operands::{is_domain, is_username, line};
use self::words::{
    BACKUP, ELSEWHERE, JOINED, NOUNS, OVERVIEWS, PASSWORD, PHRASES, RESTORE, SERVICE, SERVICES,
    SHOWING, TOPICS, VERBS,
};
use crate::model::duration::Duration;
use crate::model::near::nearest;
use crate::model::text::in_shell;
use crate::model::time::Time;

/// What an unknown command stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Meant {
    /// This command line.
    Line(String),
    /// A copy of the store is to be made, which another program does.
    Backup,
    /// A copy of the store is to be restored.
    Restore,
    /// `smtpcred serve` is to be restarted.
    Service,
    /// No command of ours does it: how and where it is done.
    Elsewhere(&'static str),
}

/// Returns what was meant. `words` are those of the command line without flags; an unknown word
/// follows the last known command.
pub fn meant(command: &Command, words: &[&str], follows: bool) -> Option<Meant> {
    let (first, rest) = words.split_first()?;
    if *first == "help" {
        let Meant::Line(ours) = meant(command, rest, false)? else {
            return None;
        };
        let ours = ours.split(" --").next().unwrap_or_default();
        return Some(Meant::Line(format!("{ours} --help")));
    }
    if let Some((_, how)) = ELSEWHERE.iter().find(|(theirs, _)| any(theirs, words)) {
        return Some(Meant::Elsewhere(how));
    }
    if let Some(meant) = without_command(command, first, rest) {
        return Some(meant);
    }
    let ours = in_words(command, first, rest)?;
    let more = if follows && ours == "audit list" {
        " --follow"
    } else {
        ""
    };
    Some(Meant::Line(format!("smtpcred {ours}{more}")))
}

/// Whether the words are one of these phrases; anything may follow one that ends with `…`.
fn any(phrases: &[&str], words: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        let begun = phrase.strip_suffix(" …");
        let theirs: Vec<&str> = begun.unwrap_or(phrase).split(' ').collect();
        words.starts_with(&theirs) && (begun.is_some() || words.len() == theirs.len())
    })
}

/// `backup`, `store restore`, `restart`
fn without_command(command: &Command, first: &str, rest: &[&str]) -> Option<Meant> {
    let is_store = noun(first) == Some("store") || first == "store";
    let verb = match rest.first() {
        Some(verb) if is_store => verb,
        _ => first,
    };
    let store = command.find_subcommand("store");
    let exists = store.is_some_and(|store| shown(store, verb).is_some());
    if exists && is_store {
        None
    } else if BACKUP.contains(&verb) {
        Some(Meant::Backup)
    } else if RESTORE.contains(&verb) {
        Some(Meant::Restore)
    } else if SERVICE.contains(&verb) && rest.is_empty() || restarts(first, rest) {
        Some(Meant::Service)
    } else {
        None
    }
}

/// `service restart`
fn restarts(first: &str, rest: &[&str]) -> bool {
    SERVICES.contains(&first) && matches!(rest, [verb] if SERVICE.contains(verb))
}

fn in_words(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let words = [&[first], rest].concat();
    if let Some((_, ours)) = PHRASES.iter().find(|(theirs, _)| any(theirs, &words)) {
        return line(command, ours, &[]);
    }
    // `smtpcred --status`
    if let Some(whole) = shown(command, first).filter(|whole| !whole.has_subcommands()) {
        return line(command, whole.get_name(), rest);
    }
    // `smtpcred shop@example.com`
    if rest.is_empty() && is_username(first) {
        return line(command, "user show", &[first]);
    }
    // `reset password NAME`
    if let [what, operands @ ..] = rest
        && PASSWORD.contains(what)
        && ["change", "new", "renew", "reset", "set", "update"].contains(&first)
    {
        return line(command, "user reset", operands);
    }
    // The noun is ours, and its verb is not.
    if let Some(noun) = shown(command, first).filter(|noun| noun.has_subcommands()) {
        let (verb, operands) = rest.split_first()?;
        return of_noun(command, noun, verb, operands);
    }
    glued(command, first, rest)
        .or_else(|| topic_of(command, first, rest))
        .or_else(|| joined(command, first, rest))
        .or_else(|| noun_first(command, first, rest))
        .or_else(|| verb_first(command, first, rest))
        .or_else(|| split(command, first, rest))
        .or_else(|| mistyped(command, first, rest))
}

/// `user block NAME`
fn of_noun(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    if is_name(verb) {
        return of_name(command, noun, verb);
    }
    own_verb(command, noun, verb, operands)
        .or_else(|| of_whole(command, verb, operands))
        .or_else(|| topic_of(command, verb, operands))
        .or_else(|| in_two(command, noun, verb, operands))
        .or_else(|| own_verb(command, noun, nearest(verb, names(noun))?, operands))
        .or_else(|| of_users(command, noun, verb, operands))
}

/// Returns a noun's own verb, or the one that another program's verb stands for.
fn own_verb(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    let own = shown(noun, verb).map(|own| format!("{} {}", noun.get_name(), own.get_name()));
    own.and_then(|own| line(command, &own, operands))
        .or_else(|| synonym(command, noun, verb, operands))
}

/// `user set-note NAME`, `user reset-pw NAME`: what it is about says more than the verb. What does
/// something else to it, such as `reset-usage`, must not lead to a command that changes the user.
fn in_two(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    const NOT_SET: [&str; 12] = [
        "clear", "del", "delete", "drop", "get", "no", "print", "remove", "rm", "show", "unset",
        "view",
    ];
    let (first, second) = verb.split_once('-')?;
    if second == noun.get_name() {
        return own_verb(command, noun, first, operands);
    }
    if NOT_SET.contains(&first) {
        return None;
    }
    let only_of_passwords = ["reset", "suspend"].contains(&first);
    synonym(command, noun, second, operands).or_else(|| {
        let fits = !only_of_passwords || PASSWORDS.contains(&second);
        own_verb(command, noun, first, operands).filter(|_| fits)
    })
}

/// `domain suspend DOMAIN`: only users have this verb, and some of theirs take a domain.
fn of_users(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    if noun.get_name() != "domain" {
        return None;
    }
    own_verb(command, command.find_subcommand("user")?, verb, operands)
}

/// `user NAME`: shows what has this name.
fn of_name(command: &Command, noun: &Command, name: &str) -> Option<String> {
    let nouns = [noun.get_name(), "user", "domain"];
    let lines = nouns.iter().flat_map(|noun| {
        let shown = OVERVIEWS.iter().rev();
        shown.filter_map(move |verb| line(command, &format!("{noun} {verb}"), &[name]))
    });
    let mut lines = lines.filter(|line| line.ends_with(name));
    lines.next()
}

/// `user verify NAME`: a command without a noun, or with another one.
fn of_whole(command: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    let whole = shown(command, verb).or_else(|| command.find_subcommand(noun(verb)?))?;
    if whole.has_subcommands() {
        return overview(command, whole, operands);
    }
    line(command, whole.get_name(), operands)
}

fn overview(command: &Command, noun: &Command, operands: &[&str]) -> Option<String> {
    let verb = OVERVIEWS.iter().find(|verb| shown(noun, verb).is_some())?;
    line(command, &format!("{} {verb}", noun.get_name()), operands)
}

/// `users`, `domains ls`
fn noun_first(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let noun = command.find_subcommand(noun(first)?)?;
    match rest.split_first() {
        Some((verb, operands)) => of_noun(command, noun, verb, operands),
        None => overview(command, noun, rest),
    }
}

/// `list`, `add user NAME`, `delete example.com`
fn verb_first(command: &Command, verb: &str, rest: &[&str]) -> Option<String> {
    if let Some((second, operands)) = rest.split_first()
        && SHOWING.contains(&verb)
        && let Some(found) = shown_by(command, second, operands)
    {
        return Some(found);
    }
    if let Some((second, operands)) = rest.split_first()
        && let Some(noun) = noun(second).and_then(|noun| command.find_subcommand(noun))
    {
        return of_noun(command, noun, verb, operands);
    }
    let is_domain = rest.first().is_some_and(|word| is_domain(word));
    let nouns = if is_domain {
        ["domain", "user", "store", "audit", "config"]
    } else {
        ["user", "domain", "store", "audit", "config"]
    };
    nouns.into_iter().find_map(|noun| {
        let noun = command.find_subcommand(noun)?;
        own_verb(command, noun, verb, rest)
    })
}

/// `show users`, `show status`
fn shown_by(command: &Command, what: &str, operands: &[&str]) -> Option<String> {
    if let Some(whole) = shown(command, what).filter(|whole| !whole.has_subcommands()) {
        return line(command, whole.get_name(), operands);
    }
    let several = what.ends_with('s') && operands.is_empty();
    let noun = command.find_subcommand(noun(what).filter(|_| several)?)?;
    overview(command, noun, operands)
}

/// `show settings`, `settings set`, `show server-config postfix`
fn glued(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let (second, operands) = rest.split_first()?;
    [format!("{first}-{second}"), format!("{second}-{first}")]
        .iter()
        .find_map(|ours| line(command, shown(command, ours)?.get_name(), operands))
}

/// `create-user NAME`, `user-list`
fn split(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let (one, other) = first.split_once(['-', '_', ':', '.', '/'])?;
    if ["get", "set", "show"].contains(&one)
        && let Some(found) = of_setting(command, one, other)
    {
        return Some(found);
    }
    if noun(one).is_none() && noun(other).is_none() {
        return None;
    }
    let words: Vec<&str> = [one, other].iter().chain(rest).copied().collect();
    in_words(command, words[0], &words[1..])
}

/// `set-host NAME`, `show-ports`
fn of_setting(command: &Command, verb: &str, setting: &str) -> Option<String> {
    let set = command.find_subcommand("set-settings")?;
    let known = set
        .get_arguments()
        .find(|arg| arg.get_long() == Some(setting))?;
    let long = known.get_long()?;
    let ours = match verb {
        "set" => format!("set-settings --{long} …"),
        _ => "show-settings".to_owned(),
    };
    (!known.is_global_set()).then_some(ours)
}

fn topic_of(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let topic = TOPICS.iter().find(|topic| topic.words.contains(&first))?;
    // `auth test NAME`
    let rest = match rest {
        [verb, name, ..] if !is_name(verb) && is_username(name) => &rest[1..],
        _ => rest,
    };
    let ours = match rest.first() {
        Some(word) if is_username(word) => topic.user,
        Some(word) if is_domain(word) => topic.domain,
        _ => topic.alone,
    };
    ours.iter().find_map(|ours| line(command, ours, rest))
}

fn joined(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let (_, verb) = JOINED.iter().find(|(theirs, _)| *theirs == first)?;
    line(command, &format!("user {verb}"), rest)
}

fn mistyped(command: &Command, first: &str, rest: &[&str]) -> Option<String> {
    let near = shown(command, nearest(first, names(command))?)?;
    match rest.split_first() {
        Some((verb, operands)) if near.has_subcommands() => of_noun(command, near, verb, operands),
        None if near.has_subcommands() => overview(command, near, rest),
        _ => line(command, near.get_name(), rest),
    }
}

fn is_name(word: &str) -> bool {
    is_username(word) || is_domain(word)
}

fn noun(word: &str) -> Option<&'static str> {
    let found = NOUNS.iter().find(|(theirs, _)| *theirs == word);
    found.map(|(_, ours)| *ours)
}

/// Returns the command of a noun that another program's verb stands for.
fn synonym(command: &Command, noun: &Command, verb: &str, operands: &[&str]) -> Option<String> {
    let same = VERBS.iter().filter(|(theirs, _)| theirs.contains(&verb));
    let mut ours = same.flat_map(|(_, ours)| *ours);
    ours.find_map(|ours| {
        let own = ours.split(' ').next() == Some(noun.get_name());
        let found = own.then(|| line(command, ours, operands)).flatten();
        found.map(|line| until(line, operands))
    })
}

/// `user expire NAME 2026-12-31`: the time that was typed, in place of the example.
fn until(line: String, operands: &[&str]) -> String {
    let Some(begun) = line.strip_suffix("--expires-in 30d") else {
        return line;
    };
    let typed = operands.iter().find_map(|word| {
        if word.parse::<Duration>().is_ok() {
            Some(format!("{begun}--expires-in {}", in_shell(word)))
        } else {
            word.parse::<Time>().ok()?;
            Some(format!("{begun}--expires-at {}", in_shell(word)))
        }
    });
    typed.unwrap_or(line)
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
