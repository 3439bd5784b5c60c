//! Why a file is not encrypted or decrypted.

use std::io;

use crate::error::Error;

/// Why a file is not encrypted or decrypted.
#[derive(Debug)]
pub enum AgeError {
    /// None of the identities fits.
    OtherKey,
    /// It is no such file, or it was changed.
    Damaged(&'static str),
    /// Reading or writing failed.
    Io(io::Error),
    /// There is no randomness.
    Random(Error),
}

impl From<io::Error> for AgeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for AgeError {
    fn from(error: Error) -> Self {
        Self::Random(error)
    }
}
