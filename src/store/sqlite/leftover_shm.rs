//! The -shm file that SQLite creates to read a leftover log.

use std::path::PathBuf;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::files::Folder;

/// Removes the file again, after the connection that created it is closed.
pub struct LeftoverShm {
    /// The path of the store.
    pub store: PathBuf,
    /// The path of the -shm file.
    pub index: PathBuf,
}

impl Drop for LeftoverShm {
    /// Locks as SQLite does: a process that has the store open, or is opening it, has a
    /// lock on these bytes (<https://www.sqlite.org/fileformat2.html#the_lock_byte_page>).
    /// On an error the file stays, as after a killed process.
    fn drop(&mut self) {
        const PENDING: libc::off_t = 0x4000_0000;
        const LENGTH: libc::off_t = 512;
        let opened = Folder::of(&self.store).and_then(|(folder, name)| {
            let file = folder.read_write(&name)?;
            Ok((folder, file))
        });
        let (Ok((folder, file)), Some(index)) = (opened, self.index.file_name()) else {
            return;
        };
        #[allow(clippy::cast_possible_truncation, reason = "0 and 1")]
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: PENDING,
            l_len: LENGTH,
            l_pid: 0,
        };
        if fcntl(&file, FcntlArg::F_SETLK(&lock)).is_ok() {
            let _ = folder.remove(index);
        }
    }
}
