//! What a file holds besides or instead of a password.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use zeroize::Zeroizing;

use super::env_file::{unquoted, values, with_variable};

/// The largest file that is read, in bytes. No file of variables is larger.
pub const MAX_SIZE: u64 = 1024 * 1024;

pub const NOT_A_FILE: &str = "it exists and is not a regular file";

/// The part of a file that is the password.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// The whole file, except for a newline at its end.
    Whole,
    /// The value of this variable; all other lines stay as they are.
    Variable(&'a str),
}

impl Part<'_> {
    /// Returns the password that a reader of the file would find, empty if there is none.
    /// Fails if readers would not agree on the value.
    pub fn password(self, text: &[u8]) -> io::Result<&[u8]> {
        match self {
            Self::Whole => Ok(text.strip_suffix(b"\n").unwrap_or(text)),
            Self::Variable(name) => {
                let last = values(text, name)?.pop();
                Ok(last.map_or(&[][..], |last| unquoted(&text[last])))
            }
        }
    }

    /// Returns every password in the file: a variable may be set more than once.
    pub fn passwords(self, text: &[u8]) -> io::Result<Vec<&[u8]>> {
        let mut found = match self {
            Self::Whole => vec![text.trim_ascii()],
            Self::Variable(name) => {
                let values = values(text, name)?.into_iter();
                values.map(|value| unquoted(&text[value])).collect()
            }
        };
        found.retain(|password| !password.is_empty());
        Ok(found)
    }

    /// Returns the new content of a file that held `text`. An empty password removes the
    /// old one.
    pub fn replaced(self, text: &[u8], password: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Whole if password.is_empty() => Ok(Zeroizing::default()),
            Self::Whole => {
                let mut text = Zeroizing::new(Vec::with_capacity(password.len() + 1));
                text.extend_from_slice(password.as_bytes());
                text.push(b'\n');
                Ok(text)
            }
            Self::Variable(name) => with_variable(text, name, password),
        }
    }

    /// Returns the error for a file that holds a password which must not be overwritten.
    pub fn occupied(self) -> io::Error {
        let (what, remedy) = match self {
            Self::Whole => ("it already exists".to_owned(), "delete the file"),
            Self::Variable(name) => (format!("it already sets {name}"), "remove that line"),
        };
        io::Error::other(format!(
            "{what}, and that password may exist nowhere else: if it is not needed, as after a killed run, {remedy}"
        ))
    }
}

/// Reads a whole regular file of at most [`MAX_SIZE`] bytes.
pub fn read(mut file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other(NOT_A_FILE));
    }
    let size = metadata.len();
    if size > MAX_SIZE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    // Room for all of it: a buffer that grows leaves copies of the password behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    // The file may have been read before.
    file.rewind()?;
    file.take(MAX_SIZE).read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the name of a hidden file next to the one of this name. It is short, because it
/// may be no longer than the file's own name allows.
pub fn sibling(name: &OsStr, kind: &str) -> OsString {
    let hash = blake3::hash(name.as_encoded_bytes()).to_hex();
    format!(".smtpcred-{kind}-{}", &hash[..16]).into()
}
