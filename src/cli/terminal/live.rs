//! Rows that are printed as they come: their number and widths are not known beforehand.

use super::column::width_of;
use super::csv::Csv;
use super::output::{Output, OutputFormat};
use super::record::Record;
use super::stream::json_error;
use crate::error::Result;
use crate::model::text;

/// Prints each row at once: a line for people, an object of JSON or a row of CSV for programs.
pub struct LiveRows<'a> {
    out: &'a mut Output,
    csv: Option<Csv>,
    /// How wide the columns were so far.
    widths: Vec<usize>,
}

/// A wider cell moves only what follows it in its own line.
const WIDEST: usize = 32;

impl Output {
    /// Returns what prints rows of this kind as they come.
    pub fn live<R: Record>(&mut self) -> Result<LiveRows<'_>> {
        let mut csv = None;
        if self.format() == OutputFormat::Csv {
            let mut begun = Csv::begin(R::FIELDS)?;
            begun.flush()?;
            csv = Some(begun);
        }
        Ok(LiveRows {
            out: self,
            csv,
            widths: vec![0; R::COLUMNS.len()],
        })
    }
}

impl LiveRows<'_> {
    /// Prints a row.
    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        if let Some(csv) = &mut self.csv {
            csv.row(&record.fields())?;
            return csv.flush();
        }
        if self.out.format() == OutputFormat::Json {
            serde_json::to_writer(&mut self.out.stdout, record).map_err(json_error)?;
            self.out.line("")?;
        } else {
            let line = self.line(record);
            self.out.line(&line)?;
        }
        self.out.finish()
    }

    fn line<R: Record>(&mut self, record: &R) -> String {
        let mut cells = record.cells();
        self.out.localize(R::COLUMNS, &mut cells);
        let mut line = String::new();
        let mut gap = 0;
        for (cell, widest) in cells.iter().zip(&mut self.widths) {
            let text = text::escaped(&cell.text);
            let width = width_of(&text);
            *widest = (*widest).max(width.min(WIDEST));
            line.extend(std::iter::repeat_n(' ', gap));
            line.push_str(&cell.tone.paint(&text, self.out.is_colored()));
            gap = widest.saturating_sub(width) + 2;
        }
        line
    }
}
