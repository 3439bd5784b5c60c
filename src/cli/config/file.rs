//! Reads a configuration file. One that another user could have changed is not read: it
//! chooses the store and the pager of the person who runs this program, perhaps root.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::key::Key;
use super::value::Value;
use crate::error::Error;
use crate::files::{self, Folder};
use crate::model::text::escaped;

/// The file for all users.
pub const SYSTEM: &str = "/etc/smtpcred/config.toml";

/// The largest file, in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// The values in a file.
pub type Values = Vec<(Key, Value)>;

/// The result of reading a file.
#[derive(Debug)]
pub enum ReadFile {
    Missing,
    /// It is not read, for this reason.
    Ignored(String),
    Read(String),
}

/// Returns the caller's file; `None` without a home folder.
pub fn of_user() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "smtpcred")?;
    Some(folders.config_dir().join("config.toml"))
}

/// Reads a file as text.
pub fn read(path: &Path) -> ReadFile {
    if !files::is_there(path) {
        return ReadFile::Missing;
    }
    match open(path).and_then(|mut file| text(&mut file)) {
        Ok(text) => ReadFile::Read(text),
        Err(error) => ReadFile::Ignored(error.to_string()),
    }
}

/// Opens a file that no other user could have changed; fails if one could.
pub fn open(path: &Path) -> io::Result<File> {
    let (folder, name) = Folder::of_target(path)?;
    if let Some(at) = folder.exchangeable_at() {
        let reason = format!("another user can change {}", at.display());
        return Err(io::Error::other(reason));
    }
    let file = folder.read(&name)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    match files::writable(&file)? {
        None => Ok(file),
        Some(reason) => Err(io::Error::other(reason)),
    }
}

/// Reads an open file.
pub fn text(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(io::Error::other("it is too large"));
    }
    Ok(text)
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Parsed {
    pub values: Values,
    /// In their order.
    pub problems: Vec<Problem>,
}

/// What is wrong in a file.
#[derive(Debug)]
pub struct Problem {
    pub error: Error,
    /// The invalid part may specify the store.
    pub hides_store: bool,
}

/// Parses a file.
pub fn parse(path: &Path, text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map(|at| at.start);
            let reason = format!("invalid TOML: {}", error.message());
            parsed.problems.push(Problem {
                error: problem(path, text, at, &reason),
                hides_store: true,
            });
            return parsed;
        }
    };
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let names_store = entries
        .iter()
        .any(|(name, _)| matches!(Key::find(name.get_ref()), Ok(Key::Store)));
    for (name, value) in entries {
        let named = name.get_ref();
        let read = |key: Key| Ok((key, key.read(value.get_ref())?));
        match Key::find(named).and_then(read) {
            Ok(value) => parsed.values.push(value),
            Err(reason) => {
                let reason = format!("{} {reason}", escaped(named));
                parsed.problems.push(Problem {
                    error: problem(path, text, Some(name.span().start), &reason),
                    hides_store: Key::meant(named) == Some(Key::Store)
                        || (!names_store && may_hold_store(named, value.get_ref())),
                });
            }
        }
    }
    parsed
}

/// Returns whether an invalid part may specify the store, as `database` or in a table: all but what
/// clearly means another key.
fn may_hold_store(named: &str, value: &DeValue<'_>) -> bool {
    Key::meant(named).is_none() || value.is_table() || value.is_array()
}

/// Returns the error of a file, at this byte.
pub fn problem(path: &Path, text: &str, at: Option<usize>, reason: &str) -> Error {
    let line = at.map(|at| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count());
    Error::BadConfig {
        file: path.to_owned(),
        line,
        reason: reason.trim_end().replace('\n', "; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let path = Path::new("/c.toml");
        let parsed = parse(path, text);
        match parsed.problems.first() {
            Some(problem) => problem.error.to_string(),
            None => format!("{:?}", parsed.values),
        }
    }

    #[test]
    fn only_what_clearly_means_another_key_does_not_hide_the_store() {
        for (text, hides) in [
            ("stroe = \"/s\"", true),
            ("store = 1", true),
            ("database = \"/s\"", true),
            ("path = \"/s\"", true),
            ("db_path = \"/s\"", true),
            ("store-path = \"/s\"", true),
            ("smtpcred_store = \"/s\"", true),
            ("[smtpcred]\nstore = \"/s\"", true),
            ("[color]\nstore = \"/s\"", true),
            ("[[color]]\nstore = \"/s\"", true),
            ("colour = \"always\"", false),
            ("color = \"loud\"", false),
            ("wide = 1", false),
            // The file names it.
            ("store = \"/s\"\ndatabase = \"/d\"", false),
            ("store = \"/s\"\nstores = \"/d\"", true),
        ] {
            let parsed = parse(Path::new("/c.toml"), text);
            assert_eq!(parsed.problems[0].hides_store, hides, "{text}");
        }
    }

    #[test]
    fn problems_have_their_line() {
        for (text, reason) in [
            (
                "\n\ncolour = \"always\"",
                "/c.toml:3: colour is not a known key; did you mean color?",
            ),
            ("# x\nwide = 1", "/c.toml:2: wide must be true or false"),
            (
                "color = \"a\"",
                "/c.toml:1: color has no value 'a'; choose from auto, always, never",
            ),
            (
                "wide = true\nwide = false",
                "/c.toml:2: invalid TOML: duplicate key",
            ),
            (
                "[user]\nwide = true",
                "/c.toml:1: user is not a known key; the keys are",
            ),
            ("x\u{1b} = 1", "/c.toml:1: invalid TOML"),
        ] {
            assert!(said(text).starts_with(reason), "{}", said(text));
        }
        assert_eq!(said(""), "[]");
        assert_eq!(said("wide = true"), "[(Wide, Flag(true))]");
    }
}
