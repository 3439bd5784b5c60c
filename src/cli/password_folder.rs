//! A folder with a file for each new user, named after it, that only its owner can
//! read. A file and a user cannot be made in one step, so a new password first
//! stands in a hidden file; that becomes the user's file once the user is there.
//! Whatever ends a run, a file that can be seen works, and no password is lost: the
//! next run with the same folder brings what is hidden to its end.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::error::{Error, Result};
use crate::files::{self, Folder};
use crate::model::name::Username;
use crate::model::password::PasswordId;

/// Of hidden names; then which store, the password ID, and the username.
const HIDDEN: &str = ".smtpcred-";
/// Of the store's mark, and of a password ID.
const MARK: usize = 8;
const PASSWORD_ID: usize = 8;
/// What Linux's file systems take, in bytes.
const LONGEST: usize = 255;

/// A folder with one file for each new password.
pub struct PasswordFolder {
    path: PathBuf,
    folder: Folder,
    /// Holds the lock: one run at a time.
    opened: File,
    mark: String,
    pending: Vec<HiddenFile>,
}

struct HiddenFile {
    username: Username,
    password_id: PasswordId,
}

/// What was done with the files of an earlier run.
#[derive(Debug, Default)]
pub struct Recovered {
    pub shown: Vec<Username>,
    pub removed: u64,
    /// Of another store, or whose name is taken.
    pub kept: Vec<PathBuf>,
}

/// Returns whether each of these users has this live password.
pub type LivePasswords<'a> = dyn FnMut(&[(Username, PasswordId)]) -> Result<Vec<bool>> + 'a;

impl PasswordFolder {
    /// For passwords of this store.
    pub fn open(path: &Path, store_id: &str) -> Result<Self> {
        let folder = need_folder(path)?;
        let refused = |reason: String| Error::NoFolder(reason);
        let opened = folder.opened();
        let opened = opened.map_err(|e| refused(format!("{}: {e}", path.display())))?;
        match opened.try_lock() {
            // Where a file system has no locks there is nothing better.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refused(format!(
                    "another run writes passwords to {}",
                    path.display()
                )));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            opened,
            mark: store_id[..MARK].to_owned(),
            pending: Vec::new(),
        })
    }

    /// Fails if the disk has no room for this many more files.
    pub fn need_room(&self, files: u64) -> Result<()> {
        let room = self.folder.has_room(files);
        room.map_err(|e| Error::NoFolder(format!("{}: {e}", self.path.display())))
    }

    /// Where it will be once the user is there.
    pub fn file_of(&self, username: &Username) -> PathBuf {
        self.path.join(username.as_str())
    }

    fn hidden(&self, username: &Username, password_id: &PasswordId) -> OsString {
        let mark = &self.mark;
        format!("{HIDDEN}{mark}-{password_id}-{username}").into()
    }

    /// Whether a file of this user exists, even as a link.
    fn is_taken(&self, username: &Username) -> bool {
        let found = self.folder.find(OsStr::new(username.as_str()));
        found.is_ok_and(|found| found.is_some())
    }

    /// Why there cannot be a file for this user.
    pub fn refuses(&self, username: &Username) -> Option<String> {
        let room = LONGEST - (HIDDEN.len() + MARK + 1 + PASSWORD_ID + 1);
        if username.as_str().len() > room {
            return Some(format!(
                "is too long for the name of a file: {room} characters at most"
            ));
        }
        self.is_taken(username)
            .then(|| "has a file in the folder already, and files are never overwritten".into())
    }

    /// Written; not there for good before [`Self::sync`].
    pub fn put(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        bytes: &[u8],
    ) -> Result<()> {
        let file = self.file_of(username);
        if self.is_taken(username) {
            return Err(Error::OutputExists(file));
        }
        let hidden = self.hidden(username, password_id);
        let created = self.folder.create_file(&hidden, 0o600);
        let written = created.and_then(|mut opened| opened.write_all(bytes));
        if let Err(error) = written {
            if error.kind() != ErrorKind::AlreadyExists {
                let _ = self.folder.remove(&hidden);
            }
            return Err(failed(&file, &error));
        }
        self.pending.push(HiddenFile {
            username: username.clone(),
            password_id: password_id.clone(),
        });
        Ok(())
    }

    /// All that was put outlasts a power cut.
    pub fn sync(&self) -> Result<()> {
        for HiddenFile {
            username,
            password_id,
        } in &self.pending
        {
            self.folder
                .read(&self.hidden(username, password_id))
                .and_then(|file| file.sync_all())
                .map_err(|e| failed(&self.file_of(username), &e))?;
        }
        self.sync_names()
    }

    fn sync_names(&self) -> Result<()> {
        let synced = self.opened.sync_all();
        synced.map_err(|e| failed(&self.path, &e))
    }

    /// The users of all that was put are there.
    pub fn show(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for HiddenFile {
            username,
            password_id,
        } in std::mem::take(&mut self.pending)
        {
            let hidden = self.hidden(&username, &password_id);
            if let Err(error) = self.show_one(&hidden, &username) {
                outcome = outcome.and(Err(Error::System(format!(
                    "the password of {username} is in {}, which could not be given its name: {error}",
                    self.path.join(hidden).display()
                ))));
            }
        }
        self.sync_names().and(outcome)
    }

    /// Never replaces another file.
    fn show_one(&self, hidden: &OsStr, username: &Username) -> io::Result<()> {
        let file = OsStr::new(username.as_str());
        let shown = self.folder.rename_new(hidden, file);
        if !matches!(&shown, Err(e) if e.kind() == ErrorKind::AlreadyExists) {
            return shown;
        }
        // Killed while the file had two names.
        let id = |name| -> io::Result<_> {
            let found = self.folder.find(name)?;
            Ok(found.map(|found| (found.st_dev, found.st_ino)))
        };
        if id(hidden)? == id(file)? {
            self.folder.remove(hidden)
        } else {
            shown
        }
    }

    /// They are not.
    pub fn withdraw(&mut self) {
        for HiddenFile {
            username,
            password_id,
        } in std::mem::take(&mut self.pending)
        {
            // What is left would be a password that does not work; the next run
            // removes it.
            let _ = self.folder.remove(&self.hidden(&username, &password_id));
        }
    }

    /// Brings all that is hidden here to its end: what was put, and what an earlier
    /// run left. `live` says which users have which.
    pub fn recover(&mut self, live: &mut LivePasswords) -> Result<Recovered> {
        const TOGETHER: usize = 256;
        self.pending.clear();
        let unread = |e: io::Error| Error::NoFolder(format!("{}: {e}", self.path.display()));
        let mut recovered = Recovered::default();
        let (mut files, mut passwords) = (Vec::new(), Vec::new());
        for hidden in self.folder.names().map_err(unread)? {
            let Some((mark, password_id, username)) = parsed(&hidden.to_string_lossy()) else {
                continue;
            };
            let found = self.folder.find(&hidden).map_err(unread)?;
            let own = |found: &rustix::fs::Stat| found.st_uid == geteuid().as_raw();
            if !found.is_some_and(|found| files::is_file(&found) && own(&found)) {
                continue;
            }
            if mark == self.mark {
                files.push(hidden);
                passwords.push((username, password_id));
            } else {
                // The users of another store may need it.
                recovered.kept.push(self.path.join(hidden));
            }
        }
        for (files, passwords) in files.chunks(TOGETHER).zip(passwords.chunks(TOGETHER)) {
            for ((hidden, (username, _)), is_live) in
                files.iter().zip(passwords).zip(live(passwords)?)
            {
                if !is_live {
                    self.folder.remove(hidden).map_err(unread)?;
                    recovered.removed += 1;
                } else if self.show_one(hidden, username).is_ok() {
                    recovered.shown.push(username.clone());
                } else {
                    recovered.kept.push(self.path.join(hidden));
                }
            }
        }
        self.sync_names()?;
        Ok(recovered)
    }
}

/// There is one, and files can be made in it.
pub fn need_folder(path: &Path) -> Result<Folder> {
    let name = path.display();
    let refused = |error: &io::Error| Error::NoFolder(format!("{name}: {error}"));
    let folder = Folder::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Error::NoFolder(format!("there is no folder {name}"))
        }
        _ => refused(&e),
    })?;
    let ready = folder.refuse_exchanged().and_then(|()| folder.may_write());
    ready.map_err(|e| refused(&e))?;
    Ok(folder)
}

fn parsed(name: &str) -> Option<(String, PasswordId, Username)> {
    let rest = name.strip_prefix(HIDDEN)?;
    let (mark, rest) = rest.split_once('-')?;
    let (password_id, username) = rest.split_once('-')?;
    let fits = mark.len() == MARK && PasswordId::is_well_formed(password_id);
    let username = username.parse().ok().filter(|_| fits)?;
    Some((
        mark.to_owned(),
        PasswordId::stored(password_id.to_owned()),
        username,
    ))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Undelivered(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_not_ours() {
        let ours = ".smtpcred-0123abcd-7kq3abcd-shop+x-y@example.com";
        let (mark, password_id, username) = parsed(ours).unwrap();
        assert_eq!(
            (mark.as_str(), password_id.as_str()),
            ("0123abcd", "7kq3abcd")
        );
        assert_eq!(username.as_str(), "shop+x-y@example.com");
        for other in [
            "shop@example.com",
            ".smtpcred-",
            ".smtpcred-0123abcd-7kq3abcd",
            ".smtpcred-0123abcd-7kq3abcd-",
            ".smtpcred-0123abcd-short-shop@example.com",
            ".smtpcred-0123-7kq3abcd-shop@example.com",
            ".smtpcred-0123abcd-7kq3abcd-../shop@example.com",
        ] {
            assert!(parsed(other).is_none(), "{other}");
        }
    }
}
