//! A disk that is soon full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of 1 MiB; gone when dropped.
pub struct Small(pub PathBuf);

impl Small {
    pub fn new(home: &Path) -> Self {
        Self::of(home, "tmpfs", "size=1m,mode=0700")
    }

    /// A file system of another type.
    pub fn of(home: &Path, kind: &str, options: &str) -> Self {
        let path = home.join("small");
        fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", kind, "-o", options, kind])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success(), "mount");
        Self(path)
    }

    /// Leaves so many KiB free.
    pub fn leave(&self, free: usize) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        while ballast.write(&[0; 1024]).is_ok_and(|n| n == 1024) {}
        let size = ballast.metadata().unwrap().len();
        ballast.set_len(size - free as u64 * 1024).unwrap();
    }

    pub fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Nothing to be done about it in a test that fails already.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
