//! What every command runs with: the global flags and the output.

use crate::cli::world::WORLD;
use crate::host;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};

use super::config::key::Key;
use super::config::settings::Settings;
use super::config::value::Value;
use super::hints;
use super::password_folder::PasswordFolder;
use super::terminal::color::Color;
use super::terminal::look::Look;
use super::terminal::output::{AskedFormat, Output, OutputFormat};
use super::terminal::pager::PagerChoice;
use crate::app::App;
use crate::error::{Error, Exit, Result};
use crate::model::holder::HolderName;
use crate::model::name::DomainName;
use crate::store::{Access, Location, Store};

/// The flags of every command.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Use this store: a file, or the URL of a database
    ///
    /// The default is a file in the user's data folder, and /var/lib/smtpcred/smtpcred.db for
    /// root and the owner of that folder.
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
    format: AskedFormat,

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

    /// When to use colours [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    color: Option<Color>,

    /// Whether the store was named by the flag, and not by the variable.
    #[arg(skip)]
    pub store_by_flag: bool,
}

/// The environment of a command.
pub struct Context {
    globals: Globals,
    settings: Settings,
    /// Set if it runs for the holder of a role.
    holder: Option<HolderSession>,
    /// Prints what the command answers.
    pub out: Output,
}

impl Context {
    /// Creates the context of these flags.
    pub fn new(globals: Globals) -> Self {
        let settings = Settings::of_flags(globals.settings());
        let out = Output::new(globals.format(), globals.quiet, look(&settings));
        Self {
            globals,
            settings,
            holder: None,
            out,
        }
    }

    /// Creates the context of a command for the holder of a role: without a pager, which could
    /// run other programs, and without configuration files.
    pub fn of_holder(globals: &Globals, session: HolderSession) -> Self {
        let globals = Globals {
            no_pager: true,
            store: None,
            ..globals.clone()
        };
        let mut context = Self::new(globals);
        context.out.is_for_holder = true;
        context.holder = Some(session);
        context
    }

    /// Returns the store that holders get: the given one, that of the file for all users, or the
    /// default one.
    pub fn location_for_holder(given: Option<&OsStr>) -> Result<Location> {
        if let Some(given) = given.filter(|given| !given.is_empty()) {
            return Location::parse(given);
        }
        let mut settings = Settings::default();
        settings.read_system_file()?;
        configured_store(&settings)
    }

    /// Returns whether metrics are asked for, which only one command has.
    pub fn wants_metrics(&self) -> bool {
        self.globals.format == AskedFormat::Openmetrics
    }

    /// Reads the configuration files, and warns about those that are ignored. Fails if one has a
    /// problem.
    pub fn read_config(&mut self) -> Result<()> {
        let read = self.read_config_quietly();
        self.warn_about_config();
        read
    }

    /// Does the same without warnings, for what comes before the command.
    pub fn read_config_quietly(&mut self) -> Result<()> {
        let read = self.settings.read_files();
        self.follow_config();
        read
    }

    /// Does it for a service, which must not stay down because of a typo: see
    /// [`Settings::read_valid`].
    pub fn read_valid_config(&mut self) -> Result<()> {
        let read = self.settings.read_valid();
        self.follow_config();
        self.warn_about_config();
        read
    }

    fn follow_config(&mut self) {
        if self.settings.has_files() {
            self.out.set_look(look(&self.settings));
        }
    }

    fn warn_about_config(&mut self) {
        for warning in self.settings.warnings.drain(..) {
            self.out.warn(&warning);
        }
    }

    /// Returns what the flags, the environment and the configuration files say.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the columns of `user list` that the configuration files name. In a pipe none:
    /// a script depends on the columns.
    pub fn columns(&self) -> Vec<String> {
        match self.settings.get(Key::Columns).map(|said| said.value) {
            Some(Value::List(names)) if self.out.is_on_terminal() => names,
            _ => Vec::new(),
        }
    }

    /// Opens the store and prints its warnings.
    pub fn app(&self, access: Access) -> Result<App> {
        let store = match &self.holder {
            Some(session) => session.store()?,
            None => Store::open(&self.location()?, access)?,
        };
        for warning in &store.warnings {
            self.out.warn(warning);
        }
        Ok(App::new(store, WORLD))
    }

    /// Opens the store for a command that first looks at everything that it would change. Returns
    /// `None` if there is no store and the command creates it. Fails if it could not be written.
    pub fn app_to_change(&self, creates: bool) -> Result<Option<App>> {
        match self.app(Access::Existing) {
            Ok(mut app) => {
                app.store.need_writable()?;
                Ok(Some(app))
            }
            Err(Error::StoreMissing(_)) if creates => {
                Store::need_creatable(&self.location()?)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns where the store is.
    pub fn location(&self) -> Result<Location> {
        if let Some(session) = &self.holder {
            return Ok(session.location.clone());
        }
        match &self.globals.store {
            Some(path) if !path.as_os_str().is_empty() => Location::parse(path.as_os_str()),
            _ => configured_store(&self.settings),
        }
    }

    /// Returns whether anything names the store, so that it has to be there.
    pub fn names_store(&self) -> bool {
        let named = self.globals.store.as_ref();
        named.is_some_and(|path| !path.as_os_str().is_empty())
            || self.settings.in_files(Key::Store).is_some()
    }

    /// Opens and locks the folder for new passwords.
    pub fn password_folder(&self, path: &Path) -> Result<PasswordFolder> {
        PasswordFolder::open(path, &self.store_id()?)
    }

    /// Returns an identifier of the store, the same in every run.
    pub fn store_id(&self) -> Result<String> {
        let name = match self.location()? {
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

    /// Prints the error, with a hint that may come from the store. Returns the exit code.
    pub fn failure(&mut self, error: &anyhow::Error) -> Exit {
        let known = error.downcast_ref::<Error>();
        // Better hints come from the whole store.
        let known_to_all = known.filter(|_| self.holder.is_none());
        let better = known_to_all.and_then(|known| hints::of_error(known, self.location()));
        let hint = better.or_else(|| known.and_then(Error::hint));
        self.out.failure_with(error, hint.as_deref())
    }

    /// Prints the error after the person declined what was offered, with this hint. Returns the
    /// exit code.
    pub fn declined(&mut self, error: &anyhow::Error, hint: &str) -> Exit {
        self.out.failure_with(error, Some(hint))
    }

    /// Asks whether another domain was meant, if nothing was found in this one because it does
    /// not exist.
    pub fn ask_if_empty(
        &self,
        found: bool,
        app: &mut App,
        domain: Option<&DomainName>,
    ) -> anyhow::Result<()> {
        if let (false, Some(domain)) = (found, domain)
            && let Some(question) = hints::of_empty_list(&mut app.store, domain)?
        {
            self.out.warn(&question);
        }
        Ok(())
    }

    /// Returns whether --yes is given.
    pub fn confirmed_beforehand(&self) -> bool {
        self.globals.yes
    }
}

/// The store of a holder.
pub struct HolderSession {
    location: Location,
    /// Open until a command takes it.
    opened: RefCell<Option<Store>>,
    name: HolderName,
    key: Option<String>,
}

impl HolderSession {
    /// Creates the session of a holder whose store is open, and restricted to its role.
    pub fn new(location: Location, store: Store, name: HolderName, key: Option<String>) -> Self {
        Self {
            location,
            opened: RefCell::new(Some(store)),
            name,
            key,
        }
    }

    /// Returns the store, or opens it once more.
    fn store(&self) -> Result<Store> {
        if let Some(store) = self.opened.take() {
            return Ok(store);
        }
        let mut store = Store::open(&self.location, Access::Existing)?;
        store.restrict(&self.name, self.key.as_deref())?;
        Ok(store)
    }
}

impl Globals {
    /// Returns the flags that configuration files can give, too.
    fn settings(&self) -> Vec<(Key, Value)> {
        let store = self.store.as_ref().filter(|_| self.store_by_flag);
        let store = store.map(|path| (Key::Store, path.display().to_string()));
        let color = self.color.and_then(|color| color.to_possible_value());
        let color = color.map(|color| (Key::Color, color.get_name().to_owned()));
        let texts = [store, color].into_iter().flatten();
        let mut flags: Vec<_> = texts.map(|(key, text)| (key, Value::Text(text))).collect();
        if self.no_pager {
            flags.push((Key::Pager, Value::Flag(false)));
        }
        flags
    }

    const fn format(&self) -> OutputFormat {
        match self.format {
            _ if self.json => OutputFormat::Json,
            AskedFormat::Table | AskedFormat::Openmetrics => OutputFormat::Table,
            AskedFormat::Json => OutputFormat::Json,
            AskedFormat::Csv => OutputFormat::Csv,
        }
    }
}

/// Returns the store of a command line without flags.
pub fn store_of_environment() -> Result<Location> {
    match std::env::var_os("SMTPCRED_STORE") {
        Some(path) if !path.is_empty() => Location::parse(&path),
        _ => {
            let mut settings = Settings::default();
            settings.read_files()?;
            configured_store(&settings)
        }
    }
}

/// Returns the store that the configuration files name, or the default one.
fn configured_store(settings: &Settings) -> Result<Location> {
    match settings.in_files(Key::Store) {
        Some(setting) => Location::parse(OsStr::new(&setting.value.to_string())),
        None => host::default_store().map(Location::File),
    }
}

/// Returns when help and errors of the command line are coloured: no command is known yet.
pub fn configured_color() -> Color {
    let mut settings = Settings::default();
    // A file with a problem is an error of every other command, and help has to work.
    let _ = settings.read_files();
    color(&settings)
}

fn color(settings: &Settings) -> Color {
    let said = settings.get(Key::Color);
    let said = said.and_then(|said| Color::from_str(said.value.as_text()?, false).ok());
    said.unwrap_or_default()
}

/// Returns how the output looks.
fn look(settings: &Settings) -> Look {
    let pager = match settings.get(Key::Pager).map(|said| said.value) {
        Some(Value::Flag(false)) => PagerChoice::Never,
        Some(Value::Text(command)) => PagerChoice::Command(command),
        _ => PagerChoice::Usual,
    };
    let zone = settings.get(Key::TimeZone);
    Look {
        color: color(settings),
        pager,
        zone: zone.map(|zone| (zone.value.to_string(), zone.place.unwrap_or_default())),
        wide: settings
            .get(Key::Wide)
            .is_some_and(|said| said.value == Value::Flag(true)),
    }
}
