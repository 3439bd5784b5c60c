//! Lists of any length in constant memory: a table, JSON or CSV.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::column::{Cell, Column, Fit, Shown, column_name};
use super::csv::Csv;
use super::layout::Layout;
use super::output::{Output, OutputFormat};
use super::record::Record;
use super::stream::{json_error, wait_while_read, write_error};
use crate::error::{Error, Result};
use crate::model::near::nearest;
use crate::model::text;

/// A list that is being printed.
pub struct RecordList<'a> {
    out: &'a mut Output,
    columns: &'static [Column],
    fields: &'static [&'static str],
    /// The columns to show, in this order.
    chosen: Vec<usize>,
    /// Whether a flag shows the columns that a narrow terminal leaves out.
    can_widen: bool,
    /// Rows of a table, kept until its columns are as wide as they need.
    rows: Vec<Vec<Cell>>,
    /// How the rows of a long table are printed, one by one.
    form: Option<Form>,
    /// The current line of such a table.
    line: String,
    /// The titles of the columns that the terminal has no room for.
    left_out: Vec<&'static str>,
    csv: Option<Csv>,
    /// The list grows as long as it is read: JSON is one document on each line.
    endless: bool,
    count: u64,
    /// When the list began, or when its rows were last flushed.
    shown: Instant,
}

/// How people see rows.
enum Form {
    Table(Layout),
    /// One value on each line, for a terminal that is too narrow.
    Blocks,
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
        let columns = R::COLUMNS;
        let usual = |i: &usize| columns[*i].shown != Shown::OnRequest;
        RecordList {
            out,
            columns,
            fields: R::FIELDS,
            chosen: (0..columns.len()).filter(usual).collect(),
            can_widen: false,
            rows: Vec::new(),
            form: None,
            line: String::new(),
            left_out: Vec::new(),
            csv: None,
            endless: false,
            count: 0,
            shown: Instant::now(),
        }
    }

    /// The columns of a longer table are as wide as these first rows need: laying out a million
    /// rows took gigabytes.
    const LAID_OUT: usize = 1000;

    /// Shows all columns, or these. Fails if there is no such column.
    pub fn choose(&mut self, wide: bool, names: &[String]) -> Result<()> {
        self.can_widen = true;
        let wide = wide || names.is_empty() && self.out.wide && self.out.on_terminal;
        if !names.is_empty() {
            self.chosen = names
                .iter()
                .map(|name| self.position(name))
                .collect::<Result<_>>()?;
        } else if wide {
            self.chosen = (0..self.columns.len()).collect();
        }
        if let (true, Some(screen)) = (wide, &mut self.out.screen) {
            screen.scrolls = true;
        }
        Ok(())
    }

    fn position(&self, name: &str) -> Result<usize> {
        let names: Vec<String> = self.columns.iter().map(Column::name).collect();
        let asked = column_name(name);
        let found = names.iter().position(|column| *column == asked);
        found.ok_or_else(|| {
            let meant = nearest(&asked, names.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant}?"));
            let name = text::escaped(name);
            let all = names.iter().filter(|name| !name.is_empty());
            let all = all.map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::Usage(format!(
                "there is no column '{name}'{}; the columns are {all}",
                meant.unwrap_or_default()
            ))
        })
    }

    /// Adds a record.
    pub fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.count += 1;
        let first = self.count == 1;
        match self.out.format() {
            OutputFormat::Table => {
                let mut cells = record.cells();
                for cell in &mut cells {
                    text::escape(&mut cell.text);
                }
                self.out.localize(self.columns, &mut cells);
                self.push_cells(cells)
            }
            OutputFormat::Json if self.endless => {
                serde_json::to_writer(&mut self.out.stdout, record).map_err(json_error)?;
                self.out.line("")
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
        self.flush()
    }

    /// Makes it a list that grows and is not ended.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.endless = true;
        self.out.stay_on_screen();
        self
    }

    /// Shows the rows so far and waits, also for a signal. Fails as soon as they are no
    /// longer read.
    pub fn wait(&mut self, time: Duration) -> Result<()> {
        if self.count > 0 {
            self.flush()?;
        }
        wait_while_read(time)
    }

    fn flush(&mut self) -> Result<()> {
        if self.out.format() == OutputFormat::Table && self.form.is_none() {
            self.begin_rows()?;
        }
        match &mut self.csv {
            Some(csv) => csv.flush(),
            None => self.out.finish(),
        }
    }

    /// Ends the list. `none` tells people that it is empty.
    pub fn end(self, none: &str) -> Result<()> {
        self.end_with(none, None)
    }

    /// Ends the list, for people with a last line.
    pub fn end_with(mut self, none: &str, last: Option<&Cell>) -> Result<()> {
        match self.out.format() {
            OutputFormat::Table if self.count == 0 => self.out.note(none),
            OutputFormat::Table if self.form.is_some() => {}
            OutputFormat::Table => self.begin_rows()?,
            OutputFormat::Json if self.count == 0 => self.out.line("[]")?,
            OutputFormat::Json => self.out.line("\n]")?,
            OutputFormat::Csv => match self.csv.take() {
                Some(csv) => csv.end()?,
                None => Csv::begin(self.fields)?.end()?,
            },
        }
        if let (Some(last), OutputFormat::Table) = (last, self.out.format()) {
            let last = last
                .tone
                .paint(&text::escaped(&last.text), self.out.colored);
            self.out.line(&last)?;
        }
        self.out.end_page()?;
        self.tell_left_out()
    }

    fn push_cells(&mut self, cells: Vec<Cell>) -> Result<()> {
        match &self.form {
            Some(Form::Table(layout)) => {
                self.line.clear();
                layout.line(&mut self.line, &cells, self.out.colored);
                self.out.line(&self.line)
            }
            Some(Form::Blocks) => self.print_block(cells),
            None => {
                self.rows.push(cells);
                if self.rows.len() <= Self::LAID_OUT {
                    return Ok(());
                }
                self.out.page(usize::MAX)?;
                self.begin_rows()
            }
        }
    }

    /// Prints the kept rows, in columns as wide as they need.
    fn begin_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let colored = self.out.colored;
        let width = self.out.width();
        let Some(layout) = Layout::fit(self.columns, &self.chosen, &rows, width) else {
            self.form = Some(Form::Blocks);
            self.out.page(rows.len() * (self.chosen.len() + 1))?;
            return rows.into_iter().try_for_each(|row| self.print_block(row));
        };
        if width.is_some() {
            let lines = layout.draw(&rows, colored);
            self.out.page(lines.len())?;
            lines.iter().try_for_each(|line| self.out.line(line))?;
            self.left_out = layout.left_out(&self.chosen, &rows);
        } else {
            self.out.page_wide(rows.len() + 1, layout.total())?;
            self.line.clear();
            layout.header(&mut self.line, colored);
            self.out.line(&self.line)?;
            for row in &rows {
                self.line.clear();
                layout.line(&mut self.line, row, colored);
                self.out.line(&self.line)?;
            }
        }
        self.form = Some(Form::Table(layout));
        Ok(())
    }

    fn tell_left_out(&mut self) -> Result<()> {
        if self.can_widen && !self.left_out.is_empty() {
            self.out.finish()?;
            let names = self.left_out.join(", ").to_lowercase();
            self.out
                .note(&format!("not shown: {names}; --wide shows them"));
        }
        Ok(())
    }

    /// Prints a row with one value on each line, and an empty line after it.
    fn print_block(&mut self, mut cells: Vec<Cell>) -> Result<()> {
        let chosen = self.chosen.iter();
        let lines = chosen.filter_map(|&i| {
            let cell = std::mem::take(cells.get_mut(i)?);
            let is_bar = matches!(self.columns[i].fit, Fit::Bar(_));
            let title = match self.columns[i].title {
                // A heading over it would only widen a table; here it is what tells.
                "" => "State",
                title => title,
            };
            (!cell.text.is_empty() && !is_bar).then_some((title, cell))
        });
        let lines = self.out.block(lines.collect());
        lines.iter().try_for_each(|line| self.out.line(line))?;
        self.out.line("")
    }
}
