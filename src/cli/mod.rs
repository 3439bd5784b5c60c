//! The command line: what is asked for, and how the answer reaches a person or
//! a script. One file for each noun, its arguments beside what runs them.

mod apply;
mod audit;
mod beside;
mod clipboard;
mod complete;
mod doctor;
mod domain;
mod generate;
mod help;
mod lazy;
mod list;
mod machine;
mod new_file;
mod output;
mod page;
mod password_folder;
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
mod store;
mod test;
mod tty;
mod usage;
mod user;
mod verify;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app::App;
use crate::error::{Error, Exit};
use crate::store::{Access, Location, Store};
use lazy::Lazy;
use output::{Color, Format, Output};
use password_folder::PasswordFolder;

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
    /// The store: a file, or a database's URL
    ///
    /// By default a file in the user's data folder, and /var/lib/smtpcred/smtpcred.db for root.
    #[arg(
        long,
        global = true,
        env = "SMTPCRED_STORE",
        hide_env_values = true,
        value_name = "PATH|URL"
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
    Domain(Lazy<domain::Command>),
    #[command(subcommand)]
    User(Lazy<user::Command>),
    ShowSettings(Lazy<settings::Show>),
    SetSettings(Lazy<settings::Set>),
    Apply(Lazy<apply::Apply>),
    Verify(Lazy<verify::Verify>),
    Test(Lazy<test::Test>),
    Why(Lazy<why::Why>),
    ShowServerConfig(Lazy<server_config::ShowServerConfig>),
    Usage(Lazy<usage::Usage>),
    Report(Lazy<report::Report>),
    Doctor(Lazy<doctor::Doctor>),
    Serve(Lazy<serve::Serve>),
    #[command(subcommand)]
    Audit(Lazy<audit::Command>),
    #[command(subcommand)]
    Store(Lazy<store::Command>),
    #[command(hide = true)]
    Generate(Lazy<generate::Generate>),
    #[cfg(feature = "clipboard")]
    #[command(hide = true)]
    ClipboardOwner(Lazy<clipboard::owner::Owner>),
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

    pub fn location(&self) -> Result<Location, Error> {
        self.globals.location()
    }

    /// The folder for new passwords, locked for this run.
    pub fn password_folder(&self, path: &Path) -> Result<PasswordFolder, Error> {
        PasswordFolder::open(path, &self.store_id()?)
    }

    /// The same for every run with the same store, and for no other one.
    pub fn store_id(&self) -> Result<String, Error> {
        let name = match self.globals.location()? {
            // Whichever way it is named.
            Location::File(path) => path
                .canonicalize()
                .or_else(|_| std::path::absolute(&path))
                .unwrap_or(path)
                .into_os_string()
                .into_encoded_bytes(),
            other @ Location::Postgres(_) => other.to_string().into_bytes(),
        };
        Ok(blake3::hash(&name).to_hex()[..16].to_owned())
    }

    pub fn confirmed_beforehand(&self) -> bool {
        self.globals.yes
    }
}

impl Globals {
    fn location(&self) -> Result<Location, Error> {
        match &self.store {
            Some(path) if !path.as_os_str().is_empty() => Location::parse(path.as_os_str()),
            _ => machine::default_store().map(Location::File),
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
    lazy::describe_in_whole(false);
    // What it says of a mistake, and all help, need the whole.
    parsed_once().or_else(|_| {
        lazy::describe_in_whole(true);
        parsed_once()
    })
}

fn parsed_once() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let cli = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|mut matches| {
            Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
        });
    // Kept until the process ends: taking its tree of commands apart costs
    // more than reading the arguments did.
    std::mem::forget(command);
    lazy::describe_in_whole(true);
    cli
}

fn run(command: Command, context: &mut Context) -> Result<()> {
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
        Command::Usage(usage) => usage.0.run(context)?,
        Command::Report(report) => report.0.run(context)?,
        Command::Doctor(doctor) => doctor.0.run(context)?,
        Command::Serve(serve) => serve.0.run(context)?,
        Command::Audit(command) => command.0.run(context)?,
        Command::Store(command) => command.0.run(context)?,
        Command::Generate(generate) => generate.0.run(&Cli::command())?,
        #[cfg(feature = "clipboard")]
        Command::ClipboardOwner(owner) => owner.0.run()?,
    }
    context.out.finish()?;
    Ok(())
}
