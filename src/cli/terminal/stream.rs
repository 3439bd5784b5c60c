//! stdout and stderr, and the errors of writing to them.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Result};

/// The size of output buffers, in bytes.
pub const BUFFER: usize = 64 * 1024;

/// Prints a line on stderr. If stderr is closed, nothing can be done about it.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Returns the error of a failed write: a closed pipe ends the program quietly.
pub fn write_error(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Error::OutputClosed
    } else {
        Error::Output(error.to_string())
    }
}

/// Returns the error of a failed write of JSON.
pub fn json_error(error: serde_json::Error) -> Error {
    write_error(&error.into())
}

/// Waits this long, or until a signal. Fails as soon as the reader of stdout is gone, which a
/// program that has nothing to write does not notice.
pub fn wait_while_read(time: Duration) -> Result<()> {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let stdout = io::stdout();
    // Nothing is asked for: only the loss of the reader is reported.
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match poll(&mut fds, time) {
        Ok(0) | Err(Errno::EINTR) => Ok(()),
        Ok(_) => Err(Error::OutputClosed),
        Err(error) => Err(write_error(&error.into())),
    }
}
