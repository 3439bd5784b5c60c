//! The program without a command: what matters now for a person, the short help otherwise. And
//! the help of the program, with its commands in groups.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};

use super::context::Context;
use super::help;
use super::parse::{self, Cli, parse};
use super::terminal::color::STYLES;
use super::terminal::command_line;
use crate::error::{Error, Exit};

/// The commands in the order in which an admin meets them. A later version may lack some.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Everyday",
        &["domain", "user", "show-settings", "verify", "test"],
    ),
    (
        "Inspect",
        &[
            "status", "report", "why", "usage", "messages", "session", "audit", "alert", "scan",
            "doctor",
        ],
    ),
    (
        "Server",
        &["set-settings", "setup", "show-server-config", "serve"],
    ),
    (
        "Files",
        &["apply", "store", "role", "as", "config", "completion"],
    ),
];

/// Runs a command.
type Run = fn(parse::Command, &mut Context) -> anyhow::Result<()>;

/// Shows the status where a person types the bare name of the program and has a store. `None` if
/// the short help answers it.
pub fn bare(args: &[OsString], run: Run) -> Option<Exit> {
    let [program] = args else {
        return None;
    };
    let cli = parse(&[program.clone(), "status".into()]).ok()?;
    let mut context = Context::new(cli.globals);
    if !context.out.is_on_terminal() {
        return None;
    }
    let ran = context.read_config().map_err(Into::into);
    let exit = match ran.and_then(|()| run(cli.command, &mut context)) {
        Ok(()) => Exit::Done,
        Err(error) => match error.downcast_ref() {
            Some(Error::StoreMissing(_)) => return None,
            _ => context.failure(&error),
        },
    };
    if matches!(exit, Exit::Done | Exit::Attention) {
        context.out.note("");
        context.out.note("smtpcred --help lists all commands");
    }
    Some(exit)
}

/// Prints the help of the program itself, if that is what clap was about to do.
pub fn help(mut error: clap::Error, args: &[OsString]) -> Result<Exit, clap::Error> {
    // It lists hidden ones, too.
    error.remove(ContextKind::ValidSubcommand);
    let asked = match error.kind() {
        ErrorKind::DisplayHelp => true,
        // A variable for --store counts as an argument.
        ErrorKind::MissingSubcommand if args.len() == 1 => false,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => false,
        _ => return Err(error),
    };
    let command = Cli::command();
    let words = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    let words: Vec<_> = words.collect();
    let of_another = |word: &str| word != "help" && command.find_subcommand(word).is_some();
    if words.iter().any(|word| of_another(word)) {
        return Err(error);
    }
    let long = words.iter().any(|word| word == "--help" || word == "help");
    let command = help::arrange_program(command);
    let text = grouped(command, long, help::width());
    if asked {
        return Ok(command_line::help(&text));
    }
    command_line::help_on_stderr(&text);
    Ok(Exit::Usage)
}

/// Returns the help with the commands in groups, which clap cannot do.
fn grouped(command: Command, long: bool, width: usize) -> StyledStr {
    let commands = list(&command);
    let shared = command.get_arguments().filter(|arg| is_shared(arg));
    let shared = shared.filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
    let shared = format!("Global options: {}", shared.collect::<Vec<_>>().join(", "));
    let shared = textwrap::fill(
        &shared,
        textwrap::Options::new(width).subsequent_indent("  "),
    );
    let rest = if long {
        String::new()
    } else {
        format!("\n\n{shared}")
    };
    let template = "{about-with-newline}\n{usage-heading} {usage}\n\n".to_owned()
        + &commands
        + "{all-args}"
        + &rest
        + "{after-help}";
    let mut command = command
        .mut_args(|arg| {
            let later = is_shared(&arg);
            arg.hide_short_help(later)
        })
        .mut_subcommands(|below| below.hide(true))
        .override_usage("smtpcred [OPTIONS] <COMMAND>")
        .help_template(template);
    if long {
        command.render_long_help()
    } else {
        command.render_help()
    }
}

/// Returns whether all commands have this flag. The short help only names those.
fn is_shared(arg: &Arg) -> bool {
    arg.get_help_heading() == Some("Global options")
}

fn list(command: &Command) -> String {
    /// Of a line of 80 columns.
    const ROOM: usize = 58;
    let (heading, literal) = (STYLES.get_header(), STYLES.get_literal());
    let mut text = String::new();
    for (title, names) in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{heading}{title}:{heading:#}");
        for below in names
            .iter()
            .filter_map(|name| command.find_subcommand(name))
        {
            let about = below.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let short = match about.split_once([':', ',']) {
                Some((short, _)) if about.chars().count() > ROOM => short,
                _ => &about,
            };
            let name = below.get_name();
            let short = textwrap::wrap(short, ROOM).join(&format!("\n{:22}", ""));
            let _ = writeln!(text, "  {literal}{name:18}{literal:#}  {short}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        for below in command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
        {
            let name = below.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name));
            assert_eq!(groups.count(), 1, "{name}");
        }
    }

    #[test]
    fn the_short_help_is_a_screen() {
        let text = grouped(Cli::command(), false, 80).to_string();
        assert!(text.lines().count() <= 44, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for hidden in ["generate", "clipboard-owner", "password-strength"] {
            assert!(!text.contains(hidden), "{text}");
        }
        for part in [
            "Everyday:",
            "Inspect:",
            "Server:",
            "Files:",
            "--store",
            "--help",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
