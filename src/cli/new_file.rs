//! New files that only their owner can read. What is there is never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// All at once and without another copy in memory, which a secret must not leave.
/// Where it fails nothing is left.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_unsynced(path, bytes)?;
    let written = File::open(path).and_then(|file| file.sync_all());
    let written = written.and_then(|()| sync_name(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// The same, of many whose fsync comes later.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let written = file.write_all(bytes);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The name has to outlast a power cut as well.
fn sync_name(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Gone again, unless it is kept.
pub struct NewFile {
    path: PathBuf,
    file: io::BufWriter<File>,
    kept: bool,
}

impl NewFile {
    pub fn create(path: &Path) -> Result<Self> {
        match open(path) {
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
        let done = self.file.flush();
        let done = done.and_then(|()| self.file.get_ref().sync_all());
        let done = done.and_then(|()| sync_name(&self.path));
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
