//! Files and folders that other users may own or change.
//!
//! A name may change its meaning at any time: a user who can write a folder can put a
//! link, another file or another folder where one was just checked. So no path is used
//! twice. [`Folder::open`] walks the path component by component without following links
//! (see [`walk`] for the links that are followed) and keeps the descriptor of the folder.
//! Every file in it is opened, renamed, linked and removed through that descriptor, and
//! every check of a file uses its open descriptor. Opening a pipe or a device never blocks.
//!
//! Nothing outside this folder touches a path that comes from a person or a store;
//! `tests/meta/layers.rs` lists the exceptions and their reasons.

mod descriptor;
pub mod holes;
pub mod listeners;
mod private;
pub mod programs;
mod rights;
pub mod tail;
pub mod tree;
mod walk;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Uid;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use descriptor::descriptor_path;
use descriptor::is_descriptor;
pub use private::{Elsewhere, PrivateFolder};
pub use rights::copy as copy_rights;
use walk::{LastComponent, Walked, walk};
pub use walk::{user, writable};

/// An open folder. Its files are named by their name in it, never by a path.
pub struct Folder {
    at: OwnedFd,
    path: PathBuf,
    exchangeable: Option<PathBuf>,
    owner: Option<u32>,
}

impl Folder {
    /// Opens a folder. Follows only links that no other user can replace.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (walked, _) = walk(path, LastComponent::Folder)?;
        Ok(walked.into())
    }

    /// Returns the folder of a file and the file's name in it. Does not follow a link
    /// of that name.
    pub fn of(path: &Path) -> io::Result<(Self, OsString)> {
        Self::with_name(path, LastComponent::Name)
    }

    /// Does the same, and follows a link of that name.
    pub fn of_target(path: &Path) -> io::Result<(Self, OsString)> {
        Self::with_name(path, LastComponent::Target)
    }

    fn with_name(path: &Path, end: LastComponent) -> io::Result<(Self, OsString)> {
        let (walked, name) = walk(path, end)?;
        let name = name.ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?;
        Ok((walked.into(), name))
    }

    /// Returns the first folder in the path of this file that does not belong to
    /// root, and the rest of the path from there.
    pub fn first_foreign(path: &Path) -> io::Result<Option<(Self, PathBuf)>> {
        let found = walk::first_foreign(path)?;
        Ok(found.map(|(walked, rest)| (walked.into(), rest)))
    }

    /// Opens the folder and creates missing folders in its path with this mode.
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let missing = match Self::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            opened => return opened,
        };
        let whole = std::path::absolute(path)?;
        let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
            return Err(missing);
        };
        let parent = Self::create(parent, mode)?;
        match rustix::fs::mkdirat(&parent.at, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Self::open(&parent.join(name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the path without links and without `..`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name in the folder, for messages.
    pub fn join(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the first folder in the path, from `/` on, in which a user other than root and
    /// the caller can replace entries.
    pub fn exchangeable_at(&self) -> Option<&Path> {
        self.exchangeable.as_deref()
    }

    /// Returns the owner of the first folder in the path that does not belong to root.
    pub const fn owner_on_the_way(&self) -> Option<u32> {
        self.owner
    }

    /// Refuses, as root, a folder of root's that another user could have put in place of the
    /// intended one.
    pub fn refuse_exchanged(&self) -> io::Result<()> {
        let other = self.exchangeable.as_deref().filter(|at| *at != self.path);
        match other {
            Some(at) if Uid::effective().is_root() && self.metadata()?.st_uid == 0 => {
                Err(io::Error::new(
                    ErrorKind::PermissionDenied,
                    format!(
                        "other users can replace the folder {}: they can write {}",
                        self.path.display(),
                        at.display()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Returns the metadata of the folder itself.
    pub fn metadata(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.at)?)
    }

    /// Returns whether a file of this user may exist here without root or the caller having
    /// wanted it, as in `/tmp`.
    pub fn anyone_could_have_made(&self, owner: u32) -> io::Result<bool> {
        let for_everyone = self.metadata()?.st_mode & walk::EVERYONE_WRITES != 0;
        Ok(for_everyone && !walk::is_trusted(owner))
    }

    /// Returns the metadata of this name, of a link itself; `None` if it does not
    /// exist.
    pub fn find(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a handle to this name, even to a link itself, to inspect it or to change
    /// its owner.
    pub fn handle(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.at, name, flags, Mode::empty())?)
    }

    /// Opens it for reading. A link is refused.
    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())
    }

    /// Opens it for reading and writing, as for a lock. A link is refused.
    pub fn read_write(&self, name: &OsStr) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())
    }

    /// Creates it; fails if the name exists.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_file(name, flags, Mode::from_raw_mode(mode))
    }

    /// Creates a file that only its owner can access, complete and synced to the
    /// disk, or no file at all.
    pub fn write_new(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create_file(name, 0o600)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let written = written.and_then(|()| self.sync());
        if written.is_err() {
            let _ = self.remove(name);
        }
        written
    }

    fn open_file(&self, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::openat(&self.at, name, flags, mode) {
            Ok(file) => Ok(file.into()),
            Err(Errno::LOOP) => Err(io::Error::other("it is a link")),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file of the new name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.at, from, &self.at, to)?)
    }

    /// Renames it unless the new name exists.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(&self.at, from, &self.at, to, AtFlags::empty()) {
            // A second name that stays is harmless to readers of the new one.
            Ok(()) => self.remove(from).or(Ok(())),
            Err(Errno::EXIST) => Err(ErrorKind::AlreadyExists.into()),
            // A file system without hard links.
            Err(_) if self.find(to)?.is_none() => self.rename(from, to),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the mode of the folder itself.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(
            self.opened()?,
            Mode::from_raw_mode(mode),
        )?)
    }

    /// Removes a name; a missing one is no error.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an empty folder of this name.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.at, name, AtFlags::REMOVEDIR)?)
    }

    /// Makes names survive a power failure. Needs the right to read the folder.
    pub fn sync(&self) -> io::Result<()> {
        self.opened()?.sync_all()
    }

    /// Opens the folder as a file: to lock it, or to sync it later.
    pub fn opened(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.at, ".", flags, Mode::empty())?.into())
    }

    /// Locks the folder until the file is closed. Fails with `WouldBlock` if another process
    /// has locked it.
    pub fn lock(&self) -> io::Result<File> {
        let opened = self.opened()?;
        lock_file(&opened)?;
        Ok(opened)
    }

    /// Returns whether this name is that of an open file.
    pub fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let opened = rustix::fs::fstat(file)?;
        let found = self.find(name)?;
        Ok(found.is_some_and(|it| (it.st_dev, it.st_ino) == (opened.st_dev, opened.st_ino)))
    }

    /// Returns the names in the folder, without `.` and `..`, in any order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.opened()?)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Fails if its file system has no room for this many more files.
    pub fn has_room(&self, files: u64) -> io::Result<()> {
        let found = rustix::fs::fstatvfs(&self.at)?;
        // A file system may keep a reserve for root.
        let (blocks, inodes) = if Uid::effective().is_root() {
            (found.f_bfree, found.f_ffree)
        } else {
            (found.f_bavail, found.f_favail)
        };
        // Some do not count what they have room for.
        if (found.f_blocks > 0 && blocks < files) || (found.f_files > 0 && inodes < files) {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    /// Returns whether this process may create and rename files in it.
    pub fn may_write(&self) -> io::Result<()> {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        Ok(rustix::fs::accessat(
            &self.at,
            ".",
            access,
            AtFlags::EACCESS,
        )?)
    }
}

impl From<Walked> for Folder {
    fn from(walked: Walked) -> Self {
        Self {
            at: walked.at,
            path: walked.path,
            exchangeable: walked.exchangeable,
            owner: walked.owner,
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }
}

/// Returns whether the path exists, even as a link without a target, with a single call:
/// enough to know that there is nothing to open.
pub fn is_there(path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Opens a file for reading and follows links that only root and the caller can
/// replace. A pipe without a writer is empty.
pub fn open(path: &Path) -> io::Result<File> {
    let (walked, name) = walk(path, LastComponent::Target)?;
    let folder = Folder::from(walked);
    let Some(name) = name else {
        return folder.opened();
    };
    // A descriptor of this process, as in <(command): the kernel follows it, and no
    // other user can replace it.
    let file = if is_descriptor(&folder.at, &name) {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&folder.at, &name, flags, Mode::empty())?.into()
    } else {
        folder.read(&name)?
    };
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Does the same, and waits until someone writes to a pipe.
pub fn open_and_wait(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        let mut pipe = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        while poll(&mut pipe, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
    }
    Ok(file)
}

/// Locks an open file until it is closed. Fails with `WouldBlock` if another process has
/// locked it.
pub fn lock_file(file: &File) -> io::Result<()> {
    let how = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    Ok(rustix::fs::flock(file, how)?)
}

/// Sets the mode of an open file.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Changes the owner of a file; the file may be a handle (see [`Folder::handle`]).
pub fn give(file: &impl AsFd, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let user = user.map(rustix::fs::Uid::from_raw);
    let group = group.map(rustix::fs::Gid::from_raw);
    Ok(rustix::fs::chownat(
        file.as_fd(),
        "",
        user,
        group,
        AtFlags::EMPTY_PATH,
    )?)
}

/// Makes reading from a pipe fail with `WouldBlock` where it would wait.
pub fn never_wait(pipe: &impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?)
}

/// Returns whether it is a regular file.
pub fn is_file(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// Returns whether it is a socket.
pub fn is_socket(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

/// Copies what an open file has into a new file with mode 0600, which may be given to a user and
/// a group. It is on the disk afterwards, or is not there.
pub fn copy_new(
    from: &mut File,
    folder: &Folder,
    name: &OsStr,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let mut to = folder.create_file(name, 0o600)?;
    let copied = (|| {
        from.seek(SeekFrom::Start(0))?;
        io::copy(from, &mut to)?;
        if let Some((user, group)) = owner {
            give(&to, Some(user), Some(group))?;
        }
        to.sync_all()?;
        folder.sync()
    })();
    if copied.is_err() {
        let _ = folder.remove(name);
    }
    copied
}
