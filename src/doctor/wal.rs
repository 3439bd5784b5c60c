//! The write-ahead log that SQLite keeps next to the store.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::files::{beside, size};
use super::findings::Area;

/// In bytes. SQLite starts over at 4 MiB unless a reader prevents it.
const LARGE: u64 = 64 << 20;

/// The write-ahead log as it was before doctor opened the store: opening creates files next
/// to it.
pub struct StoreLog {
    size: u64,
    /// The files next to the store, with their owners.
    pub files: Vec<(PathBuf, u32)>,
    /// Whether another process has the store open, if known.
    in_use: Option<bool>,
}

impl StoreLog {
    /// Looks at the log of a store; `path` has no links.
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

    /// Returns whether a process crashed and left the log behind.
    pub fn is_left(&self) -> bool {
        self.size > 0 && self.in_use == Some(false)
    }

    /// Adds a finding about the size of the log.
    pub fn judge(&self, area: &mut Area) {
        let said = size(self.size);
        if self.is_left() {
            area.warn(
                "log",
                &format!("{said} left behind by a process that crashed"),
                "nothing is lost: the next command recovers it, such as: smtpcred domain list",
            );
        } else if self.size > LARGE {
            area.warn(
                "log",
                &format!("{said}: a process has been reading the store for a long time"),
                "find the process with fuser -v; it may be a backup that hangs",
            );
        } else {
            area.ok("log", &said);
        }
    }
}
