//! One rotation at a time, and whose store it is.

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User, geteuid};

use super::open::beside;
use crate::error::{Error, Result};

/// The kernel lets go of it when the process ends, however it ends. Nobody that
/// we start has it: Rust opens files so that programs do not inherit them.
pub fn rotation(store: &Path) -> Result<Box<dyn Any>> {
    let path = beside(store, "-rotation");
    let failed = |reason: String| Error::StoreUnreachable {
        store: path.clone().into(),
        reason,
    };
    let file = open(&path, store).map_err(|e| failed(e.to_string()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Box::new(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Err(Error::RotationRunning),
        Err((_, error)) => Err(failed(error.to_string())),
    }
}

/// Made by root, it is of whoever the store is: its owner rotates, too. Only one
/// that was made here is given away.
fn open(path: &Path, store: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NOFOLLOW);
    loop {
        match options.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match options.clone().create_new(true).mode(0o600).open(path) {
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                if geteuid().is_root() {
                    let store = fs::metadata(store)?;
                    fchown(&file, Some(store.uid()), Some(store.gid()))?;
                }
                return Ok(file);
            }
        }
    }
}

pub fn foreign_owner(store: &Path) -> Option<String> {
    let owner = Uid::from_raw(fs::metadata(store).ok()?.uid());
    if owner.is_root() || !geteuid().is_root() {
        return None;
    }
    let user = User::from_uid(owner).ok().flatten();
    Some(user.map_or_else(|| format!("uid {owner}"), |user| user.name))
}
