//! The only place that prints.
//!
//! stdout carries what was asked for, and nothing else: a table for people, or
//! one JSON or CSV document. Everything said about it goes to stderr. A secret
//! is printed by `reveal`, never here. Text from strangers is escaped before
//! it reaches a terminal.

use std::io::{self, IsTerminal as _, Write};

use clap::builder::styling::{AnsiColor, Style, Styles};
use serde::Serialize;
use serde_json::json;

use super::list::{Csv, List};
use crate::error::{Error, Exit, Result};
use crate::model::text;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// In bytes.
pub(super) const BUFFER: usize = 64 * 1024;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();
pub const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(CYAN)
    .error(RED);

/// Something a command answers with.
pub trait Record: Serialize {
    /// For people.
    const COLUMNS: &'static [&'static str];
    fn cells(&self) -> Vec<String>;

    /// For programs: the columns of CSV. Stable, as the names in JSON are.
    const FIELDS: &'static [&'static str];
    fn fields(&self) -> Vec<String>;

    /// One of it, for people: a name and a value on each line.
    fn lines(&self) -> Vec<(&'static str, String)> {
        Self::COLUMNS.iter().copied().zip(self.cells()).collect()
    }
}

pub struct Output {
    format: Format,
    quiet: bool,
    color: bool,
    pub(super) stdout: io::BufWriter<io::Stdout>,
}

impl Output {
    pub fn new(format: Format, quiet: bool, color: Color) -> Self {
        Self {
            format,
            quiet,
            color: wants_color(color),
            stdout: io::BufWriter::with_capacity(BUFFER, io::stdout()),
        }
    }

    pub const fn format(&self) -> Format {
        self.format
    }

    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says on stderr what was done.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            say(&text::escaped(message));
        }
    }

    pub fn warn(&self, message: &str) {
        let message = text::escaped(message);
        // Whoever parses stderr finds an error behind it.
        if self.format == Format::Json {
            return say(&json!({"warning": message}).to_string());
        }
        say(&format!("{} {message}", self.painted(YELLOW, "warning:")));
    }

    /// One thing that was asked for.
    pub fn one<R: Record>(&mut self, record: &R) -> Result<()> {
        match self.format {
            Format::Table => {
                let lines = record.lines();
                let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in lines {
                    for (i, part) in value.split('\n').enumerate() {
                        let name = if i == 0 { name } else { "" };
                        let line = format!("{name:width$}  {}", text::escaped(part));
                        self.line(line.trim_end())?;
                    }
                }
                Ok(())
            }
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.stdout, record).map_err(json_failed)?;
                self.line("")
            }
            Format::Csv => {
                let mut csv = Csv::begin(R::FIELDS)?;
                csv.row(&record.fields())?;
                csv.end()
            }
        }
    }

    /// What a command that changed something made of it: for programs. People
    /// were told by [`Output::note`].
    pub fn result<R: Record>(&mut self, record: &R) -> Result<()> {
        match self.format {
            Format::Table => Ok(()),
            Format::Json | Format::Csv => self.one(record),
        }
    }

    /// What somebody has to see before answering, where stdout does not show it.
    pub fn before_question(&self, text: &str) {
        if self.format != Format::Table || !io::stdout().is_terminal() {
            say(text);
        }
    }

    /// Text to be pasted, as it is.
    pub fn text(&mut self, text: &str) -> Result<()> {
        match self.format {
            Format::Table => {
                let text = text.trim_end();
                self.line(text)
            }
            Format::Json | Format::Csv => self.one(&super::server_config::Text::new(text)),
        }
    }

    /// Any number of them, in constant memory.
    pub fn list<R: Record>(&mut self) -> List<'_> {
        List::new::<R>(self)
    }

    pub fn finish(&mut self) -> Result<()> {
        self.stdout.flush().map_err(|e| write_failed(&e))
    }

    /// Prints what went wrong, and says what to exit with.
    pub fn failure(&mut self, error: &anyhow::Error) -> Exit {
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
        // What was printed so far comes first, if anybody still reads it.
        let _ = self.stdout.flush();
        let (code, exit) = known.map_or(("failed", Exit::Failed), |e| (e.code(), e.exit()));
        let hint = known.and_then(Error::hint);
        print_error(
            self.format,
            self.color,
            code,
            &format!("{error:#}"),
            hint.as_deref(),
        );
        exit
    }

    fn painted(&self, style: Style, word: &str) -> String {
        if self.color {
            format!("{style}{word}{style:#}")
        } else {
            word.to_owned()
        }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdout, "{line}").map_err(|e| write_failed(&e))
    }
}

/// What clap found wrong with the command line, in the form asked for.
pub fn usage(error: &clap::Error) -> Exit {
    use clap::error::ErrorKind;
    use std::error::Error as _;

    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A reader that has seen enough is no failure.
        let _ = error.print();
        return Exit::Done;
    }
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let json = args.iter().any(|a| a == "--json" || a == "--format=json")
        || args.windows(2).any(|w| w == ["--format", "json"]);
    let format = if json { Format::Json } else { Format::Table };
    let color = wants_color(Color::Auto);
    if let Some(ours) = error.source().and_then(|e| e.downcast_ref::<Error>()) {
        let hint = ours.hint();
        print_error(
            format,
            color,
            ours.code(),
            &ours.to_string(),
            hint.as_deref(),
        );
    } else if json || !args.iter().all(|arg| arg.chars().all(text::is_printable)) {
        // clap's first paragraph says what is wrong; it repeats arguments as
        // they are, so they must not reach a terminal by its printing.
        let rendered = error.to_string();
        let message = rendered.split("\n\n").next().unwrap_or_default();
        let message = message.trim_start_matches("error: ").replace("\n ", "");
        print_error(format, color, "usage", &message, Some("see --help"));
    } else {
        // With its colours and its tips.
        let _ = error.print();
    }
    Exit::Usage
}

fn print_error(format: Format, color: bool, code: &str, message: &str, hint: Option<&str>) {
    // Messages are for people, also inside JSON.
    let message = text::escaped(message);
    let hint = hint.map(text::escaped);
    if format == Format::Json {
        let error = json!({"error": {"code": code, "message": message, "hint": hint}});
        return say(&error.to_string());
    }
    let (red, cyan) = if color {
        (RED, CYAN)
    } else {
        (Style::new(), Style::new())
    };
    say(&format!("{red}error:{red:#} {message}"));
    if let Some(hint) = hint {
        say(&format!("{cyan}hint:{cyan:#} {hint}"));
    }
}

fn wants_color(color: Color) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            io::stderr().is_terminal()
                && !set("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
        }
    }
}

/// Where stderr is gone there is nobody to tell.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

pub(super) fn write_failed(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Error::OutputClosed
    } else {
        Error::Output(error.to_string())
    }
}

pub(super) fn json_failed(error: serde_json::Error) -> Error {
    write_failed(&error.into())
}
