//! A folder for copies of a server's files, which its own tools change and check.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::content::failed;
use crate::error::Result;
use crate::files::Folder;
use crate::model::password::Random;
use crate::model::text;

/// Where they are, and how their names begin.
const PLACE: &str = "/run";
const PREFIX: &str = "smtpcred-setup-";

/// A folder of root's that is removed with this. It is locked, so that others see that it is
/// used.
pub struct DraftFolder {
    folder: Folder,
    _lock: File,
}

impl DraftFolder {
    /// Creates one.
    pub fn new(random: Random) -> Result<Self> {
        remove_left_ones();
        let mut name = [0; 8];
        random(&mut name)?;
        let path = Path::new(PLACE).join(format!("{PREFIX}{}", text::hexadecimal(&name)));
        let failed = |error: io::Error| failed(&path, &error);
        let folder = Folder::create(&path, 0o700).map_err(failed)?;
        folder.refuse_exchanged().map_err(failed)?;
        let lock = folder.lock().map_err(failed)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into it, or into a folder in it.
    pub fn add(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path().join(name);
        let added = || {
            let folder = Folder::create(path.parent().unwrap_or(&path), 0o700)?;
            let name = path.file_name().unwrap_or_default();
            folder.create_file(name, 0o600)?.write_all(bytes)
        };
        added().map_err(|error| failed(&path, &error))
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes what runs that were killed have left.
fn remove_left_ones() {
    let Ok(place) = Folder::open(Path::new(PLACE)) else {
        return;
    };
    let names = place.names().unwrap_or_default();
    let drafts = names
        .iter()
        .filter(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    for draft in drafts.filter_map(|name| Folder::open(&place.join(name)).ok()) {
        let is_own = draft.metadata().is_ok_and(|found| found.st_uid == 0);
        // The lock of a process ends with it.
        if let (Ok(_lock), true) = (draft.lock(), is_own) {
            remove(&draft);
        }
    }
}

fn remove(folder: &Folder) {
    empty(folder);
    let path = folder.path();
    if let (Ok((parent, name)), true) = (Folder::of(path), path.starts_with(PLACE)) {
        let _ = parent.remove_folder(&name);
    }
}

fn empty(folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        if folder.remove(&name).is_ok() {
            continue;
        }
        if let Ok(inner) = Folder::open(&folder.join(&name)) {
            empty(&inner);
        }
        let _ = folder.remove_folder(&name);
    }
}
