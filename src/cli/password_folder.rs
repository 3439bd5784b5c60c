//! A folder with a file for each new user, named after it, that only its owner can
//! read. A file and a user cannot be made in one step, so a new password first
//! stands in a hidden file; that becomes the user's file once the user is there.
//! Whatever ends a run, a file that can be seen works, and no password is lost: the
//! next run with the same folder brings what is hidden to its end.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use super::new_file;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::password::KeyId;

/// Of hidden names; then which store, the key id, and the username.
const HIDDEN: &str = ".smtpcred-";
/// Of the store's mark, and of a key id.
const MARK: usize = 8;
const KEY: usize = 8;
/// What Linux's file systems take, in bytes.
const LONGEST: usize = 255;

pub struct PasswordFolder {
    path: PathBuf,
    /// Holds the lock: one run at a time.
    opened: File,
    mark: String,
    pending: Vec<Pending>,
}

struct Pending {
    username: Username,
    key: KeyId,
}

/// What became of what an earlier run left.
#[derive(Debug, Default)]
pub struct Settled {
    pub shown: Vec<Username>,
    pub removed: u64,
    /// Of another store, or whose name is taken.
    pub kept: Vec<PathBuf>,
}

impl PasswordFolder {
    /// For passwords of this store.
    pub fn open(path: &Path, store_id: &str) -> Result<Self> {
        need_folder(path)?;
        let refused = |reason: String| Error::NoFolder(reason);
        let opened = File::open(path).map_err(|e| refused(format!("{}: {e}", path.display())))?;
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
            opened,
            mark: store_id[..MARK].to_owned(),
            pending: Vec::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be once the user is there.
    pub fn file_of(&self, username: &Username) -> PathBuf {
        self.path.join(username.as_str())
    }

    fn hidden(&self, username: &Username, key: &KeyId) -> PathBuf {
        let mark = &self.mark;
        self.path.join(format!("{HIDDEN}{mark}-{key}-{username}"))
    }

    /// Why there cannot be a file for this user.
    pub fn refuses(&self, username: &Username) -> Option<String> {
        let room = LONGEST - (HIDDEN.len() + MARK + 1 + KEY + 1);
        if username.as_str().len() > room {
            return Some(format!(
                "is too long for the name of a file: {room} characters at most"
            ));
        }
        // Without following a link, wherever it points.
        fs::symlink_metadata(self.file_of(username))
            .is_ok()
            .then(|| "has a file in the folder already, and files are never overwritten".into())
    }

    /// Written; not there for good before [`Self::sync`].
    pub fn put(&mut self, username: &Username, key: &KeyId, bytes: &[u8]) -> Result<()> {
        let file = self.file_of(username);
        if fs::symlink_metadata(&file).is_ok() {
            return Err(Error::OutputExists(file));
        }
        let hidden = self.hidden(username, key);
        new_file::write_unsynced(&hidden, bytes).map_err(|e| new_file::failed(&file, &e))?;
        self.pending.push(Pending {
            username: username.clone(),
            key: key.clone(),
        });
        Ok(())
    }

    /// All that was put outlasts a power cut.
    pub fn sync(&self) -> Result<()> {
        for Pending { username, key } in &self.pending {
            File::open(self.hidden(username, key))
                .and_then(|file| file.sync_all())
                .map_err(|e| new_file::failed(&self.file_of(username), &e))?;
        }
        self.sync_names()
    }

    fn sync_names(&self) -> Result<()> {
        let synced = self.opened.sync_all();
        synced.map_err(|e| new_file::failed(&self.path, &e))
    }

    /// The users of all that was put are there.
    pub fn show(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for Pending { username, key } in std::mem::take(&mut self.pending) {
            let hidden = self.hidden(&username, &key);
            if let Err(error) = show(&hidden, &self.file_of(&username)) {
                outcome = outcome.and(Err(Error::System(format!(
                    "{username} is created, and its password is in {}, which could not be given its name: {error}",
                    hidden.display()
                ))));
            }
        }
        self.sync_names().and(outcome)
    }

    /// They are not.
    pub fn withdraw(&mut self) {
        for Pending { username, key } in std::mem::take(&mut self.pending) {
            // What is left would be a password that does not work; the next run
            // removes it.
            let _ = fs::remove_file(self.hidden(&username, &key));
        }
    }

    /// Brings all that is hidden here to its end: what was put, and what an earlier
    /// run left. `works` says whether the user has this password.
    pub fn settle(
        &mut self,
        works: &mut dyn FnMut(&Username, &KeyId) -> Result<bool>,
    ) -> Result<Settled> {
        self.pending.clear();
        let unread = |e: io::Error| Error::NoFolder(format!("{}: {e}", self.path.display()));
        let mut settled = Settled::default();
        for entry in fs::read_dir(&self.path).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let Some((mark, key, username)) = parsed(&entry.file_name().to_string_lossy()) else {
                continue;
            };
            let meta = entry.metadata().map_err(unread)?;
            if !meta.is_file() || meta.uid() != geteuid().as_raw() {
                continue;
            }
            let hidden = entry.path();
            if mark != self.mark {
                // The users of that store may need it.
                settled.kept.push(hidden);
            } else if !works(&username, &key)? {
                fs::remove_file(&hidden).map_err(unread)?;
                settled.removed += 1;
            } else if show(&hidden, &self.file_of(&username)).is_ok() {
                settled.shown.push(username);
            } else {
                settled.kept.push(hidden);
            }
        }
        self.sync_names()?;
        Ok(settled)
    }
}

/// There is one, and files can be made in it.
pub fn need_folder(path: &Path) -> Result<()> {
    let name = path.display();
    if !path.is_dir() {
        return Err(Error::NoFolder(format!("there is no folder {name}")));
    }
    access(path, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|e| Error::NoFolder(format!("{name}: {}", io::Error::from(e))))
}

fn parsed(name: &str) -> Option<(String, KeyId, Username)> {
    let rest = name.strip_prefix(HIDDEN)?;
    let (mark, rest) = rest.split_once('-')?;
    let (key, username) = rest.split_once('-')?;
    let fits = mark.len() == MARK && KeyId::is_well_formed(key);
    let username = username.parse().ok().filter(|_| fits)?;
    Some((mark.to_owned(), KeyId::stored(key.to_owned()), username))
}

/// Never over another file.
fn show(hidden: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(hidden, file) {
        Ok(()) => fs::remove_file(hidden),
        // Killed between the two.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let [one, other] = [hidden, file].map(fs::symlink_metadata);
            let (one, other) = (one?, other?);
            if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
                fs::remove_file(hidden)
            } else {
                Err(e)
            }
        }
        // A file system without links.
        Err(_) if fs::symlink_metadata(file).is_err() => fs::rename(hidden, file),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_not_ours() {
        let ours = ".smtpcred-0123abcd-7kq3abcd-shop+x-y@example.com";
        let (mark, key, username) = parsed(ours).unwrap();
        assert_eq!((mark.as_str(), key.as_str()), ("0123abcd", "7kq3abcd"));
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
