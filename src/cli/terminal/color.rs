//! Whether output is coloured, and the colours of messages and help.

use std::env;
use std::io::IsTerminal;

use clap::builder::styling::{Ansi256Color, AnsiColor, Style, Styles};

pub const RED: Style = AnsiColor::Red.on_default().bold();
/// A dark one of 256 colours: the usual one cannot be read on a light background.
pub const DARK_YELLOW: u8 = 136;
pub const YELLOW: Style = Ansi256Color(DARK_YELLOW).on_default().bold();
pub const CYAN: Style = AnsiColor::Cyan.on_default();

/// The colours of help.
pub const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(CYAN)
    .error(RED);

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Returns whether this stream is coloured. <https://no-color.org>,
    /// <https://bixense.com/clicolors>
    pub fn is_wanted(self, stream: &impl IsTerminal) -> bool {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR").is_some() => false,
            Self::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto => stream.is_terminal() && set("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}
