//! The command line: what is asked for, and how the answer reaches a person or
//! a script. One file for each noun, its arguments beside what runs them.

mod audit;
mod clipboard;
mod complete;
mod doctor;
mod domain;
mod generate;
mod help;
mod list;
mod machine;
mod output;
mod password_input;
mod progress;
mod prompt;
mod report;
mod reveal;
mod rotation;
mod sending;
mod serve;
mod server_config;
mod settings;
mod snippets;
mod test;
mod tty;
mod usage;
mod user;
mod verify;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app::App;
use crate::error::{Error, Exit};
use crate::store::{Access, Location, Store};
use output::{Color, Format, Output};

/// Hand out, rotate and revoke SMTP credentials on your own mail relay
#[derive(Debug, Parser)]
#[command(
    name = "smtpcred",
    version,
    about,
    after_help = help::SEE_LONG,
    after_long_help = help::TOP,
    styles = output::STYLES,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = false
)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// The store's file
    ///
    /// By default the user's data folder, and /var/lib/smtpcred/smtpcred.db for root.
    #[arg(
        long,
        global = true,
        env = "SMTPCRED_STORE",
        hide_env_values = true,
        value_name = "PATH"
    )]
    store: Option<PathBuf>,

    /// How to print what was asked for
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    format: Format,

    /// Short for --format json
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,

    /// Answer every question with yes
    #[arg(long, short, global = true)]
    yes: bool,

    /// Say nothing but errors and warnings on stderr
    #[arg(long, short, global = true)]
    quiet: bool,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Domain(domain::Command),
    #[command(subcommand)]
    User(user::Command),
    ShowSettings(settings::Show),
    SetSettings(settings::Set),
    Verify(verify::Verify),
    Test(test::Test),
    Why(why::Why),
    ShowServerConfig(server_config::ShowServerConfig),
    Usage(usage::Usage),
    Report(report::Report),
    Doctor(doctor::Doctor),
    Serve(serve::Serve),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(hide = true)]
    Generate(generate::Generate),
    #[cfg(feature = "clipboard")]
    #[command(hide = true)]
    ClipboardOwner(clipboard::owner::Owner),
}

/// What a command runs with.
pub struct Context {
    globals: Globals,
    pub out: Output,
}

impl Context {
    /// Opens the store, and passes on what the admin should know about it.
    pub fn app(&self, access: Access) -> Result<App, Error> {
        let store = Store::open(&self.globals.location()?, access)?;
        for warning in &store.warnings {
            self.out.warn(warning);
        }
        Ok(App::new(store, machine::WORLD))
    }

    pub fn confirmed_beforehand(&self) -> bool {
        self.globals.yes
    }
}

impl Globals {
    fn location(&self) -> Result<Location, Error> {
        match &self.store {
            Some(path) if !path.as_os_str().is_empty() => Ok(Location(path.clone())),
            _ => machine::default_store().map(Location),
        }
    }

    const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

pub fn main() -> ExitCode {
    machine::harden();
    complete::answer_shell();
    match parsed() {
        Ok(cli) => {
            let out = Output::new(cli.globals.format(), cli.globals.quiet, cli.globals.color);
            let mut context = Context {
                globals: cli.globals,
                out,
            };
            match run(cli.command, &mut context) {
                Ok(()) => Exit::Done.into(),
                Err(error) => context.out.failure(&error).into(),
            }
        }
        Err(error) => output::usage(&error).into(),
    }
}

fn parsed() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let cli = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|mut matches| {
            Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
        });
    // Kept until the process ends: taking its tree of commands apart costs
    // more than reading the arguments did.
    std::mem::forget(command);
    cli
}

fn run(command: Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Domain(command) => command.run(context)?,
        Command::User(command) => command.run(context)?,
        Command::ShowSettings(show) => show.run(context)?,
        Command::SetSettings(set) => set.run(context)?,
        Command::Verify(verify) => verify.run(context)?,
        Command::Test(test) => test.run(context)?,
        Command::Why(why) => why.run(context)?,
        Command::ShowServerConfig(show) => show.run(context)?,
        Command::Usage(usage) => usage.run(context)?,
        Command::Report(report) => report.run(context)?,
        Command::Doctor(doctor) => doctor.run(context)?,
        Command::Serve(serve) => serve.run(context)?,
        Command::Audit(command) => command.run(context)?,
        Command::Generate(generate) => generate.run(&Cli::command())?,
        #[cfg(feature = "clipboard")]
        Command::ClipboardOwner(owner) => owner.run()?,
    }
    context.out.finish()?;
    Ok(())
}
