//! A row of a file: what is wrong with it, or what would become of it.

use serde::Serialize;

use crate::cli::output::Record;

#[derive(Serialize)]
pub struct RowRecord {
    pub row: Option<i64>,
    pub what: &'static str,
    pub username: Option<String>,
    pub columns: String,
    pub reason: Option<String>,
}

impl Record for RowRecord {
    const COLUMNS: &'static [&'static str] = &["Row", "What", "Username", "Columns", "Reason"];

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

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
