//! Printing any number of things in constant memory: a table, JSON or CSV.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr as _;

use super::output::{BUFFER, Format, Output, Record, json_failed, write_failed};
use crate::error::{Error, Result};
use crate::model::text;

pub struct List<'a> {
    out: &'a mut Output,
    columns: &'static [&'static str],
    fields: &'static [&'static str],
    /// Of a table: kept until it is known to be small enough to lay out whole.
    rows: Vec<Vec<String>>,
    /// Of a table too large for that.
    widths: Option<Vec<usize>>,
    /// Of such a table, the one being printed.
    line: String,
    csv: Option<Csv>,
    count: u64,
}

impl List<'_> {
    pub(super) fn new<R: Record>(out: &mut Output) -> List<'_> {
        List {
            out,
            columns: R::COLUMNS,
            fields: R::FIELDS,
            rows: Vec::new(),
            widths: None,
            line: String::new(),
            csv: None,
            count: 0,
        }
    }

    /// A table with more rows is printed as it comes, in columns as wide as
    /// these first rows need: laying out a million took gigabytes.
    const LAID_OUT: usize = 1000;

    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.count += 1;
        let first = self.count == 1;
        match self.out.format() {
            Format::Table => {
                let mut cells = record.cells();
                cells.iter_mut().for_each(text::escape);
                self.push_cells(cells)
            }
            Format::Json => {
                let start: &[u8] = if first { b"[\n" } else { b",\n" };
                self.out
                    .stdout
                    .write_all(start)
                    .map_err(|e| write_failed(&e))?;
                serde_json::to_writer(&mut self.out.stdout, record).map_err(json_failed)
            }
            Format::Csv => {
                let csv = match &mut self.csv {
                    Some(csv) => csv,
                    none => none.insert(Csv::begin(self.fields)?),
                };
                csv.row(&record.fields())
            }
        }
    }

    /// Ends the list; `none` is for people when there was nothing.
    pub fn end(mut self, none: &str) -> Result<()> {
        match self.out.format() {
            Format::Table if self.count == 0 => self.out.note(none),
            Format::Table if self.widths.is_some() => {}
            Format::Table if !io::stdout().is_terminal() => self.begin_columns()?,
            Format::Table => {
                let table = laid_out(self.columns, std::mem::take(&mut self.rows));
                for line in table.lines() {
                    self.out.line(line.trim_end())?;
                }
            }
            Format::Json if self.count == 0 => self.out.line("[]")?,
            Format::Json => self.out.line("\n]")?,
            Format::Csv => match self.csv {
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

    /// Prints what was kept, in columns as wide as it needs.
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

/// CSV (RFC 4180, with plain line feeds) on stdout. A program gets each field as it
/// is; on a terminal, what that would obey is spelled out, as in a table.
pub(super) struct Csv {
    writer: csv::Writer<io::Stdout>,
    to_terminal: bool,
}

impl Csv {
    pub(super) fn begin(fields: &[&str]) -> Result<Self> {
        let mut csv = Self {
            writer: csv::WriterBuilder::new()
                .buffer_capacity(BUFFER)
                .from_writer(io::stdout()),
            to_terminal: io::stdout().is_terminal(),
        };
        csv.row(fields)?;
        Ok(csv)
    }

    pub(super) fn row<T: AsRef<str>>(&mut self, fields: &[T]) -> Result<()> {
        let written = if self.to_terminal {
            self.writer.write_record(fields.iter().map(spelled_out))
        } else {
            self.writer
                .write_record(fields.iter().map(AsRef::<str>::as_ref))
        };
        written.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => write_failed(&error),
            other => Error::Output(format!("{other:?}")),
        })
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.writer.flush().map_err(|e| write_failed(&e))
    }
}

/// Its lines stay lines.
fn spelled_out<T: AsRef<str>>(field: &T) -> String {
    let lines: Vec<_> = field.as_ref().split('\n').map(text::escaped).collect();
    lines.join("\n")
}

fn fixed_width(line: &mut String, widths: &[usize], cells: &[String]) {
    for (cell, width) in cells.iter().zip(widths) {
        let pad = width.saturating_sub(width_of(cell)) + 2;
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', pad));
    }
    line.truncate(line.trim_end().len());
}

/// On a terminal.
fn width_of(cell: &str) -> usize {
    if cell.is_ascii() {
        return cell.len();
    }
    cell.width()
}

/// Broken over lines where the terminal is too narrow.
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
        // Names are copied from the screen: never broken over lines.
        if i == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}
