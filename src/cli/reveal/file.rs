//! Writes a password to a new file that only its owner can read.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::render::{RevealForm, render};
use super::sink::PasswordSink;
use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::new_file::NewFilePath;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::tty::SignalsHeld;
use crate::error::{Error, Result};

/// A new file.
pub struct ToFile {
    at: NewFilePath,
    reveal: RevealForm,
    bytes: Zeroizing<Vec<u8>>,
    made: bool,
    signals: SignalsHeld,
}

impl ToFile {
    /// Fails if the file exists or its folder does not.
    pub fn new(path: &Path, reveal: RevealForm) -> Result<Self> {
        let at = NewFilePath::find(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                let folder = path.parent().unwrap_or(path);
                Error::Undeliverable(format!("there is no folder {}", folder.display()))
            }
            _ => Error::Undeliverable(format!("{}: {e}", path.display())),
        })?;
        let taken = at.is_taken();
        if taken.map_err(|e| Error::Undeliverable(format!("{}: {e}", path.display())))? {
            return Err(Error::OutputExists(path.to_owned()));
        }
        Ok(Self {
            at,
            reveal,
            bytes: Zeroizing::default(),
            made: false,
            signals: SignalsHeld::default(),
        })
    }

    fn write(&mut self) -> io::Result<()> {
        self.at.write(&self.bytes)?;
        self.made = true;
        Ok(())
    }
}

impl Handover for ToFile {
    fn present(&mut self, credential: Credential) -> Result<()> {
        self.bytes = render(self.reveal, &credential)?;
        Ok(())
    }
}

impl Pending for ToFile {
    fn commit_delivery(&mut self) -> Result<()> {
        self.signals.hold();
        let written = self.write();
        self.bytes = Zeroizing::default();
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::OutputExists(self.at.path.clone()),
            _ => Error::Undelivered(format!("{}: {e}", self.at.path.display())),
        })
    }

    fn withdraw(&mut self) {
        if self.made {
            self.at.remove();
        }
    }

    fn is_out(&self) -> bool {
        self.made
    }
}

impl PasswordSink for ToFile {
    fn finish(&mut self, out: &Output) {
        out.note(&format!("the password is in {}", self.at.path.display()));
    }
}
