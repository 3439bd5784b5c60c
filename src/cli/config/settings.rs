//! What the flags, the environment and the configuration files say.

use std::path::PathBuf;

use super::file::{self, Problem, ReadFile, SYSTEM, Values};
use super::key::Key;
use super::value::Value;
use crate::error::Result;
use crate::host;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Flag,
    Variable,
    User,
    System,
    Default,
}

impl Source {
    /// Returns its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::User => "user",
            Self::System => "system",
            Self::Default => "default",
        }
    }
}

/// A value that is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: Value,
    pub source: Source,
    /// The file or the variable that it comes from.
    pub place: Option<String>,
}

/// The settings by source: the flags of this command and the configuration files.
#[derive(Debug, Default)]
pub struct Settings {
    flags: Values,
    files: Vec<ConfigFile>,
    /// Why files were ignored.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct ConfigFile {
    source: Source,
    path: PathBuf,
    values: Values,
}

impl Settings {
    /// Creates settings of these flags, without files.
    pub fn of_flags(flags: Values) -> Self {
        Self {
            flags,
            ..Self::default()
        }
    }

    /// Reads the configuration files. Fails if one has a problem; one that another user could
    /// have changed is ignored with a warning.
    pub fn read_files(&mut self) -> Result<()> {
        match self.read_all().into_iter().next() {
            Some(problem) => Err(problem.error),
            None => Ok(()),
        }
    }

    /// Does the same for a program that must not stay down because of a typo: what has a
    /// problem is ignored with a warning. Fails only if the store may be meant, and neither a
    /// flag nor the environment names it: another store would be the wrong one.
    pub fn read_valid(&mut self) -> Result<()> {
        let problems = self.read_all();
        let named = self.get(Key::Store);
        let is_sure =
            named.is_some_and(|store| matches!(store.source, Source::Flag | Source::Variable));
        for problem in problems {
            if problem.hides_store && !is_sure {
                return Err(problem.error);
            }
            self.warnings.push(format!("{} (ignored)", problem.error));
        }
        Ok(())
    }

    /// Reads only the file for all users. Fails if it has a problem.
    pub fn read_system_file(&mut self) -> Result<()> {
        let problems = self.read_each([(Source::System, Some(SYSTEM.into()))]);
        match problems.into_iter().next() {
            Some(problem) => Err(problem.error),
            None => Ok(()),
        }
    }

    fn read_all(&mut self) -> Vec<Problem> {
        self.read_each([
            (Source::User, file::of_user()),
            (Source::System, Some(SYSTEM.into())),
        ])
    }

    fn read_each<const N: usize>(&mut self, paths: [(Source, Option<PathBuf>); N]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (source, path) in paths {
            let Some(path) = path else { continue };
            match file::read(&path) {
                ReadFile::Missing => {}
                ReadFile::Ignored(reason) => {
                    let path = path.display();
                    self.warnings.push(format!("{path} is ignored: {reason}"));
                }
                ReadFile::Read(text) => {
                    let parsed = file::parse(&path, &text);
                    problems.extend(parsed.problems);
                    self.files.push(ConfigFile {
                        source,
                        path,
                        values: parsed.values,
                    });
                }
            }
        }
        problems
    }

    /// Returns whether a file was read.
    pub const fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Returns the value that is in effect; `None` if nothing says one.
    pub fn get(&self, key: Key) -> Option<Setting> {
        let flag = self.flags.iter().find(|(named, _)| *named == key);
        let flag = flag.map(|(_, value)| Setting {
            value: value.clone(),
            source: Source::Flag,
            place: None,
        });
        flag.or_else(|| variable(key))
            .or_else(|| self.in_files(key))
    }

    /// Returns the value in the files; `None` if none has one.
    pub fn in_files(&self, key: Key) -> Option<Setting> {
        self.files.iter().find_map(|file| {
            let (_, value) = file.values.iter().find(|(named, _)| *named == key)?;
            Some(Setting {
                value: value.clone(),
                source: file.source,
                place: Some(file.path.display().to_string()),
            })
        })
    }
}

/// Returns what the environment says.
fn variable(key: Key) -> Option<Setting> {
    let set = |name: &'static str| {
        let value = std::env::var_os(name)?.to_string_lossy().into_owned();
        Some((name, value)).filter(|(_, value)| !value.is_empty())
    };
    let (name, value) = match key {
        Key::Store => set("SMTPCRED_STORE")?,
        Key::TimeZone => set("TZ")?,
        Key::Pager if !host::is_for_another() => set("SMTPCRED_PAGER")?,
        Key::Color => match (set("NO_COLOR"), set("CLICOLOR_FORCE")) {
            (Some((name, _)), _) => (name, "never".to_owned()),
            (None, Some((name, value))) if value != "0" => (name, "always".to_owned()),
            _ => return None,
        },
        Key::Pager | Key::Columns | Key::Wide => return None,
    };
    Some(Setting {
        value: Value::Text(value),
        source: Source::Variable,
        place: Some(name.to_owned()),
    })
}
