//! Guesses what was meant by a word that a command does not take.

use clap::Command;

use super::answer::{Answer, has};
use super::operands::{is_domain, is_username, one_at_a_time};
use super::password;
use crate::model::text::in_shell;

/// Returns what to say about a word too many. One behind a name is not repeated.
pub fn meant(command: &Command, path: &str, word: &str, words: &[&str]) -> Option<Answer> {
    if let Some((said, hint)) = one_at_a_time(path, word) {
        let message = Some(said.to_owned());
        return Some(Answer { message, hint });
    }
    let at = words.iter().position(|typed| *typed == word);
    let before = &words[..at.unwrap_or(words.len())];
    let follows_name = before
        .iter()
        .any(|word| is_username(word) || is_domain(word));
    let hint = if has(command, "password-stdin") || password::may_follow(path) {
        flag_for(command, path, word, words)
    } else {
        let answer = instead_of_word(command, path, word);
        if !follows_name {
            return answer;
        }
        answer.map(|answer| answer.hint)
    };
    Some(Answer {
        message: Some(password::too_many(at.unwrap_or(usize::MAX))),
        hint: hint.unwrap_or_else(|| password::hint(command, path).to_owned()),
    })
}

/// `user list example.com`, `doctor NAME`
fn instead_of_word(command: &Command, path: &str, word: &str) -> Option<Answer> {
    if path == "usage" && (is_username(word) || is_domain(word)) {
        let user = if is_username(word) {
            "user show"
        } else {
            "usage --by domain"
        };
        let name = if is_username(word) {
            format!(" {}", in_shell(word))
        } else {
            String::new()
        };
        return Some(format!("did you mean: smtpcred {user}{name}").into());
    }
    let of = |user: bool| match path {
        "doctor" if user => Some("why"),
        "doctor" => Some("domain check"),
        "status" | "report" | "user list" | "domain list" if user => Some("user show"),
        "status" | "report" | "domain list" => Some("domain show"),
        _ => None,
    };
    let (user, domain) = (is_username(word), is_domain(word));
    if let Some(ours) = of(user).filter(|_| user || domain) {
        return Some(format!("did you mean: smtpcred {ours} {}", in_shell(word)).into());
    }
    if path == "user export" && !domain {
        return Some(format!("did you mean: smtpcred {path} --output FILE").into());
    }
    let flag = ["user", "domain"].into_iter().zip([user, domain]);
    let mut flag = flag.filter(|(long, fits)| *fits && has(command, long));
    let (long, _) = flag.next()?;
    Some(format!("did you mean: smtpcred {path} --{long} {}", in_shell(word)).into())
}

/// `test NAME ADDRESS`, `show-settings NAME CLIENT`
fn flag_for(command: &Command, path: &str, word: &str, words: &[&str]) -> Option<String> {
    let name = words.first().filter(|name| is_username(name))?;
    let rest = match path {
        // An address may be a password with an @ in it.
        "test" if is_username(word) => "--to ADDRESS".to_owned(),
        "user create" if is_username(word) => {
            return Some("several users come from a file: smtpcred user create --file FILE".into());
        }
        "show-settings" => {
            let mut all = command.get_arguments();
            let clients = all.find(|arg| arg.get_long() == Some("for"))?;
            let clients = clients.get_possible_values();
            let known = clients.iter().any(|client| client.matches(word, false));
            known.then(|| format!("--for {word}"))?
        }
        _ => return None,
    };
    Some(format!(
        "did you mean: smtpcred {path} {} {rest}",
        in_shell(name)
    ))
}
