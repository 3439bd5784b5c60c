//! Which processes may open which files, by owner, group and mode.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

/// The identity that a process runs as.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub name: String,
    uid: u32,
    groups: Vec<u32>,
}

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const PASS: u32 = 0o1;

/// Returns whether this process runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

impl Identity {
    /// Returns a system user with all its groups, or `None` if there is none of this name.
    pub fn named(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        let c_name = std::ffi::CString::new(user.name.as_str()).ok()?;
        let groups = getgrouplist(&c_name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Some(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    fn may(&self, file: &Metadata, what: u32) -> bool {
        // As the kernel does: only one of owner, group and others applies.
        let shift = if self.uid == 0 {
            return true;
        } else if file.uid() == self.uid {
            6
        } else if self.groups.contains(&file.gid()) {
            3
        } else {
            0
        };
        (file.mode() >> shift) & what == what
    }

    /// Returns what prevents connecting to a socket or writing a file, if anything.
    pub fn kept_from_writing(&self, path: &Path) -> io::Result<Option<String>> {
        if let Some(folder) = path.parent()
            && let Some(closed) = self.kept_from_passing(folder)?
        {
            return Ok(Some(closed));
        }
        let file = fs::metadata(path)?;
        if self.may(&file, WRITE) && (file.mode() & 0o170_000 == 0o140_000 || self.may(&file, READ))
        {
            return Ok(None);
        }
        Ok(Some(format!("{} is {}", path.display(), described(&file))))
    }

    /// Returns what prevents creating files in a folder, if anything.
    pub fn kept_from_making(&self, folder: &Path) -> io::Result<Option<String>> {
        if let Some(closed) = self.kept_from_passing(folder)? {
            return Ok(Some(closed));
        }
        let found = fs::metadata(folder)?;
        let what = format!("{} is {}", folder.display(), described(&found));
        Ok((!self.may(&found, WRITE)).then_some(what))
    }

    fn kept_from_passing(&self, folder: &Path) -> io::Result<Option<String>> {
        let folder = fs::canonicalize(folder)?;
        let mut above: Vec<PathBuf> = folder.ancestors().map(Path::to_path_buf).collect();
        above.reverse();
        for folder in above {
            let found = fs::metadata(&folder)?;
            if !self.may(&found, PASS) {
                let what = format!("the folder {} is {}", folder.display(), described(&found));
                return Ok(Some(what));
            }
        }
        Ok(None)
    }
}

/// Describes mode and owner: `0660 smtpcred:postfix`.
pub fn described(file: &Metadata) -> String {
    let mode = file.mode() & 0o7777;
    format!("{mode:04o} {}:{}", user(file.uid()), group(file.gid()))
}

/// Returns the name of a user, or its number if it has none.
pub fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

fn group(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        _ => format!("gid {gid}"),
    }
}
