//! Completion of commands, flags, and of the names that are in the store.
//!
//! The scripts in `completions/` ask the program itself, with `COMPLETE` set to
//! the shell's name.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{Cli, machine};
use crate::error::Result;
use crate::store::{Access, Location, Store};

/// Enough to choose from, and quick with a million users.
const MOST: u32 = 200;

/// Answers and exits, if it is a shell that asks.
pub fn answer_shell() {
    if std::env::var_os("COMPLETE").is_some() {
        CompleteEnv::with_factory(Cli::command).complete();
    }
}

pub fn usernames() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        candidates(typed, |store, typed| store.usernames(typed, MOST))
    })
}

pub fn domains() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        candidates(typed, |store, typed| store.domain_names(typed, MOST))
    })
}

/// No store, or none that can be read, completes to nothing.
fn candidates(
    typed: &OsStr,
    names: impl Fn(&mut Store, &str) -> Result<Vec<String>>,
) -> Vec<CompletionCandidate> {
    let found = || {
        let location = match std::env::var_os("SMTPCRED_STORE") {
            Some(path) if !path.is_empty() => Location::parse(&path)?,
            _ => Location::File(machine::default_store()?),
        };
        let mut store = Store::open(&location, Access::Existing)?;
        names(&mut store, &typed.to_string_lossy().to_lowercase())
    };
    found()
        .unwrap_or_default()
        .into_iter()
        .map(CompletionCandidate::new)
        .collect()
}
