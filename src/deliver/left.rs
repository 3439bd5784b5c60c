//! Which password in a file belongs to a user that may never have been made: a run
//! that is killed between a delivery and its user leaves one, and the next run takes
//! its place. All else that is in a file stays.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::file::{Part, folder_of, read, unquoted, values};
use crate::model::name::Username;
use crate::model::password::{KeyId, Look, look};

/// Of a hidden name beside the file.
const HIDDEN: &str = ".smtpcred-";

/// Of a new user.
pub struct Left<'a> {
    /// Nothing is known, and nothing noted, without one.
    pub store_id: Option<&'a str>,
    pub username: &'a Username,
}

impl Left<'_> {
    /// What is in a file may be the only place of somebody's password. Returns the key
    /// of one that a run left.
    pub fn free(&self, path: &Path, part: Part) -> io::Result<Option<KeyId>> {
        let text = read(path)?;
        let found: Vec<&[u8]> = match part {
            Part::Whole => vec![text.trim_ascii()],
            Part::Variable(name) => values(&text, name).map(unquoted).collect(),
        };
        let mut found = found.into_iter().filter(|value| !value.is_empty());
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => match self.key_of(path, one) {
                Some(key) => Ok(Some(key)),
                None => Err(part.taken()),
            },
            (Some(_), Some(_)) => Err(part.taken()),
        }
    }

    /// The key of a password in this file, if an earlier run left it for this user.
    fn key_of(&self, path: &Path, password: &[u8]) -> Option<KeyId> {
        let Look::Generated(key) = look(password) else {
            return None;
        };
        let noted = read(&self.beside(path)?).ok()?;
        let mut noted = noted.split(|byte| *byte == b'\n');
        noted
            .any(|line| line == key.as_str().as_bytes())
            .then_some(key)
    }

    /// Before it is written; `before` is there until then.
    pub fn note(&self, path: &Path, before: Option<&KeyId>, key: &KeyId) -> io::Result<()> {
        let Some(note) = self.beside(path) else {
            return Ok(());
        };
        let new = note.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        let mut text = String::new();
        for key in before.into_iter().chain([key]) {
            text.push_str(key.as_str());
            text.push('\n');
        }
        text.push_str("keys of passwords that smtpcred put beside this, for a user that was\n");
        text.push_str("yet to be made; once it is there, nobody needs this file\n");
        let noted = file.write_all(text.as_bytes());
        let noted = noted.and_then(|()| fs::rename(&new, &note));
        if noted.is_err() {
            let _ = fs::remove_file(&new);
        }
        noted
    }

    pub fn forget(&self, path: &Path) {
        if let Some(note) = self.beside(path) {
            // Of a user that is there it means nothing.
            let _ = fs::remove_file(note);
        }
    }

    /// Nobody else's, on this store or on another one.
    fn beside(&self, path: &Path) -> Option<PathBuf> {
        let mut hasher = blake3::Hasher::new();
        let username = self.username.as_str().as_bytes();
        for part in [self.store_id?.as_bytes(), username] {
            hasher.update(part).update(b"\0");
        }
        hasher.update(path.file_name()?.as_encoded_bytes());
        let name = &hasher.finalize().to_hex()[..16];
        Some(folder_of(path).join(format!("{HIDDEN}{name}")))
    }
}

impl Part<'_> {
    pub fn taken(self) -> io::Error {
        let (what, away) = match self {
            Self::Whole => ("it is there".to_owned(), "remove it"),
            Self::Variable(name) => (format!("{name} has a value there"), "take it out"),
        };
        io::Error::other(format!(
            "{what} already, and may be somebody's only password: if nobody needs it, as after a run that was killed, {away}"
        ))
    }
}
