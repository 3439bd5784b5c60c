//! `smtpcred as`: runs a command line for the holder of a role, behind SSH or sudo.
//!
//! The holder is a stranger: its command line is split without a shell, parsed as any other,
//! and checked as it was parsed against a list of what its role may use. Nothing of its
//! environment or of its configuration file is read. The store is restricted before the
//! command gets it.

mod allowed;
mod called;
mod environment;
mod key;
mod line;

use std::ffi::OsString;

use super::context::{Context, HolderSession};
use super::parse::Command;
use super::terminal::command_line;
use super::terminal::output::OutputFormat;
use crate::error::{Error, Exit, Result};
use crate::host;
use crate::model::holder::{HolderName, HolderRole};
use crate::store::{Access, Store};
pub use allowed::verdicts;
use called::Called;

/// Runs a command with its context.
type Run = fn(Command, &mut Context) -> anyhow::Result<()>;

/// Runs the command line if it is one of `smtpcred as`, and returns the exit code then.
pub fn answer(args: &[OsString], run: Run) -> Option<Exit> {
    let called = match Called::of(args)? {
        Ok(called) => called,
        Err(error) => return Some(refused(OutputFormat::Table, &error)),
    };
    Some(serve(args, &called, run))
}

fn serve(args: &[OsString], called: &Called, run: Run) -> Exit {
    if let Err(error) = environment::clear(args, called.from_sudo) {
        return refused(OutputFormat::Table, &error);
    }
    let words = match line::words(called) {
        Ok(words) => words,
        Err(error) => return refused(OutputFormat::Table, &error),
    };
    let format = command_line::asked_format(&words);
    let prepared = open(called).and_then(|opened| {
        let cli = line::parse(&words, &opened.holder, opened.role)?;
        Ok((opened, cli))
    });
    let (opened, cli) = match prepared {
        Ok(prepared) => prepared,
        Err(line::Refused::Error(error)) => return refused(format, &error),
        Err(line::Refused::Clap(error)) => return command_line::refuse_words(&error, format),
    };
    let mut context = Context::of_holder(&cli.globals, opened.session);
    match run(cli.command, &mut context) {
        Ok(()) => Exit::Done,
        Err(error) => context.failure(&error),
    }
}

/// The store, open for a holder.
struct Opened {
    session: HolderSession,
    holder: HolderName,
    role: HolderRole,
}

fn open(called: &Called) -> std::result::Result<Opened, line::Refused> {
    let holder = holder(called)?;
    let key = if called.from_sudo {
        None
    } else {
        key::of_session()
    };
    let location = Context::location_for_holder(called.store.as_deref())?;
    let mut store = Store::open(&location, Access::Existing)?;
    store.restrict(&holder, key.as_deref())?;
    let role = store.restricted_to().map(|given| given.role);
    let role = role.ok_or_else(|| Error::RoleNotFound(holder.to_string()))?;
    Ok(Opened {
        session: HolderSession::new(location, store, holder.clone(), key),
        holder,
        role,
    })
}

/// Returns who asks.
fn holder(called: &Called) -> Result<HolderName> {
    let named = called.name.clone();
    if !called.from_sudo {
        return named.ok_or_else(|| Error::Usage("`as` needs the name of a holder".into()));
    }
    let login = host::login_name().ok_or_else(|| {
        Error::System(
            "--from-sudo needs a login that the kernel recorded, and there is none".into(),
        )
    })?;
    let login: HolderName = login.parse()?;
    match named {
        Some(named) if named != login => Err(Error::Usage(format!(
            "{login} is logged in, and not {named}"
        ))),
        _ => Ok(login),
    }
}

fn refused(format: OutputFormat, error: &Error) -> Exit {
    command_line::refuse_error(format, error)
}
