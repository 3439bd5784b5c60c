//! The command line: arguments in, output for a person or a script out. One file for each noun,
//! with the arguments, the help and the code that runs them side by side.

mod alert;
mod allowing;
mod apply;
mod args;
mod as_holder;
mod audit;
mod changes;
mod complete;
mod completion;
mod config;
mod context;
mod doctor;
mod domain;
mod generate;
mod guess;
mod help;
mod hints;
mod lazy;
mod messages;
mod new_file;
mod offer;
mod overview;
mod parse;
mod password_folder;
mod pick;
mod refusal;
mod report;
mod reveal;
mod role;
mod run_as;
mod scan;
mod serve;
mod serve_check;
mod server_config;
mod session;
mod settings;
mod setup;
mod snippets;
mod status;
mod store;
mod suggest;
mod terminal;
mod test;
mod time_zone;
mod usage;
mod user;
mod verify;
mod why;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::deliver::owner;
use crate::error::{Error, Exit};
use crate::host;
use context::Context;
use parse::{Cli, Command};
use terminal::command_line;

/// Returns the whole command line, as clap describes it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Returns a line for each command and each of its arguments, with what each role may use:
/// `command,argument,viewer,operator,self`.
pub fn verdicts() -> Vec<String> {
    let mut command = Cli::command();
    command.build();
    as_holder::verdicts(&command)
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    host::harden();
    let mut args: Vec<OsString> = std::env::args_os().collect();
    // First, because a stranger may have chosen the environment.
    if let Some(exit) = as_holder::answer(&args, run) {
        return exit.into();
    }
    if let Some(exit) = complete::answer_shell(Cli::command) {
        return exit.into();
    }
    if let Some(exit) = overview::bare(&args, run) {
        return exit.into();
    }
    loop {
        let cli = parse::parse(&args).or_else(|error| match error.kind() {
            ErrorKind::DisplayVersion => Err(command_line::version(&error)),
            _ => match overview::help(error, &args) {
                Ok(exit) => Err(exit),
                Err(error) => pick::complete(error, &mut args),
            },
        });
        let cli = match cli {
            Ok(cli) => cli,
            Err(exit) => return exit.into(),
        };
        let mut context = Context::new(cli.globals);
        let ran = configured(&cli.command, &mut context);
        let Err(error) = ran.and_then(|()| run(cli.command, &mut context)) else {
            return Exit::Done.into();
        };
        match pick::instead(&error, &mut context, &args) {
            Ok(meant) => {
                drop(context);
                host::run_again(&meant);
                args = meant;
            }
            Err(exit) => return exit.into(),
        }
    }
}

/// Reads the configuration files, except for commands that use nothing of them, or that have
/// to work while one has a problem.
fn configured(command: &Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Config(_)
        | Command::As(_)
        | Command::Completion(_)
        | Command::PasswordStrength(_)
        | Command::Generate(_)
        | Command::WriteAsOwner => Ok(()),
        #[cfg(feature = "clipboard")]
        Command::ClipboardOwner(_) => Ok(()),
        Command::Serve(_) => Ok(context.read_valid_config()?),
        _ => Ok(context.read_config()?),
    }
}

fn run(command: Command, context: &mut Context) -> Result<()> {
    if context.wants_metrics() && !matches!(command, Command::Status(_)) {
        let rule = "--format openmetrics works only with `smtpcred status`";
        return Err(Error::Usage(rule.into()).into());
    }
    match command {
        Command::Domain(command) => command.0.run(context)?,
        Command::User(command) => command.0.run(context)?,
        Command::ShowSettings(show) => show.0.run(context)?,
        Command::SetSettings(set) => set.0.run(context)?,
        Command::Apply(apply) => apply.0.run(context)?,
        Command::Verify(verify) => verify.0.run(context)?,
        Command::Test(test) => test.0.run(context)?,
        Command::Why(why) => why.0.run(context)?,
        Command::ShowServerConfig(show) => show.0.run(context)?,
        Command::SetUp(setup) => setup.0.run(context)?,
        Command::Status(status) => status.0.run(context)?,
        Command::Usage(usage) => usage.0.run(context)?,
        Command::Report(report) => report.0.run(context)?,
        Command::Scan(scan) => scan.0.run(context)?,
        Command::Doctor(doctor) => doctor.0.run(context)?,
        Command::Serve(serve) => serve.0.run(context)?,
        Command::Session(command) => command.0.run(context)?,
        Command::Messages(command) => command.0.run(context)?,
        Command::Audit(command) => command.0.run(context)?,
        Command::Alert(command) => command.0.run(context)?,
        Command::Role(command) => command.0.run(context)?,
        Command::As(_) => run_as::RunAs::run()?,
        Command::Store(command) => command.0.run(context)?,
        Command::Config(command) => command.0.run(context)?,
        Command::Completion(completion) => completion.0.run(context)?,
        Command::PasswordStrength(strength) => strength.0.run()?,
        Command::Generate(generate) => generate.0.run(&Cli::command())?,
        Command::WriteAsOwner => owner::answer(&std::io::stdin())?,
        #[cfg(feature = "clipboard")]
        Command::ClipboardOwner(owner) => owner.0.run()?,
    }
    context.out.finish()?;
    Ok(())
}
