//! A file in memory that cannot be changed, and that only the program which replaces ours
//! inherits. It has no name and is never on a disk, and is gone once it was read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use nix::fcntl::OFlag;
use nix::unistd::{close, geteuid};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

/// Sealed, and to be inherited.
pub struct SealedMemory(File);

/// Says which process it is for and the number of its descriptor.
pub const VARIABLE: &str = "SMTPCRED_CARRIED_OVER";

/// What the kernel refuses from then on.
const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

impl SealedMemory {
    /// Seals what `write` writes. No other program inherits it until [`Self::pass_on`].
    pub fn new(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Self> {
        let create = |more| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | more;
            memfd_create("smtpcred", flags)
        };
        let file = match create(MemfdFlags::NOEXEC_SEAL) {
            // Before Linux 6.3.
            Err(Errno::INVAL) => create(MemfdFlags::empty()),
            created => created,
        };
        let mut file = File::from(file?);
        write(&mut file)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Self(file))
    }

    /// Lets the next program inherit it. Returns the value of [`VARIABLE`] for it.
    pub fn pass_on(&self) -> io::Result<String> {
        fcntl_setfd(&self.0, FdFlags::empty())?;
        Ok(format!("{}:{}", std::process::id(), self.0.as_raw_fd()))
    }

    /// Returns what the previous program has passed on to this process, to be read from its
    /// beginning; `None` if it has passed on nothing. Fails if it is larger than `most` bytes,
    /// or not sealed and ours.
    pub fn inherited(most: u64) -> Option<io::Result<File>> {
        let value = std::env::var(VARIABLE).ok()?;
        let (process, number) = value.split_once(':')?;
        if process != std::process::id().to_string() {
            return None;
        }
        let number: RawFd = number.parse().ok().filter(|number| *number > 2)?;
        Some(open(number, most))
    }
}

fn open(number: RawFd, most: u64) -> io::Result<File> {
    // By its link in /proc: a number alone cannot be owned.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(format!("/proc/self/fd/{number}"))?;
    let found = file.metadata()?;
    let is_sealed = found.is_file() && fcntl_get_seals(&file).is_ok_and(|is| is.contains(SEALS));
    if !is_sealed || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it is not sealed memory of this user"));
    }
    // What is left is `file`, which ends with this program.
    close(number)?;
    if found.len() > most {
        return Err(io::Error::other("it is too large"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;

    use super::*;

    #[test]
    fn sealed_memory_is_read_once_and_cannot_be_changed() {
        let memory = SealedMemory::new(|to| to.write_all(b"secret")).unwrap();
        let mut again = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/self/fd/{}", memory.0.as_raw_fd()))
            .unwrap();
        assert!(again.write(b"x").is_err() && again.set_len(0).is_err());
        let number = memory.0.try_clone().unwrap().into_raw_fd();
        let mut text = String::new();
        open(number, 6).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "secret");
        assert!(open(number, 6).is_err(), "it was closed");
        let number = memory.0.try_clone().unwrap().into_raw_fd();
        assert!(open(number, 5).unwrap_err().to_string().contains("large"));
    }

    #[test]
    fn what_is_not_sealed_is_refused_and_stays_open() {
        let open_file = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
        let (reader, _writer) = io::pipe().unwrap();
        for number in [open_file.as_raw_fd(), reader.as_raw_fd()] {
            assert!(open(number, 100).is_err());
        }
        assert!(open_file.metadata().is_ok());
    }
}
