//! Many new passwords: a file for each in a folder, or a line for each on stdout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::render::{CSV_HEADER, Reveal, Stream, line, render};
use super::stdout::Stdout;
use crate::app::bulk::Batches;
use crate::app::credential::{Credential, Pending};
use crate::cli::password_folder::PasswordFolder;
use crate::error::{Error, Result};

pub struct ToFolder {
    folder: PasswordFolder,
    reveal: Reveal,
    /// From then on the users may be there, whatever a commit says that fails.
    delivered: bool,
}

impl ToFolder {
    pub const fn new(folder: PasswordFolder, reveal: Reveal) -> Self {
        Self {
            folder,
            reveal,
            delivered: false,
        }
    }
}

impl Batches for ToFolder {
    fn prepare(&mut self, waiting: &[Credential]) -> Result<usize> {
        for credential in waiting {
            let bytes = render(self.reveal, credential)?;
            self.folder
                .put(&credential.username, &credential.key, &bytes)?;
        }
        // All of them on the disk at once, before the store is locked.
        self.folder.sync()?;
        Ok(waiting.len())
    }

    fn committed(&mut self, _: &[Credential]) -> Result<()> {
        self.delivered = false;
        self.folder.show()
    }
}

impl Pending for ToFolder {
    fn deliver(&mut self) -> Result<()> {
        self.delivered = true;
        Ok(())
    }

    fn withdraw(&mut self) {
        // Otherwise the next run finds out.
        if !self.delivered {
            self.folder.withdraw();
        }
    }
}

pub struct ToStream {
    form: Stream,
    stdout: Stdout,
    stop: Arc<AtomicBool>,
    bytes: Zeroizing<Vec<u8>>,
    begun: bool,
    made: u64,
}

/// A pipe takes so many bytes whole or not at all, and at once if it has room:
/// pipe(7). Killed in the middle, no half of a line is out.
const WHOLE: usize = 4096;

impl ToStream {
    pub fn new(form: Stream, stdout: Stdout, stop: Arc<AtomicBool>) -> Self {
        Self {
            form,
            stdout,
            stop,
            bytes: Zeroizing::default(),
            begun: false,
            made: 0,
        }
    }

    fn length(&self) -> Option<u64> {
        let found = self.stdout.file.metadata().ok()?;
        found.is_file().then_some(found.len())
    }

    /// Half of a batch: out of a file it can be taken, unless others write there, too.
    fn take_back(&self, before: Option<u64>, behind: u64) {
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

impl Batches for ToStream {
    fn prepare(&mut self, waiting: &[Credential]) -> Result<usize> {
        // Never grows: a buffer that does leaves copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 * WHOLE));
        if self.form == Stream::Csv && !self.begun {
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
        self.wait()?;
        Ok(taken)
    }

    fn committed(&mut self, made: &[Credential]) -> Result<()> {
        self.made += made.len() as u64;
        if self.form == Stream::Csv {
            return Ok(());
        }
        self.wait()?;
        let line = format!("{{\"created\":{}}}\n", self.made);
        self.stdout.write(line.as_bytes())
    }
}

impl Pending for ToStream {
    fn deliver(&mut self) -> Result<()> {
        let before = self.length();
        let behind = self.bytes.len() as u64;
        let written = self.stdout.write(&self.bytes);
        self.bytes = Zeroizing::default();
        self.begun = true;
        if written.is_err() {
            self.take_back(before, behind);
        }
        written
    }

    fn withdraw(&mut self) {
        self.bytes = Zeroizing::default();
    }
}
