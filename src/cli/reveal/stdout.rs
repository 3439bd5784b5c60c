//! Prints a password on stdout: to a pipe, a redirected file, or a terminal with --reveal.

use zeroize::Zeroizing;

use super::render::{RevealForm, render};
use super::sink::PasswordSink;
use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::terminal::clipboard::{CopyArgs, CopyOutcome};
use crate::cli::terminal::output::Output;
use crate::cli::terminal::stdout::SecretStdout;
use crate::cli::terminal::tty::SignalsHeld;
use crate::error::Result;
use crate::model::password::Password;

/// Standard output.
pub struct ToStdout {
    reveal: RevealForm,
    copy: CopyArgs,
    stdout: SecretStdout,
    bytes: Zeroizing<Vec<u8>>,
    to_copy: Option<Password>,
    /// Whether everything was written.
    out: bool,
    signals: SignalsHeld,
}

impl ToStdout {
    /// Fails if the password would be lost on stdout.
    pub fn new(reveal: RevealForm, copy: CopyArgs) -> Result<Self> {
        Ok(Self {
            reveal,
            copy,
            stdout: SecretStdout::open()?,
            bytes: Zeroizing::default(),
            to_copy: None,
            out: false,
            signals: SignalsHeld::default(),
        })
    }
}

impl Handover for ToStdout {
    fn present(&mut self, credential: Credential) -> Result<()> {
        self.bytes = render(self.reveal, &credential)?;
        // With a pipe or a file, the clipboard is used only on request.
        if self.copy.is_explicit() {
            self.to_copy = Some(credential.password);
        }
        self.stdout.wait(&|| false)
    }
}

impl Pending for ToStdout {
    fn commit_delivery(&mut self) -> Result<()> {
        self.signals.hold();
        let written = self.stdout.write(&self.bytes);
        self.bytes = Zeroizing::default();
        self.out = written.is_ok();
        written
    }

    /// Does nothing: what a pipe has read cannot be withdrawn.
    fn withdraw(&mut self) {}

    fn is_out(&self) -> bool {
        self.out
    }
}

impl PasswordSink for ToStdout {
    fn finish(&mut self, out: &Output) {
        self.stdout.warn(
            out,
            "use --output FILE to create one that only you can read",
        );
        if let Some(password) = self.to_copy.take() {
            let outcome = self.copy.copy(&password).outcome;
            // A panel clears it when it closes; nothing else does.
            let stays = if outcome == CopyOutcome::Sent {
                "; it is not cleared"
            } else {
                ""
            };
            out.note(&format!("clipboard: {outcome}{stays}"));
        }
    }
}
