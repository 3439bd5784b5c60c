//! A list that a person chooses from by typing part of an entry.
//!
//! Not dialoguer's: that one misses a Ctrl-C or a signal that comes before it waits for a key, and
//! erases what stands above if an entry, counted in bytes, is wider than the terminal.

use std::fmt::Write as _;
use std::io;

use dialoguer::console::truncate_str;

use super::column::{Tone, width_of};
use super::tty::{CTRL_C, CTRL_D, ESCAPE, Tty, TtyEvent};
use super::typed::Typed;
use crate::error::{Error, Result};

/// The most entries at a time: what was printed before stays in sight.
const SHOWN: usize = 10;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;

/// Lets a person choose one of these. Returns its place.
pub fn choose(prompt: &str, entries: &[String], colored: bool) -> Result<usize> {
    let unusable = |e: io::Error| Error::System(format!("the terminal cannot be used: {e}"));
    let mut tty = Tty::open().map_err(unusable)?;
    let mut picker = Picker::new(prompt, entries, colored);
    let chosen = loop {
        if tty.write(picker.drawn(tty.size()).as_bytes()).is_err() {
            break Err(Error::Interrupted);
        }
        match tty.event_until(None) {
            Err(interrupted) => break Err(interrupted),
            Ok(Some(TtyEvent::Key(CTRL_C))) => break Err(Error::Interrupted),
            Ok(Some(TtyEvent::Key(ESCAPE | CTRL_D))) => break Err(Error::Cancelled),
            Ok(Some(TtyEvent::Key(b'\r' | b'\n'))) => {
                if let Some(place) = picker.chosen() {
                    break Ok(place);
                }
            }
            Ok(Some(TtyEvent::Key(CTRL_P) | TtyEvent::Up)) => picker.up(),
            Ok(Some(TtyEvent::Key(CTRL_N | b'\t') | TtyEvent::Down)) => picker.down(),
            Ok(Some(TtyEvent::Key(key))) => picker.key(key),
            Ok(_) => {}
        }
    };
    let last = match chosen {
        Ok(place) => format!("\r\x1b[J{prompt}: {}\r\n", entries[place]),
        Err(_) => "\r\x1b[J".to_owned(),
    };
    // If the terminal is gone, nothing is left on it.
    let _ = tty.write(last.as_bytes());
    chosen
}

struct Picker<'a> {
    prompt: &'a str,
    entries: &'a [String],
    /// The same in lower case.
    folded: Vec<String>,
    colored: bool,
    typed: Typed,
    /// The places of the entries with what is typed.
    found: Vec<usize>,
    /// Which of them is chosen.
    at: usize,
}

impl<'a> Picker<'a> {
    fn new(prompt: &'a str, entries: &'a [String], colored: bool) -> Self {
        Self {
            prompt,
            entries,
            folded: entries.iter().map(|entry| entry.to_lowercase()).collect(),
            colored,
            typed: Typed::default(),
            found: (0..entries.len()).collect(),
            at: 0,
        }
    }

    fn chosen(&self) -> Option<usize> {
        self.found.get(self.at).copied()
    }

    fn up(&mut self) {
        self.at = self
            .at
            .checked_sub(1)
            .unwrap_or(self.found.len().saturating_sub(1));
    }

    fn down(&mut self) {
        self.at = if self.at + 1 < self.found.len() {
            self.at + 1
        } else {
            0
        };
    }

    fn key(&mut self, key: u8) {
        if self.typed.key(key) {
            self.find();
        }
    }

    /// Finds the entries with all words, those that begin with the first one before the others, and
    /// after them those that only have the letters in this order.
    fn find(&mut self) {
        let typed = self.typed.text().to_lowercase();
        let words: Vec<_> = typed.split_whitespace().collect();
        let letters: String = words.concat();
        let has_words = |entry: &String| words.iter().all(|word| entry.contains(word));
        let all = || self.folded.iter().enumerate();
        let (mut with_words, others): (Vec<_>, Vec<_>) =
            all().partition(|(_, entry)| has_words(entry));
        let begins = |entry: &str| words.first().is_some_and(|word| entry.starts_with(word));
        with_words.sort_by_key(|(_, entry)| !begins(entry));
        let others = others
            .into_iter()
            .filter(|(_, entry)| in_order(entry, &letters));
        let found = with_words.into_iter().chain(others);
        self.found = found.map(|(place, _)| place).collect();
        self.at = 0;
    }

    /// Draws the question, the entries around the chosen one, and puts the cursor behind what is
    /// typed.
    fn drawn(&self, (rows, columns): (usize, usize)) -> String {
        let room = columns.saturating_sub(1);
        let question = self.question(room);
        let room_below = rows.saturating_sub(1);
        // One line says how many more there are.
        let is_more = self.found.len() > SHOWN.min(room_below);
        let lines = SHOWN.min(room_below.saturating_sub(is_more.into()));
        let first = (self.at + 1).saturating_sub(lines);
        let mut picture = format!("\r\x1b[J{question}");
        let mut below = 0;
        for (at, place) in self.found.iter().enumerate().skip(first).take(lines) {
            let (mark, tone) = if at == self.at {
                ("> ", Tone::Strong)
            } else {
                ("  ", Tone::Plain)
            };
            let line = format!("{mark}{}", self.entries[*place]);
            let line = truncate_str(&line, room, "…");
            // Writing to a String cannot fail.
            let _ = write!(picture, "\r\n{}", tone.paint(&line, self.colored));
            below += 1;
        }
        let more = self.found.len().saturating_sub(first + lines);
        if more > 0 && below < room_below {
            let line = format!("  … {more} more");
            let line = truncate_str(&line, room, "…");
            let _ = write!(picture, "\r\n{}", Tone::Dim.paint(&line, self.colored));
            below += 1;
        }
        if below > 0 {
            let _ = write!(picture, "\x1b[{below}A");
        }
        let _ = write!(picture, "\r\x1b[{}C", width_of(&question).max(1));
        picture
    }

    /// Returns the prompt and what is typed, on one line; of a long text, only its end.
    fn question(&self, room: usize) -> String {
        let typed = self.typed.text();
        let short = self.prompt.split(" (").next().unwrap_or_default();
        let whole = |prompt: &str| format!("{prompt}: {typed}");
        for prompt in [self.prompt, short] {
            if width_of(&whole(prompt)) <= room {
                return whole(prompt);
            }
        }
        let mut end: &str = &typed;
        while width_of(end) > room {
            let mut rest = end.chars();
            rest.next();
            end = rest.as_str();
        }
        end.to_owned()
    }
}

/// Returns whether a text has these letters in this order, with others between them.
fn in_order(text: &str, letters: &str) -> bool {
    let mut text = text.chars();
    letters.chars().all(|letter| text.any(|c| c == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(entries: &[String]) -> Picker<'_> {
        Picker::new("User (type part of it)", entries, false)
    }

    fn entries() -> Vec<String> {
        [
            "crm@example.com  会計",
            "shop@example.com  Web",
            "web-shop@example.com",
        ]
        .map(str::to_owned)
        .into()
    }

    fn typed(picker: &mut Picker, text: &str) -> Vec<usize> {
        text.bytes().for_each(|key| picker.key(key));
        picker.found.clone()
    }

    #[test]
    fn words_are_found_before_letters() {
        let entries = entries();
        assert_eq!(typed(&mut picker(&entries), "SHOP web"), [1, 2]);
        assert_eq!(typed(&mut picker(&entries), "web"), [2, 1]);
        assert_eq!(typed(&mut picker(&entries), "会"), [0]);
        assert_eq!(typed(&mut picker(&entries), "wshop"), [2]);
        let mut none = picker(&entries);
        assert_eq!(typed(&mut none, "zzz"), [0; 0]);
        none.up();
        none.down();
        assert_eq!(none.chosen(), None);
        assert_eq!(typed(&mut none, "\x7f\x7f\x7f"), [0, 1, 2]);
        none.up();
        assert_eq!(none.chosen(), Some(2));
    }

    #[test]
    fn a_line_says_how_many_more_there_are() {
        let entries: Vec<_> = (0..18).map(|i| format!("u{i:02}")).collect();
        let mut picker = picker(&entries);
        let drawn = picker.drawn((24, 80));
        assert!(drawn.contains("u09\r\n  … 8 more\x1b"), "{drawn:?}");
        assert_eq!(typed(&mut picker, "u0").len(), 11, "u10 has both letters");
        let drawn = picker.drawn((24, 80));
        assert!(drawn.contains("… 1 more"), "{drawn:?}");
        picker.up();
        assert!(!picker.drawn((24, 80)).contains("more"), "it is the last");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut entries = vec!["会計".repeat(50)];
        entries.extend(vec!["x".repeat(200); 20]);
        let mut picker = picker(&entries);
        typed(&mut picker, "x");
        for columns in [1, 2, 10, 80] {
            for rows in [1, 2, 24] {
                let drawn = picker.drawn((rows, columns));
                let lines: Vec<_> = drawn.split("\r\n").collect();
                assert!(lines.len() <= rows.max(1), "{rows}: {drawn:?}");
                for line in lines {
                    let text = dialoguer::console::strip_ansi_codes(line);
                    assert!(
                        width_of(text.trim_matches('\r')) < columns.max(2),
                        "{line:?}"
                    );
                }
            }
        }
    }
}
