//! The password shown once: on the alternate screen, gone after a key, nothing
//! of it left in the scrollback.
//!
//! The change is made when the person says that the password is saved. Until
//! then nothing is stored: a connection that breaks, a closed window or Ctrl-C
//! lose a password that nobody needs, and not one that an application needs.

use std::io;

use zeroize::Zeroizing;

use super::Way;
use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::clipboard::{Clipboard, CopyArgs, Outcome};
use crate::cli::output::Output;
use crate::cli::tty::{CTRL_C, Tty};
use crate::error::{Error, Result};
use crate::model::settings::MECHANISMS;

pub struct Panel {
    copy: CopyArgs,
    clipboard: Option<Clipboard>,
}

impl Panel {
    pub fn new(copy: CopyArgs) -> Result<Self> {
        // Opened once to see whether it can be, before anything else happens.
        Tty::open().map_err(|e| unusable(&e))?;
        Ok(Self {
            copy,
            clipboard: None,
        })
    }

    fn show(&mut self, credential: Credential) -> Result<()> {
        let mut screen = Screen::open().map_err(|e| unusable(&e))?;
        let clipboard = self.clipboard.insert(self.copy.copy(&credential.password));
        let lines = lines(&credential, &clipboard.outcome);
        drop(credential);
        screen
            .draw(&lines)
            .map_err(|e| Error::Undelivered(e.to_string()))?;
        loop {
            match screen.tty.key()? {
                b'\r' | b'\n' => break,
                CTRL_C => return Err(Error::Interrupted),
                _ => {}
            }
        }
        clipboard.close();
        Ok(())
    }
}

impl Handover for Panel {
    fn prepare(&mut self, credential: Credential) -> Result<()> {
        let shown = self.show(credential);
        if shown.is_err() {
            self.withdraw();
        }
        shown
    }
}

impl Pending for Panel {
    fn deliver(&mut self) -> Result<()> {
        Ok(())
    }

    fn withdraw(&mut self) {
        if let Some(clipboard) = &mut self.clipboard {
            clipboard.clear();
        }
    }
}

impl Way for Panel {
    fn finish(&mut self, _: &Output) {}
}

fn unusable(error: &io::Error) -> Error {
    Error::Undeliverable(format!("the terminal cannot be used: {error}"))
}

/// A line of the panel. A small window shows the ones that matter most.
struct Line {
    matters: Matters,
    text: Zeroizing<String>,
}

/// From most to least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Matters {
    Password,
    Username,
    Question,
    Clipboard,
    Title,
    Rest,
}

const BY_HOW_MUCH: [Matters; 6] = [
    Matters::Password,
    Matters::Username,
    Matters::Question,
    Matters::Clipboard,
    Matters::Title,
    Matters::Rest,
];

impl Line {
    fn new(matters: Matters, text: String) -> Self {
        let text = Zeroizing::new(text);
        Self { matters, text }
    }

    /// How many rows it takes; a terminal wraps what is too long.
    fn rows(&self, columns: usize) -> usize {
        self.text.chars().count().div_ceil(columns.max(1)).max(1)
    }
}

fn lines(credential: &Credential, clipboard: &Outcome) -> Vec<Line> {
    let connection = &credential.connection;
    let host = connection.host.as_ref().map_or_else(
        || "not set yet: smtpcred set-settings --host smtp.example.com".to_owned(),
        ToString::to_string,
    );
    let ports: Vec<String> = connection
        .ports
        .offered()
        .map(|port| {
            let recommended = port == connection.ports.recommended();
            let mark = if recommended { ", recommended" } else { "" };
            format!("{} ({}{mark})", port.number, port.encryption.name())
        })
        .collect();
    // Long enough for all of it, so that it never moves and leaves a copy.
    let mut password = String::with_capacity(512);
    password.push_str("  Password   ");
    password.push_str(credential.password.expose());

    let title = format!(
        "  {} {}: shown once",
        credential.occasion, credential.username
    );
    let rest = |text: String| Line::new(Matters::Rest, text);
    let mut lines = vec![
        Line::new(Matters::Title, title),
        rest(String::new()),
        rest(format!("  Server     {host}")),
    ];
    for (i, pair) in ports.chunks(2).enumerate() {
        let name = if i == 0 { "Ports" } else { "" };
        lines.push(rest(format!("  {name:<10} {}", pair.join("  "))));
    }
    let mechanisms = MECHANISMS.join(" or ");
    lines.extend([
        rest(format!("  Sign-in    {mechanisms} (over TLS only)")),
        Line::new(
            Matters::Username,
            format!("  Username   {}", credential.username),
        ),
        Line::new(Matters::Password, password),
        rest(format!(
            "  Key        {} (its name in lists; not secret)",
            credential.key
        )),
    ]);
    if let Some(at) = credential.expires_at {
        lines.push(rest(format!("  Expires    {at}")));
    }
    lines.extend([
        Line::new(Matters::Clipboard, format!("  Clipboard  {clipboard}")),
        rest(String::new()),
        rest("  Only a hash of it is kept: nobody can show it again.".to_owned()),
        Line::new(
            Matters::Question,
            "  Saved it? Enter: it works from then on. Ctrl-C: nothing is changed.".to_owned(),
        ),
    ]);
    lines
}

/// As many as fit, the ones that matter most; none if not even the password
/// does: half of one would look like a whole one.
fn fitting(lines: &[Line], (rows, columns): (usize, usize)) -> Option<Vec<&Line>> {
    BY_HOW_MUCH.into_iter().rev().find_map(|least| {
        let chosen = lines.iter().filter(|line| line.matters <= least);
        let chosen: Vec<_> = chosen.collect();
        let taken: usize = chosen.iter().map(|line| line.rows(columns)).sum();
        (taken <= rows).then_some(chosen)
    })
}

/// The terminal with the panel on it. Dropped, every line is overwritten and
/// the screen is as it was.
struct Screen {
    tty: Tty,
    /// It has no alternate screen, and cannot take back what it shows.
    dumb: bool,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let mut screen = Self {
            tty: Tty::open()?,
            dumb: std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb"),
        };
        if !screen.dumb {
            // Alternate screen, cursor hidden. Where there is no alternate
            // screen, what was there scrolls up and is kept.
            let rows = screen.tty.size().0;
            let scrolled = "\n".repeat(rows);
            let enter = format!("\x1b[?1049h\x1b[?25l\x1b[{rows};1H{scrolled}");
            screen.tty.write(enter.as_bytes())?;
            screen.erase()?;
        }
        Ok(screen)
    }

    /// Line by line: clearing the whole screen at once would push what is on
    /// it into the scrollback of GNU screen.
    fn erase(&mut self) -> io::Result<()> {
        for line in 1..=self.tty.size().0 {
            self.tty
                .write(format!("\x1b[{line};1H\x1b[2K").as_bytes())?;
        }
        self.tty.write(b"\x1b[1;1H")
    }

    fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        if self.dumb {
            for line in lines {
                self.tty.write(line.text.as_bytes())?;
                self.tty.write(b"\n")?;
            }
            return Ok(());
        }
        let size = self.tty.size();
        let mut row = 1;
        let Some(fitting) = fitting(lines, size) else {
            return Err(io::Error::other("this window is too small to show it"));
        };
        for line in fitting {
            self.tty.write(format!("\x1b[{row};1H").as_bytes())?;
            self.tty.write(line.text.as_bytes())?;
            row += line.rows(size.1);
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone, and everything on it.
        let _ = if self.dumb {
            self.tty
                .write(b"This terminal cannot hide the password again: clear it yourself.\n")
        } else {
            self.erase()
                .and_then(|()| self.tty.write(b"\x1b[?25h\x1b[?1049l"))
        };
    }
}
