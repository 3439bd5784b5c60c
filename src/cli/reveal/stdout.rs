//! The password on stdout: into a pipe, a redirected file, or a terminal if
//! that was asked for.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use zeroize::Zeroizing;

use super::Way;
use super::render::{Reveal, render};
use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::clipboard::{CopyArgs, Outcome};
use crate::cli::output::Output;
use crate::error::{Error, Result};
use crate::model::password::Password;

pub struct ToStdout {
    reveal: Reveal,
    copy: CopyArgs,
    stdout: Stdout,
    bytes: Zeroizing<Vec<u8>>,
    to_copy: Option<Password>,
}

/// How long a reader may take while the store is locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// stdout as it takes a secret. A file of our own: std's buffer would keep a copy.
pub struct Stdout {
    pub file: File,
    /// A file that others can read.
    pub readable: bool,
}

impl Stdout {
    /// Refuses one on which the password would be lost, or kept by others.
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
            // Where stdout was closed, the runtime has opened /dev/null there.
            return Err(refused("stdout is closed or /dev/null"));
        }
        if journal() == Some((meta.dev(), meta.ino())) {
            return Err(refused(
                "stdout is the system's journal, which keeps what it is told",
            ));
        }
        // The shell made the file, before this program ran.
        let readable = meta.is_file() && meta.mode() & OTHERS_READ != 0;
        Ok(Self { file, readable })
    }

    pub fn warn(&self, out: &Output, other: &str) {
        if self.readable {
            out.warn(&format!(
                "others can read the file on stdout; {other} they cannot"
            ));
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| undelivered(&e))
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

    /// A slow reader is waited for here, where nothing is locked.
    pub fn wait(&self, give_up: &dyn Fn() -> bool) -> Result<()> {
        wait_for_room(&self.file, give_up).map_err(|e| undelivered(&e))
    }
}

fn undelivered(error: &io::Error) -> Error {
    Error::Undelivered(format!("stdout: {error}"))
}

impl ToStdout {
    pub fn new(reveal: Reveal, copy: CopyArgs) -> Result<Self> {
        Ok(Self {
            reveal,
            copy,
            stdout: Stdout::open()?,
            bytes: Zeroizing::default(),
            to_copy: None,
        })
    }
}

impl Handover for ToStdout {
    fn prepare(&mut self, credential: Credential) -> Result<()> {
        self.bytes = render(self.reveal, &credential)?;
        // Beside a pipe or a file nobody looks at a clipboard unless asked.
        if self.copy.is_explicit() {
            self.to_copy = Some(credential.password);
        }
        self.stdout.wait(&|| false)
    }
}

impl Pending for ToStdout {
    fn deliver(&mut self) -> Result<()> {
        let written = self.stdout.write(&self.bytes);
        self.bytes = Zeroizing::default();
        written
    }

    fn withdraw(&mut self) {}
}

impl Way for ToStdout {
    fn finish(&mut self, out: &Output) {
        self.stdout.warn(out, "--output FILE makes one");
        if let Some(password) = self.to_copy.take() {
            let outcome = self.copy.copy(&password).outcome;
            // A panel clears it when it closes; here nobody knows when.
            let stays = if outcome == Outcome::Sent {
                "; it stays there"
            } else {
                ""
            };
            out.note(&format!("clipboard: {outcome}{stays}"));
        }
    }
}

/// Until something can be written, or the reader is gone, or this says so, which is
/// asked now and then.
fn wait_for_room(stdout: &File, give_up: &dyn Fn() -> bool) -> io::Result<()> {
    const NOW_AND_THEN: u8 = 100;
    if stdout.is_terminal() {
        return Ok(());
    }
    loop {
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, NOW_AND_THEN) {
            Err(nix::errno::Errno::EINTR) | Ok(0) => {}
            Err(e) => return Err(e.into()),
            Ok(_) => {
                let gone = fds[0]
                    .revents()
                    .is_some_and(|r| r.intersects(PollFlags::POLLERR));
                return if gone {
                    Err(io::Error::new(
                        ErrorKind::BrokenPipe,
                        "nobody reads stdout any more",
                    ))
                } else {
                    Ok(())
                };
            }
        }
        if give_up() {
            return Err(io::Error::new(ErrorKind::TimedOut, "nobody reads it"));
        }
    }
}

fn is_dev_null(device: u64) -> bool {
    std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == device)
}

/// Device and inode of the journal's socket: see systemd.exec(5).
fn journal() -> Option<(u64, u64)> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}
