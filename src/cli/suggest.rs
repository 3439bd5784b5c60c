//! Suggestions for mistyped flags and values. clap alone suggests by similarity and offers
//! opposites: `--overlap-max` for `--overlap-min`.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::model::near::nearest;

/// Replaces clap's suggestions with ours.
pub fn improve(error: &mut Error, command: &Command, args: &[String]) {
    let text = |value: Option<&ContextValue>| match value {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            // `guess` knows better, or nothing.
            error.remove(ContextKind::SuggestedSubcommand);
        }
        ErrorKind::UnknownArgument => {
            error.remove(ContextKind::SuggestedArg);
            let typed = text(error.get(ContextKind::InvalidArg));
            let is_flag = typed.as_ref().is_some_and(|typed| typed.starts_with("--"));
            // Drops flags of other commands; keeps how to give a value that begins
            // with a hyphen.
            if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
                tips.retain(|tip| !is_flag && tip.to_string().contains("as a value"));
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
            if let Some(meant) = typed.and_then(|typed| flag(command, args, &typed)) {
                error.insert(
                    ContextKind::SuggestedArg,
                    ContextValue::String(format!("--{meant}")),
                );
            }
        }
        ErrorKind::InvalidValue => {
            error.remove(ContextKind::SuggestedValue);
            let typed = text(error.get(ContextKind::InvalidValue));
            let valid = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) => valid.clone(),
                _ => Vec::new(),
            };
            let meant = typed.and_then(|typed| {
                let same = same_value(&typed).filter(|ours| valid.iter().any(|one| one == ours));
                let near = same.or_else(|| nearest(&typed, valid.iter().map(String::as_str)));
                Some(near?.to_owned())
            });
            if let Some(meant) = meant {
                error.insert(ContextKind::SuggestedValue, ContextValue::String(meant));
            }
        }
        _ => {}
    }
}

/// The suggestion as text, for JSON, which has no tips.
pub fn suggested(error: &Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    })
}

/// Returns the last valid command before this word.
pub fn reached<'a>(mut command: &'a Command, args: &[String], until: &str) -> &'a Command {
    for arg in args.iter().take_while(|arg| *arg != until) {
        command = command.find_subcommand(arg).unwrap_or(command);
    }
    command
}

/// Returns our word for a value that other programs know, such as an order.
fn same_value(typed: &str) -> Option<&'static str> {
    Some(match typed {
        "last" | "last-used" | "last-connection" | "recent" => "used",
        "expiry" | "expiring" => "expires",
        "user" | "username" => "name",
        "new" | "newest" | "date" => "created",
        "oldest" | "old" | "password-age" => "age",
        _ => return None,
    })
}

/// Returns the flag that was mistyped, without its hyphens.
pub fn flag(command: &Command, args: &[String], typed: &str) -> Option<String> {
    let typed = typed.strip_prefix("--")?;
    let typed = typed.split('=').next().unwrap_or(typed);
    let at = reached(command, args, &format!("--{typed}"));
    let own = at.get_arguments().chain(command.get_arguments());
    let visible = own.filter(|arg| !arg.is_hide_set());
    let longs: Vec<&str> = visible.filter_map(clap::Arg::get_long).collect();
    nearest(typed, longs).map(str::to_owned)
}
