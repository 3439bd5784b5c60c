//! Something that is shown until a key ends it, and drawn again from time to time.
//!
//! It is on the alternate screen. Each picture is one write over the one before, so that
//! nothing flickers: clearing the screen first would show an empty one in between.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use dialoguer::console::truncate_str;

use super::column::{Cell, Tone};
use super::output::{Output, OutputFormat};
use super::tty::{CTRL_C, ESCAPE, Tty, TtyEvent};
use crate::error::{Error, Result};
use crate::model::text::count;

const KEYS: &str = "q quits";

impl Output {
    /// Fails if nothing can be watched here. `instead` is what programs use.
    pub fn check_watchable(&self, instead: &str) -> Result<()> {
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if io::stdout().is_terminal() && !dumb && self.format() == OutputFormat::Table {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "--watch needs a terminal and its table; elsewhere use {instead}"
        )))
    }

    /// Draws the lines again and again, until q, Esc or Ctrl-C.
    pub fn watch(&self, every: Duration, lines: &mut dyn FnMut() -> Watched) -> Result<()> {
        let screen = Screen::open();
        let mut screen =
            screen.map_err(|e| Error::Usage(format!("the terminal cannot be used: {e}")))?;
        let mut shown = self.as_of_now(lines());
        let mut next = Instant::now() + every;
        loop {
            self.draw(&mut screen.0, &shown)?;
            match screen.0.event_until(Some(next))? {
                Some(TtyEvent::Key(b'q' | b'Q' | ESCAPE | CTRL_C)) => return Ok(()),
                Some(_) => continue,
                None => {}
            }
            shown = self.as_of_now(lines());
            next = Instant::now() + every;
        }
    }

    /// Writes the times in them for people: a picture may be old when the next one is drawn.
    fn as_of_now(&self, mut watched: Watched) -> Watched {
        let times = self.times.as_of_now();
        for (_, cell) in &mut watched.lines {
            times.rewrite_cell(cell);
        }
        watched
    }

    fn draw(&self, tty: &mut Tty, watched: &Watched) -> Result<()> {
        let (rows, columns) = tty.size();
        let room = rows.saturating_sub(1);
        let mut drawn = self.block_at(Some(columns), watched.lines.clone());
        let mut keys = KEYS.to_owned();
        if drawn.len() > room {
            drawn = self.block_at(Some(columns), watched.most_important_first());
            if let Some(cut @ 1..) = drawn.len().checked_sub(room) {
                keys = format!("{KEYS}; {}", count(cut as u64, "more line"));
            }
        }
        drawn.resize(room, String::new());
        drawn.push(Tone::Dim.paint(&keys, self.colored));
        let mut picture = String::from("\x1b[H");
        for (i, line) in drawn.iter().enumerate() {
            let end = if i == 0 { "" } else { "\r\n" };
            // Writing to a String cannot fail.
            let _ = write!(picture, "{end}{}\x1b[K", truncate_str(line, columns, "…"));
        }
        picture.push_str("\x1b[J");
        tty.write(picture.as_bytes())
            .map_err(|_| Error::Interrupted)
    }
}

/// What is watched.
pub struct Watched {
    /// Names and values.
    pub lines: Vec<(&'static str, Cell)>,
    /// Where those begin that a small window shows first.
    pub first: usize,
}

impl Watched {
    fn most_important_first(&self) -> Vec<(&'static str, Cell)> {
        let (before, important) = self.lines.split_at(self.first.min(self.lines.len()));
        let lines = important.iter().chain(before);
        // Without the empty ones between.
        let some = lines.filter(|(name, cell)| !name.is_empty() || !cell.text.is_empty());
        some.cloned().collect()
    }
}

/// The terminal with its alternate screen. Dropping it restores the one before.
struct Screen(Tty);

impl Screen {
    fn open() -> io::Result<Self> {
        let mut screen = Self(Tty::open()?);
        screen.0.write(b"\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = self.0.write(b"\x1b[?25h\x1b[?1049l");
    }
}
