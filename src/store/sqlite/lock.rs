//! One rotation at a time, and whose store it is.

use std::any::Any;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
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
        path: path.clone(),
        reason,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|e| failed(e.to_string()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Box::new(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Err(Error::RotationRunning),
        Err((_, error)) => Err(failed(error.to_string())),
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
