//! What SQLite keeps beside the store.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::findings::Area;
use super::store::{beside, size};

/// In bytes. SQLite begins anew at 4 MiB, if nobody keeps it from it.
const LARGE: u64 = 64 << 20;

/// The write-ahead log, before it was opened here: whoever opens a store makes
/// files beside it.
pub struct Log {
    size: u64,
    /// What is there beside it, and whose it is.
    pub files: Vec<(PathBuf, u32)>,
    /// Somebody else has the store open; where that can be told.
    in_use: Option<bool>,
}

impl Log {
    /// Of a path without links.
    pub fn of(path: &Path, file: &Metadata) -> Self {
        let [wal, shm] = ["-wal", "-shm"].map(|suffix| beside(path, suffix));
        let files = [&wal, &shm].into_iter().filter_map(|file| {
            let owner = fs::symlink_metadata(file).ok()?.uid();
            Some((file.clone(), owner))
        });
        let files = files.collect();
        let size = fs::metadata(&wal).map_or(0, |log| log.len());
        let shm = fs::metadata(&shm).map_or(0, |shm| shm.ino());
        let locks = fs::read_to_string("/proc/locks").ok();
        // `1: POSIX  ADVISORY  READ 1234 08:01:131 128 128`; the device may be
        // another one than that of the files.
        let is_ours = |line: &str| {
            let inode = line
                .split_whitespace()
                .filter_map(|word| word.rsplit_once(':'));
            let inode = inode.filter_map(|(_, inode)| inode.parse::<u64>().ok());
            inode
                .into_iter()
                .any(|inode| inode == file.ino() || inode == shm)
        };
        let in_use = locks.map(|locks| locks.lines().any(is_ours));
        Self {
            size,
            files,
            in_use,
        }
    }

    /// By a process that did not end well.
    pub fn is_left(&self) -> bool {
        self.size > 0 && self.in_use == Some(false)
    }

    pub fn judge(&self, area: &mut Area) {
        let said = size(self.size);
        if self.is_left() {
            area.warn(
                "log",
                &format!("{said} left behind by a process that did not end well"),
                "nothing is lost: the next command takes it in, such as: smtpcred domain list",
            );
        } else if self.size > LARGE {
            area.warn(
                "log",
                &format!("{said}: somebody reads the store and does not stop"),
                "see who has it open (fuser -v), such as a backup that hangs",
            );
        } else {
            area.ok("log", &said);
        }
    }
}
