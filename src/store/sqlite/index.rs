//! The index of a log that somebody left behind, which SQLite makes to read it.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Takes the index away again, once the connection that made it is closed.
pub struct Made {
    pub store: PathBuf,
    pub index: PathBuf,
}

impl Drop for Made {
    /// As SQLite does it: whoever has the store open, or is about to, has a lock on
    /// these bytes (<https://www.sqlite.org/fileformat2.html#the_lock_byte_page>).
    /// Nothing here is worth an error: it only stays, as where a process was killed.
    fn drop(&mut self) {
        const PENDING: libc::off_t = 0x4000_0000;
        const LENGTH: libc::off_t = 512;
        let opened = OpenOptions::new().read(true).write(true).open(&self.store);
        let Ok(file) = opened else {
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
            let _ = fs::remove_file(&self.index);
        }
    }
}
