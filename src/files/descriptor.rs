//! Open files of this process, by their names in `/proc`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{FileType, PROC_SUPER_MAGIC};

/// Returns the path under which the kernel finds an open file, whatever its name is now.
pub fn descriptor_path(at: &impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}", at.as_fd().as_raw_fd()).into()
}

/// Returns whether this is a link in `/proc` that stands for an open descriptor or the like:
/// it has no path to read, and only the kernel knows its target.
pub fn is_descriptor(at: &OwnedFd, name: &OsStr) -> bool {
    let in_proc = rustix::fs::fstatfs(at).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC);
    let is_link = || {
        let found = rustix::fs::statat(at, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    };
    // /proc/self and the like are ordinary links.
    in_proc && is_link() && {
        let target = rustix::fs::readlinkat(at, name, Vec::new());
        target.is_ok_and(|target| {
            let target = target.into_bytes();
            target.starts_with(b"/") || target.contains(&b':')
        })
    }
}
