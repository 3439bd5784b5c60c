//! The file of `user import --skip-bad`.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::app::import::RowProblem;
use crate::cli::new_file::{NewFile, unwritten};
use crate::error::{Error, Result};
use crate::model::text;

/// The rows that were not imported, as CSV with the reasons.
pub struct RejectedRows(NewFile);

impl RejectedRows {
    /// Creates the file, with a header.
    pub fn begin(path: &Path) -> Result<Self> {
        let mut aside = Self(NewFile::create(path)?);
        aside.line(&["row", "column", "reason", "text"])?;
        Ok(aside)
    }

    /// Adds a row with what is wrong with it.
    pub fn push(&mut self, problem: &RowProblem, text: &str) -> Result<()> {
        self.line(&[
            &problem.row.to_string(),
            &problem.column,
            &problem.reason,
            text,
        ])
    }

    fn line(&mut self, values: &[&str]) -> Result<()> {
        let mut csv = csv::Writer::from_writer(self.0.writer());
        let values = values.iter().map(|value| text::for_sheet(value));
        let written = csv
            .write_record(values.map(Cow::into_owned))
            .map_err(io::Error::from);
        let written = written.and_then(|()| csv.flush());
        drop(csv);
        written.map_err(|e| unwritten(self.0.path(), &e))
    }

    /// Syncs the rows written so far.
    pub fn sync(&mut self) -> Result<()> {
        let synced = self.0.sync();
        synced.map_err(|e| unwritten(self.0.path(), &e))
    }

    /// Keeps the file. The other rows are imported by now.
    pub fn keep(self) -> Result<()> {
        let to = self.0.path().display().to_string();
        self.0.keep().map_err(|e| Error::Unrecorded {
            to,
            reason: e.to_string(),
        })
    }
}
