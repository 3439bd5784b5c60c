//! Completion of commands, flags, and names in the store.
//!
//! The scripts in `completions/`, which `completion` prints, run the program itself, with
//! `COMPLETE` set to the shell's name.

use std::ffi::OsStr;
use std::io;
use std::str::FromStr;

use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use nix::errno::Errno;

use super::context::store_of_environment;
use super::terminal::column::{Column, column_name};
use super::terminal::command_line;
use super::terminal::record::Record;
use crate::error::{Exit, Result};
use crate::model::name::{DomainName, Username};
use crate::model::tag::Tag;
use crate::model::text::in_shell;
use crate::store::{Access, Store};

/// The most candidates: enough to choose from, and fast with a million users.
const MOST: u32 = 200;
/// How many tags are read for them.
const MANY: u32 = 20_000;

/// Prints completions if a shell asks for them, and returns the exit code then.
pub fn answer_shell(command: fn() -> Command) -> Option<Exit> {
    if std::env::var_os("COMPLETE").is_some() {
        let asked = CompleteEnv::with_factory(command);
        let answered = asked.try_complete(std::env::args_os(), None);
        let exit = match answered {
            Ok(false) => return None,
            Ok(true) => command_line::printed(Ok(())),
            Err(error) => command_line::printed(Err(written(&error))),
        };
        return Some(exit);
    }
    None
}

/// Returns the I/O error behind an error of clap, which keeps only its text.
fn written(error: &clap::Error) -> io::Error {
    let text = error.to_string();
    let closed = io::Error::from(Errno::EPIPE);
    if text.contains(&closed.to_string()) {
        return closed;
    }
    io::Error::other(text.trim_start_matches("error: ").trim_end().to_owned())
}

/// The shells that have a script.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// Returns all of them.
    pub const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// Returns the name that its script has where the shell looks for it.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Bash => "smtpcred.bash",
            Self::Zsh => "_smtpcred",
            Self::Fish => "smtpcred.fish",
        }
    }

    /// Returns its script.
    pub fn script(self) -> io::Result<Vec<u8>> {
        let shell: &dyn EnvCompleter = match self {
            Self::Bash => &Bash,
            Self::Zsh => &Zsh,
            Self::Fish => &Fish,
        };
        let (name, mut script) = ("smtpcred", Vec::new());
        shell.write_registration("COMPLETE", name, name, name, &mut script)?;
        Ok(script)
    }
}

/// Completes usernames.
pub fn usernames() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        candidates::<Username>(typed, |store, typed| store.usernames(typed, MOST))
    })
}

/// Completes domains.
pub fn domains() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        candidates::<DomainName>(typed, |store, typed| store.domain_names(typed, MOST))
    })
}

/// Completes the columns of a table.
pub fn columns<R: Record>(arg: Arg) -> Arg {
    arg.add(ArgValueCompleter::new(|typed: &OsStr| {
        let typed = column_name(&typed.to_string_lossy());
        let names = R::COLUMNS.iter().map(Column::name);
        let fits = |name: &String| !name.is_empty() && name.starts_with(&typed);
        names.filter(fits).map(CompletionCandidate::new).collect()
    }))
}

/// Completes tags of users: those of the first users with any, if the store has many.
pub fn tags() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        candidates::<Tag>(typed, |store, typed| {
            let mut tags = store.some_tags(MANY)?;
            tags.retain(|tag| tag.starts_with(typed));
            tags.truncate(MOST as usize);
            Ok(tags)
        })
    })
}

/// Returns the names in the store, or none if it is missing or unreadable. Only valid names are
/// offered: the shell would run any other text in the store.
fn candidates<Name: FromStr>(
    typed: &OsStr,
    names: impl Fn(&mut Store, &str) -> Result<Vec<String>>,
) -> Vec<CompletionCandidate> {
    let found = || {
        let mut store = Store::open(&store_of_environment()?, Access::Existing)?;
        names(&mut store, &typed.to_string_lossy().to_ascii_lowercase())
    };
    // A shell treats a quote or `&` in a name as syntax, and not every shell quotes its
    // candidates.
    let plain = |name: &String| {
        // The = of a tag is no syntax there.
        let name = name.replacen('=', "", 1);
        *in_shell(&name) == *name
    };
    found()
        .unwrap_or_default()
        .into_iter()
        .filter(|name| name.parse::<Name>().is_ok() && plain(name))
        .map(CompletionCandidate::new)
        .collect()
}
