//! What a log begins with.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// How much of a log is compared, in bytes: lines with times, so no two begin like this.
const MOST: usize = 1024;

/// The beginning of a log. It tells logs apart: the numbers of files are used again.
#[derive(Clone, Default)]
pub struct LogHead(Vec<u8>);

impl LogHead {
    /// Reads the beginning of what was read up to here.
    pub fn of(file: &File, offset: u64) -> io::Result<Self> {
        let mut bytes = vec![0; length(offset)];
        let read = read_at(file, &mut bytes)?;
        bytes.truncate(read);
        Ok(Self(bytes))
    }

    /// These bytes follow what is known already, if they are still within the beginning.
    pub fn extend(&mut self, offset: u64, bytes: &[u8]) {
        if offset == self.0.len() as u64 {
            let room = MOST.saturating_sub(self.0.len()).min(bytes.len());
            self.0.extend_from_slice(&bytes[..room]);
        }
    }

    /// Whether a file begins like this.
    pub fn begins(&self, file: &File) -> io::Result<bool> {
        let mut bytes = [0; MOST];
        let bytes = &mut bytes[..self.0.len()];
        let read = read_at(file, bytes)?;
        Ok(bytes[..read] == self.0[..])
    }

    /// A name for the beginning of a log that was read up to here.
    pub fn digest(&self, offset: u64) -> String {
        let known = &self.0[..length(offset).min(self.0.len())];
        blake3::hash(known).to_hex()[..32].to_owned()
    }

    /// Whether nothing was read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether another log begins like this, as far as both are known.
    pub fn is_like(&self, other: &Self) -> bool {
        let shorter = self.0.len().min(other.0.len());
        shorter > 0 && self.0[..shorter] == other.0[..shorter]
    }
}

fn length(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(MOST).min(MOST)
}

/// Reads as much as there is.
fn read_at(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
