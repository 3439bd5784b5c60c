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
    pub fn watch(
        &self,
        every: Duration,
        lines: &mut dyn FnMut() -> Vec<(&'static str, Cell)>,
    ) -> Result<()> {
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
    fn as_of_now(&self, mut lines: Vec<(&'static str, Cell)>) -> Vec<(&'static str, Cell)> {
        let times = self.times.as_of_now();
        for (_, cell) in &mut lines {
            times.rewrite_cell(cell);
        }
        lines
    }

    fn draw(&self, tty: &mut Tty, lines: &[(&'static str, Cell)]) -> Result<()> {
        let (rows, columns) = tty.size();
        let mut drawn = self.block_at(Some(columns), lines.to_vec());
        drawn.truncate(rows.saturating_sub(1));
        drawn.resize(rows.saturating_sub(1), String::new());
        drawn.push(Tone::Dim.paint(KEYS, self.colored));
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
