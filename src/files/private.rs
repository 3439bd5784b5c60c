//! Folders that only this user can use, for what no other user may see.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use nix::unistd::mkdtemp;
use rustix::fs::{statfs, statvfs};

use super::Folder;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";
/// The file system of such files: see statfs(2).
const TMPFS: u64 = 0x0102_1994;
/// What a database engine writes beside a file takes room, too.
const SPARE: u64 = 1 << 20;

/// A private folder, which is gone with all its files once this is dropped.
pub struct PrivateFolder {
    above: Folder,
    name: OsString,
    folder: Folder,
}

impl PrivateFolder {
    /// Creates one in memory if there is room for this many bytes, else in TMPDIR or `/tmp`.
    pub fn with_room(bytes: u64) -> io::Result<Self> {
        match Self::in_memory(bytes) {
            Ok(Some(folder)) => Ok(folder),
            _ => Self::below(&std::env::temp_dir()),
        }
    }

    /// Creates one in memory; `None` if there is no room for this many bytes.
    pub fn in_memory(bytes: u64) -> io::Result<Option<Self>> {
        let (Ok(kind), Ok(room)) = (statfs(MEMORY), statvfs(MEMORY)) else {
            return Ok(None);
        };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let is_memory = u64::try_from(kind.f_type).is_ok_and(|kind| kind == TMPFS);
        if !is_memory || free < bytes.saturating_add(SPARE) {
            return Ok(None);
        }
        Self::below(Path::new(MEMORY)).map(Some)
    }

    fn below(above: &Path) -> io::Result<Self> {
        let path = mkdtemp(&above.join("smtpcred-XXXXXX"))?;
        let (above, name) = Folder::of(&path)?;
        let folder = Folder::open(&path)?;
        Ok(Self {
            above,
            name,
            folder,
        })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder itself.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        for name in self.folder.names().unwrap_or_default() {
            let _ = self.folder.remove(&name);
        }
        let _ = self.above.remove_folder(&self.name);
    }
}
