//! Checks whether a change can succeed before anything is changed; dry runs do so, too.

use std::fs;
use std::path::PathBuf;

use nix::unistd::mkdtemp;

use super::{Access, Store, sqlite};
use crate::error::{Error, Result};
use crate::model::store_location::Location;

impl Store {
    /// Fails if this process cannot change the store: a read-only file, a full disk, missing
    /// permissions. A store that is busy with another change is not a failure.
    pub fn need_writable(&mut self) -> Result<()> {
        self.engine.need_rights()?;
        match self.engine.begin_now() {
            Ok(()) => self.engine.rollback(),
            Err(Error::StoreBusy(_)) => {}
            Err(error) => return Err(error),
        }
        self.engine.need_space()
    }

    /// Fails if a store that does not exist could not be created.
    pub fn need_creatable(location: &Location) -> Result<()> {
        match location {
            Location::File(path) => sqlite::need_creatable(path),
            // The server decides.
            Location::Postgres(_) => Ok(()),
        }
    }

    /// Creates a folder that only this user can use, in TMPDIR or in /tmp.
    pub fn private_folder() -> Result<PathBuf> {
        let temporary = std::env::temp_dir();
        mkdtemp(&temporary.join("smtpcred-XXXXXX")).map_err(|e| Error::NoTemporaryStore {
            folder: temporary.display().to_string(),
            reason: e.to_string(),
        })
    }

    /// Creates an empty store without a name, which ends with the process: an import
    /// compares with it if there is no store yet. It is created in TMPDIR, or in /tmp.
    pub fn scratch() -> Result<Self> {
        let temporary = std::env::temp_dir();
        let failed = |error: &dyn std::fmt::Display| Error::NoTemporaryStore {
            folder: temporary.display().to_string(),
            reason: error.to_string(),
        };
        let folder = Self::private_folder()?;
        let location = Location::File(folder.join("scratch.db"));
        let opened = Self::open(&location, Access::Create);
        fs::remove_dir_all(&folder).map_err(|e| failed(&e))?;
        opened.map_err(|e| failed(&e))
    }
}
