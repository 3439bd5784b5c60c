//! Reports a wrong command line, with the intended one if it can be guessed.

use std::error::Error as _;
use std::ffi::OsStr;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::context::configured_color;
use super::suggest::reached;
use super::terminal::command_line::{self, Refusal};
use super::{context, guess, guess_flag, hints};
use crate::error::{Error, Exit, Result};
use crate::store::Location;

/// Prints help, or what is wrong with the command line. Returns the exit code.
pub fn print(mut error: clap::Error, mut command: Command) -> Exit {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    command.build();
    if let Some(refusal) = guessed(&error, &command, &args) {
        return command_line::refuse(&args, &refusal, configured_color());
    }
    // clap's own would repeat flags that are there, such as --store, as if they were needed.
    let typed = text(&error, ContextKind::InvalidArg).unwrap_or_default();
    let mut at = reached(&command, &args, &typed).clone();
    if error.get(ContextKind::Usage).is_some() {
        let usage = ContextValue::StyledStr(at.render_usage());
        error.insert(ContextKind::Usage, usage);
    }
    command_line::usage(error, &command, configured_color())
}

fn guessed(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = text(error, ContextKind::InvalidSubcommand)?;
            let words = words(args);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ours = guess::meant(command, &words)?;
            Some(Refusal {
                code: "usage",
                message: format!("there is no command '{typed}'"),
                hint: format!("did you mean: {ours}"),
            })
        }
        ErrorKind::UnknownArgument => {
            let typed = text(error, ContextKind::InvalidArg)?;
            let at = reached(command, args, &typed);
            let path = at.get_bin_name().unwrap_or_default();
            let path = path.strip_prefix("smtpcred ").unwrap_or_default();
            let answer = guess_flag::meant(at, path, &typed, args)?;
            Some(Refusal {
                code: "usage",
                message: answer.message.unwrap_or_else(|| {
                    let typed = typed.split('=').next().unwrap_or_default();
                    format!("unexpected argument '{typed}' found")
                }),
                hint: answer.hint,
            })
        }
        ErrorKind::ValueValidation => {
            let ours = error.source()?.downcast_ref::<Error>()?;
            Some(Refusal {
                code: ours.code(),
                message: ours.to_string(),
                hint: hints::of_value(ours, args, location(args))?,
            })
        }
        _ => None,
    }
}

/// The words of a command line that are no flags and no values of common flags.
fn words(args: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if ["--store", "--format", "--color"].contains(&arg.as_str()) {
            args.next();
        } else if !arg.starts_with('-') {
            words.push(arg.clone());
        }
    }
    words
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// The store of a command line that could not be parsed.
fn location(args: &[String]) -> Result<Location> {
    let after = args.iter().position(|arg| arg == "--store");
    let given = after.and_then(|at| args.get(at + 1)).map(String::as_str);
    let joined = args.iter().find_map(|arg| arg.strip_prefix("--store="));
    match given.or(joined) {
        Some(path) if !path.is_empty() => Location::parse(OsStr::new(path)),
        _ => context::store_of_environment(),
    }
}
