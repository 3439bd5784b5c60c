//! Changes a configuration file: comments and order stay, and the file is replaced in one
//! piece.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use toml_edit::{DocumentMut, Item};

use super::file;
use super::key::Key;
use super::value::Value;
use crate::error::{Error, Result};
use crate::files::{self, Folder};

/// What a new file gets in place of the current one.
const BESIDE: &str = ".config.toml.new";

/// The readers of new files and folders.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    Owner,
    Everyone,
}

/// Sets a key.
pub fn set(path: &Path, readers: Readers, key: Key, value: &Value) -> Result<()> {
    change(path, readers, |document| {
        let mut new = toml_edit::Value::from(value);
        match document.get_mut(key.name()).and_then(Item::as_value_mut) {
            Some(old) => {
                // A comment after the value.
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            None => {
                document.insert(key.name(), Item::Value(new));
            }
        }
    })
}

/// Removes a key, even one that the file should not have, and the file with the last thing in it.
/// Returns whether the key was there.
pub fn unset(path: &Path, readers: Readers, name: &str) -> Result<bool> {
    if !files::is_there(path) {
        return Ok(false);
    }
    let mut found = false;
    change(path, readers, |document| {
        found = document.remove(name).is_some();
    })?;
    Ok(found)
}

fn change(path: &Path, readers: Readers, edit: impl FnOnce(&mut DocumentMut)) -> Result<()> {
    let failed = |error: io::Error| unwritten(path, &error.to_string());
    let target = Target::find(path, readers).map_err(failed)?;
    let _lock = target.lock().map_err(failed)?;
    let (old, text) = target.old(path)?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map(|at| at.start);
        file::problem(
            path,
            &text,
            at,
            &format!("invalid TOML: {}", error.message()),
        )
    })?;
    edit(&mut document);
    let new = document.to_string();
    if old.is_some() && new.trim().is_empty() && new != text {
        target.remove().map_err(failed)?;
    } else if new != text {
        target
            .replace(old.as_ref(), &new, readers)
            .map_err(failed)?;
    }
    Ok(())
}

/// Fails if another user can change the folder, or the one in which it would be made.
fn not_exchangeable(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| files::is_there(folder));
    match Folder::open(there.unwrap_or(folder))?.exchangeable_at() {
        Some(at) => Err(exchangeable(at)),
        None => Ok(()),
    }
}

fn exchangeable(at: &Path) -> io::Error {
    let reason = format!("another user can change {}", at.display());
    io::Error::new(ErrorKind::PermissionDenied, reason)
}

struct Target {
    folder: Folder,
    name: std::ffi::OsString,
}

impl Target {
    /// Finds the file, and creates its folder.
    fn find(path: &Path, readers: Readers) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            not_exchangeable(folder)?;
            let is_new = !files::is_there(folder);
            let folder = Folder::create(folder, 0o700)?;
            if is_new && matches!(readers, Readers::Everyone) {
                folder.set_mode(0o755)?;
            }
        }
        let (folder, name) = Folder::of_target(path)?;
        if let Some(at) = folder.exchangeable_at() {
            return Err(exchangeable(at));
        }
        Ok(Self { folder, name })
    }

    /// Waits until no other process changes it.
    fn lock(&self) -> io::Result<File> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let opened = self.folder.opened()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match opened.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another process is changing it"));
                }
                // Where a file system has no locks, there is nothing better.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(opened),
            }
        }
    }

    /// Returns the current file and what is in it.
    fn old(&self, path: &Path) -> Result<(Option<File>, String)> {
        if self
            .folder
            .find(&self.name)
            .is_ok_and(|found| found.is_none())
        {
            return Ok((None, String::new()));
        }
        let failed = |error: io::Error| unwritten(path, &error.to_string());
        let mut old = file::open(path).map_err(failed)?;
        let text = file::text(&mut old).map_err(failed)?;
        Ok((Some(old), text))
    }

    fn remove(&self) -> io::Result<()> {
        self.folder.remove(&self.name)?;
        self.folder.sync()
    }

    fn replace(&self, old: Option<&File>, text: &str, readers: Readers) -> io::Result<()> {
        let beside = BESIDE.as_ref();
        // A killed process left it.
        self.folder.remove(beside)?;
        let new = self.folder.create_file(beside, 0o600)?;
        let written =
            write(&new, old, text, readers).and_then(|()| self.folder.rename(beside, &self.name));
        if written.is_err() {
            let _ = self.folder.remove(beside);
        }
        written?;
        self.folder.sync()
    }
}

fn write(mut new: &File, old: Option<&File>, text: &str, readers: Readers) -> io::Result<()> {
    match (old, readers) {
        (Some(old), _) => files::copy_rights(old, new)?,
        (None, Readers::Everyone) => new.set_permissions(Permissions::from_mode(0o644))?,
        (None, Readers::Owner) => {}
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

fn unwritten(path: &Path, reason: &str) -> Error {
    Error::ConfigUnwritten {
        file: path.to_owned(),
        reason: reason.to_owned(),
    }
}
