//! Notes about passwords whose user may never have been created.
//!
//! A run that is killed between delivering a password and creating its user leaves an
//! orphaned password in a file. A hidden note next to the file lists such passwords, so
//! that the next run may overwrite them, and nothing else.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};

use zeroize::Zeroizing;

use super::content::{Part, read, sibling};
use crate::files::Folder;
use crate::model::name::Username;
use crate::model::password::{PasswordId, PasswordKind, classify};

/// The start of a note's name.
const PREFIX: &str = ".smtpcred-";
/// The line that says that the file itself did not exist before.
const CREATED: &str = "created";

/// The note of one new user beside each of its files.
pub struct OrphanNote<'a> {
    /// Without it there is no note.
    pub store_id: Option<&'a str>,
    pub username: &'a Username,
}

impl OrphanNote<'_> {
    /// Checks that a new user's password may be written into an existing file: another
    /// password there may exist nowhere else. Returns the ID of an orphaned password that
    /// may be overwritten, or `None` if the file holds no password.
    pub fn check_free(
        &self,
        folder: &Folder,
        name: &OsStr,
        file: &File,
        part: Part,
    ) -> io::Result<Option<PasswordId>> {
        let text = read(file)?;
        match part.passwords(&text)?.as_slice() {
            [] => Ok(None),
            [password] => {
                let orphan = self.orphan(folder, name, password);
                orphan.map(Some).ok_or_else(|| part.occupied())
            }
            _ => Err(part.occupied()),
        }
    }

    /// Returns the ID of this password if the note lists it.
    fn orphan(&self, folder: &Folder, name: &OsStr, password: &[u8]) -> Option<PasswordId> {
        let PasswordKind::Generated(password_id) = classify(password) else {
            return None;
        };
        self.has_line(folder, name, password_id.as_str())
            .then_some(password_id)
    }

    /// Writes the note before the file is written. `before` is the orphaned password that
    /// the file holds until then.
    pub fn write(
        &self,
        folder: &Folder,
        name: &OsStr,
        before: Option<&PasswordId>,
        password_id: &PasswordId,
        creates_file: bool,
    ) -> io::Result<()> {
        let Some(note) = self.name(name) else {
            return Ok(());
        };
        let created = creates_file || before.is_some() && self.created_file(folder, name);
        let new = sibling(&note, "note");
        folder.remove(&new)?;
        let mut file = folder.create_file(&new, 0o600)?;
        let mut text = String::new();
        for password_id in before.into_iter().chain([password_id]) {
            text.push_str(password_id.as_str());
            text.push('\n');
        }
        if created {
            text.push_str(CREATED);
            text.push('\n');
        }
        text.push_str("IDs of passwords that smtpcred wrote to the file next to this one, for a\n");
        text.push_str("user that did not exist yet; once the user exists, delete this note\n");
        let written = file.write_all(text.as_bytes());
        let written = written.and_then(|()| folder.rename(&new, &note));
        if written.is_err() {
            let _ = folder.remove(&new);
        }
        written
    }

    /// Returns whether the file did not exist before the password in the note.
    pub fn created_file(&self, folder: &Folder, name: &OsStr) -> bool {
        self.has_line(folder, name, CREATED)
    }

    fn has_line(&self, folder: &Folder, name: &OsStr, line: &str) -> bool {
        let text = self.text(folder, name).unwrap_or_default();
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.any(|found| found == line.as_bytes())
    }

    fn text(&self, folder: &Folder, name: &OsStr) -> Option<Zeroizing<Vec<u8>>> {
        read(&folder.read(&self.name(name)?).ok()?).ok()
    }

    /// Removes the note, if there is one.
    pub fn remove(&self, folder: &Folder, name: &OsStr) {
        if let Some(note) = self.name(name) {
            // One that stays is harmless: its user exists, or its password is gone.
            let _ = folder.remove(&note);
        }
    }

    /// Returns the note's name, which differs for each store, user and file.
    fn name(&self, name: &OsStr) -> Option<OsString> {
        let mut hasher = blake3::Hasher::new();
        let username = self.username.as_str().as_bytes();
        for part in [self.store_id?.as_bytes(), username] {
            hasher.update(part).update(b"\0");
        }
        hasher.update(name.as_encoded_bytes());
        let name = &hasher.finalize().to_hex()[..16];
        Some(format!("{PREFIX}{name}").into())
    }
}
