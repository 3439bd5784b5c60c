//! The lock that allows one run of rotations at a time.

use std::any::Any;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::fchown;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::companions::beside;
use crate::error::{Error, Result};
use crate::files::Folder;

/// Takes the lock; the kernel releases it when the process ends. Programs that we start do
/// not inherit it.
pub fn take(store: &Path) -> Result<Box<dyn Any>> {
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

/// Opens or creates the file. Root gives a new one to the owner of the store, who rotates,
/// too.
fn open(path: &Path, store: &Path) -> io::Result<File> {
    let (folder, name) = Folder::of(path)?;
    loop {
        match folder.read_write(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match folder.create_file(&name, 0o600) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                let (folder, name) = Folder::of_target(store)?;
                if let Some(store) = folder.find(&name)?
                    && geteuid().is_root()
                {
                    fchown(&file, Some(store.st_uid), Some(store.st_gid))?;
                }
                return Ok(file);
            }
        }
    }
}
