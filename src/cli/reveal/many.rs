//! Many new passwords: a file for each in a folder, or a line for each on stdout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::render::{CSV_HEADER, RevealForm, StreamForm, line, render};
use crate::app::bulk::BatchSink;
use crate::app::credential::{Credential, Pending};
use crate::cli::password_folder::PasswordFolder;
use crate::cli::terminal::stdout::SecretStdout;
use crate::error::{Error, Result};

/// A folder of password files.
pub struct ToFolder {
    folder: PasswordFolder,
    reveal: RevealForm,
    /// Whether the users may exist by now, even if the commit fails.
    delivered: bool,
}

impl ToFolder {
    /// Returns a sink that writes each password to a file in the folder.
    pub const fn new(folder: PasswordFolder, reveal: RevealForm) -> Self {
        Self {
            folder,
            reveal,
            delivered: false,
        }
    }
}

impl BatchSink for ToFolder {
    fn present(&mut self, waiting: &[Credential]) -> Result<usize> {
        for credential in waiting {
            let bytes = render(self.reveal, credential)?;
            self.folder
                .put(&credential.username, &credential.password_id, &bytes)?;
        }
        // All files are synced together, before the store is locked.
        self.folder.sync()?;
        Ok(waiting.len())
    }

    fn committed(&mut self, _: &[Credential]) -> Result<()> {
        self.delivered = false;
        self.folder.show()
    }
}

impl Pending for ToFolder {
    fn commit_delivery(&mut self) -> Result<()> {
        self.delivered = true;
        Ok(())
    }

    fn withdraw(&mut self) {
        // Otherwise the next run decides.
        if !self.delivered {
            self.folder.withdraw();
        }
    }

    fn is_out(&self) -> bool {
        self.delivered
    }
}

/// Lines of JSON or CSV on stdout.
pub struct ToStream {
    form: StreamForm,
    stdout: SecretStdout,
    stop: Arc<AtomicBool>,
    bytes: Zeroizing<Vec<u8>>,
    begun: bool,
    /// Whether the last batch was written in full.
    out: bool,
    made: u64,
}

/// A pipe accepts this many bytes atomically, see pipe(7): a killed run leaves no partial line.
const WHOLE: usize = 4096;

impl ToStream {
    /// Returns a sink that writes each password to standard output until `stop` is set.
    pub fn new(form: StreamForm, stdout: SecretStdout, stop: Arc<AtomicBool>) -> Self {
        Self {
            form,
            stdout,
            stop,
            bytes: Zeroizing::default(),
            begun: false,
            out: false,
            made: 0,
        }
    }

    fn length(&self) -> Option<u64> {
        let found = self.stdout.file.metadata().ok()?;
        found.is_file().then_some(found.len())
    }

    /// Removes a partial batch from a file, unless others also write to it.
    fn truncate_to(&self, before: Option<u64>, behind: u64) {
        if let (Some(before), Some(end)) = (before, self.length())
            && (before..=before + behind).contains(&end)
        {
            let _ = self.stdout.file.set_len(before);
        }
    }

    fn wait(&self) -> Result<()> {
        let stopped = || self.stop.load(Ordering::Relaxed);
        self.stdout.wait(&stopped).map_err(
            |error| {
                if stopped() { Error::Interrupted } else { error }
            },
        )
    }
}

impl BatchSink for ToStream {
    fn present(&mut self, waiting: &[Credential]) -> Result<usize> {
        // Never grows: a growing buffer leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 * WHOLE));
        if self.form == StreamForm::Csv && !self.begun {
            bytes.extend_from_slice(CSV_HEADER.as_bytes());
        }
        let mut taken = 0;
        for credential in waiting {
            let whole = bytes.len();
            line(self.form, credential, &mut bytes)?;
            if bytes.len() > WHOLE && taken > 0 {
                bytes.truncate(whole);
                break;
            }
            taken += 1;
        }
        self.bytes = bytes;
        self.out = false;
        self.wait()?;
        Ok(taken)
    }

    fn committed(&mut self, made: &[Credential]) -> Result<()> {
        self.made += made.len() as u64;
        if self.form == StreamForm::Csv {
            return Ok(());
        }
        self.wait()?;
        let line = format!("{{\"created\":{}}}\n", self.made);
        self.stdout.write(line.as_bytes())
    }
}

impl Pending for ToStream {
    fn commit_delivery(&mut self) -> Result<()> {
        let before = self.length();
        let behind = self.bytes.len() as u64;
        let written = self.stdout.write(&self.bytes);
        self.bytes = Zeroizing::default();
        self.begun = true;
        self.out = written.is_ok();
        if written.is_err() {
            self.truncate_to(before, behind);
        }
        written
    }

    fn withdraw(&mut self) {
        self.bytes = Zeroizing::default();
    }

    fn is_out(&self) -> bool {
        self.out
    }
}
