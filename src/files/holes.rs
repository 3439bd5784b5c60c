//! Files that are mostly holes, as those of virtual machines.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// A file without its holes, which would take hours to read in a file that is mostly holes.
pub struct WithoutHoles {
    file: File,
    at: u64,
    /// Where the data ends in which `at` is.
    data_end: u64,
}

impl WithoutHoles {
    /// Wraps a file at its beginning. Returns `None` if it has no holes.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt as _;
        const BLOCK: u64 = 512;
        let found = file.metadata()?;
        if found.blocks().saturating_mul(BLOCK) >= found.len() {
            return Ok(None);
        }
        Ok(Some(Self {
            file: file.try_clone()?,
            at: 0,
            data_end: 0,
        }))
    }

    /// Moves on to the next data. Returns `false` if there is none.
    fn find_data(&mut self) -> io::Result<bool> {
        self.at = match rustix::fs::seek(&self.file, SeekFrom::Data(self.at)) {
            Ok(at) => at,
            // Nothing but holes follows.
            Err(Errno::NXIO) => return Ok(false),
            // This file system does not know.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.data_end = u64::MAX;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        self.data_end = rustix::fs::seek(&self.file, SeekFrom::Hole(self.at))?;
        rustix::fs::seek(&self.file, SeekFrom::Start(self.at))?;
        Ok(true)
    }
}

impl Read for WithoutHoles {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.data_end {
            let begins = self.at;
            if into.is_empty() || !self.find_data()? {
                return Ok(0);
            }
            if self.at > begins {
                // What stands before and after a hole is not joined.
                into[0] = 0;
                return Ok(1);
            }
        }
        let most = usize::try_from(self.data_end - self.at).unwrap_or(usize::MAX);
        let most = most.min(into.len());
        let read = self.file.read(&mut into[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}
