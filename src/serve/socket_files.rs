//! The files of sockets, and which process listens on them.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::{Folder, listeners};

/// Returns the device and inode of a file, or `None` if it cannot be found.
pub fn file_id(path: &Path) -> Option<(u64, u64)> {
    let (folder, name) = Folder::of(path).ok()?;
    let found = folder.find(&name).ok()??;
    Some((found.st_dev, found.st_ino))
}

/// Refuses a path on which another process listens although its file is gone.
pub fn is_free(path: &Path) -> Result<()> {
    let other = listeners::bound_to(path).into_iter().find_map(|bound| {
        let process = bound.process.filter(|of| *of != std::process::id())?;
        bound.is_held().then_some(process)
    });
    match other {
        None => Ok(()),
        Some(process) => Err(Error::Socket(format!(
            "the process {process} listens on {} already, and its file was removed; \
             `kill -HUP {process}` makes it bind the socket again",
            path.display()
        ))),
    }
}
