//! What the record of a setup consists of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::content::FileChange;
use super::names::UNITS;

/// What is kept of one file. Contents are named by their hashes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptFile {
    pub path: PathBuf,
    /// What was there before the first setup.
    pub before: Option<String>,
    /// What the last setup left there.
    pub left: Option<String>,
}

/// A unit that setup enables and starts, and how it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitBefore {
    /// Its name.
    pub name: String,
    /// It was enabled.
    pub enabled: bool,
    /// It was active.
    pub active: bool,
}

impl KeptFile {
    /// Returns whether it is a file of a unit.
    pub fn is_unit(&self) -> bool {
        is_unit(&self.path)
    }
}

/// Returns whether it is a file of a unit.
pub fn is_unit(path: &Path) -> bool {
    path.starts_with(UNITS)
}

/// What an undo does.
#[derive(Debug, Default)]
pub struct Undo {
    /// The files, also those that already are as they were.
    pub files: Vec<FileChange>,
    /// What it takes back besides.
    pub effects: Effects,
    /// The units of the sockets stay as they are, and are still kept.
    pub units_stay: bool,
    /// What stays, and why, for people.
    pub stay: Vec<String>,
}

/// What is not in files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// The units that were enabled and started.
    #[serde(default)]
    pub units: Vec<UnitBefore>,
    /// The host name in the settings, if it was changed.
    #[serde(default)]
    pub host: Option<HostChange>,
}

/// A change of the host name in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostChange {
    /// Before.
    pub before: Option<String>,
    /// Since then.
    pub after: String,
}

/// A change that is being made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Underway {
    /// What was in each file, and what is put there.
    pub files: Vec<KeptFile>,
    /// What this change does besides.
    pub effects: Effects,
    /// What is kept once it is made.
    pub next: Vec<KeptFile>,
    pub next_effects: Effects,
    /// It undoes a setup; if it was killed, the next run finishes it.
    #[serde(default)]
    pub is_undo: bool,
    /// The server ran before.
    #[serde(default = "yes")]
    pub ran: bool,
}

const fn yes() -> bool {
    true
}

/// Everything that is kept of one setup.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    pub files: Vec<KeptFile>,
    #[serde(default)]
    pub effects: Effects,
    #[serde(default)]
    pub underway: Option<Underway>,
}

impl Manifest {
    /// Returns whether the setup of a server that asks at the sockets is in place. After an
    /// undo, only what was edited is kept, which changes nothing.
    pub fn uses_sockets(&self) -> bool {
        let mut files = self.files.iter().filter(|kept| !kept.is_unit());
        files.any(|kept| kept.before != kept.left)
    }
}
