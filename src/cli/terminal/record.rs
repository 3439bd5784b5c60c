//! The results that commands print.

use serde::Serialize;

/// A result that commands print.
pub trait Record: Serialize {
    /// The headings of the table for people.
    const COLUMNS: &'static [&'static str];
    /// Returns a cell for each column.
    fn cells(&self) -> Vec<String>;

    /// The columns of CSV, for programs: stable, like the names in JSON.
    const FIELDS: &'static [&'static str];
    /// Returns a value for each field.
    fn fields(&self) -> Vec<String>;

    /// Returns the names and values of a single record for people, one for each line.
    fn lines(&self) -> Vec<(&'static str, String)> {
        Self::COLUMNS.iter().copied().zip(self.cells()).collect()
    }
}

/// The text as it is printed to programs.
#[derive(Serialize)]
pub struct TextRecord<'a> {
    text: &'a str,
}

impl<'a> TextRecord<'a> {
    /// Wraps the text.
    pub const fn new(text: &'a str) -> Self {
        Self { text }
    }
}

impl Record for TextRecord<'_> {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["text"];

    fn fields(&self) -> Vec<String> {
        vec![self.text.to_owned()]
    }
}
