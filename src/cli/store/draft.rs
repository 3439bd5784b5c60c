//! A backup that is being written: a file under a temporary name beside the final one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nix::unistd::Uid;

use crate::cli::new_file::unwritten;
use crate::error::{Error, Result};
use crate::files::{Folder, lock_file, set_mode};

/// After the final name. Only backups have it.
const UNFINISHED: &str = ".unfinished";
/// What a database engine writes beside the file.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A backup under its temporary name, removed on drop unless it is kept.
pub struct Draft {
    folder: Folder,
    name: OsString,
    temporary: OsString,
    /// Locked: no other process writes the same backup.
    pub file: File,
    kept: bool,
}

impl Draft {
    /// Creates the file with mode 0600, or empties what a killed run left of it.
    pub fn create(folder: Folder, name: OsString) -> Result<Self> {
        let path = folder.join(&name);
        let failed = |e: &io::Error| unwritten(&path, e);
        if folder.find(&name).map_err(|e| failed(&e))?.is_some() {
            return Err(Error::OutputExists(path));
        }
        refuse_others(&folder).map_err(|e| failed(&e))?;
        Self::begin(folder, name).map_err(|e| unwritten(&path, &e))
    }

    /// Does the same for a file that takes the place of another one. Nothing opens it by its name.
    pub fn create_in_place_of(folder: Folder, name: OsString) -> Result<Self> {
        let path = folder.join(&name);
        Self::begin(folder, name).map_err(|e| unwritten(&path, &e))
    }

    fn begin(folder: Folder, name: OsString) -> io::Result<Self> {
        let mut temporary = name.clone();
        temporary.push(UNFINISHED);
        let file = opened(&folder, &temporary)?;
        let draft = Self {
            folder,
            name,
            temporary,
            file,
            kept: false,
        };
        draft.clear_beside();
        Ok(draft)
    }

    /// Removes what killed runs left of backups with such names, unless another process is
    /// writing them. Returns how many.
    pub fn clear_left(folder: &Folder, is_backup: impl Fn(&str) -> bool) -> io::Result<u64> {
        let mut cleared = 0;
        for name in folder.names()? {
            let of_backup = name
                .to_str()
                .and_then(|name| name.strip_suffix(UNFINISHED))
                .is_some_and(&is_backup);
            if of_backup && clear(folder, &name)? {
                cleared += 1;
            }
        }
        Ok(cleared)
    }

    /// Returns the temporary path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.temporary)
    }

    /// Returns the final path.
    pub fn target(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Opens it to read it; it may be dropped then.
    pub fn reader(&self) -> Result<File> {
        let opened = self.folder.read(&self.temporary);
        opened.map_err(|e| unwritten(&self.path(), &e))
    }

    /// Gives it the final name, which must still be free.
    pub fn keep(mut self) -> Result<()> {
        let path = self.target();
        let kept = self.is_named().and_then(|()| {
            self.folder.rename_new(&self.temporary, &self.name)?;
            self.folder.sync()
        });
        match kept {
            Ok(()) => {
                self.kept = true;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(Error::OutputExists(path)),
            Err(e) => Err(unwritten(&path, &e)),
        }
    }

    /// Gives it the final name in place of the file that has it.
    pub fn replace(mut self) -> Result<()> {
        let path = self.target();
        let replaced = self.is_named().and_then(|()| {
            self.folder.rename(&self.temporary, &self.name)?;
            self.folder.sync()
        });
        self.kept = replaced.is_ok();
        replaced.map_err(|e| unwritten(&path, &e))
    }

    /// Fails if the temporary name is another file's by now.
    fn is_named(&self) -> io::Result<()> {
        if self.folder.has(&self.temporary, &self.file)? {
            Ok(())
        } else {
            Err(io::Error::other("another program replaced it"))
        }
    }

    fn clear_beside(&self) {
        clear_beside(&self.folder, &self.temporary);
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            self.clear_beside();
            if self.is_named().is_ok() {
                let _ = self.folder.remove(&self.temporary);
            }
        }
    }
}

fn clear_beside(folder: &Folder, temporary: &OsStr) {
    for suffix in BESIDE {
        let mut name = temporary.to_owned();
        name.push(suffix);
        let _ = folder.remove(&name);
    }
}

/// Removes an unfinished backup of this user. Returns whether it was one.
fn clear(folder: &Folder, temporary: &OsStr) -> io::Result<bool> {
    let is_own =
        |found: &std::fs::Metadata| found.is_file() && found.uid() == Uid::effective().as_raw();
    let left = match folder.read_write(temporary) {
        Ok(left) if is_own(&left.metadata()?) => left,
        _ => return Ok(false),
    };
    if lock_file(&left).is_err() || !folder.has(temporary, &left)? {
        return Ok(false);
    }
    clear_beside(folder, temporary);
    folder.remove(temporary)?;
    Ok(true)
}

/// The database engine opens the file by its name: no other user may exchange it.
fn refuse_others(folder: &Folder) -> io::Result<()> {
    match folder.exchangeable_at() {
        Some(at) if Uid::effective().is_root() => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("other users can write {}", at.display()),
        )),
        _ => Ok(()),
    }
}

fn opened(folder: &Folder, name: &OsStr) -> io::Result<File> {
    let created = folder.create_file(name, 0o600);
    let left = match created {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => folder.read_write(name)?,
        created => {
            let file = created?;
            lock(&file)?;
            return Ok(file);
        }
    };
    let found = left.metadata()?;
    if !found.is_file() || found.uid() != Uid::effective().as_raw() {
        return Err(io::Error::other("its temporary name is in use"));
    }
    lock(&left)?;
    if !folder.has(name, &left)? {
        return Err(io::Error::other("another backup has just ended; try again"));
    }
    if left.metadata()?.nlink() > 1 {
        // It was killed between its two names: the other one is a whole backup.
        folder.remove(name)?;
        let file = folder.create_file(name, 0o600)?;
        lock(&file)?;
        return Ok(file);
    }
    left.set_len(0)?;
    set_mode(&left, 0o600)?;
    Ok(left)
}

fn lock(file: &File) -> io::Result<()> {
    match lock_file(file) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("another process is writing it"))
        }
        locked => locked,
    }
}
