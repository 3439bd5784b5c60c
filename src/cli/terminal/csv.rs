//! CSV on stdout.

use std::io::{self, IsTerminal as _};

use super::stream::{BUFFER, write_error};
use crate::error::{Error, Result};
use crate::model::text;

/// Writes CSV (RFC 4180, with plain line feeds) to stdout. A program gets each field unchanged,
/// except for formulas, which are escaped. On a terminal, control characters are escaped as in
/// a table.
pub struct Csv {
    writer: csv::Writer<io::Stdout>,
    to_terminal: bool,
}

impl Csv {
    /// Writes the header.
    pub fn begin(fields: &[&str]) -> Result<Self> {
        let mut csv = Self {
            writer: csv::WriterBuilder::new()
                .buffer_capacity(BUFFER)
                .from_writer(io::stdout()),
            to_terminal: io::stdout().is_terminal(),
        };
        csv.row(fields)?;
        Ok(csv)
    }

    /// Writes a row.
    pub fn row<T: AsRef<str>>(&mut self, fields: &[T]) -> Result<()> {
        let written = if self.to_terminal {
            self.writer.write_record(fields.iter().map(escaped_lines))
        } else {
            let fields = fields.iter().map(|field| text::for_sheet(field.as_ref()));
            for field in fields {
                self.writer
                    .write_field(field.as_bytes())
                    .map_err(csv_error)?;
            }
            self.writer.write_record(None::<&[u8]>)
        };
        written.map_err(csv_error)
    }

    /// Flushes the rows written so far.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| write_error(&e))
    }

    /// Flushes the last rows.
    pub fn end(mut self) -> Result<()> {
        self.flush()
    }
}

fn csv_error(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => write_error(&error),
        other => Error::Output(format!("{other:?}")),
    }
}

/// Escapes control characters, but keeps line breaks.
fn escaped_lines<T: AsRef<str>>(field: &T) -> String {
    let field = text::for_sheet(field.as_ref());
    let lines: Vec<_> = field.split('\n').map(text::escaped).collect();
    lines.join("\n")
}
