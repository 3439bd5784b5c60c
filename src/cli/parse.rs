//! The commands, and the parsing of the command line.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::args::strength::Strength;
use super::context::{Globals, configured_color};
use super::lazy::{self, Lazy};
#[cfg(feature = "clipboard")]
use super::terminal::clipboard::owner::ClipboardOwner;
use super::terminal::color::{self, Color};
use super::{
    alert, apply, audit, completion, config, doctor, domain, generate, help, messages, report,
    role, run_as, scan, serve, server_config, session, settings, setup, status, store, test, usage,
    user, verify, why,
};
use crate::deliver::owner;

const HELP: &str = "\
Examples:
  smtpcred user create shop@example.com --add-domain     a domain, a user, a password shown once
  smtpcred set-settings --host smtp.example.com          the server that applications connect to
  smtpcred user list                                     users, their passwords and last connections
  smtpcred user reset shop@example.com --overlap 24h     a new password, without an outage
  printf %s \"$PW\" | smtpcred verify shop@example.com     exit code 0 if the password is right
  smtpcred show-settings shop@example.com --for python   settings to paste into a client
  smtpcred test shop@example.com --to you@example.org    sends a test message, explains failures
  smtpcred doctor                                        checks everything on this machine

Output:
  stdout carries the result and nothing else; notes, warnings and errors go to stderr.
  With --json every command prints one document, whose names never change; times are RFC 3339 in
  UTC. stderr then has one document per line: {\"note\": …}, {\"warning\": …} or {\"error\": {\"code\":
  …, \"message\": …, \"hint\": …}}; only the log of `serve` stays text, and questions go directly to
  the terminal. On a terminal, JSON or CSV that contains a password also needs --reveal.
  CSV contains values unchanged, with one exception: a text that begins with =, +, -, @, a tab or a
  carriage return gets an apostrophe in front, so that no spreadsheet reads it as a formula; `user
  import` and `user create --file` remove it. --reveal csv adds none. On a terminal, control
  characters are escaped, and times are local. Without a terminal no command ever asks: a missing answer is an error that
  names the flag.

Exit codes:
    0  done
    1  failed
    2  the command line or a value in it is wrong
    3  no such domain or user
    4  refused: exists, limit reached, policy
    5  needs confirmation, or was cancelled
    6  wrong password
    7  something needs attention
    8  something would change: --dry-run of apply and setup
   74  the output could not be delivered; nothing changed
   75  temporary: the store is busy, full, missing or unreachable
  130  interrupted

Files:
  /var/lib/smtpcred/smtpcred.db                          the store, for root and the folder's owner
  ~/.local/share/smtpcred/smtpcred.db                    the store, for other users
  /etc/smtpcred/config.toml                              defaults for all users
  ~/.config/smtpcred/config.toml                         defaults of one user, which come first
  The defaults are described in `smtpcred config list --help`. In order of precedence: a
  flag, a variable, these files.

Environment:
  SMTPCRED_STORE    the store, like --store
  NO_COLOR          disables colours, unless it is empty
  CLICOLOR_FORCE    enables colours everywhere, unless it is empty or 0, or NO_COLOR is set
  TZ                the time zone for times on a terminal
  SMTPCRED_PAGER    the pager of long lists; an empty PAGER, or one that is cat, means none
  PAGER             the pager, if neither SMTPCRED_PAGER nor a configuration file names one
  XDG_CONFIG_HOME   the folder for smtpcred/config.toml; ~/.config by default
  XDG_DATA_HOME     the folder for smtpcred/smtpcred.db; ~/.local/share by default
  SMTPCRED_USERNAME, SMTPCRED_DOMAIN, SMTPCRED_HOST, SMTPCRED_PORT, SMTPCRED_PASSWORD_ID,
  SMTPCRED_OLD_PASSWORD_ID, SMTPCRED_STORE_ID
                    are set for commands that deliver passwords: see `smtpcred user rotate --help`";

/// Hand out, rotate and revoke SMTP credentials on your own mail relay
#[derive(Debug, Parser)]
#[command(
    name = "smtpcred",
    version,
    about,
    after_help = "Examples, files and exit codes: smtpcred --help",
    after_long_help = HELP,
    styles = color::STYLES,
    arg_required_else_help = true,
    disable_help_subcommand = false
)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(subcommand)]
    Domain(Lazy<domain::DomainCommand>),
    #[command(subcommand)]
    User(Lazy<user::UserCommand>),
    ShowSettings(Lazy<settings::ShowSettings>),
    SetSettings(Box<Lazy<settings::SetSettings>>),
    Apply(Lazy<apply::Apply>),
    Verify(Lazy<verify::VerifyPassword>),
    Test(Lazy<test::SendTest>),
    Why(Lazy<why::ExplainUser>),
    ShowServerConfig(Lazy<server_config::ShowServerConfig>),
    #[command(name = "setup")]
    SetUp(Lazy<setup::SetUp>),
    Status(Lazy<status::ShowStatus>),
    Usage(Lazy<usage::ShowUsage>),
    Report(Lazy<report::Report>),
    Scan(Lazy<scan::Scan>),
    Doctor(Lazy<doctor::Doctor>),
    Serve(Lazy<serve::Serve>),
    #[command(subcommand)]
    Session(Lazy<session::SessionCommand>),
    #[command(subcommand)]
    Messages(Lazy<messages::MessagesCommand>),
    #[command(subcommand)]
    Audit(Lazy<audit::AuditCommand>),
    #[command(subcommand)]
    Alert(Lazy<alert::AlertCommand>),
    #[command(subcommand)]
    Role(Lazy<role::RoleCommand>),
    #[command(name = "as")]
    As(Lazy<run_as::RunAs>),
    #[command(subcommand)]
    Store(Lazy<store::StoreCommand>),
    #[command(subcommand)]
    Config(Lazy<config::command::ConfigCommand>),
    Completion(Lazy<completion::Completion>),
    #[command(hide = true)]
    PasswordStrength(Lazy<Strength>),
    #[command(hide = true)]
    Generate(Lazy<generate::Generate>),
    #[command(hide = true, name = owner::COMMAND)]
    WriteAsOwner,
    #[cfg(feature = "clipboard")]
    #[command(hide = true)]
    ClipboardOwner(Lazy<ClipboardOwner>),
}

/// Parses a command line. An error is also what prints help.
pub fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    lazy::describe_in_whole(false);
    parse_once(args, ColorChoice::Auto).or_else(|error| {
        if error.kind() == ErrorKind::DisplayVersion {
            return Err(error);
        }
        // Help and errors need all commands.
        lazy::describe_in_whole(true);
        let color = match configured_color() {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        parse_once(args, color)
    })
}

/// Parses a command line of a stranger. `None` if it does not pass a check of what was given.
pub fn parse_if(
    args: &[OsString],
    passes: &mut dyn FnMut(&ArgMatches, &clap::Command) -> bool,
) -> Result<Option<Cli>, clap::Error> {
    let mut parse = |whole: bool| {
        lazy::describe_in_whole(whole);
        let mut command = Cli::command().color(ColorChoice::Never);
        let matches = command.try_get_matches_from_mut(args);
        let cli = matches.and_then(|mut matches| {
            if !passes(&matches, &command) {
                return Ok(None);
            }
            let cli = Cli::from_arg_matches_mut(&mut matches);
            cli.map(Some).map_err(|error| error.format(&mut command))
        });
        std::mem::forget(command);
        cli
    };
    let parsed = parse(false).or_else(|error| match error.kind() {
        // Of all commands.
        ErrorKind::DisplayHelp => parse(true),
        _ => Err(error),
    });
    lazy::describe_in_whole(true);
    parsed
}

fn parse_once(args: &[OsString], color: ColorChoice) -> Result<Cli, clap::Error> {
    let mut command = Cli::command().color(color);
    if lazy::is_whole() {
        command = help::arrange(command);
    }
    let cli = command
        .try_get_matches_from_mut(args)
        .and_then(|mut matches| {
            let store = matches.value_source("store");
            let mut cli =
                Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))?;
            cli.globals.store_by_flag = store == Some(ValueSource::CommandLine);
            Ok(cli)
        });
    match &cli {
        // serve runs for months, so it frees the memory.
        Ok(cli) if matches!(cli.command, Command::Serve(_)) => drop(command),
        // Never freed: freeing the tree of commands takes longer than parsing the arguments.
        _ => std::mem::forget(command),
    }
    lazy::describe_in_whole(true);
    cli
}

#[cfg(test)]
mod tests {
    use crate::error::Exit;

    #[test]
    fn the_help_lists_every_exit_code() {
        for (exit, meaning) in Exit::TABLE {
            let line = format!("{:>5}  {meaning}\n", exit as u8);
            assert!(super::HELP.contains(&line), "{line}");
        }
    }
}
