//! The columns of tables and what is in them.

use clap::builder::styling::{Ansi256Color, AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::color::DARK_YELLOW;
use crate::model::time::Time;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    /// Columns with the highest rank are left out first; 0 is never left out.
    pub rank: u8,
    pub fit: Fit,
    pub right: bool,
    pub shown: Shown,
    pub times: TimeForm,
}

/// What a column does if the terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Stays whole: names, dates, addresses and IDs are copied from the screen. In the first
    /// column, a few that are much longer than the others get a line of their own, as with df.
    Whole,
    /// Stays whole, too, but a name that is much longer than the others is broken, and all are on a
    /// terminal without room for them. Is at least this wide.
    Name(usize),
    /// Ends in `…`, but is at least this wide.
    Cut(usize),
    /// Continues on the next line, and is at least this wide.
    Wrap(usize),
    /// A bar, drawn for a width of [`BAR`]: becomes shorter, but is at least this wide.
    Bar(usize),
}

/// The width of the longest bar on a wide terminal.
pub const BAR: usize = 60;

/// When a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Always,
    /// If a cell is not empty.
    IfAny,
    /// With `--wide` or `--columns`.
    OnRequest,
}

/// How the times in a column are shown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// The column has none.
    None,
    /// ` 3 Dec 05:21:09 +01:00`
    Stamp,
    /// `2026-12-03`, for programs, too.
    Day,
    /// `in 3d, 3 Dec`
    Near,
    /// Parts of sentences.
    Text,
    /// Values of fields: `expires_at=3 Dec 05:21:09 +01:00`
    Fields,
}

impl Column {
    /// Creates a column that is always shown whole.
    pub const fn new(title: &'static str) -> Self {
        Self {
            title,
            rank: 0,
            fit: Fit::Whole,
            right: false,
            shown: Shown::Always,
            times: TimeForm::None,
        }
    }

    /// Leaves the column out on a narrow terminal: those with the highest rank first.
    pub const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Cuts long cells to at least this width.
    pub const fn cut(self, least: usize) -> Self {
        Self {
            fit: Fit::Cut(least),
            ..self
        }
    }

    /// Keeps the names in it whole if they have a usual length, and is at least this wide.
    pub const fn name_of(self, least: usize) -> Self {
        Self {
            fit: Fit::Name(least),
            ..self
        }
    }

    /// Wraps long cells to at least this width.
    pub const fn wrap(self, least: usize) -> Self {
        Self {
            fit: Fit::Wrap(least),
            ..self
        }
    }

    /// Shortens bars to at least this width.
    pub const fn bar(self, least: usize) -> Self {
        Self {
            fit: Fit::Bar(least),
            ..self
        }
    }

    /// Aligns numbers at their last digit.
    pub const fn right(self) -> Self {
        Self {
            right: true,
            ..self
        }
    }

    /// Shows the column only if one of its cells is not empty.
    pub const fn if_any(self) -> Self {
        Self {
            shown: Shown::IfAny,
            ..self
        }
    }

    /// Shows the column only with `--wide` or `--columns`.
    pub const fn on_request(self) -> Self {
        Self {
            shown: Shown::OnRequest,
            ..self
        }
    }

    /// Shows times in this form. Cells have them as programs get them.
    pub const fn times(self, times: TimeForm) -> Self {
        Self { times, ..self }
    }

    /// Returns the name for `--columns`.
    pub fn name(&self) -> String {
        column_name(self.title)
    }

    /// Returns the smallest width, if its longest cell has this one.
    pub fn least(&self, natural: usize) -> usize {
        match self.fit {
            Fit::Whole => natural,
            Fit::Name(least) | Fit::Cut(least) | Fit::Wrap(least) | Fit::Bar(least) => {
                natural.min(least.max(self.title.width()))
            }
        }
    }
}

/// Returns the name for `--columns` of what may be written as in the headings: `Last connection`,
/// `PASSWORD_ID`.
pub fn column_name(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '_'], "-")
}

/// What a value means: its colour, which is never the only sign of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    /// Nothing to see: never, none.
    Dim,
    Strong,
}

impl Tone {
    /// Returns how a terminal shows it.
    pub const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => Ansi256Color(DARK_YELLOW).on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }

    /// Returns the text with its colour, if colours are used.
    pub fn paint(self, text: &str, colored: bool) -> String {
        if colored && self != Self::Plain && !text.is_empty() {
            let style = self.style();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A value for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub tone: Tone,
    /// The time of a text that begins with how long ago it was: `2h ago from 192.0.2.1`.
    pub since: Option<Time>,
}

impl Cell {
    /// Creates a value with this tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            since: None,
        }
    }

    /// Adds the time to a text that begins with how long ago it was, if there is one: people
    /// get it in their own.
    pub fn since(self, since: Option<Time>) -> Self {
        Self { since, ..self }
    }

    /// Creates a value, or dim text in place of a missing one.
    pub fn or(text: Option<impl Into<String>>, none: &str) -> Self {
        match text {
            Some(text) => Self::new(text, Tone::Plain),
            None => Self::new(none, Tone::Dim),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.unwrap_or_default().into()
    }
}

/// Returns the width on a terminal, in columns.
pub fn width_of(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.width()
}
