//! Reports a wrong command line, with the intended one if it can be guessed.

use std::error::Error as _;
use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};
use clap_complete::engine::ArgValueCompleter;

use super::context::configured_color;
use super::guess::{self, Meant, flag, password};
use super::parse::Cli;
use super::suggest::{self, reached};
use super::terminal::command_line::{self, Refusal};
use super::terminal::output::OutputFormat;
use super::{context, help, hints};
use crate::error::{Error, Exit, Result};
use crate::store::Location;

/// Prints help, or what is wrong with the command line. Returns the exit code.
pub fn print(mut error: clap::Error, mut command: Command) -> Exit {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    command.build();
    if let Some(help) = help_of_noun(&error, &args) {
        command_line::help_on_stderr(&help);
        return Exit::Usage;
    }
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

/// Returns the short help of a noun that was typed without a verb. Programs get an error.
fn help_of_noun(error: &clap::Error, args: &[String]) -> Option<StyledStr> {
    let is_json = command_line::asked_format(args) == OutputFormat::Json;
    if error.kind() != ErrorKind::MissingSubcommand || is_json {
        return None;
    }
    let whole = help::arrange(Cli::command());
    let noun = reached(&whole, args, "");
    (noun.get_name() != whole.get_name()).then(|| noun.clone().render_help())
}

fn guessed(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => unknown_command(error, command, args),
        ErrorKind::UnknownArgument => {
            let typed = text(error, ContextKind::InvalidArg)?;
            let (at, path) = reached_path(command, args, &typed);
            let answer = flag::meant(command, at, path, &typed, args);
            let answer = answer.or_else(|| {
                let meant = suggest::flag(command, args, &typed)?;
                Some(format!("did you mean --{meant}?").into())
            })?;
            Some(Refusal {
                code: "usage",
                message: answer.message.unwrap_or_else(|| {
                    let typed = typed.split('=').next().unwrap_or_default();
                    format!("unexpected argument '{typed}' found")
                }),
                hint: answer.hint,
            })
        }
        ErrorKind::ValueValidation => bad_value(error, command, args),
        ErrorKind::InvalidValue => setting_in_store(error, command, args),
        ErrorKind::MissingRequiredArgument => missing_choice(error, command, args),
        ErrorKind::ArgumentConflict => sender_as_file(command, args),
        ErrorKind::TooManyValues => {
            let flag = text(error, ContextKind::InvalidArg)?;
            let of_password = ["--password-stdin", "--choose-password", "--short-password"];
            let (at, path) = reached_path(command, args, "");
            of_password.contains(&flag.as_str()).then(|| Refusal {
                code: "usage",
                message: format!("{flag} takes no value"),
                hint: password::hint(at, path).to_owned(),
            })
        }
        _ => None,
    }
}

/// Returns the last command before a word, and its name, such as `user list`.
fn reached_path<'a>(command: &'a Command, args: &[String], until: &str) -> (&'a Command, &'a str) {
    let at = reached(command, args, until);
    let path = at.get_bin_name().unwrap_or_default();
    (at, path.strip_prefix("smtpcred ").unwrap_or_default())
}

fn unknown_command(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    let typed = text(error, ContextKind::InvalidSubcommand)?;
    let words = words(args);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let follows = args
        .iter()
        .any(|arg| ["-f", "-F", "--follow"].contains(&arg.as_str()));
    let hint = match guess::meant(command, &words, follows)? {
        Meant::Line(ours) => format!("did you mean: {ours}"),
        Meant::Backup => hints::OF_BACKUP.to_owned(),
        Meant::Restore => hints::OF_RESTORE.to_owned(),
        Meant::Service => hints::OF_SERVICE.to_owned(),
        Meant::Elsewhere(how) => how.to_owned(),
    };
    Some(Refusal {
        code: "usage",
        message: format!("there is no command '{typed}'"),
        hint,
    })
}

/// `setup`, `config get`: names the values, if there are few.
fn missing_choice(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = missing.first()?.strip_prefix('<')?.strip_suffix('>')?;
    let (at, path) = reached_path(command, args, "");
    let mut all = at.get_positionals();
    let arg = all.find(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|own| own == name)
    })?;
    let values = arg.get_possible_values();
    let values: Vec<_> = values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(clap::builder::PossibleValue::get_name)
        .collect();
    (!values.is_empty()).then(|| Refusal {
        code: "usage",
        message: format!("smtpcred {path} needs {}", missing.join(" and ")),
        hint: format!("{name} is one of: {}", values.join(", ")),
    })
}

/// `user create NAME --from ADDRESS`: --from is an old name of --file.
fn sender_as_file(command: &Command, args: &[String]) -> Option<Refusal> {
    let is_from = |arg: &String| arg == "--from" || arg.starts_with("--from=");
    let (_, path) = reached_path(command, args, "");
    (path == "user create" && args.iter().any(is_from)).then(|| Refusal {
        code: "usage",
        message: "--from takes a file of new users, and none of them is named here".to_owned(),
        hint: "to allow the user an address to send from: --sender ADDRESS".to_owned(),
    })
}

/// `config set host NAME`: a setting that is in the store, not in the configuration files.
fn setting_in_store(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    let key = text(error, ContextKind::InvalidValue)?;
    let (_, path) = reached_path(command, args, &key);
    let verb = path.strip_prefix("config ")?;
    let settings = command.find_subcommand("set-settings")?;
    let mut flags = settings
        .get_arguments()
        .filter(|flag| !flag.is_global_set());
    flags.find(|flag| flag.get_long() == Some(&key))?;
    Some(Refusal {
        code: "usage",
        message: format!("{key} is a setting in the store, not in the configuration files"),
        hint: match verb {
            "set" => format!("change it with: smtpcred set-settings --{key} …"),
            _ => "show it with: smtpcred show-settings".to_owned(),
        },
    })
}

fn bad_value(error: &clap::Error, command: &Command, args: &[String]) -> Option<Refusal> {
    let ours = error.source()?.downcast_ref::<Error>()?;
    let hint = hints::of_value(ours, args, location(args));
    let hidden = of_password(error, ours, command, args);
    let (message, hint) = match (hidden, part_of_name(error, ours, command, args)) {
        (Some((message, never)), _) => (message, hint.unwrap_or(never)),
        (None, Some(message)) => {
            let list = "list all with: smtpcred user list".to_owned();
            (message, hint.unwrap_or(list))
        }
        (None, None) => (ours.to_string(), hint?),
    };
    Some(Refusal {
        code: ours.code(),
        message,
        hint,
    })
}

/// Returns what to say of a part of the name of a user that must exist: which names are possible
/// does not matter there.
fn part_of_name(
    error: &clap::Error,
    ours: &Error,
    command: &Command,
    args: &[String],
) -> Option<String> {
    let Error::Invalid {
        what: what @ "username",
        value,
        ..
    } = ours
    else {
        return None;
    };
    let of = text(error, ContextKind::InvalidArg)?;
    let (at, _) = reached_path(command, args, "");
    let mut all = at.get_arguments();
    let arg = all.find(|arg| arg.to_string() == of)?;
    arg.get::<ArgValueCompleter>()?;
    (!value.contains('@')).then(|| format!("{value} is not a valid {what}: it has no @domain"))
}

/// Returns what to say, and the hint, if the value may be a password.
fn of_password(
    error: &clap::Error,
    ours: &Error,
    command: &Command,
    args: &[String],
) -> Option<(String, String)> {
    let Error::Invalid {
        what: "username", ..
    } = ours
    else {
        return None;
    };
    let value = text(error, ContextKind::InvalidValue)?;
    let (at, path) = reached_path(command, args, &value);
    let words = password::words(command, args);
    let message = password::in_place_of_name(path, &value, &words)?;
    Some((message, password::hint(at, path).to_owned()))
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
