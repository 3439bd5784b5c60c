//! Rows of a file of users: what is wrong with them, or what they would change.

use serde::Serialize;

use crate::app::import::RowProblem;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::list::RecordList;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::record::Record;
use crate::error::Result;

/// An invalid row, or a change of a user.
#[derive(Serialize)]
pub struct RowRecord {
    pub row: Option<i64>,
    pub what: &'static str,
    pub username: Option<String>,
    pub columns: String,
    pub reason: Option<String>,
}

impl RowRecord {
    /// Returns the record of an invalid row.
    pub fn bad(problem: &RowProblem) -> Self {
        Self {
            row: Some(problem.row),
            what: "bad",
            username: None,
            columns: problem.column.clone(),
            reason: Some(problem.reason.clone()),
        }
    }
}

/// A list that begins with the first invalid row or change.
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub enum RowList<'a> {
    Out(&'a mut Output),
    List(RecordList<'a>),
    Nothing,
}

impl RowList<'_> {
    /// Prints a record.
    pub fn push(&mut self, record: &RowRecord) -> Result<()> {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Out(out) => Self::List(out.list::<RowRecord>()),
            other => other,
        };
        match self {
            Self::List(list) => list.push(record),
            Self::Out(_) | Self::Nothing => Ok(()),
        }
    }
}

impl Record for RowRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Row").right(),
        Column::new("What"),
        Column::new("Username").if_any(),
        Column::new("Columns").wrap(12),
        Column::new("Reason").wrap(24),
    ];

    const FIELDS: &'static [&'static str] = &["row", "what", "username", "columns", "reason"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.row.map(|row| row.to_string()).unwrap_or_default(),
            self.what.to_owned(),
            self.username.clone().unwrap_or_default(),
            self.columns.clone(),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}

/// Of a user that was created.
#[derive(Serialize)]
pub struct CreatedUserRecord {
    pub row: i64,
    pub username: String,
    pub label: Option<String>,
    pub password_id: String,
}

/// Of all of them.
#[derive(Serialize)]
pub struct BulkRecord {
    pub created: u64,
    pub skipped: u64,
    pub left: u64,
    pub users: Vec<CreatedUserRecord>,
}

impl Record for BulkRecord {
    const FIELDS: &'static [&'static str] = &["created", "skipped", "left"];

    fn fields(&self) -> Vec<String> {
        [self.created, self.skipped, self.left]
            .map(|n| n.to_string())
            .into()
    }
}
