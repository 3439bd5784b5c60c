//! stdout and stderr, and the errors of writing to them.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use dialoguer::console::measure_text_width;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wrap::wrap_message;
use crate::error::{Error, Result};

/// The size of output buffers, in bytes.
pub const BUFFER: usize = 64 * 1024;

/// Prints a line on stderr. If stderr is closed, nothing can be done about it.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line of a service's log on stderr, with its urgency as syslog numbers it. The
/// journal reads that from the beginning of the line (sd-daemon(3)).
pub fn log_line(urgency: u8, line: &str, quiet: bool) {
    const INFO: u8 = 6;
    if quiet && urgency >= INFO {
        return;
    }
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        say(&format!("<{urgency}>{line}"));
    } else {
        say(line);
    }
}

/// Prints a message for people on stderr, after a word such as "hint:", which may be coloured.
/// A terminal gets it in lines that fit.
pub fn tell(before: &str, message: &str) {
    let before = if before.is_empty() {
        String::new()
    } else {
        format!("{before} ")
    };
    let stderr = io::stderr();
    let size = Some(&stderr).filter(|stderr| stderr.is_terminal());
    let size = size.and_then(terminal_size::terminal_size_of);
    let text = match size {
        Some((width, _)) => {
            let first = measure_text_width(&before);
            wrap_message(message, first, width.0.into())
        }
        None => message.to_owned(),
    };
    say(&format!("{before}{text}"));
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
