//! Files of the system: read, compared, and replaced in one piece.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::diff;
use super::names::UNITS;
use crate::error::{Error, Result};
use crate::files::{self, Folder};

/// Larger files are not ours.
const MOST: u64 = 4 * 1024 * 1024;

/// A file, and what to put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// Its content now; `None` if it does not exist.
    pub before: Option<Vec<u8>>,
    /// Its content then; `None` removes it.
    pub after: Option<Vec<u8>>,
}

impl FileChange {
    /// Returns the lines that change.
    pub fn diff(&self) -> Vec<String> {
        diff::shown(&text(self.before.as_deref()), &text(self.after.as_deref()))
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// Returns the error of a file or folder that setup cannot use.
pub fn failed(path: &Path, error: &io::Error) -> Error {
    Error::System(format!("{}: {error}", path.display()))
}

/// Returns the content of a file in a folder, `None` if it does not exist.
pub fn read(folder: &Folder, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match folder.read(name) {
        Ok(file) => {
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a file"));
            }
            file.take(MOST + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MOST {
                return Err(io::Error::other("it is too large"));
            }
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the content of a file, `None` if it does not exist. Follows links that only root
/// can replace.
pub fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = match Folder::of_target(path) {
        Ok((folder, name)) => read(&folder, &name),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    read.map_err(|error| failed(path, &error))
}

/// Puts the new content into a file, in one piece. The file keeps its owner and mode. Fails if
/// the file no longer has the content that it had.
pub fn put(change: &FileChange) -> Result<()> {
    if change.before == change.after {
        return Ok(());
    }
    if content(&change.path)? != change.before {
        let what = format!("{} was edited meanwhile", change.path.display());
        return Err(Error::ChangedMeanwhile(what));
    }
    write(&change.path, change.after.as_deref()).map_err(|error| failed(&change.path, &error))
}

fn write(path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    if bytes.is_some() && !files::is_there(parent) {
        // The umask cuts the mode.
        Folder::create(parent, 0o755)?.set_mode(0o755)?;
    }
    let (folder, name) = Folder::of_target(path)?;
    folder.refuse_exchanged()?;
    let Some(bytes) = bytes else {
        folder.remove(&name).and_then(|()| folder.sync())?;
        return remove_drop_ins(&folder);
    };
    let new = unfinished(&name);
    folder.remove(&new)?;
    let written = (|| {
        let mut file = folder.create_file(&new, 0o644)?;
        match folder.read(&name) {
            Ok(old) => files::copy_rights(&old, &file)?,
            // The umask has cut it.
            Err(error) if error.kind() == ErrorKind::NotFound => files::set_mode(&file, 0o644)?,
            Err(error) => return Err(error),
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        folder.rename(&new, &name)?;
        folder.sync()
    })();
    if written.is_err() {
        let _ = folder.remove(&new);
    }
    written
}

/// Removes the folder of the drop-ins of a unit, if it is empty.
fn remove_drop_ins(folder: &Folder) -> io::Result<()> {
    let path = folder.path();
    let is_empty = folder.names()?.is_empty();
    if !path.starts_with(UNITS) || path == Path::new(UNITS) || !is_empty {
        return Ok(());
    }
    let (parent, name) = Folder::of(path)?;
    parent.remove_folder(&name)
}

/// Removes what a killed run has left beside a file.
pub fn sweep(path: &Path) -> Result<()> {
    let swept = || {
        let (folder, name) = Folder::of_target(path)?;
        let new = unfinished(&name);
        if folder.find(&new)?.is_none() {
            return Ok(());
        }
        folder.refuse_exchanged()?;
        folder.remove(&new)
    };
    match swept() {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

fn unfinished(name: &OsStr) -> OsString {
    let mut new = name.to_owned();
    new.push(".smtpcred-new");
    new
}
