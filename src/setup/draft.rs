//! A folder for copies of a server's files, which its own tools change and check.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::content::failed;
use crate::error::Result;
use crate::files::Folder;
use crate::model::password::Random;
use crate::model::text;

/// A folder of root's that is removed with this.
pub struct DraftFolder(Folder);

impl DraftFolder {
    /// Creates one.
    pub fn new(random: Random) -> Result<Self> {
        let mut name = [0; 8];
        random(&mut name)?;
        let path = PathBuf::from(format!("/run/smtpcred-setup-{}", text::hexadecimal(&name)));
        let failed = |error: io::Error| failed(&path, &error);
        let folder = Folder::create(&path, 0o700).map_err(failed)?;
        folder.refuse_exchanged().map_err(failed)?;
        Ok(Self(folder))
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
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
        empty(&self.0);
        let path = self.0.path();
        if let (Ok((parent, name)), true) = (Folder::of(path), path.starts_with("/run")) {
            let _ = parent.remove_folder(&name);
        }
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
