//! What every command runs with: the global flags and the output.

use crate::cli::world::WORLD;
use crate::host;
use std::path::{Path, PathBuf};

use clap::Args;

use super::password_folder::PasswordFolder;
use super::terminal::color::Color;
use super::terminal::output::{Output, OutputFormat};
use crate::app::App;
use crate::error::Result;
use crate::store::{Access, Location, Store};

/// The flags of every command.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// Use this store: a file, or the URL of a database
    ///
    /// The default is a file in the user's data folder, and /var/lib/smtpcred/smtpcred.db for root.
    #[arg(
        long,
        global = true,
        env = "SMTPCRED_STORE",
        hide_env_values = true,
        value_name = "PATH|URL"
    )]
    store: Option<PathBuf>,

    /// Print the result in this format
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    format: OutputFormat,

    /// Short for --format json
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,

    /// Answer yes to every question
    #[arg(long, short, global = true)]
    yes: bool,

    /// Print only errors and warnings on stderr
    #[arg(long, short, global = true)]
    quiet: bool,

    /// Print long output without a pager
    #[arg(long, global = true)]
    no_pager: bool,

    /// Use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

/// The environment of a command.
pub struct Context {
    globals: Globals,
    /// Prints what the command answers.
    pub out: Output,
}

impl Context {
    /// Creates the context of these flags.
    pub fn new(globals: Globals) -> Self {
        let out = Output::new(
            globals.format(),
            globals.quiet,
            globals.color,
            !globals.no_pager,
        );
        Self { globals, out }
    }

    /// Opens the store and prints its warnings.
    pub fn app(&self, access: Access) -> Result<App> {
        let store = Store::open(&self.globals.location()?, access)?;
        for warning in &store.warnings {
            self.out.warn(warning);
        }
        Ok(App::new(store, WORLD))
    }

    /// Returns where the store is.
    pub fn location(&self) -> Result<Location> {
        self.globals.location()
    }

    /// Opens and locks the folder for new passwords.
    pub fn password_folder(&self, path: &Path) -> Result<PasswordFolder> {
        PasswordFolder::open(path, &self.store_id()?)
    }

    /// Returns an identifier of the store, the same in every run.
    pub fn store_id(&self) -> Result<String> {
        let name = match self.globals.location()? {
            // The same for every name of the file.
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

    /// Returns whether --yes is given.
    pub fn confirmed_beforehand(&self) -> bool {
        self.globals.yes
    }
}

impl Globals {
    fn location(&self) -> Result<Location> {
        match &self.store {
            Some(path) if !path.as_os_str().is_empty() => Location::parse(path.as_os_str()),
            _ => host::default_store().map(Location::File),
        }
    }

    const fn format(&self) -> OutputFormat {
        if self.json {
            OutputFormat::Json
        } else {
            self.format
        }
    }
}
