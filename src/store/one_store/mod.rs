//! Checks that this is really the one store. A program that finds another store under its
//! name, or the same one under two names, is refused before anything is read.
//!
//! SQLite keeps the write-ahead log beside the name under which a file was opened. A file
//! with two names therefore has two logs, and what is written under one name is lost to
//! the other: a revoked password still works, a new user disappears.
//! <https://www.sqlite.org/howtocorrupt.html>, 2.4 and 2.5.

mod file_system;
pub mod log;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, makedev, statx};

use crate::error::{Error, Result};

pub use file_system::name_below;

/// Device and inode. The same device is the same file system.
pub type FileId = (u64, u64);

/// Refuses a store on a shared file system, before anything is created there.
pub fn is_on_local_disk(path: &Path) -> Result<()> {
    let Some(name) = file_system::shared_below(path) else {
        return Ok(());
    };
    Err(Error::StoreNotUnique {
        store: path.into(),
        reason: format!(
            "its file system ({name}) is shared, and programs can bypass SQLite's locks there"
        ),
        cure: "keep it on a local disk and use its path there in all programs (on Unraid \
               /mnt/cache or /mnt/disk1); to share it between machines, use PostgreSQL"
            .to_owned(),
    })
}

/// The error for a store whose log belongs to another file.
pub fn of_another_file(store: &Path, log: &Path) -> Error {
    Error::StoreNotUnique {
        store: store.into(),
        reason: format!(
            "its log {} is of another file: the store was restored, but its old log was kept",
            log.display()
        ),
        cure: crate::error::put_back(store),
    }
}

/// The file that a name stands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its device and inode.
    pub id: FileId,
    links: u64,
    mounted: bool,
}

impl NamedFile {
    /// Follows links, as SQLite does.
    pub fn at(path: &Path) -> io::Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::NLINK;
        let Ok(found) = statx(CWD, path, AtFlags::empty(), wanted) else {
            return Self::by_devices(path);
        };
        let id = (
            makedev(found.stx_dev_major, found.stx_dev_minor),
            found.stx_ino,
        );
        // Linux before 5.8 does not report this.
        if !found
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT)
        {
            return Self::by_devices(path);
        }
        Ok(Self {
            id,
            links: found.stx_nlink.into(),
            mounted: found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        })
    }

    /// A file on another device than its folder is mounted; one mounted from the same
    /// device is not recognised.
    fn by_devices(path: &Path) -> io::Result<Self> {
        let real = fs::canonicalize(path)?;
        let file = fs::metadata(&real)?;
        let folder = real.parent().map(fs::metadata).transpose()?;
        Ok(Self {
            id: (file.dev(), file.ino()),
            links: file.nlink(),
            mounted: folder.is_some_and(|folder| folder.dev() != file.dev()),
        })
    }

    /// Returns an error if the file also has another name.
    pub fn has_one_name(&self, path: &Path) -> Result<()> {
        let (reason, cure) = if self.mounted {
            (
                "its file is mounted alone; mount the folder, not the file".to_owned(),
                "a mounted file has a log of its own beside it: what is written under one of its \
                 names is lost under the other"
                    .to_owned(),
            )
        } else if self.links > 1 {
            (
                format!("its file has {} names (hard links); leave one", self.links),
                format!(
                    "each name has a log of its own, and what is written under one is lost under the \
                     others; to list them: find / -xdev -samefile {}",
                    path.display()
                ),
            )
        } else {
            return Ok(());
        };
        Err(Error::StoreNotUnique {
            store: path.into(),
            reason,
            cure,
        })
    }
}
