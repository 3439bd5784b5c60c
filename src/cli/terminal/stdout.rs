//! stdout for passwords: refused where a password would be lost or logged, and written
//! without a copy in a buffer.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};

use super::output::Output;
use crate::error::{Error, Result};

/// How long the reader may block a write while the store is locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// stdout for secrets: a descriptor of our own, because std's buffer would keep a copy.
pub struct SecretStdout {
    pub file: File,
    /// Whether it is a file that others can read.
    pub readable: bool,
}

impl SecretStdout {
    /// Fails if a password would be lost (/dev/null) or logged (the journal).
    pub fn open() -> Result<Self> {
        const OTHERS_READ: u32 = 0o044;
        let refused = |reason: &str| Error::Undeliverable(reason.to_owned());
        let file = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(|e| refused(&format!("stdout is closed ({e})")))?;
        let meta = file
            .metadata()
            .map_err(|e| refused(&format!("stdout is closed ({e})")))?;
        if meta.file_type().is_char_device() && is_dev_null(meta.rdev()) {
            // If stdout was closed, the Rust runtime has opened /dev/null in its place.
            return Err(refused("stdout is closed or /dev/null"));
        }
        if journal() == Some((meta.dev(), meta.ino())) {
            return Err(refused(
                "stdout is the system's journal, which would log the password",
            ));
        }
        // The shell created the file before this program ran.
        let readable = meta.is_file() && meta.mode() & OTHERS_READ != 0;
        Ok(Self { file, readable })
    }

    /// Warns if others can read the file on stdout. `other` is what to use instead.
    pub fn warn(&self, out: &Output, other: &str) {
        if self.readable {
            out.warn(&format!("others can read the file on stdout; {other}"));
        }
    }

    /// Writes all bytes, or fails if the reader does not read them in time.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| undelivered_error(&e))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut rest = bytes;
        while !rest.is_empty() {
            wait_for_room(&self.file, &|| Instant::now() >= deadline)?;
            match self.file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) => return Err(e),
            }
        }
        match self.file.sync_all() {
            // Pipes and terminals have nothing to sync.
            Err(e) if self.file.metadata()?.is_file() => Err(e),
            _ => Ok(()),
        }
    }

    /// Waits for a slow reader while nothing is locked.
    pub fn wait(&self, give_up: &dyn Fn() -> bool) -> Result<()> {
        wait_for_room(&self.file, give_up).map_err(|e| undelivered_error(&e))
    }
}

fn undelivered_error(error: &io::Error) -> Error {
    Error::Undelivered(format!("stdout: {error}"))
}

/// Waits until something can be written. Fails if the reader is gone or `give_up`, which is
/// polled, returns true.
fn wait_for_room(stdout: &File, give_up: &dyn Fn() -> bool) -> io::Result<()> {
    /// In milliseconds.
    const POLL_EVERY: u8 = 100;
    if stdout.is_terminal() {
        return Ok(());
    }
    loop {
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, POLL_EVERY) {
            Err(nix::errno::Errno::EINTR) | Ok(0) => {}
            Err(e) => return Err(e.into()),
            Ok(_) => {
                let gone = fds[0]
                    .revents()
                    .is_some_and(|r| r.intersects(PollFlags::POLLERR));
                return if gone {
                    Err(io::Error::new(
                        ErrorKind::BrokenPipe,
                        "the reader has closed stdout",
                    ))
                } else {
                    Ok(())
                };
            }
        }
        if give_up() {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                "the reader does not read it",
            ));
        }
    }
}

fn is_dev_null(device: u64) -> bool {
    std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == device)
}

/// Returns the device and inode of the journal's socket: see systemd.exec(5).
fn journal() -> Option<(u64, u64)> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}
