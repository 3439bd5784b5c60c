//! The name that a command line lacks or has only a part of, chosen by a person. Scripts get the
//! error of clap, or of the command.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::ArgValueCompleter;

use super::context::Context;
use super::offer::{self, Answer, NameKind, Suited};
use super::parse::{Cli, parse};
use super::refusal;
use super::suggest::reached;
use super::terminal::prompt::{line, person_watches};
use crate::error::{Error, Exit, Result};
use crate::host;

/// What a person is asked for.
#[derive(Clone, Copy)]
enum Asked {
    /// A name in the store, as the last argument.
    Name(NameKind),
    /// Another argument, with its flag if it has one. It is asked for after a name, because the
    /// line cannot be corrected any more.
    Value {
        flag: Option<&'static str>,
        question: &'static str,
        example: &'static str,
    },
    /// The name that this argument stands for.
    Instead(NameKind, usize),
}

/// A command line, completed or not.
enum Whole {
    Line(Vec<OsString>),
    /// The person declined the name that was offered.
    Declined(NameKind),
    Lacking,
}

/// Lets a person choose the names that this command line lacks. If something else is wrong with
/// it, or no person is there, prints the error and returns the exit code.
pub fn complete(error: clap::Error, args: &mut Vec<OsString>) -> std::result::Result<Cli, Exit> {
    let mut command = Cli::command();
    // An argument has a text only then.
    command.build();
    let Some((asked, mut context)) = lacking(&error, &command, args) else {
        return Err(refusal::print(error, command));
    };
    let suited = suited(&command, args);
    match answered(&context, &asked, suited, args) {
        Ok(Whole::Line(whole)) => {
            *args = whole;
            let cli = parse(args).map_err(|error| refusal::print(error, command))?;
            host::run_again(args);
            Ok(cli)
        }
        Ok(Whole::Declined(kind)) => {
            let cause = error.source().and_then(|cause| cause.downcast_ref());
            let Some(Error::Invalid { what, value, rule }) = cause else {
                return Err(refusal::print(error, command));
            };
            let invalid = Error::Invalid {
                what,
                value: value.clone(),
                rule: rule.clone(),
            };
            Err(context.declined(&invalid.into(), kind.list()))
        }
        Ok(Whole::Lacking) => Err(refusal::print(error, command)),
        Err(error) => Err(context.failure(&error.into())),
    }
}

/// Offers the name that was meant, if a command failed because there is none like it. Returns the
/// command line with it, or prints the error and returns the exit code.
pub fn instead(
    error: &anyhow::Error,
    context: &mut Context,
    args: &[OsString],
) -> std::result::Result<Vec<OsString>, Exit> {
    match meant(error, context, args) {
        Ok(Whole::Line(line)) => Ok(line),
        Ok(Whole::Declined(kind)) => Err(context.declined(error, kind.list())),
        Ok(Whole::Lacking) => Err(context.failure(error)),
        Err(asked) => Err(context.failure(&asked.into())),
    }
}

fn meant(error: &anyhow::Error, context: &Context, args: &[OsString]) -> Result<Whole> {
    let (kinds, typed): (&[NameKind], &str) = match error.downcast_ref() {
        Some(Error::UserNotFound(name)) => (&[NameKind::User], name),
        Some(Error::DomainNotFound(name)) => (&[NameKind::Domain], name),
        // A command that takes both.
        Some(Error::Invalid { what, value, .. }) if *what == "domain" => {
            (&[NameKind::User, NameKind::Domain], value)
        }
        _ => return Ok(Whole::Lacking),
    };
    let typed = typed.trim_matches(['"', '\'']);
    let command = Cli::command();
    let Some(at) = position(args, typed).filter(|_| takes_a_known_name(&command, args)) else {
        return Ok(Whole::Lacking);
    };
    let suited = suited(&command, args);
    for &kind in kinds {
        match offer::instead_of(context, kind, suited, typed)? {
            Answer::Name(name) => return Ok(Whole::Line(replaced(args, at, name))),
            Answer::Declined => return Ok(Whole::Declined(kind)),
            Answer::NotAsked => {}
        }
    }
    Ok(Whole::Lacking)
}

/// Returns the users that the command is for.
fn suited(command: &Command, args: &[OsString]) -> Suited {
    Suited::to_command(reached(command, &words(args), "").get_name())
}

/// Returns what is lacking, if a person can say it, and what the rest of the command line says.
fn lacking(
    error: &clap::Error,
    command: &Command,
    args: &[OsString],
) -> Option<(Vec<Asked>, Context)> {
    if !person_watches() {
        return None;
    }
    let at = reached(command, &words(args), "");
    let mut example = args.to_vec();
    let mut asked = wrong(error, at, &example, true)?;
    let mut new = asked.clone();
    let whole = loop {
        for one in &new {
            example = with_example(&example, *one);
        }
        // What is wrong next.
        match parse(&example) {
            Ok(whole) => break whole,
            Err(_) if asked.len() > args.len() => return None,
            Err(error) => new = wrong(&error, at, &example, false)?,
        }
        asked.extend(&new);
    };
    let mut context = Context::new(whole.globals);
    context.read_config_quietly().ok()?;
    offer::person_chooses(&context).then_some((asked, context))
}

/// Returns what to ask for, if a person can correct this error.
fn wrong(
    error: &clap::Error,
    at: &Command,
    args: &[OsString],
    is_first: bool,
) -> Option<Vec<Asked>> {
    match error.kind() {
        ErrorKind::MissingRequiredArgument => missing(error, at, is_first),
        ErrorKind::ValueValidation => Some(vec![misnamed(error, at, args)?]),
        _ => None,
    }
}

fn with_example(args: &[OsString], one: Asked) -> Vec<OsString> {
    let mut args = args.to_vec();
    match one {
        Asked::Name(kind) => args.push(kind.example().into()),
        Asked::Value { flag, example, .. } => {
            args.extend(flag.map(OsString::from));
            args.push(example.into());
        }
        Asked::Instead(kind, at) => args = replaced(&args, at, kind.example().into()),
    }
    args
}

/// Returns what is missing, if that includes the name of a user or domain that exists, and the rest
/// can be typed on one line. The name may already be known to be asked for.
fn missing(error: &clap::Error, at: &Command, needs_name: bool) -> Option<Vec<Asked>> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    // Names are positional, and come first.
    let (names, rest): (Vec<_>, Vec<_>) = missing.iter().partition(|one| one.starts_with('<'));
    let asked: Option<Vec<_>> = names
        .into_iter()
        .chain(rest)
        .map(|one| asked(one, at))
        .collect();
    asked.filter(|asked| !needs_name || matches!(asked.first(), Some(Asked::Name(_))))
}

fn asked(missing: &str, at: &Command) -> Option<Asked> {
    if missing.starts_with("--to ") {
        return Some(Asked::Value {
            flag: Some("--to"),
            question: "Send to (address)",
            example: "you@example.org",
        });
    }
    if missing == "<NEW>" {
        return Some(Asked::Value {
            flag: None,
            question: "New name",
            example: "new@example.org",
        });
    }
    if missing.starts_with("<CIDR>") {
        return Some(Asked::Value {
            flag: None,
            question: "Address or network",
            example: "192.0.2.7",
        });
    }
    let named = at.get_positionals().find(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let begins = |name: &clap::builder::Str| missing.starts_with(&format!("<{name}"));
        names.iter().any(begins)
    })?;
    known(named).map(Asked::Name)
}

/// Returns the argument that is not a name, if it must be one in the store.
fn misnamed(error: &clap::Error, at: &Command, args: &[OsString]) -> Option<Asked> {
    let Some(Error::Invalid { .. }) = error.source()?.downcast_ref() else {
        return None;
    };
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let of = text(ContextKind::InvalidArg)?;
    let arg = at.get_arguments().find(|arg| arg.to_string() == of)?;
    Some(Asked::Instead(
        known(arg)?,
        position(args, text(ContextKind::InvalidValue)?)?,
    ))
}

/// Returns what an argument names. Names of the store are completed: others, such as that of a
/// new domain, are not.
fn known(arg: &Arg) -> Option<NameKind> {
    arg.get::<ArgValueCompleter>()?;
    let name = arg.get_value_names()?.first()?;
    match name.as_str() {
        "DOMAIN" => Some(NameKind::Domain),
        "USERNAME" | "NAME" | "OLD" => Some(NameKind::User),
        _ => None,
    }
}

fn takes_a_known_name(command: &Command, args: &[OsString]) -> bool {
    let mut args = reached(command, &words(args), "").get_arguments();
    args.any(|arg| known(arg).is_some())
}

/// Completes the arguments with what the person says.
fn answered(
    context: &Context,
    asked: &[Asked],
    suited: Suited,
    args: &[OsString],
) -> Result<Whole> {
    let mut args = args.to_vec();
    for one in asked {
        match *one {
            Asked::Name(kind) => match offer::any(context, kind, suited)? {
                Some(name) => args.push(name.into()),
                None => return Ok(Whole::Lacking),
            },
            Asked::Value { flag, question, .. } => {
                let value = line(question)?;
                args.extend(flag.map(OsString::from));
                args.push(value.into());
            }
            Asked::Instead(kind, at) => {
                let typed = args[at].to_string_lossy().into_owned();
                match offer::instead_of(context, kind, suited, &typed)? {
                    Answer::Name(name) => args = replaced(&args, at, name),
                    Answer::Declined => return Ok(Whole::Declined(kind)),
                    Answer::NotAsked => return Ok(Whole::Lacking),
                }
            }
        }
    }
    Ok(Whole::Line(args))
}

/// Returns where a value is, if it is clear which argument it is.
fn position(args: &[OsString], value: &str) -> Option<usize> {
    let mut same = (0..args.len()).filter(|&at| args[at].to_string_lossy() == value);
    same.next().filter(|_| same.next().is_none())
}

fn replaced(args: &[OsString], at: usize, name: String) -> Vec<OsString> {
    let mut args = args.to_vec();
    args[at] = name.into();
    args
}

fn words(args: &[OsString]) -> Vec<String> {
    args.iter()
        .map(|arg| arg.to_string_lossy().into())
        .collect()
}
