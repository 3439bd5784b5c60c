//! The panel that shows a password once, on the alternate screen, so that nothing of it stays
//! in the scrollback.
//!
//! The change is made when the person confirms that the password is saved. Until then nothing
//! is stored: a broken connection, a closed window or Ctrl-C lose only a password that no
//! application uses.
//!
//! The question appears one second after the rest, and keys pressed before it are ignored, as a
//! line in its place says: an
//! accidental second Enter must not stop a password in use. Nor must an accidental q or Esc lose
//! a password that was already copied to its place: it has to be pressed twice.

use std::io;
use std::time::{Duration, Instant};

use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::reveal::sink::PasswordSink;
use crate::cli::terminal::clipboard::{Clipboard, CopyArgs, CopyOutcome};
use crate::cli::terminal::output::Output;
use crate::cli::terminal::panel_layout::{PanelLine, Priority, fitting, rows_of};
use crate::cli::terminal::times::Times;
use crate::cli::terminal::tty::{CTRL_C, ESCAPE, SignalsHeld, Tty, TtyEvent};
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
    /// The password is bold, the title too.
    styled: bool,
    shown: bool,
    /// Held from the answer until its outcome is reported.
    signals: SignalsHeld,
}

impl Panel {
    /// Fails if there is no terminal.
    pub fn new(copy: CopyArgs, times: Times, styled: bool) -> Result<Self> {
        // Opened once to find out early whether that works.
        Tty::open().map_err(|e| terminal_error(&e))?;
        Ok(Self {
            copy,
            times,
            clipboard: None,
            styled,
            shown: false,
            signals: SignalsHeld::default(),
        })
    }

    fn show(&mut self, credential: Credential) -> Result<()> {
        let screen = Screen::open().map_err(|e| terminal_error(&e))?;
        let clipboard = self.clipboard.insert(self.copy.copy(&credential.password));
        let lines = lines(&credential, &clipboard.outcome, &self.times);
        drop(credential);
        self.shown = true;
        let mut view = View {
            screen,
            lines,
            styled: self.styled,
            question: Question::Wait,
        };
        view.draw().map_err(|e| Error::Undelivered(e.to_string()))?;
        view.wait()?;
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

/// How the keys were understood so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Not yet.
    Wait,
    Saved,
    Cancel,
}

impl Question {
    const fn text(self) -> &'static str {
        match self {
            Self::Wait => "One moment: keys are ignored for the first second.",
            Self::Saved => {
                "Saved it? Press Enter to activate it, or q to cancel (nothing changes)."
            }
            Self::Cancel => "Cancel? Press q again (nothing changes), or any other key to go back.",
        }
    }
}

/// What the screen shows.
struct View {
    screen: Screen,
    lines: Vec<PanelLine>,
    styled: bool,
    question: Question,
}

impl View {
    /// Waits until the person confirms that the password is saved.
    fn wait(&mut self) -> Result<()> {
        let readable = Instant::now() + TO_READ;
        while Instant::now() < readable {
            match self.screen.tty.event_until(Some(readable))? {
                Some(TtyEvent::Key(CTRL_C)) => return Err(Error::Interrupted),
                Some(TtyEvent::Resized) => self.redraw()?,
                _ => {}
            }
        }
        self.screen.tty.forget_keys()?;
        self.ask(Question::Saved)?;
        loop {
            match self.screen.tty.event_until(None)? {
                Some(TtyEvent::Key(b'\r' | b'\n')) if self.question == Question::Saved => {
                    return Ok(());
                }
                Some(TtyEvent::Key(CTRL_C)) => return Err(Error::Interrupted),
                Some(TtyEvent::Key(b'q' | b'Q' | ESCAPE)) => {
                    if self.question == Question::Cancel {
                        return Err(Error::Cancelled);
                    }
                    self.ask(Question::Cancel)?;
                }
                Some(TtyEvent::Resized) => self.redraw()?,
                _ if self.question == Question::Cancel => self.ask(Question::Saved)?,
                _ => {}
            }
        }
    }

    fn ask(&mut self, question: Question) -> Result<()> {
        self.question = question;
        let asked = if self.screen.dumb {
            let line = format!("  {}\n", question.text());
            self.screen.tty.write(line.as_bytes())
        } else {
            self.draw()
        };
        asked.map_err(|e| Error::Undelivered(e.to_string()))
    }

    /// Shows it in a window of another size. One that is now too small says so: the password has
    /// been on the screen in full.
    fn redraw(&mut self) -> Result<()> {
        if self.screen.dumb {
            return Ok(());
        }
        let drawn = self.draw().or_else(|_| {
            self.screen.erase()?;
            self.screen.tty.write(b"Too small")
        });
        drawn.map_err(|e| Error::Undelivered(e.to_string()))
    }

    /// Shows everything that fits, with room for the question.
    fn draw(&mut self) -> io::Result<()> {
        let Self {
            screen,
            lines,
            styled,
            question,
        } = self;
        if screen.dumb {
            return lines.iter().try_for_each(|line| screen.line(line));
        }
        let (rows, columns) = screen.tty.size();
        let room = [Question::Wait, Question::Saved, Question::Cancel]
            .map(|one| rows_of(&PanelLine::text(Priority::Question, one.text()), columns));
        let room = room.into_iter().max().unwrap_or_default();
        let Some((fitting, asks)) = fitting(lines, (rows, columns), room) else {
            return Err(io::Error::other(
                "this window is too small to show the password",
            ));
        };
        screen.erase()?;
        let mut row = 1;
        for line in fitting {
            row = screen.put(line, row, columns, *styled)?;
        }
        if asks {
            let question = PanelLine::text(Priority::Question, question.text());
            screen.put(&question, row, columns, *styled)?;
        }
        Ok(())
    }
}

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
    let line = PanelLine::named;
    let rest = |name, value: &str| line(Priority::Rest, name, value);
    let title = format!(
        "{} {}: shown once",
        credential.occasion, credential.username
    );
    let mut lines = vec![
        PanelLine::text(Priority::Title, &title),
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
        line(Priority::Password, "Password", credential.password.expose()),
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
        PanelLine::text(
            Priority::Rest,
            "Only a hash is stored; the password cannot be shown again.",
        ),
    ]);
    lines
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

    /// Prints a line on a terminal that cannot be told where.
    fn line(&mut self, line: &PanelLine) -> io::Result<()> {
        for part in line.whole() {
            self.tty.write(part.as_bytes())?;
        }
        self.tty.write(b"\n")
    }

    /// Shows a line from this row on, and returns the row after it.
    fn put(
        &mut self,
        line: &PanelLine,
        row: usize,
        columns: usize,
        styled: bool,
    ) -> io::Result<usize> {
        let mut below = row;
        for part in line.rows(columns) {
            self.tty.write(format!("\x1b[{below};1H").as_bytes())?;
            self.tty.write(part.before.as_bytes())?;
            let bold = styled && line.is_strong();
            if bold {
                self.tty.write(b"\x1b[1m")?;
            }
            self.tty.write(part.text.as_bytes())?;
            if bold {
                self.tty.write(b"\x1b[22m")?;
            }
            below += 1;
        }
        Ok(below)
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
