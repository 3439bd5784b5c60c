//! The results that commands print.

use serde::Serialize;

use super::column::{Cell, Column};

/// A result that commands print.
pub trait Record: Serialize {
    /// The columns of the table for people. A result that is never in a table has none.
    const COLUMNS: &'static [Column] = &[];
    /// Returns a cell for each column.
    fn cells(&self) -> Vec<Cell> {
        self.fields().into_iter().map(Cell::from).collect()
    }

    /// The columns of CSV, for programs: stable, like the names in JSON.
    const FIELDS: &'static [&'static str];
    /// Returns a value for each field.
    fn fields(&self) -> Vec<String>;

    /// Returns the names and values of a single record for people, one for each line.
    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let names = Self::FIELDS.iter().copied();
        let names = titles.chain(names.filter(|_| Self::COLUMNS.is_empty()));
        names.zip(self.cells()).collect()
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
    const FIELDS: &'static [&'static str] = &["text"];

    fn fields(&self) -> Vec<String> {
        vec![self.text.to_owned()]
    }
}
