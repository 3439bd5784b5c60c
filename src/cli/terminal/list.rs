//! Lists of any length in constant memory: a table, JSON or CSV.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr as _;

use super::csv::Csv;
use super::output::{Output, OutputFormat};
use super::record::Record;
use super::stream::{json_error, write_error};
use crate::error::Result;
use crate::model::text;

/// A list that is being printed.
pub struct RecordList<'a> {
    out: &'a mut Output,
    columns: &'static [&'static str],
    fields: &'static [&'static str],
    /// Rows of a table, kept until it is known whether all of it can be laid out.
    rows: Vec<Vec<String>>,
    /// The column widths of a table that is too long to lay out.
    widths: Option<Vec<usize>>,
    /// The current line of such a table.
    line: String,
    csv: Option<Csv>,
    count: u64,
    /// When the list began, or when its rows were last flushed.
    shown: Instant,
}

/// The longest time between two flushes of a slow list.
const A_WHILE: Duration = Duration::from_millis(500);

impl Output {
    /// Begins a list of any length, printed in constant memory.
    pub fn list<R: Record>(&mut self) -> RecordList<'_> {
        RecordList::new::<R>(self)
    }
}

impl RecordList<'_> {
    fn new<R: Record>(out: &mut Output) -> RecordList<'_> {
        RecordList {
            out,
            columns: R::COLUMNS,
            fields: R::FIELDS,
            rows: Vec::new(),
            widths: None,
            line: String::new(),
            csv: None,
            count: 0,
            shown: Instant::now(),
        }
    }

    /// A table with more rows is printed row by row, in columns as wide as these first rows
    /// need: laying out a million rows took gigabytes.
    const LAID_OUT: usize = 1000;

    /// Adds a record.
    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.count += 1;
        let first = self.count == 1;
        match self.out.format() {
            OutputFormat::Table => {
                let mut cells = record.cells();
                cells.iter_mut().for_each(text::escape);
                self.push_cells(cells)
            }
            OutputFormat::Json => {
                let start: &[u8] = if first { b"[\n" } else { b",\n" };
                self.out
                    .stdout
                    .write_all(start)
                    .map_err(|e| write_error(&e))?;
                serde_json::to_writer(&mut self.out.stdout, record).map_err(json_error)
            }
            OutputFormat::Csv => {
                let csv = match &mut self.csv {
                    Some(csv) => csv,
                    none => none.insert(Csv::begin(self.fields)?),
                };
                csv.row(&record.fields())
            }
        }
    }

    /// Flushes the rows so far if the last flush is a while ago, because the rest may take long.
    /// The columns of a table are then as wide as these rows need.
    pub fn show(&mut self) -> Result<()> {
        if self.count == 0 || self.shown.elapsed() < A_WHILE {
            return Ok(());
        }
        self.shown = Instant::now();
        if self.out.format() == OutputFormat::Table && self.widths.is_none() {
            self.begin_columns()?;
        }
        match &mut self.csv {
            Some(csv) => csv.flush(),
            None => self.out.finish(),
        }
    }

    /// Ends the list. `none` tells people that it is empty.
    pub fn end(mut self, none: &str) -> Result<()> {
        match self.out.format() {
            OutputFormat::Table if self.count == 0 => self.out.note(none),
            OutputFormat::Table if self.widths.is_some() => {}
            OutputFormat::Table if !io::stdout().is_terminal() => self.begin_columns()?,
            OutputFormat::Table => {
                let table = laid_out(self.columns, std::mem::take(&mut self.rows));
                for line in table.lines() {
                    self.out.line(line.trim_end())?;
                }
            }
            OutputFormat::Json if self.count == 0 => self.out.line("[]")?,
            OutputFormat::Json => self.out.line("\n]")?,
            OutputFormat::Csv => match self.csv {
                Some(csv) => csv.end()?,
                None => Csv::begin(self.fields)?.end()?,
            },
        }
        Ok(())
    }

    fn push_cells(&mut self, cells: Vec<String>) -> Result<()> {
        if let Some(widths) = &self.widths {
            self.line.clear();
            fixed_width(&mut self.line, widths, &cells);
            return self.out.line(&self.line);
        }
        self.rows.push(cells);
        if self.rows.len() <= Self::LAID_OUT {
            return Ok(());
        }
        self.begin_columns()
    }

    /// Prints the kept rows, in columns as wide as they need.
    fn begin_columns(&mut self) -> Result<()> {
        let header: Vec<String> = self.columns.iter().map(|c| c.to_uppercase()).collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|i| {
                let cells = self
                    .rows
                    .iter()
                    .chain([&header])
                    .filter_map(|row| row.get(i));
                cells.map(|cell| width_of(cell)).max().unwrap_or(0)
            })
            .collect();
        for row in [header].iter().chain(&std::mem::take(&mut self.rows)) {
            self.line.clear();
            fixed_width(&mut self.line, &widths, row);
            self.out.line(&self.line)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

fn fixed_width(line: &mut String, widths: &[usize], cells: &[String]) {
    for (cell, width) in cells.iter().zip(widths) {
        let pad = width.saturating_sub(width_of(cell)) + 2;
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', pad));
    }
    line.truncate(line.trim_end().len());
}

/// Returns the width on a terminal, in columns.
fn width_of(cell: &str) -> usize {
    if cell.is_ascii() {
        return cell.len();
    }
    cell.width()
}

/// Lays out a table. Cells wrap if the terminal is too narrow.
fn laid_out(columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(columns.iter().map(|c| c.to_uppercase()))
        .add_rows(rows);
    match terminal_size::terminal_size() {
        Some((width, _)) => table.set_width(width.0),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        // Names are copied from the screen, so they never wrap.
        if i == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}
