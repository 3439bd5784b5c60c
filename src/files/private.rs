//! Folders that only this user can use, for what no other user may see.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use nix::unistd::{Uid, mkdtemp};
use rustix::fs::{statfs, statvfs};

use super::Folder;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";
/// What their names begin with.
const NAMED: &str = "smtpcred-private-";
/// The file system of such files: see statfs(2).
const TMPFS: u64 = 0x0102_1994;
/// What a database engine writes beside a file takes room, too.
const SPARE: u64 = 1 << 20;

/// A private folder, which is gone with all its files once this is dropped.
pub struct PrivateFolder {
    above: Folder,
    name: OsString,
    folder: Folder,
    /// Held as long as this process runs.
    _lock: File,
}

/// Where a private folder may be, besides the memory.
#[derive(Clone, Copy)]
pub struct Elsewhere<'a> {
    /// In the folder of this file, if no other user can exchange what is there.
    pub beside: Option<&'a Path>,
    /// In TMPDIR or `/tmp`.
    pub temporary: bool,
}

impl PrivateFolder {
    /// Creates one in memory if there is room for this many bytes, or else elsewhere.
    pub fn with_room(bytes: u64, elsewhere: Elsewhere) -> io::Result<Self> {
        if let Ok(Some(folder)) = Self::in_memory(bytes) {
            return Ok(folder);
        }
        if let Some(file) = elsewhere.beside {
            let (folder, _) = Folder::of_target(file)?;
            if !(Uid::effective().is_root() && folder.exchangeable_at().is_some()) {
                return Self::below(folder.path());
            }
        }
        if elsewhere.temporary {
            return Self::below(&std::env::temp_dir());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{MEMORY} has no room for what must not be written elsewhere unencrypted"),
        ))
    }

    fn in_memory(bytes: u64) -> io::Result<Option<Self>> {
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
        clear_left(above);
        loop {
            let path = mkdtemp(&above.join(format!("{NAMED}XXXXXX")))?;
            let (above, name) = Folder::of(&path)?;
            // Another process may have taken it for one of a killed run before it was locked.
            if let Ok(folder) = Folder::open(&path)
                && let Ok(lock) = folder.lock()
                && above.has(&name, &lock)?
            {
                return Ok(Self {
                    above,
                    name,
                    folder,
                    _lock: lock,
                });
            }
        }
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
        remove(&self.above, &self.name, &self.folder);
    }
}

fn remove(above: &Folder, name: &OsStr, folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        let _ = folder.remove(&name);
    }
    let _ = above.remove_folder(name);
}

/// Removes what killed runs of this user left.
fn clear_left(above: &Path) {
    let Ok(above) = Folder::open(above) else {
        return;
    };
    for name in above.names().unwrap_or_default() {
        let is_ours = name.to_str().is_some_and(|name| {
            name.strip_prefix(NAMED)
                .is_some_and(|end| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()))
        });
        let own = Uid::effective().as_raw();
        if !is_ours || !matches!(above.find(&name), Ok(Some(found)) if found.st_uid == own) {
            continue;
        }
        if let Ok(left) = Folder::open(&above.join(&name))
            && let Ok(_lock) = left.lock()
        {
            remove(&above, &name, &left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_runs_left_goes_and_what_is_in_use_stays() {
        let above = tempfile::tempdir().unwrap();
        let used = PrivateFolder::below(above.path()).unwrap();
        let left = above.path().join(format!("{NAMED}abc123"));
        let other = above.path().join(format!("{NAMED}of-another"));
        for path in [&left, &other] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("file"), "x").unwrap();
        }
        let second = PrivateFolder::below(above.path()).unwrap();
        assert!(!left.exists() && other.exists());
        assert!(used.path().exists() && second.path().exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
