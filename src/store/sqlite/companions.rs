//! The files that SQLite and smtpcred keep beside a store.

use std::path::{Path, PathBuf};

/// All files that SQLite reads or writes beside a store.
pub const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Returns the path of the file with this suffix.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
