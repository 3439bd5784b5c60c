//! `smtpcred config …`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::candidates;
use super::edit::{self, Readers};
use super::file::{self, SYSTEM};
use super::key::Key;
use super::settings::Source;
use super::value::Value;
use crate::cli::context::Context;
use crate::cli::lazy::Lazy;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::pager;
use crate::cli::terminal::record::Record;
use crate::cli::time_zone;
use crate::error::Error;
use crate::model::near::nearest;
use crate::model::text::quoted;

const HELP: &str = "\
Examples:
  smtpcred config list
  smtpcred config set time-zone Europe/Berlin";

/// Show or change defaults of flags in configuration files
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum ConfigCommand {
    #[command(aliases = ["ls", "show"])]
    List(Lazy<ListConfig>),
    Get(Lazy<GetConfig>),
    Set(Lazy<SetConfig>),
    Unset(Lazy<UnsetConfig>),
    Path(Lazy<ConfigPath>),
}

const LIST_HELP: &str = "\
Examples:
  smtpcred config list
  smtpcred config list --json | jq -r '.[] | select(.source == \"system\") | .key'

Keys:
  store      the store, like --store: an absolute path, or the URL of a database
  columns    the columns of `user list` on a terminal: a list, such as [\"username\", \"status\"]
  time-zone  the time zone for times on a terminal, such as Europe/Berlin; the machine's by default
  color      auto, always or never, like --color
  pager      false for no pager, or the pager's command
  wide       true to show all columns in lists on a terminal

Files:
  In order of precedence: a flag, an environment variable, the user's file
  (~/.config/smtpcred/config.toml), the file for all users (/etc/smtpcred/config.toml). A file that
  another user can change is ignored with a warning. The files are TOML: time-zone =
  \"Europe/Berlin\".

JSON:
  A list of {key, value, source, place}; source is flag, variable, user, system or default, and
  place is the variable or the file. A missing value is null.";

/// List all keys with their values, and where each value comes from
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub struct ListConfig {}

const GET_HELP: &str = "\
Examples:
  smtpcred config get store
  smtpcred config get time-zone --json

JSON:
  {key, value, source, place}, as in `config list`.";

/// Print the value of a key that is in effect
#[derive(Debug, Args)]
#[command(after_long_help = GET_HELP)]
pub struct GetConfig {
    /// The key
    #[arg(value_name = "KEY", value_parser = keys())]
    key: Key,
}

const SET_HELP: &str = "\
Examples:
  smtpcred config set time-zone Europe/Berlin
  smtpcred config set columns username,status,last-connection
  smtpcred config set store /srv/mail/smtpcred.db --system

Keys:
  `smtpcred config list --help` describes them.

JSON:
  {key, value, source, place}: what the file says now.";

/// Set a key in the user's file, or in the file for all users
///
/// Comments in the file stay.
#[derive(Debug, Args)]
#[command(after_long_help = SET_HELP)]
pub struct SetConfig {
    /// The key
    #[arg(value_name = "KEY", value_parser = keys())]
    key: Key,

    /// Its value; separate the items of a list with commas
    #[arg(value_name = "VALUE", allow_hyphen_values = true, add = candidates::values())]
    value: String,

    #[command(flatten)]
    which: WhichFile,
}

const UNSET_HELP: &str = "\
Examples:
  smtpcred config unset time-zone
  smtpcred config unset store --system

JSON:
  {key, value, source, place}; value is null.";

/// Remove a key from the user's file, or from the file for all users
#[derive(Debug, Args)]
#[command(after_long_help = UNSET_HELP)]
pub struct UnsetConfig {
    /// The key, even an unknown one
    #[arg(value_name = "KEY", add = clap_complete::engine::ArgValueCandidates::new(key_names))]
    key: String,

    #[command(flatten)]
    which: WhichFile,
}

const PATH_HELP: &str = "\
Examples:
  smtpcred config path
  \"${EDITOR:-vi}\" \"$(smtpcred config path)\"

JSON:
  {text}";

/// Print the path of the user's file, or of the file for all users, even if it is missing
#[derive(Debug, Args)]
#[command(after_long_help = PATH_HELP)]
pub struct ConfigPath {
    #[command(flatten)]
    which: WhichFile,
}

#[derive(Clone, Copy, Debug, Args)]
struct WhichFile {
    /// Use the file for all users, /etc/smtpcred/config.toml
    #[arg(long)]
    system: bool,
}

impl WhichFile {
    fn path(self) -> Result<PathBuf, Error> {
        if self.system {
            return Ok(SYSTEM.into());
        }
        file::of_user().ok_or_else(|| {
            Error::System("no home folder is known; set HOME, or add --system".to_owned())
        })
    }

    const fn readers(self) -> Readers {
        if self.system {
            Readers::Everyone
        } else {
            Readers::Owner
        }
    }

    const fn source(self) -> Source {
        if self.system {
            Source::System
        } else {
            Source::User
        }
    }
}

/// Parses keys, which clap also completes and lists.
fn keys() -> impl TypedValueParser<Value = Key> {
    let names = Key::all().map(|key| PossibleValue::new(key.name()).help(key.about()));
    PossibleValuesParser::new(names.collect::<Vec<_>>())
        .try_map(|name| Key::find(&name).map_err(Error::Usage))
}

fn key_names() -> Vec<clap_complete::CompletionCandidate> {
    Key::all()
        .map(|key| clap_complete::CompletionCandidate::new(key.name()))
        .collect()
}

impl ConfigCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(_) => list(context),
            Self::Get(get) => get.0.run(context),
            Self::Set(set) => set.0.run(context),
            Self::Unset(unset) => unset.0.run(context),
            Self::Path(path) => {
                let path = path.0.which.path()?;
                Ok(context.out.text(&path.display().to_string())?)
            }
        }
    }
}

fn list(context: &mut Context) -> Result<()> {
    context.read_config()?;
    let settings: Vec<_> = Key::all().map(|key| in_effect(context, key)).collect();
    let mut list = context.out.list::<SettingRecord>();
    for setting in settings {
        list.push(&setting)?;
    }
    Ok(list.end("no keys")?)
}

impl GetConfig {
    fn run(self, context: &mut Context) -> Result<()> {
        context.read_config()?;
        let record = in_effect(context, self.key);
        match context.out.format() {
            OutputFormat::Table => context.out.text(&record.text())?,
            OutputFormat::Json | OutputFormat::Csv => context.out.one(&record)?,
        }
        Ok(())
    }
}

impl SetConfig {
    fn run(self, context: &mut Context) -> Result<()> {
        let path = self.which.path()?;
        let key = self.key;
        let value = key
            .parse(&self.value)
            .and_then(|value| known_here(key, value))
            .map_err(|reason| Error::Usage(format!("{} {reason}", key.name())))?;
        edit::set(&path, self.which.readers(), key, &value)?;
        let (name, shown) = (key.name(), path.display());
        context
            .out
            .note(&format!("set {name} = {value} in {shown}"));
        warn_if_ignored(context, &path);
        if let (Key::Pager, Value::Text(command)) = (key, &value)
            && !pager::exists(command)
        {
            let program = command.split_whitespace().next().unwrap_or_default();
            context.out.warn(&format!(
                "there is no program {program}: long lists appear without a pager"
            ));
        }
        let record = SettingRecord::new(name, Some(value), self.which.source(), &path);
        Ok(context.out.result(&record)?)
    }
}

/// Refuses a time zone that this machine does not know. A file that names one is no error:
/// an update of the system may remove its old name.
fn known_here(key: Key, value: Value) -> Result<Value, String> {
    let unknown = match (key, &value) {
        (Key::TimeZone, Value::Text(name)) => time_zone::unknown(name),
        _ => None,
    };
    unknown.map_or(Ok(value), Err)
}

/// A file that is not read has no effect.
fn warn_if_ignored(context: &Context, path: &Path) {
    if let file::ReadFile::Ignored(reason) = file::read(path) {
        let path = path.display();
        context.out.warn(&format!("{path} is ignored: {reason}"));
    }
}

impl UnsetConfig {
    fn run(self, context: &mut Context) -> Result<()> {
        let path = self.which.path()?;
        if !edit::unset(&path, self.which.readers(), &self.key)? {
            return Err(self.not_there(&path).into());
        }
        let (name, shown) = (&self.key, path.display());
        context.out.note(&format!("removed {name} from {shown}"));
        let record = SettingRecord::new(name, None, self.which.source(), &path);
        Ok(context.out.result(&record)?)
    }

    fn not_there(&self, path: &Path) -> Error {
        let path = path.display();
        let known = Key::all().map(Key::name);
        let meant = match Key::find(&self.key) {
            Ok(_) => None,
            Err(_) => nearest(&self.key, known),
        };
        let meant = meant.map(|meant| format!("; did you mean {meant}?"));
        Error::Usage(format!(
            "{path} has no key {}{}",
            quoted(&self.key),
            meant.unwrap_or_default()
        ))
    }
}

/// Returns the value of a key that is in effect, or its default.
fn in_effect(context: &Context, key: Key) -> SettingRecord {
    let name = key.name().to_owned();
    match context.settings().get(key) {
        Some(setting) => SettingRecord {
            key: name,
            value: Some(setting.value),
            source: setting.source.name(),
            place: setting.place,
        },
        None => SettingRecord {
            key: name,
            value: default(context, key),
            source: Source::Default.name(),
            place: None,
        },
    }
}

fn default(context: &Context, key: Key) -> Option<Value> {
    match key {
        Key::Store => Some(Value::Text(context.location().ok()?.to_string())),
        Key::Color => Some(Value::Text("auto".to_owned())),
        Key::Pager => Some(Value::Flag(true)),
        Key::Wide => Some(Value::Flag(false)),
        Key::Columns | Key::TimeZone => None,
    }
}

#[derive(Serialize)]
struct SettingRecord {
    key: String,
    value: Option<Value>,
    source: &'static str,
    place: Option<String>,
}

impl SettingRecord {
    fn new(key: &str, value: Option<Value>, source: Source, path: &Path) -> Self {
        Self {
            key: key.to_owned(),
            value,
            source: source.name(),
            place: Some(path.display().to_string()),
        }
    }

    fn text(&self) -> String {
        self.value
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default()
    }
}

impl Record for SettingRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Key"),
        Column::new("Value").wrap(16),
        Column::new("Source"),
        Column::new("Place").rank(1),
    ];

    const FIELDS: &'static [&'static str] = &["key", "value", "source", "place"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.key.clone(),
            self.text(),
            self.source.to_owned(),
            self.place.clone().unwrap_or_default(),
        ]
    }
}
