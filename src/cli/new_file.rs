//! New files that only their owner can read. Existing files are never overwritten.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::Folder;

/// The path of a new file: its open folder and its name.
pub struct NewFilePath {
    pub path: PathBuf,
    folder: Folder,
    name: OsString,
}

impl NewFilePath {
    /// Finds the folder of a new file. Returns an error if it does not exist, or if another user
    /// could have replaced it.
    pub fn find(path: &Path) -> io::Result<Self> {
        let (folder, name) = Folder::of(path)?;
        folder.refuse_exchanged()?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            name,
        })
    }

    /// Returns whether the name exists, even as a dangling link.
    pub fn is_taken(&self) -> io::Result<bool> {
        Ok(self.folder.find(&self.name)?.is_some())
    }

    /// Creates the file and writes everything, without another copy of the secret in memory. A
    /// failure leaves no file.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.folder.write_new(&self.name, bytes)
    }

    /// Removes the file; failures are ignored.
    pub fn remove(&self) {
        // The file would be incomplete, or hold a password that is not valid.
        let _ = self.folder.remove(&self.name);
    }
}

/// A new file that is removed on drop, unless [`NewFile::keep`] is called.
pub struct NewFile {
    at: NewFilePath,
    file: io::BufWriter<File>,
    kept: bool,
}

impl NewFile {
    /// Creates the file with mode 0600. Returns an error if the name exists.
    pub fn create(path: &Path) -> Result<Self> {
        let created = NewFilePath::find(path).and_then(|at| {
            let file = at.folder.create_file(&at.name, 0o600)?;
            Ok((at, file))
        });
        match created {
            Ok((at, file)) => Ok(Self {
                at,
                file: io::BufWriter::new(file),
                kept: false,
            }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::OutputExists(path.to_owned()))
            }
            Err(e) => Err(unwritten(path, &e)),
        }
    }

    /// Returns the path as it was given.
    pub fn path(&self) -> &Path {
        &self.at.path
    }

    /// Returns what writes to the file.
    pub const fn writer(&mut self) -> &mut io::BufWriter<File> {
        &mut self.file
    }

    /// Syncs what was written so far, so that it survives a power failure.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        self.at.folder.sync()
    }

    /// Syncs the file and keeps it.
    pub fn keep(mut self) -> io::Result<()> {
        self.sync()?;
        self.kept = true;
        Ok(())
    }
}

/// Returns the error of a failed write before anything was changed.
pub fn unwritten(path: &Path, error: &io::Error) -> Error {
    Error::FileUnwritten {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            self.at.remove();
        }
    }
}
