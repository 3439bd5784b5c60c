//! What commands print.
//!
//! stdout carries the result and nothing else: a table for people, or one JSON or CSV
//! document. Notes, warnings and errors go to stderr. A secret is printed by `reveal`,
//! never here. Text from strangers is escaped before it reaches a terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use clap::builder::styling::Style;
use serde_json::json;

use super::color::YELLOW;
use super::column::{Cell, Column};
use super::command_line::print_error;
use super::csv::Csv;
pub use super::format::{AskedFormat, OutputFormat};
use super::layout;
use super::look::Look;
use super::pager::{Pager, PagerChoice};
use super::record::{Record, TextRecord};
use super::stream::{BUFFER, json_error, say, tell, write_error};
use super::times::{Times, shorten_days};
use super::tty;
use crate::error::{Error, Exit, Result};
use crate::model::text;

/// The output of one command.
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct Output {
    format: OutputFormat,
    quiet: bool,
    /// Whether stderr is coloured.
    color: bool,
    /// The terminal on stdout: only people see what is fitted to it.
    pub(super) screen: Option<Screen>,
    /// Whether stdout is a terminal, even if nothing is fitted to it.
    pub(super) on_terminal: bool,
    /// Whether stdout is coloured.
    pub(super) colored: bool,
    /// Whether lists on a terminal show all columns.
    pub(super) wide: bool,
    /// How times are shown on a terminal.
    pub(in crate::cli) times: Times,
    /// Whether the holder of a role sees it: at the other end of a connection.
    pub(in crate::cli) is_for_holder: bool,
    wanted_pager: PagerChoice,
    pager: Option<Pager>,
    pub(in crate::cli) stdout: io::BufWriter<io::Stdout>,
}

/// The terminal that shows the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// In columns.
    pub(super) width: usize,
    /// In lines.
    height: usize,
    /// Whether lines may be wider: a pager then scrolls to the right.
    pub(super) scrolls: bool,
}

impl Screen {
    /// Returns the terminal on stdout, if it is one.
    fn on_stdout() -> Option<Self> {
        /// Of a terminal that does not say its size.
        const USUAL: (usize, usize) = (80, 24);
        let stdout = io::stdout();
        stdout.is_terminal().then(|| {
            let size = terminal_size::terminal_size_of(&stdout);
            let size = size.map(|(width, height)| (width.0.into(), height.0.into()));
            let (width, height) = size.filter(|(width, _)| *width > 0).unwrap_or(USUAL);
            Self {
                width,
                height,
                scrolls: false,
            }
        })
    }
}

impl Output {
    /// Creates the output for this format.
    pub fn new(format: OutputFormat, quiet: bool, look: Look) -> Self {
        Self {
            format,
            quiet,
            color: look.color.is_wanted(&io::stderr()),
            colored: look.color.is_wanted(&io::stdout()),
            screen: Screen::on_stdout(),
            on_terminal: io::stdout().is_terminal(),
            wide: look.wide,
            times: Times::new(look.zone),
            is_for_holder: false,
            wanted_pager: look.pager,
            pager: None,
            stdout: io::BufWriter::with_capacity(BUFFER, io::stdout()),
        }
    }

    /// Changes how output looks, before any.
    pub fn set_look(&mut self, look: Look) {
        *self = Self::new(self.format, self.quiet, look);
    }

    /// Returns the format asked for.
    pub const fn format(&self) -> OutputFormat {
        self.format
    }

    /// Returns whether --quiet is given.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns whether stdout is a terminal.
    pub const fn is_on_terminal(&self) -> bool {
        self.on_terminal
    }

    /// Returns whether the result is coloured.
    pub const fn is_colored(&self) -> bool {
        self.colored
    }

    /// Returns whether a person sees a table.
    pub fn is_for_people(&self) -> bool {
        self.format == OutputFormat::Table && self.on_terminal
    }

    /// Returns whether a person reads notes.
    pub fn tells_people(&self) -> bool {
        self.format == OutputFormat::Table && io::stderr().is_terminal()
    }

    /// Prints a line below a table, for a person only.
    pub fn closing(&mut self, line: &str) -> Result<()> {
        if io::stderr().is_terminal() {
            self.finish()?;
            self.note(line);
        }
        Ok(())
    }

    /// Prints on stderr what was done, unless --quiet is given.
    pub fn note(&self, message: &str) {
        if self.quiet {
            return;
        }
        let message = text::escaped(message);
        if self.format == OutputFormat::Json {
            return say(&json!({"note": message}).to_string());
        }
        tell("", &self.told(&message));
    }

    /// Prints a warning on stderr.
    pub fn warn(&self, message: &str) {
        let message = text::escaped(message);
        // Under --json, stderr has one document a line.
        if self.format == OutputFormat::Json {
            return say(&json!({"warning": message}).to_string());
        }
        let warning = self.painted(YELLOW, "warning:");
        tell(&warning, &self.told(&message));
    }

    /// Prints one record.
    pub fn one<R: Record>(&mut self, record: &R) -> Result<()> {
        match self.format {
            OutputFormat::Table => self.values(record.lines()),
            OutputFormat::Json => {
                serde_json::to_writer_pretty(&mut self.stdout, record).map_err(json_error)?;
                self.line("")
            }
            OutputFormat::Csv => {
                let mut csv = Csv::begin(R::FIELDS)?;
                csv.row(&record.fields())?;
                csv.end()
            }
        }
    }

    /// Prepares the cells of a row: local times for people, short days for programs.
    pub(super) fn localize(&self, columns: &[Column], row: &mut [Cell]) {
        if self.on_terminal {
            self.times.localize(columns, row);
        } else {
            shorten_days(columns, row);
        }
    }

    /// Prints names and values for people, one on each line.
    pub fn values(&mut self, mut values: Vec<(&'static str, Cell)>) -> Result<()> {
        if self.on_terminal {
            for (_, cell) in &mut values {
                self.times.rewrite_cell(cell);
            }
        }
        let lines = self.block(values);
        self.page(lines.len())?;
        lines.iter().try_for_each(|line| self.line(line))?;
        self.end_page()
    }

    /// Lays out one value on each line.
    pub(super) fn block(&self, lines: Vec<(&'static str, Cell)>) -> Vec<String> {
        self.block_at(self.width(), lines)
    }

    /// Returns the width that tables are fitted to, if to any.
    pub(super) fn width(&self) -> Option<usize> {
        let fitted = self.screen.filter(|screen| !screen.scrolls);
        fitted.map(|screen| screen.width)
    }

    /// Does the same for a terminal of this width.
    pub(super) fn block_at(
        &self,
        width: Option<usize>,
        mut lines: Vec<(&'static str, Cell)>,
    ) -> Vec<String> {
        for (_, cell) in &mut lines {
            let parts = cell.text.split('\n').map(text::escaped);
            cell.text = parts.collect::<Vec<_>>().join("\n");
        }
        layout::block(&lines, width, self.colored)
    }

    /// Starts a pager for this many lines or more, unless they fit the terminal.
    pub(super) fn page(&mut self, lines: usize) -> Result<()> {
        /// For what is said below, and the prompt of the shell.
        const BELOW: usize = 4;
        let fits = |screen: &Screen| lines.saturating_add(BELOW) <= screen.height;
        if self.screen.is_some_and(|s| !fits(&s)) {
            self.begin_pager()?;
        }
        Ok(())
    }

    /// Starts a pager for this many lines of any width, unless they fit the terminal.
    pub(super) fn page_wide(&mut self, lines: usize, widest: usize) -> Result<()> {
        // The terminal wraps a few lines by itself.
        let rows = self
            .screen
            .map_or(1, |screen| widest.div_ceil(screen.width.max(1)));
        self.page(lines.saturating_mul(rows.max(1)))
    }

    fn begin_pager(&mut self) -> Result<()> {
        if self.pager.is_none() {
            self.finish()?;
            let scrolls = self.screen.is_some_and(|screen| screen.scrolls);
            let pager = Pager::begin(&self.wanted_pager, scrolls);
            self.pager = pager.map_err(|e| write_error(&e))?;
        }
        Ok(())
    }

    /// Uses no pager from now on.
    pub(super) fn stay_on_screen(&mut self) {
        self.wanted_pager = PagerChoice::Never;
    }

    /// Waits until a person has read what the pager shows.
    pub(super) fn end_page(&mut self) -> Result<()> {
        if self.pager.is_some() {
            let written = self.finish();
            self.pager = None;
            written?;
        }
        Ok(())
    }

    /// Prints the result of a change for programs. People have seen [`Output::note`].
    pub fn result<R: Record>(&mut self, record: &R) -> Result<()> {
        let printed = match self.format {
            OutputFormat::Table => Ok(()),
            OutputFormat::Json | OutputFormat::Csv => self.one(record),
        };
        self.recorded(printed)
    }

    /// Flushes what was printed about a committed change. A failure becomes
    /// [`Error::Unrecorded`]: it must not look as if the command had not run.
    pub fn recorded(&mut self, printed: Result<()>) -> Result<()> {
        printed.and_then(|()| self.finish()).map_err(|e| match e {
            Error::Output(reason) => Error::Unrecorded {
                to: "stdout".to_owned(),
                reason,
            },
            other => other,
        })
    }

    /// Shows a person what a question is about, if stdout does not show it.
    pub fn before_question(&self, text: &str) {
        if self.format == OutputFormat::Json {
            // Like the question: stderr has only documents.
            if let Ok(terminal) = tty::beside_stderr() {
                let _ = terminal.write_line(text);
            }
        } else if self.format != OutputFormat::Table || !io::stdout().is_terminal() {
            say(text);
        }
    }

    /// Shows a person the record that a question is about.
    pub fn show_before_question<R: Record>(&self, record: &R) {
        let lines = self.block(record.lines()).join("\n");
        if self.format == OutputFormat::Json {
            self.before_question(&lines);
        } else {
            say(&lines);
        }
    }

    /// Prints text to paste, unchanged.
    pub fn text(&mut self, text: &str) -> Result<()> {
        match self.format {
            OutputFormat::Table => {
                let text = text.trim_end();
                self.line(text)
            }
            OutputFormat::Json | OutputFormat::Csv => self.one(&TextRecord::new(text)),
        }
    }

    /// Flushes stdout.
    pub fn finish(&mut self) -> Result<()> {
        self.stdout.flush().map_err(|e| write_error(&e))
    }

    /// Prints the error and returns the exit code.
    pub fn failure(&mut self, error: &anyhow::Error) -> Exit {
        let hint = error.downcast_ref::<Error>().and_then(Error::hint);
        self.failure_with(error, hint.as_deref())
    }

    /// Prints the error with this hint and returns the exit code.
    pub fn failure_with(&mut self, error: &anyhow::Error, hint: Option<&str>) -> Exit {
        let known = error.downcast_ref::<Error>();
        if matches!(known, Some(Error::OutputClosed)) {
            return Exit::Done;
        }
        if let Some(Error::Answered(exit)) = known {
            return match self.finish() {
                Ok(()) => *exit,
                Err(error) => self.failure(&error.into()),
            };
        }
        // What was printed so far comes first, if it is still read.
        let _ = self.stdout.flush();
        self.pager = None;
        if let Some(known @ (Error::Interrupted | Error::Cancelled)) = known
            && self.format == OutputFormat::Table
            && io::stderr().is_terminal()
        {
            // The person knows: this is not an error.
            tell("", &known.to_string());
            return known.exit();
        }
        let (code, exit) = known.map_or(("failed", Exit::Failed), |e| (e.code(), e.exit()));
        let (message, hint) = (format!("{error:#}"), hint.map(|hint| self.told(hint)));
        let message = self.told(&message);
        print_error(self.format, self.color, code, &message, hint.as_deref());
        exit
    }

    /// Returns a message for stderr, with local times if people read it.
    fn told<'a>(&self, message: &'a str) -> Cow<'a, str> {
        if self.format == OutputFormat::Json || !io::stderr().is_terminal() {
            return Cow::Borrowed(message);
        }
        self.times.rewrite(message)
    }

    fn painted(&self, style: Style, word: &str) -> String {
        if self.color {
            format!("{style}{word}{style:#}")
        } else {
            word.to_owned()
        }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdout, "{line}").map_err(|e| write_error(&e))
    }
}
