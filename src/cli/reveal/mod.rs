//! How a new password leaves the program: shown once in a panel, printed, or written to a
//! file. This is decided, or refused, before anything changes.

mod file;
pub mod many;
mod render;
pub mod sink;
mod stdout;
pub mod target;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::path;
use crate::cli::terminal::clipboard::CopyArgs;
use crate::cli::terminal::output::{Output, OutputFormat};
use crate::cli::terminal::panel::Panel;
use crate::error::{Error, Result};
pub use render::{RevealForm, StreamForm};
use sink::NoReveal;
pub use sink::PasswordSink;

#[derive(Debug, Args)]
#[command(next_help_heading = "Where the password goes")]
pub struct RevealArgs {
    /// Print the password in this form instead of showing a panel
    #[arg(long, value_enum, value_name = "FORM")]
    reveal: Option<RevealForm>,

    /// Write the password to a new file that only you can read; an existing file is an error
    #[arg(long, value_name = "FILE", value_parser = path::given())]
    output: Option<PathBuf>,

    #[command(flatten)]
    copy: CopyArgs,
}

impl RevealArgs {
    /// Returns the sink for a password. Fails if the password would be lost there. A chosen password
    /// is already known, and only shown on request.
    pub fn sink(&self, out: &Output, chosen: bool) -> Result<Box<dyn PasswordSink>> {
        let format = out.format();
        if let Some(path) = &self.output {
            let reveal = self.reveal.unwrap_or(RevealForm::Line);
            return Ok(Box::new(file::ToFile::new(path, reveal)?));
        }
        if !chosen {
            self.refuse_scrollback(format)?;
        }
        let reveal = self.reveal.or(match format {
            OutputFormat::Table => None,
            OutputFormat::Json => Some(RevealForm::Json),
            OutputFormat::Csv => Some(RevealForm::Csv),
        });
        match reveal {
            _ if chosen && self.reveal.is_none() => Ok(Box::new(NoReveal)),
            None if io::stdout().is_terminal() => {
                let (times, styled) = (out.times.clone(), out.is_colored());
                let copy = if out.is_for_holder {
                    self.copy.to_this_terminal()
                } else {
                    self.copy.clone()
                };
                Ok(Box::new(Panel::new(copy, times, styled)?))
            }
            reveal => {
                let reveal = reveal.unwrap_or(RevealForm::Line);
                Ok(Box::new(stdout::ToStdout::new(reveal, self.copy.clone())?))
            }
        }
    }

    /// Refuses to print a document with a password on a terminal, where it would stay.
    fn refuse_scrollback(&self, format: OutputFormat) -> Result<()> {
        let (flag, form) = match format {
            OutputFormat::Table => return Ok(()),
            OutputFormat::Json => ("--json", "json"),
            OutputFormat::Csv => ("--format csv", "csv"),
        };
        if self.reveal.is_none() && io::stdout().is_terminal() {
            return Err(Error::Usage(format!(
                "{flag} would leave the password in the terminal's scrollback; omit it to \
                 see the password once, or add --reveal {form}"
            )));
        }
        Ok(())
    }

    /// Returns the sink for many passwords: a folder, or stdout.
    pub fn bulk_sink(&self, format: OutputFormat, to_folder: bool) -> Result<BulkSink> {
        if self.copy.is_explicit() {
            return Err(Error::Usage(
                "--copy cannot be used for many passwords".into(),
            ));
        }
        if to_folder {
            return Ok(BulkSink::Folder(self.reveal.unwrap_or(RevealForm::Line)));
        }
        self.refuse_scrollback(format)?;
        match (self.reveal, format) {
            (Some(RevealForm::Json), _) | (None, OutputFormat::Json) => {
                Ok(BulkSink::Stream(StreamForm::Json))
            }
            (Some(RevealForm::Csv), _) | (None, OutputFormat::Csv) => {
                Ok(BulkSink::Stream(StreamForm::Csv))
            }
            (None, OutputFormat::Table) => Err(Error::Usage(
                "specify where the passwords go: --output-dir DIR, or --reveal json or csv for stdout"
                    .into(),
            )),
            (Some(_), _) => Err(Error::Usage(
                "many passwords on stdout need --reveal json or csv; the other forms go to \
                 --output-dir DIR"
                    .into(),
            )),
        }
    }

    /// Returns whether one password goes to a file.
    pub const fn is_to_file(&self) -> bool {
        self.output.is_some()
    }

    /// Returns whether each new password is shown in a panel.
    pub fn is_panel(&self, format: OutputFormat) -> bool {
        let asked = self.reveal.is_some() || self.output.is_some();
        !asked && format == OutputFormat::Table && io::stdout().is_terminal()
    }

    /// Returns whether stdout is free for the record of the user.
    pub const fn leaves_stdout(&self, chosen: bool) -> bool {
        self.output.is_some() || (chosen && self.reveal.is_none())
    }
}

/// Where many passwords go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkSink {
    Folder(RevealForm),
    Stream(StreamForm),
}
