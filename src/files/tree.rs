//! Folders that are read as a whole, with all that is below them.
//!
//! Each folder is opened by its name in the one above it, and links are not followed. So a
//! user who exchanges names meanwhile cannot lead this elsewhere, and a loop of links has
//! no end to reach. Pipes, sockets and devices are not opened.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::descriptor::is_descriptor;
use super::{Folder, is_file};

/// A folder of a tree.
pub struct TreeFolder {
    at: OwnedFd,
    device: u64,
    path: PathBuf,
}

/// Where a tree begins.
pub enum TreeStart {
    /// A folder.
    Folder(TreeFolder),
    /// A file.
    File(File),
    /// A pipe that this process has open, as in `<(command)`.
    Pipe(File),
    /// A pipe, a socket or a device, which is not opened, or a file system of the kernel.
    Special,
}

/// A name in a folder.
pub struct TreeEntry {
    /// The name.
    pub name: OsString,
    /// What it is.
    pub kind: TreeKind,
}

/// What is read of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A link, a pipe, a socket or a device.
    Other,
}

/// File systems that the kernel makes up: reading them has effects, blocks or never ends.
const OF_KERNEL: [u32; 17] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
    0xf97c_ff8c, // selinux
    0x6573_5543, // fusectl
    0x4249_4e4d, // binfmt_misc
    0x6759_6969, // rpc_pipefs
];

/// Opens the beginning of a tree. Follows links to it as [`super::open`] does.
pub fn start(path: &Path) -> io::Result<TreeStart> {
    let (folder, name) = match Folder::of_target(path) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            return start_in(Folder::open(path)?.at, path);
        }
        found => found?,
    };
    if is_descriptor(&folder.at, &name) {
        return super::open(path).map(TreeStart::Pipe);
    }
    let found = folder.find(&name)?.ok_or(Errno::NOENT)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => start_in(open_folder(&folder.at, &name)?, path),
        FileType::RegularFile => {
            Ok(regular(&folder.at, &name)?.map_or(TreeStart::Special, TreeStart::File))
        }
        _ => Ok(TreeStart::Special),
    }
}

fn start_in(at: OwnedFd, path: &Path) -> io::Result<TreeStart> {
    if is_of_kernel(&at)? {
        return Ok(TreeStart::Special);
    }
    TreeFolder::new(at, shown(path)).map(TreeStart::Folder)
}

fn is_of_kernel(at: &OwnedFd) -> io::Result<bool> {
    // In 32 bits, whatever the width of the field is.
    let file_system = u32::try_from(rustix::fs::fstatfs(at)?.f_type & 0xffff_ffff);
    Ok(file_system.is_ok_and(|it| OF_KERNEL.contains(&it)))
}

/// `.` is not shown before every name.
fn shown(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

impl TreeFolder {
    fn new(at: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let device = rustix::fs::fstat(&at)?.st_dev;
        Ok(Self { at, device, path })
    }

    /// Returns its path, which begins as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its owner.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(rustix::fs::fstat(&self.at)?.st_uid)
    }

    /// Returns the names in it.
    pub fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<TreeEntry>> + '_> {
        let names = Dir::read_from(&self.at)?;
        let entries = names.filter_map(|entry| match entry {
            Ok(entry) => {
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                let is_own = name == "." || name == "..";
                (!is_own).then(|| self.entry(name, entry.file_type()))
            }
            Err(error) => Some(Err(error.into())),
        });
        Ok(entries)
    }

    fn entry(&self, name: &OsStr, kind: FileType) -> io::Result<TreeEntry> {
        let kind = match kind {
            // Some file systems do not say.
            FileType::Unknown => {
                let found = rustix::fs::statat(&self.at, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(found.st_mode)
            }
            kind => kind,
        };
        let kind = match kind {
            FileType::Directory => TreeKind::Folder,
            FileType::RegularFile => TreeKind::File,
            _ => TreeKind::Other,
        };
        let name = name.to_owned();
        Ok(TreeEntry { name, kind })
    }

    /// Opens a folder in it. Returns `None` for a file system of the kernel.
    pub fn folder(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let found = Self::new(open_folder(&self.at, name)?, self.path.join(name))?;
        let is_other = found.device != self.device;
        let is_of_kernel = is_other && is_of_kernel(&found.at)?;
        Ok((!is_of_kernel).then_some(found))
    }

    /// Opens a file in it for reading. Returns `None` if it is not a regular file.
    pub fn file(&self, name: &OsStr) -> io::Result<Option<File>> {
        regular(&self.at, name)
    }
}

fn open_folder(at: &impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn regular(at: &impl AsFd, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(at, name, flags, Mode::empty()) {
        // A link or a socket by now.
        Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
        opened => opened?,
    };
    let found = rustix::fs::fstat(&file)?;
    Ok(is_file(&found).then(|| file.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode as FifoMode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn p14_only_files_and_folders_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap();
        fs::write(at.join("file"), "x").unwrap();
        fs::create_dir(at.join("below")).unwrap();
        symlink("/etc", at.join("link")).unwrap();
        symlink("below", at.join("below/around")).unwrap();
        mkfifo(&at.join("pipe"), FifoMode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at.join("socket")).unwrap();
        let Ok(TreeStart::Folder(tree)) = start(&at) else {
            panic!("no folder");
        };
        let mut kinds: Vec<_> = tree.entries().unwrap().map(Result::unwrap).collect();
        kinds.sort_by(|a, b| a.name.cmp(&b.name));
        let kinds: Vec<_> = kinds
            .iter()
            .map(|it| (it.name.to_str().unwrap(), it.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("below", TreeKind::Folder),
                ("file", TreeKind::File),
                ("link", TreeKind::Other),
                ("pipe", TreeKind::Other),
                ("socket", TreeKind::Other),
            ]
        );
        // Exchanged after the names were read.
        for name in ["link", "pipe", "socket"] {
            assert!(tree.folder(name.as_ref()).is_err(), "{name}");
            assert!(tree.file(name.as_ref()).unwrap().is_none(), "{name}");
        }
        assert!(matches!(start(&at.join("pipe")), Ok(TreeStart::Special)));
        assert!(matches!(start(&at.join("file")), Ok(TreeStart::File(_))));
        assert!(start(&at.join("none")).is_err());
    }

    #[test]
    fn file_systems_of_the_kernel_are_left_out() {
        let Ok(TreeStart::Folder(root)) = start(Path::new("/")) else {
            panic!("no folder");
        };
        assert!(root.folder("proc".as_ref()).unwrap().is_none());
        assert!(root.folder("etc".as_ref()).unwrap().is_some());
        let proc = start(Path::new("/proc/self/"));
        assert!(matches!(proc, Ok(TreeStart::Special)));
    }
}
