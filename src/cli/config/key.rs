//! The keys of the configuration files.

use std::ffi::OsStr;

use clap::ValueEnum as _;

use super::value::{Kind, Value};
use crate::cli::terminal::color::Color;
use crate::cli::terminal::column::column_name;
use crate::cli::time_zone;
use crate::cli::user::record::list_columns;
use crate::model::near::nearest;
use crate::model::store_location::Location;
use crate::model::text::quoted;

/// A key of the configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Store,
    Columns,
    TimeZone,
    Color,
    Pager,
    Wide,
}

const COLORS: [&str; 3] = ["auto", "always", "never"];

struct Entry {
    key: Key,
    name: &'static str,
    about: &'static str,
    kind: Kind,
    check: fn(&Value) -> Result<(), String>,
}

/// In the order of [`Key`].
const TABLE: [Entry; 6] = [
    Entry {
        key: Key::Store,
        name: "store",
        about: "the store, like --store: an absolute path or a URL",
        kind: Kind::Text,
        check: store,
    },
    Entry {
        key: Key::Columns,
        name: "columns",
        about: "the columns of `user list`, in this order",
        kind: Kind::List,
        check: columns,
    },
    Entry {
        key: Key::TimeZone,
        name: "time-zone",
        about: "the time zone for times on a terminal, such as Europe/Berlin",
        kind: Kind::Text,
        check: zone,
    },
    Entry {
        key: Key::Color,
        name: "color",
        about: "like --color: auto, always or never",
        kind: Kind::Text,
        check: color,
    },
    Entry {
        key: Key::Pager,
        name: "pager",
        about: "whether long lists go to a pager, or the pager's command",
        kind: Kind::FlagOrText,
        check: pager,
    },
    Entry {
        key: Key::Wide,
        name: "wide",
        about: "whether lists show all columns, like --wide",
        kind: Kind::Flag,
        check: |_| Ok(()),
    },
];

impl Key {
    /// Returns all keys, in the order of `config list`.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| entry.key)
    }

    /// Returns the name in files and on the command line.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Returns what it is for.
    pub const fn about(self) -> &'static str {
        self.entry().about
    }

    /// Finds a key by its name. Fails with what is wrong, and the key that was meant.
    pub fn find(name: &str) -> Result<Self, String> {
        if let Some(entry) = TABLE.iter().find(|entry| entry.name == name) {
            return Ok(entry.key);
        }
        Err(if let Some(meant) = Self::meant(name) {
            format!("is not a known key; did you mean {}?", meant.name())
        } else {
            let names = TABLE.map(|entry| entry.name).join(", ");
            format!("is not a known key; the keys are {names}")
        })
    }

    /// Returns the key whose name is the most similar, if any is.
    pub fn meant(name: &str) -> Option<Self> {
        let asked = name.to_lowercase().replace('_', "-");
        let meant = nearest(&asked, TABLE.map(|entry| entry.name))?;
        let mut entries = TABLE.iter();
        entries
            .find(|entry| entry.name == meant)
            .map(|entry| entry.key)
    }

    /// Returns the values to choose from. None if others are possible and these are no help.
    pub fn choices(self) -> &'static [&'static str] {
        match (self, self.entry().kind) {
            (Self::Color, _) => &COLORS,
            (_, Kind::Flag | Kind::FlagOrText) => &["true", "false"],
            _ => &[],
        }
    }

    /// Reads a value of a file.
    pub fn read(self, value: &toml::de::DeValue) -> Result<Value, String> {
        let value = self.entry().kind.read(value)?;
        (self.entry().check)(&value).map(|()| value)
    }

    /// Reads a value of the command line.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let value = self.entry().kind.parse(text)?;
        (self.entry().check)(&value).map(|()| value)
    }

    const fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }
}

fn store(value: &Value) -> Result<(), String> {
    let text = value.as_text().unwrap_or_default();
    match Location::parse(OsStr::new(text)) {
        Ok(Location::File(path)) if !path.is_absolute() => {
            Err("must be an absolute path, or the URL of a database".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is refused: {error}")),
    }
}

fn columns(value: &Value) -> Result<(), String> {
    let Value::List(names) = value else {
        return Ok(());
    };
    let known = list_columns();
    match names
        .iter()
        .find(|name| !known.contains(&column_name(name)))
    {
        Some(unknown) => Err(choice("column", unknown, known.iter().map(String::as_str))),
        None if names.is_empty() => Err("must name at least one column".to_owned()),
        None => Ok(()),
    }
}

fn zone(value: &Value) -> Result<(), String> {
    let name = value.as_text().unwrap_or_default();
    if time_zone::is_name(name) {
        return Ok(());
    }
    Err(format!(
        "must be the name of a time zone, such as Europe/Berlin, not {}",
        quoted(name)
    ))
}

fn color(value: &Value) -> Result<(), String> {
    let when = value.as_text().unwrap_or_default();
    if Color::from_str(when, false).is_ok() {
        return Ok(());
    }
    Err(choice("value", when, COLORS))
}

fn pager(value: &Value) -> Result<(), String> {
    match value.as_text() {
        Some(command) if shlex::split(command).is_none_or(|words| words.is_empty()) => {
            Err("must be a command, true or false".to_owned())
        }
        _ => Ok(()),
    }
}

/// Says that a name is none of these.
fn choice<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let meant = match nearest(&name.to_lowercase(), known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("choose from {}", known.join(", ")),
    };
    format!("has no {what} {}; {meant}", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys() {
        for key in Key::all() {
            assert_eq!(key.entry().key, key);
            assert_eq!(Key::find(key.name()), Ok(key));
        }
    }

    #[test]
    fn mistyped_keys_are_recognised() {
        for (typed, said) in [
            ("colour", "is not a known key; did you mean color?"),
            ("time_zone", "is not a known key; did you mean time-zone?"),
            ("Store", "is not a known key; did you mean store?"),
            (
                "x",
                "is not a known key; the keys are store, columns, time-zone, color, pager, wide",
            ),
        ] {
            assert_eq!(Key::find(typed).unwrap_err(), said);
        }
    }

    #[test]
    fn what_is_offered_is_accepted() {
        for key in Key::all() {
            for value in key.choices() {
                assert_eq!(key.parse(value).unwrap().to_string(), *value);
            }
        }
        assert_eq!(Key::Wide.choices(), ["true", "false"]);
    }

    #[test]
    fn values_are_checked() {
        for (key, good) in [
            (Key::Store, "/var/lib/x.db"),
            (Key::Store, "postgres://db/mail"),
            (Key::Columns, "username,last-connection"),
            (Key::TimeZone, "America/Argentina/Ushuaia"),
            (Key::Color, "never"),
            (Key::Pager, "false"),
            (Key::Pager, "less -FRX"),
            (Key::Wide, "true"),
        ] {
            assert_eq!(key.parse(good).unwrap().to_string(), good);
        }
        for (key, bad, said) in [
            (Key::Store, "x.db", "must be an absolute path"),
            (Key::Store, "~/x.db", "only a shell expands ~"),
            (Key::Store, "postgres://a:b@db/mail", "a password in"),
            (Key::Columns, "usrename", "did you mean username?"),
            (Key::Columns, "", "choose from username, "),
            (Key::TimeZone, "../../etc/passwd", "must be the name"),
            (Key::Color, "alwyas", "did you mean always?"),
            (Key::Color, "red", "choose from auto, always, never"),
            (Key::Pager, "", "must be a command"),
            (Key::Wide, "yes", "must be true or false"),
        ] {
            let reason = key.parse(bad).unwrap_err();
            assert!(reason.contains(said), "{bad}: {reason}");
        }
    }
}
