//! The panel that shows a password once, on the alternate screen, so that nothing of it stays
//! in the scrollback.
//!
//! The change is made when the person confirms that the password is saved. Until then nothing
//! is stored: a broken connection, a closed window or Ctrl-C lose only a password that no
//! application uses.
//!
//! The question appears one second after the rest, and keys pressed before it are ignored: an
//! accidental second Enter must not stop a password in use.

use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::reveal::sink::PasswordSink;
use crate::cli::terminal::clipboard::{Clipboard, CopyArgs, CopyOutcome};
use crate::cli::terminal::output::Output;
use crate::cli::terminal::times::Times;
use crate::cli::terminal::tty::{CTRL_C, SignalsHeld, Tty};
use crate::error::{Error, Result};
use crate::model::settings::MECHANISMS;
use crate::store::OldPasswords;

/// How long the panel is shown before it can be answered.
const TO_READ: Duration = Duration::from_secs(1);

/// Shows a password in a panel.
pub struct Panel {
    copy: CopyArgs,
    times: Times,
    clipboard: Option<Clipboard>,
    shown: bool,
    /// Held from the answer until its outcome is reported.
    signals: SignalsHeld,
}

impl Panel {
    /// Fails if there is no terminal.
    pub fn new(copy: CopyArgs, times: Times) -> Result<Self> {
        // Opened once to find out early whether that works.
        Tty::open().map_err(|e| terminal_error(&e))?;
        Ok(Self {
            copy,
            times,
            clipboard: None,
            shown: false,
            signals: SignalsHeld::default(),
        })
    }

    fn show(&mut self, credential: Credential) -> Result<()> {
        let mut screen = Screen::open().map_err(|e| terminal_error(&e))?;
        let clipboard = self.clipboard.insert(self.copy.copy(&credential.password));
        let lines = lines(&credential, &clipboard.outcome, &self.times);
        drop(credential);
        let undelivered = |e: io::Error| Error::Undelivered(e.to_string());
        self.shown = true;
        let below = screen.draw(&lines).map_err(undelivered)?;
        screen.tty.ignore_keys(TO_READ)?;
        screen.ask(below).map_err(undelivered)?;
        loop {
            match screen.tty.key()? {
                b'\r' | b'\n' => break,
                CTRL_C => return Err(Error::Interrupted),
                _ => {}
            }
        }
        self.signals.hold();
        clipboard.close();
        Ok(())
    }
}

impl Handover for Panel {
    fn present(&mut self, credential: Credential) -> Result<()> {
        let shown = self.show(credential);
        if shown.is_err() {
            self.withdraw();
        }
        shown
    }

    fn is_confirmed(&self) -> bool {
        self.shown
    }
}

impl Pending for Panel {
    fn commit_delivery(&mut self) -> Result<()> {
        Ok(())
    }

    fn withdraw(&mut self) {
        if let Some(clipboard) = &mut self.clipboard {
            clipboard.clear();
        }
    }

    fn is_out(&self) -> bool {
        self.shown
    }
}

impl PasswordSink for Panel {
    fn finish(&mut self, _: &Output) {}
}

fn terminal_error(error: &io::Error) -> Error {
    Error::Undeliverable(format!("the terminal cannot be used: {error}"))
}

/// A line of the panel. A small window shows the most important ones.
struct PanelLine {
    priority: Priority,
    text: Zeroizing<String>,
}

/// How important a line is, most important first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Password,
    Username,
    Question,
    OldPassword,
    Clipboard,
    Title,
    Rest,
}

const BY_PRIORITY: [Priority; 7] = [
    Priority::Password,
    Priority::Username,
    Priority::Question,
    Priority::OldPassword,
    Priority::Clipboard,
    Priority::Title,
    Priority::Rest,
];

impl PanelLine {
    fn new(priority: Priority, text: String) -> Self {
        let text = Zeroizing::new(text);
        Self { priority, text }
    }

    /// Returns the number of rows it takes: a terminal wraps long lines.
    fn rows(&self, columns: usize) -> usize {
        rows_of(&self.text, columns)
    }
}

const QUESTION: &str =
    "  Saved it? Press Enter to activate it, Ctrl-C to cancel (nothing changes).";

/// Returns everything except the question.
fn lines(credential: &Credential, clipboard: &CopyOutcome, times: &Times) -> Vec<PanelLine> {
    let server = &credential.server;
    let host = server.host.as_ref().map_or_else(
        || "not set yet: smtpcred set-settings --host smtp.example.com".to_owned(),
        ToString::to_string,
    );
    let ports: Vec<String> = server
        .ports
        .offered()
        .map(|port| {
            let recommended = port == server.ports.recommended();
            let mark = if recommended { ", recommended" } else { "" };
            format!("{} ({}{mark})", port.number, port.encryption.name())
        })
        .collect();
    // Large enough for all of it: a growing buffer leaves copies behind.
    let mut password = String::with_capacity(512);
    password.push_str("  Password      ");
    password.push_str(credential.password.expose());

    let line = |priority, name: &str, value: &str| {
        PanelLine::new(priority, format!("  {name:<12}  {value}").trim_end().into())
    };
    let rest = |name: &str, value: &str| line(Priority::Rest, name, value);
    let title = format!(
        "  {} {}: shown once",
        credential.occasion, credential.username
    );
    let mut lines = vec![
        PanelLine::new(Priority::Title, title),
        rest("", ""),
        rest("Server", &host),
    ];
    for (i, pair) in ports.chunks(2).enumerate() {
        let name = if i == 0 { "Ports" } else { "" };
        lines.push(rest(name, &pair.join("  ")));
    }
    let mechanisms = MECHANISMS.join(" or ");
    lines.extend([
        rest("Sign-in", &format!("{mechanisms} (over TLS only)")),
        line(Priority::Username, "Username", credential.username.as_str()),
        PanelLine::new(Priority::Password, password),
        rest(
            "Password ID",
            &format!(
                "{} (not secret; identifies it in lists)",
                credential.password_id
            ),
        ),
    ]);
    if let Some(at) = credential.expires_at {
        lines.push(rest("Expires", &times.value(at)));
    }
    if let Some(old) = credential.replaces {
        let old = match old {
            OldPasswords::Stop => "stops working when you press Enter".to_owned(),
            OldPasswords::RetireAt(at) => {
                let at = times.clock(at);
                format!("works until {at} at the earliest, then stops")
            }
        };
        lines.push(line(Priority::OldPassword, "Old password", &old));
    }
    let clipboard_line = |name, text: &str| line(Priority::Clipboard, name, text);
    lines.push(clipboard_line("Clipboard", &clipboard.to_string()));
    if *clipboard == CopyOutcome::Sent {
        // The contents of a terminal's clipboard cannot be checked, so clearing it
        // later might clear something else.
        lines.push(clipboard_line(
            "",
            "cleared when you press Enter; paste it first",
        ));
    }
    lines.extend([
        rest("", ""),
        PanelLine::new(
            Priority::Rest,
            "  Only a hash is stored; the password cannot be shown again.".to_owned(),
        ),
    ]);
    lines
}

/// Returns as many lines as fit, the most important ones first, and whether the
/// question fits. Returns none if not even the password fits: part of one would look
/// like a whole one.
fn fitting(
    lines: &[PanelLine],
    (rows, columns): (usize, usize),
) -> Option<(Vec<&PanelLine>, bool)> {
    let question = rows_of(QUESTION, columns);
    BY_PRIORITY.into_iter().rev().find_map(|least| {
        let chosen = lines.iter().filter(|line| line.priority <= least);
        let chosen: Vec<_> = chosen.collect();
        let asks = Priority::Question <= least;
        let taken: usize = chosen.iter().map(|line| line.rows(columns)).sum();
        let taken = taken + if asks { question } else { 0 };
        (taken <= rows).then_some((chosen, asks))
    })
}

fn rows_of(text: &str, columns: usize) -> usize {
    text.chars().count().div_ceil(columns.max(1)).max(1)
}

/// The terminal with the panel on it. Dropping it erases every line and restores the screen.
struct Screen {
    tty: Tty,
    /// Whether it has no alternate screen and cannot erase what it shows.
    dumb: bool,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let mut screen = Self {
            tty: Tty::open()?,
            dumb: std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb"),
        };
        if !screen.dumb {
            // Alternate screen, cursor hidden. Without an alternate screen, the old content
            // scrolls up and stays.
            let rows = screen.tty.size().0;
            let scrolled = "\n".repeat(rows);
            let enter = format!("\x1b[?1049h\x1b[?25l\x1b[{rows};1H{scrolled}");
            screen.tty.write(enter.as_bytes())?;
            screen.erase()?;
        }
        Ok(screen)
    }

    /// Erases line by line: clearing the whole screen at once would push it into the scrollback
    /// of GNU screen.
    fn erase(&mut self) -> io::Result<()> {
        for line in 1..=self.tty.size().0 {
            self.tty
                .write(format!("\x1b[{line};1H\x1b[2K").as_bytes())?;
        }
        self.tty.write(b"\x1b[1;1H")
    }

    /// Shows everything that fits, with room for the question, and returns the question's row,
    /// or `None` if the question does not fit.
    fn draw(&mut self, lines: &[PanelLine]) -> io::Result<Option<usize>> {
        if self.dumb {
            for line in lines {
                self.tty.write(line.text.as_bytes())?;
                self.tty.write(b"\n")?;
            }
            return Ok(Some(1));
        }
        let size = self.tty.size();
        let mut row = 1;
        let Some((fitting, asks)) = fitting(lines, size) else {
            return Err(io::Error::other(
                "this window is too small to show the password",
            ));
        };
        for line in fitting {
            self.tty.write(format!("\x1b[{row};1H").as_bytes())?;
            self.tty.write(line.text.as_bytes())?;
            row += line.rows(size.1);
        }
        Ok(asks.then_some(row))
    }

    fn ask(&mut self, row: Option<usize>) -> io::Result<()> {
        if let Some(row) = row.filter(|_| !self.dumb) {
            self.tty.write(format!("\x1b[{row};1H").as_bytes())?;
        }
        if row.is_some() {
            self.tty.write(QUESTION.as_bytes())?;
        }
        if self.dumb {
            self.tty.write(b"\n")?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to erase.
        let _ = if self.dumb {
            self.tty
                .write(b"This terminal cannot erase the password: clear it yourself.\n")
        } else {
            self.erase()
                .and_then(|()| self.tty.write(b"\x1b[?25h\x1b[?1049l"))
        };
    }
}
