//! Files of other programs: read without waiting, named and sized.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// In bytes. No configuration is longer.
pub const MOST: u64 = 8 << 20;

/// Reads a text file, up to [`MOST`] bytes. Returns `None` if it cannot be read or is no
/// regular file: reading a pipe could block.
pub fn text(path: &Path) -> Option<String> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = opened.ok()?;
    let is_plain = file.metadata().is_ok_and(|file| file.is_file());
    let mut bytes = Vec::new();
    let read = is_plain.then(|| file.take(MOST).read_to_end(&mut bytes));
    read?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the path with a suffix appended to its file name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Formats a number of bytes for people: `512 B`, `64 KiB`, `20 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        10_000_000..=99_999_999_999 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
