//! The name that a command line lacks, chosen by a person. Scripts get the error of clap.

use std::ffi::OsString;

use clap::Command;
use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap_complete::engine::ArgValueCompleter;

use super::context::Context;
use super::parse::{Cli, parse};
use super::refusal;
use super::suggest::reached;
use super::terminal::output::OutputFormat;
use super::terminal::prompt::{choose, person_watches};
use crate::app::users::UserQuery;
use crate::error::{self, Exit};
use crate::model::text;
use crate::store::{Access, Page};

/// The most names to choose from. More are found faster with `user list TEXT`.
const MOST: u32 = 10_000;

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Domain,
}

/// Lets a person choose the one name that this command line lacks. If something else is wrong
/// with it, or no person is there, prints the error and returns the exit code.
pub fn complete(error: clap::Error, mut args: Vec<OsString>) -> Result<Cli, Exit> {
    let command = Cli::command();
    let Some((kind, mut context)) = missing(&error, &command, &args) else {
        return Err(refusal::print(error, command));
    };
    match name(&mut context, kind) {
        Ok(Some(name)) => {
            args.push(name.into());
            parse(&args).map_err(|error| refusal::print(error, command))
        }
        Ok(None) => Err(refusal::print(error, command)),
        Err(error) => Err(context.failure(&error.into())),
    }
}

/// Returns what is missing, if it is nothing but the name of a user or domain that exists, and
/// what the rest of the command line says.
fn missing(error: &clap::Error, command: &Command, args: &[OsString]) -> Option<(Kind, Context)> {
    if error.kind() != ErrorKind::MissingRequiredArgument || !person_watches() {
        return None;
    }
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let [missing] = missing.as_slice() else {
        return None;
    };
    let words: Vec<_> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into())
        .collect();
    let mut positionals = reached(command, &words, "").get_positionals();
    let named = positionals.find(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let begins = |name: &clap::builder::Str| missing.starts_with(&format!("<{name}"));
        names.iter().any(begins)
    })?;
    // Names of the store are completed: others, such as that of a new domain, are not.
    named.get::<ArgValueCompleter>()?;
    let kind = if missing.contains("DOMAIN") {
        Kind::Domain
    } else {
        Kind::User
    };
    let whole = parse(&[args, &[kind.example().into()]].concat()).ok()?;
    let mut context = Context::new(whole.globals);
    context.read_config_quietly().ok()?;
    // A command line that says yes beforehand is a script, at a terminal as well.
    let asks = context.out.format() == OutputFormat::Table && !context.confirmed_beforehand();
    asks.then_some((kind, context))
}

/// Lets a person choose. `None` if there is nothing to choose from, or too much.
fn name(context: &mut Context, kind: Kind) -> error::Result<Option<String>> {
    let mut app = context.app(Access::Existing)?;
    let (mut names, mut items) = (Vec::new(), Vec::new());
    let page = Page {
        after: "",
        most: Some(MOST + 1),
    };
    match kind {
        Kind::User => app.list_users(&UserQuery::default(), &page, &mut |user, _| {
            let label = user.label.as_deref().unwrap_or_default();
            items.push(text::escaped(&format!("{}  {label}", user.username)));
            names.push(user.username.to_string());
            Ok(())
        })?,
        Kind::Domain => app.list_domains(&page, &mut |domain, _| {
            items.push(domain.name.to_string());
            names.push(domain.name.to_string());
            Ok(())
        })?,
    }
    if names.is_empty() || names.len() > MOST as usize {
        return Ok(None);
    }
    let chosen = choose(kind.prompt(), &items)?;
    Ok(names.into_iter().nth(chosen))
}

impl Kind {
    const fn prompt(self) -> &'static str {
        match self {
            Self::User => "User (type a part of the name or label)",
            Self::Domain => "Domain (type a part of the name)",
        }
    }

    /// Returns a valid name, to parse the rest of a command line.
    const fn example(self) -> &'static str {
        match self {
            Self::User => "name@example.com",
            Self::Domain => "example.com",
        }
    }
}
