//! Rows as the readers find them.

use crate::error::Result;

/// A row of an input file.
pub struct InputRow {
    /// Its number in the file, from 1 on.
    pub number: i64,
    /// Names and values, in the order of the file.
    pub fields: Vec<(String, String)>,
    /// The row as it stands in the file, to be shown to the admin.
    pub text: String,
}

/// What is wrong with a row. `reason` never contains a value of the row, which may be a
/// password.
#[derive(Debug)]
pub struct RowProblem {
    /// The number of the row, from 1 on.
    pub row: i64,
    /// The column at fault; empty for the row as a whole.
    pub column: String,
    /// The rule that the row breaks, as the rest of a sentence.
    pub reason: String,
}

/// The outcome of reading a row.
pub enum ParsedRow {
    /// The row can be read.
    Good(InputRow),
    /// The row cannot be read. Its text follows, as far as it was read.
    Bad(RowProblem, String),
}

/// The columns of our own CSV and JSON.
#[derive(Clone, Copy)]
pub struct Columns {
    /// Columns that may be there.
    pub known: &'static [&'static str],
    /// Columns of which at least one must be there.
    pub needed: &'static [&'static str],
}

/// Takes the rows in the order of the file. An error ends the reading.
pub type RowSink<'a> = dyn FnMut(ParsedRow) -> Result<()> + 'a;

impl RowProblem {
    /// Makes a problem of a column, or of a row as a whole if `column` is empty.
    pub fn new(row: i64, column: &str, reason: impl Into<String>) -> Self {
        Self {
            row,
            column: column.to_owned(),
            reason: reason.into(),
        }
    }
}

impl ParsedRow {
    /// Makes a row that is bad as a whole.
    pub fn bad(row: i64, reason: &str, text: &str) -> Self {
        Self::Bad(RowProblem::new(row, "", reason), text.to_owned())
    }
}
