//! Many new passwords: a file for each in a folder, or a line for each on stdout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::render::{CSV_HEADER, RevealForm, StreamForm, line, render};
use crate::app::bulk::BatchSink;
use crate::app::credential::{Credential, Handover, Pending};
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

/// Hands over one password after the other, each before its own change.
pub struct OneByOne {
    sink: Box<dyn BatchSink>,
    /// The one that is being handed over, if any.
    credential: Vec<Credential>,
}

impl OneByOne {
    /// Returns a sink that hands single passwords to one for many.
    pub fn new(sink: Box<dyn BatchSink>) -> Self {
        Self {
            sink,
            credential: Vec::with_capacity(1),
        }
    }

    /// Completes what was handed over last: its change is committed.
    pub fn committed(&mut self) -> Result<()> {
        let credential = std::mem::take(&mut self.credential);
        self.sink.committed(&credential)
    }
}

impl Handover for OneByOne {
    fn present(&mut self, credential: Credential) -> Result<()> {
        self.credential = vec![credential];
        let presented = self.sink.present(&self.credential);
        if presented.is_err() {
            self.sink.withdraw();
        }
        presented.map(|_| ())
    }
}

impl Pending for OneByOne {
    fn commit_delivery(&mut self) -> Result<()> {
        self.sink.commit_delivery()
    }

    fn withdraw(&mut self) {
        self.sink.withdraw();
    }

    fn is_out(&self) -> bool {
        self.sink.is_out()
    }
}

/// Lines of JSON or CSV on stdout.
pub struct ToStream {
    form: StreamForm,
    /// What was done with the users, as a participle.
    done: &'static str,
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
    pub fn new(
        form: StreamForm,
        done: &'static str,
        stdout: SecretStdout,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            form,
            done,
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
        let line = format!("{{\"{}\":{}}}\n", self.done, self.made);
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
