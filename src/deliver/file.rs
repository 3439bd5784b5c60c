//! Files with a password in them: replaced in one piece, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::content::{NOT_A_FILE, Part, read, sibling};
use super::leftover::OrphanNote;
use crate::files::{self, Folder};
use crate::model::password::PasswordId;

/// Why a file was not written.
#[derive(Debug)]
pub struct WriteError {
    pub error: io::Error,
    /// The password is in the file, but a power failure may still lose it.
    pub replaced: bool,
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            replaced: false,
        }
    }
}

/// A file to write, which may not exist yet.
struct TargetFile {
    folder: Folder,
    name: OsString,
    /// The file that has this name now.
    old: Option<File>,
}

/// Writes a password and returns the mode of the file. The password of a new user never
/// replaces another one, except for an orphan that its note lists.
pub fn write(
    path: &Path,
    part: Part,
    password: &str,
    new: Option<(&OrphanNote, &PasswordId)>,
) -> Result<u32, WriteError> {
    let target = TargetFile::find(path)?;
    let (folder, name) = (&target.folder, &target.name);
    let orphan = match (&target.old, new) {
        (Some(old), Some((note, _))) => note.check_free(folder, name, old, part)?,
        _ => None,
    };
    let text = match (part, &target.old) {
        (Part::Variable(_), Some(old)) => read(old)?,
        _ => Zeroizing::default(),
    };
    let text = part.replaced(&text, password)?;
    if let Some((note, password_id)) = new {
        note.write(
            folder,
            name,
            orphan.as_ref(),
            password_id,
            target.old.is_none(),
        )?;
    }
    let written = target.replace(&text, new.is_some());
    let untouched = matches!(&written, Err(error) if !error.replaced);
    if let (true, Some((note, _)), None) = (untouched, new, orphan) {
        note.remove(folder, name);
    }
    written
}

/// Why a password cannot be written to a file.
pub struct FileObstacle {
    pub error: io::Error,
    /// It may be gone by the next attempt: a missing folder, a right, a full disk.
    pub may_pass: bool,
}

/// Fails if a password cannot be written to a file, as far as that can be seen without writing
/// it. With a note, it is that of a new user, which replaces no other.
pub fn check(path: &Path, part: Part, note: Option<&OrphanNote>) -> Result<(), FileObstacle> {
    let found = TargetFile::find(path);
    let missing = matches!(&found, Err(error) if error.kind() == ErrorKind::NotFound);
    let target = found.map_err(|error| FileObstacle {
        error,
        may_pass: missing,
    })?;
    let fits = target.old.as_ref().map_or(Ok(()), |old| {
        if let Some(note) = note {
            note.check_free(&target.folder, &target.name, old, part)?;
        }
        match part {
            Part::Whole => Ok(()),
            // A file of variables is read, and not every one can be changed.
            Part::Variable(_) => part.replaced(&read(old)?, "password").map(drop),
        }
    });
    fits.map_err(|error| FileObstacle {
        error,
        may_pass: false,
    })?;
    let folder = &target.folder;
    let writable = folder.may_write().and_then(|()| folder.has_room(1));
    let writable = writable.and_then(|()| folder.opened().map(drop));
    writable.map_err(|error| FileObstacle {
        error,
        may_pass: true,
    })
}

/// Removes the note: the user exists, so the password in its file is not an orphan.
pub fn confirm(path: &Path, note: &OrphanNote) {
    if let Ok((folder, name)) = Folder::of_target(path) {
        note.remove(&folder, &name);
    }
}

/// Removes the password of a user that was not created after all, unless the password was
/// replaced since, and the file if it was created only for it.
pub fn withdraw(
    path: &Path,
    part: Part,
    note: &OrphanNote,
    password_id: &PasswordId,
) -> io::Result<()> {
    let target = TargetFile::find(path)?;
    let (folder, name) = (&target.folder, &target.name);
    let Some(old) = &target.old else {
        return Ok(());
    };
    if note.check_free(folder, name, old, part)?.as_ref() != Some(password_id) {
        return Ok(());
    }
    let rest = part.replaced(&read(old)?, "")?;
    if rest == part.replaced(b"", "")? && note.created_file(folder, name) {
        folder.remove(name)?;
    } else {
        target.replace(&rest, true).map_err(|failed| failed.error)?;
    }
    note.remove(folder, name);
    Ok(())
}

/// Resolves links, so that two names of one file compare equal.
pub fn resolve(path: &Path) -> PathBuf {
    let found = Folder::of_target(path);
    found.map_or_else(|_| path.to_owned(), |(folder, name)| folder.join(&name))
}

/// Returns the password in a file, empty if there is none, or `None` if that is unknown.
pub fn password_in(path: &Path, part: Part) -> Option<Zeroizing<Vec<u8>>> {
    let text = Folder::of_target(path)
        .and_then(|(folder, name)| folder.read(&name))
        .and_then(|file| read(&file));
    let text = match text {
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(Zeroizing::default()),
        text => text.ok()?,
    };
    Some(Zeroizing::new(part.password(&text).ok()?.to_vec()))
}

impl TargetFile {
    /// Finds the file behind all links. Refuses anything but a regular file: replacing a
    /// device or a pipe would deliver nothing.
    fn find(path: &Path) -> io::Result<Self> {
        let (folder, name) = match Folder::of_target(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                refuse_dangling(path)?;
                return Err(error);
            }
            found => found?,
        };
        if geteuid().is_root()
            && let Some(owner) = folder.owner_on_the_way()
        {
            return Err(io::Error::other(format!(
                "{} has just taken over a folder in its path",
                files::user(owner)
            )));
        }
        folder.refuse_exchanged()?;
        let Some(found) = folder.find(&name)? else {
            refuse_dangling(path)?;
            return Ok(Self {
                folder,
                name,
                old: None,
            });
        };
        if !files::is_file(&found) {
            return Err(io::Error::other(NOT_A_FILE));
        }
        let old = folder.read(&name)?;
        let found = old.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other(NOT_A_FILE));
        }
        if found.nlink() > 1 {
            return Err(io::Error::other(format!(
                "it has {} names (hard links), and the others would keep the old password: \
                 remove them, or use another file",
                found.nlink()
            )));
        }
        if folder.anyone_could_have_made(found.uid())? {
            return Err(io::Error::other(format!(
                "it belongs to {}, in a folder where everyone can create files",
                files::user(found.uid())
            )));
        }
        Ok(Self {
            folder,
            name,
            old: Some(old),
        })
    }

    /// Writes a new file with the same permissions next to it, then renames that over it.
    fn replace(&self, bytes: &[u8], new_user: bool) -> Result<u32, WriteError> {
        let Self { folder, name, old } = self;
        // First, so that an unreadable folder fails before anything is written.
        let opened = folder.opened()?;
        let new = sibling(name, "new");
        // Left by a killed run: only one runs at a time.
        folder.remove(&new)?;
        let written = self.write_new(&new, bytes).and_then(|mode| {
            if new_user && old.is_none() {
                folder.rename_new(&new, name).map_err(occupied_meanwhile)?;
            } else {
                folder.rename(&new, name)?;
            }
            Ok(mode)
        });
        if written.is_err() {
            let _ = folder.remove(&new);
        }
        let mode = written?;
        // The name, too, must survive a power failure.
        opened.sync_all().map_err(|error| WriteError {
            error,
            replaced: true,
        })?;
        Ok(mode)
    }

    fn write_new(&self, name: &OsStr, bytes: &[u8]) -> io::Result<u32> {
        let mut file = self.folder.create_file(name, 0o600)?;
        if let Some(old) = &self.old {
            files::copy_rights(old, &file)?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(file.metadata()?.mode())
    }
}

fn refuse_dangling(path: &Path) -> io::Result<()> {
    let (folder, name) = Folder::of(path)?;
    match folder.find(&name)? {
        Some(_) => Err(io::Error::other("it is a dangling symbolic link")),
        None => Ok(()),
    }
}

/// Keeps a file that another process has created under this name since.
fn occupied_meanwhile(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::AlreadyExists {
        Part::Whole.occupied()
    } else {
        error
    }
}
