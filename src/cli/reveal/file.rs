//! The password in a new file that only its owner can read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Way;
use super::render::{Reveal, render};
use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::new_file::{self, folder_of};
use crate::cli::output::Output;
use crate::error::{Error, Result};

pub struct ToFile {
    path: PathBuf,
    reveal: Reveal,
    bytes: Zeroizing<Vec<u8>>,
    made: bool,
}

impl ToFile {
    pub fn new(path: &Path, reveal: Reveal) -> Result<Self> {
        // Without following a link, wherever it points.
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::OutputExists(path.to_owned()));
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(Error::Undeliverable(format!(
                "there is no folder {}",
                folder.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            reveal,
            bytes: Zeroizing::default(),
            made: false,
        })
    }

    fn write(&mut self) -> io::Result<()> {
        new_file::write(&self.path, &self.bytes)?;
        self.made = true;
        Ok(())
    }
}

impl Handover for ToFile {
    fn prepare(&mut self, credential: Credential) -> Result<()> {
        self.bytes = render(self.reveal, &credential)?;
        Ok(())
    }
}

impl Pending for ToFile {
    fn deliver(&mut self) -> Result<()> {
        let written = self.write();
        self.bytes = Zeroizing::default();
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::OutputExists(self.path.clone()),
            _ => Error::Undelivered(format!("{}: {e}", self.path.display())),
        })
    }

    fn withdraw(&mut self) {
        if self.made {
            // What is left would be a password that does not work.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Way for ToFile {
    fn finish(&mut self, out: &Output) {
        out.note(&format!("the password is in {}", self.path.display()));
    }
}
