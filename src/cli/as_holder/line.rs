//! The command line of a holder: split, parsed, checked.

use std::ffi::OsString;

use clap::{ArgMatches, Command};

use super::allowed::{self, path_of};
use super::called::Called;
use crate::cli::parse::{self, Cli};
use crate::error::{Error, Result};
use crate::model::holder::{HolderName, HolderRole};

/// The longest command line, in bytes.
const MOST: usize = 32 * 1024;
/// The most words.
const MOST_WORDS: usize = 500;

/// Why a command line does not run.
pub enum Refused {
    Error(Error),
    /// Help, or what clap finds wrong.
    Clap(Box<clap::Error>),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Returns the words of the command, without the name of the program.
pub fn words(called: &Called) -> Result<Vec<String>> {
    let words = match &called.command {
        Some(words) => words
            .iter()
            .map(|word| text(word.clone()))
            .collect::<Result<_>>()?,
        // Behind sudo, it would be a variable of the caller.
        None if called.from_sudo => Vec::new(),
        None => match std::env::var_os("SSH_ORIGINAL_COMMAND") {
            Some(line) => split(&text(line)?)?,
            None => Vec::new(),
        },
    };
    let words = checked(words)?;
    if words.is_empty() {
        let needs = "no command: write it behind the host, as in: ssh relay user list";
        return Err(Error::Usage(needs.into()));
    }
    Ok(words)
}

fn text(word: OsString) -> Result<String> {
    let not_text = |_| Error::Usage("the command is not UTF-8".into());
    word.into_string().map_err(not_text)
}

/// Splits a line into words as a POSIX shell does, and does nothing else that a shell does.
fn split(line: &str) -> Result<Vec<String>> {
    if line.len() > MOST {
        return Err(too_long());
    }
    shlex::split(line).ok_or_else(|| Error::Usage("a quote in the command does not end".into()))
}

fn checked(mut words: Vec<String>) -> Result<Vec<String>> {
    if words.len() > MOST_WORDS || words.iter().map(String::len).sum::<usize>() > MOST {
        return Err(too_long());
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(Error::Usage("the command contains a NUL".into()));
    }
    // As if it was typed on the relay.
    if words.first().is_some_and(|word| word == "smtpcred") {
        words.remove(0);
    }
    Ok(words)
}

fn too_long() -> Error {
    Error::Usage(format!(
        "the command is too long: at most {MOST_WORDS} words and {MOST} bytes"
    ))
}

/// Parses the words, and checks that the role may use the command and each flag that was given.
pub fn parse(
    words: &[String],
    holder: &HolderName,
    role: HolderRole,
) -> std::result::Result<Cli, Refused> {
    let mut args = vec![OsString::from("smtpcred")];
    args.extend(words.iter().map(OsString::from));
    let mut refused = None;
    let mut check = |matches: &ArgMatches, command: &Command| {
        refused = refusal(matches, command, role);
        refused.is_none()
    };
    let parsed = parse::parse_if(&args, &mut check);
    if let Some(what) = refused {
        return Err(Refused::Error(Error::NotPermitted {
            holder: holder.to_string(),
            what,
            allowed: format!(
                "the role {role} may use: {}",
                allowed::commands(role).join(", ")
            ),
        }));
    }
    match parsed {
        Ok(Some(cli)) => Ok(cli),
        Ok(None) => Err(Refused::Error(Error::RoleChanged(holder.to_string()))),
        Err(error) => Err(Refused::Clap(Box::new(error))),
    }
}

/// Returns the first thing that the role may not use.
fn refusal(matches: &ArgMatches, command: &Command, role: HolderRole) -> Option<String> {
    let (path, matches, command) = path_of(matches, command);
    let Some(allowed) = allowed::rule(&path, role) else {
        return Some(format!("`{path}`"));
    };
    for id in matches.ids() {
        let id = id.as_str();
        let is_group = command.get_groups().any(|group| group.get_id() == id);
        let is_given = matches.value_source(id) != Some(clap::parser::ValueSource::DefaultValue);
        if !is_group && is_given && !allowed.allows(id) {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id);
            let flag = arg.and_then(clap::Arg::get_long);
            return Some(
                flag.map_or_else(|| format!("{id} of `{path}`"), |flag| format!("--{flag}")),
            );
        }
    }
    let lacks = allowed.needed().iter().find(|id| !matches.contains_id(id));
    lacks.map(|_| format!("`{path}` without a name"))
}

#[cfg(test)]
mod tests;
