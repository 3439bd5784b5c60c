//! New files that only their owner can read. What is there is never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Gone again, unless it is kept.
pub struct NewFile {
    path: PathBuf,
    file: io::BufWriter<File>,
    kept: bool,
}

impl NewFile {
    pub fn create(path: &Path) -> Result<Self> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match made {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file: io::BufWriter::new(file),
                kept: false,
            }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::OutputExists(path.to_owned()))
            }
            Err(e) => Err(failed(path, &e)),
        }
    }

    pub const fn writer(&mut self) -> &mut io::BufWriter<File> {
        &mut self.file
    }

    /// It is whole, and outlasts a power cut.
    pub fn keep(mut self) -> Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let done = self.file.flush();
        let done = done.and_then(|()| self.file.get_ref().sync_all());
        let done = done.and_then(|()| File::open(folder)?.sync_all());
        done.map_err(|e| failed(&self.path, &e))?;
        self.kept = true;
        Ok(())
    }
}

pub fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Undelivered(format!("{}: {error}", path.display()))
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // What is left would be half of it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
