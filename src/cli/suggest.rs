//! Suggestions for mistakes on the command line. clap alone suggests by similarity
//! and offers opposites: `suspend` for `unsuspend`.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::model::near::nearest;

/// Words of other programs and ours. The first of ours that the command has is suggested.
const SYNONYMS: [(&str, &[&str]); 25] = [
    ("activate", &["resume"]),
    ("block", &["suspend"]),
    ("change", &["set"]),
    ("create", &["add", "init"]),
    ("deactivate", &["suspend"]),
    ("del", &["delete", "remove"]),
    ("delete", &["remove"]),
    ("disable", &["suspend"]),
    ("edit", &["set"]),
    ("enable", &["resume"]),
    ("get", &["show"]),
    ("info", &["show"]),
    ("lock", &["suspend"]),
    ("ls", &["list"]),
    ("modify", &["set"]),
    ("new", &["create", "add"]),
    ("reactivate", &["resume"]),
    ("remove", &["delete"]),
    ("restore", &["resume"]),
    ("rm", &["delete", "remove"]),
    ("unblock", &["resume"]),
    ("unlock", &["resume"]),
    ("unsuspend", &["resume"]),
    ("update", &["set"]),
    ("view", &["show"]),
];

/// Replaces clap's suggestions with ours.
pub fn improve(error: &mut Error, command: &Command, args: &[String]) {
    let text = |value: Option<&ContextValue>| match value {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            error.remove(ContextKind::SuggestedSubcommand);
            let typed = text(error.get(ContextKind::InvalidSubcommand));
            if let Some(meant) = typed.and_then(|typed| subcommand(command, args, &typed)) {
                error.insert(
                    ContextKind::SuggestedSubcommand,
                    ContextValue::Strings(vec![meant]),
                );
            }
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
                let near = nearest(&typed, valid.iter().map(String::as_str))?;
                Some(near.to_owned())
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
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
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

fn subcommand(command: &Command, args: &[String], typed: &str) -> Option<String> {
    let parent = reached(command, args, typed);
    let visible = parent.get_subcommands().filter(|c| !c.is_hide_set());
    let names: Vec<&str> = visible.map(Command::get_name).collect();
    let ours = SYNONYMS.iter().find(|(theirs, _)| *theirs == typed);
    let meant = ours.and_then(|(_, ours)| ours.iter().copied().find(|ours| names.contains(ours)));
    let meant = meant.or_else(|| nearest(typed, names.iter().copied()));
    meant.map(str::to_owned)
}

fn flag(command: &Command, args: &[String], typed: &str) -> Option<String> {
    let typed = typed.strip_prefix("--")?;
    let typed = typed.split('=').next().unwrap_or(typed);
    let at = reached(command, args, &format!("--{typed}"));
    let own = at.get_arguments().chain(command.get_arguments());
    let visible = own.filter(|arg| !arg.is_hide_set());
    let longs: Vec<&str> = visible.filter_map(clap::Arg::get_long).collect();
    nearest(typed, longs).map(str::to_owned)
}
