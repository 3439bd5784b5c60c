//! How a new password leaves the program: shown once in a panel, printed, or
//! written to a file. Decided, and refused, before anything is changed.

mod file;
pub mod many;
mod panel;
mod render;
pub mod stdout;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;

use super::clipboard::CopyArgs;
use super::output::{Format, Output};
use crate::app::credential::{Credential, Handover, Pending};
use crate::error::{Error, Result};
pub use render::{Reveal, Stream};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where the password goes")]
pub struct RevealArgs {
    /// Print the password in this form instead of showing a panel
    #[arg(long, value_enum, value_name = "FORM")]
    reveal: Option<Reveal>,

    /// Write it to a new file that only you can read; an existing one is never touched
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    copy: CopyArgs,
}

impl RevealArgs {
    /// Chooses the way, and refuses one on which the password would be lost.
    /// A password that was chosen is known already, and only shown on request.
    pub fn handover(&self, format: Format, chosen: bool) -> Result<Box<dyn Way>> {
        if let Some(path) = &self.output {
            let reveal = self.reveal.unwrap_or(Reveal::Line);
            return Ok(Box::new(file::ToFile::new(path, reveal)?));
        }
        let reveal = self.reveal.or(match format {
            Format::Table => None,
            Format::Json => Some(Reveal::Json),
            Format::Csv => Some(Reveal::Csv),
        });
        match reveal {
            _ if chosen && self.reveal.is_none() => Ok(Box::new(Nowhere)),
            None if io::stdout().is_terminal() => {
                Ok(Box::new(panel::Panel::new(self.copy.clone())?))
            }
            reveal => {
                let reveal = reveal.unwrap_or(Reveal::Line);
                Ok(Box::new(stdout::ToStdout::new(reveal, self.copy.clone())?))
            }
        }
    }

    /// How many passwords go to a folder, or without one to stdout.
    pub fn many(&self, format: Format, to_folder: bool) -> Result<Many> {
        if self.copy.is_explicit() {
            return Err(Error::Usage("--copy is for one password".into()));
        }
        if to_folder {
            return Ok(Many::Folder(self.reveal.unwrap_or(Reveal::Line)));
        }
        match (self.reveal, format) {
            (Some(Reveal::Json), _) | (None, Format::Json) => Ok(Many::Stream(Stream::Json)),
            (Some(Reveal::Csv), _) | (None, Format::Csv) => Ok(Many::Stream(Stream::Csv)),
            (None, Format::Table) => Err(Error::Usage(
                "say where the passwords go: --output-dir DIR, or --reveal json or csv to stdout"
                    .into(),
            )),
            (Some(_), _) => Err(Error::Usage(
                "many passwords on stdout need --reveal json or csv; the other forms go to \
                 --output-dir DIR"
                    .into(),
            )),
        }
    }

    /// Whether stdout is free for the document of the user itself.
    pub const fn leaves_stdout(&self, chosen: bool) -> bool {
        self.output.is_some() || (chosen && self.reveal.is_none())
    }
}

/// Of many passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    Folder(Reveal),
    Stream(Stream),
}

/// A handover, and what is left to do and to say once the change is committed.
pub trait Way: Handover {
    fn finish(&mut self, out: &Output);
}

/// For a password that whoever asked knows already.
struct Nowhere;

impl Handover for Nowhere {
    fn prepare(&mut self, _: Credential) -> Result<()> {
        Ok(())
    }
}

impl Pending for Nowhere {
    fn deliver(&mut self) -> Result<()> {
        Ok(())
    }

    fn withdraw(&mut self) {}
}

impl Way for Nowhere {
    fn finish(&mut self, _: &Output) {}
}
