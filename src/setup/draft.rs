//! A folder for copies of a server's files, which its own tools change and check.

use std::ffi::OsStr;
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

    /// Puts a file into it.
    pub fn add(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let added = self
            .0
            .create_file(OsStr::new(name), 0o600)
            .and_then(|mut file| file.write_all(bytes));
        added.map_err(|error| failed(&self.path().join(name), &error))
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        for name in self.0.names().unwrap_or_default() {
            let _ = self.0.remove(&name);
        }
        let path = self.0.path();
        if let (Ok((parent, name)), true) = (Folder::of(path), path.starts_with("/run")) {
            let _ = parent.remove_folder(&name);
        }
    }
}
