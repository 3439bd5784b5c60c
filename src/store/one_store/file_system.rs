//! The file system that a store is on.
//!
//! Programs that use SQLite coordinate by locks and by shared memory. A file system that
//! another program or machine serves does not share these with programs that reach the
//! file directly: each writes without seeing the other.
//! <https://www.sqlite.org/wal.html#overview>, <https://www.sqlite.org/howtocorrupt.html>, 2.1.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statfs, statx};

/// From `linux/magic.h`, and from the sources of those that are not in the kernel.
const SHARED: [(u32, &str); 19] = [
    // virtiofs, too.
    (0x6573_5546, "FUSE"),
    (0x6a65_6a63, "fakeowner of Docker Desktop"),
    (0x0000_6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0000_517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
    (0x2003_0528, "OrangeFS"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
    (0x7c7c_6673, "prl_fs"),
];

const OVERLAY: u32 = 0x794c_7630;

/// Returns the name of a file system that programs can bypass; `None` for all others,
/// including unknown ones.
fn shared(magic: u32) -> Option<&'static str> {
    let mut known = SHARED.iter().filter(|(shared, _)| *shared == magic);
    known.next().map(|(_, name)| *name)
}

/// Returns the name of the file system if it is known to be shared.
pub fn shared_below(path: &Path) -> Option<String> {
    let path = existing(path);
    let magic = magic(&path)?;
    if magic == OVERLAY {
        // An overlay writes to its upper folder.
        let upper = Mount::of(&path).ok()?.upper()?;
        return shared(self::magic(&upper)?).map(|name| format!("overlay on {name}"));
    }
    let known = shared(magic)?;
    // `fuse.sshfs` says more.
    Some(Mount::of(&path).map_or_else(|_| known.to_owned(), |mount| mount.kind))
}

/// Returns the file system's type as `mount` shows it, if the system reports it.
pub fn name_below(path: &Path) -> Option<String> {
    Mount::of(path).ok().map(|mount| mount.kind)
}

/// Returns the path, or its nearest existing folder.
fn existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or(path).to_owned()
}

fn magic(path: &Path) -> Option<u32> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "of 32 bits, in a type that differs from machine to machine"
    )]
    statfs(path).ok().map(|found| found.f_type as u32)
}

/// A line of `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    kind: String,
    options: String,
}

impl Mount {
    fn of(path: &Path) -> io::Result<Self> {
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
        if found.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
            // Linux before 5.8.
            return Err(ErrorKind::Unsupported.into());
        }
        let mounts = fs::read("/proc/self/mountinfo")?;
        Self::find(&String::from_utf8_lossy(&mounts), found.stx_mnt_id)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn find(mounts: &str, id: u64) -> Option<Self> {
        let id = id.to_string();
        let line = mounts
            .lines()
            .find(|line| line.split(' ').next() == Some(&id))?;
        let (_, rest) = line.split_once(" - ")?;
        let mut fields = rest.split(' ');
        let kind = fields.next()?.to_owned();
        let options = fields.nth(1).unwrap_or_default().to_owned();
        Some(Self { kind, options })
    }

    /// The folder into which an overlay writes.
    fn upper(&self) -> Option<PathBuf> {
        let mut options = self.options.split(',');
        let upper = options.find_map(|option| option.strip_prefix("upperdir="))?;
        let upper = PathBuf::from(upper.replace(r"\040", " "));
        // A relative path is known only to the program that mounted it.
        upper.is_absolute().then_some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_file_systems_are_shared() {
        for magic in [
            0x6573_5546,
            0x6969,
            0xff53_4d42,
            0xfe53_4d42,
            0x0102_1997,
            0x6a65_6a63,
        ] {
            assert!(shared(magic).is_some(), "{magic:x}");
        }
        // ext4, xfs, btrfs, zfs, f2fs, tmpfs, overlay, bcachefs; and one of tomorrow.
        for magic in [
            0xef53,
            0x5846_5342,
            0x9123_683e,
            0x2fc1_2fc1,
            0xf2f5_2010,
            0x0102_1994,
            OVERLAY,
            0xca45_1a4e,
            0xdead_beef,
        ] {
            assert_eq!(shared(magic), None, "{magic:x}");
        }
    }

    #[test]
    fn mounts_are_found_by_their_number() {
        const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
42 27 0:39 / /srv/a\\040b rw master:1 propagate_from:2 - fuse.sshfs host:/srv rw,user_id=0
44 22 0:44 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/upper\\040dir/u,workdir=/w
4 22 0:45 / /short rw - tmpfs
";
        let kind = |id| Mount::find(MOUNTS, id).map(|mount| mount.kind);
        assert_eq!(kind(22).as_deref(), Some("ext4"));
        assert_eq!(kind(42).as_deref(), Some("fuse.sshfs"));
        assert_eq!(kind(4).as_deref(), Some("tmpfs"));
        assert_eq!(kind(2), None);
        let upper = |id| Mount::find(MOUNTS, id).and_then(|mount| mount.upper());
        assert_eq!(upper(44), Some("/upper dir/u".into()));
        assert_eq!(upper(22), None);
    }

    #[test]
    fn unknown_file_systems_are_not_refused() {
        assert_eq!(shared_below(Path::new("/proc/no/such/file")), None);
        assert!(name_below(Path::new("/proc")).is_some_and(|name| name == "proc"));
    }
}
