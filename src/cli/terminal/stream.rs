//! stdout and stderr, and the errors of writing to them.

use std::io::{self, Write as _};

use crate::error::Error;

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
