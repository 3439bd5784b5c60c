//! The password shown once: on the alternate screen, gone after a key, nothing
//! of it left in the scrollback.
//!
//! The change is made when the person says that the password is saved. Until
//! then nothing is stored: a connection that breaks, a closed window or Ctrl-C
//! lose a password that nobody needs, and not one that an application needs.

use std::io;

use zeroize::Zeroizing;

use super::Way;
use crate::app::credential::{Credential, Handover};
use crate::cli::clipboard::{Clipboard, CopyArgs};
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
        let lines = lines(&credential);
        screen
            .draw(&lines)
            .map_err(|e| Error::Undelivered(e.to_string()))?;
        let clipboard = self
            .clipboard
            .insert(self.copy.clipboard(credential.password));
        let outcome = clipboard.copy();
        screen
            .status(&lines, &outcome.to_string())
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

/// What is shown. The important lines come with `true`: a small window shows
/// only them.
type Lines = Vec<(bool, Zeroizing<String>)>;

fn lines(credential: &Credential) -> Lines {
    let connection = &credential.connection;
    let host = connection.host.as_ref().map_or_else(
        || "not set yet: smtpcred set-settings --host smtp.example.com".to_owned(),
        ToString::to_string,
    );
    let ports: Vec<String> = connection
        .ports
        .offered()
        .map(|port| {
            let mark = if port == connection.ports.recommended() {
                ", recommended"
            } else {
                ""
            };
            format!("{} ({}{mark})", port.number, port.encryption.name())
        })
        .collect();
    // Long enough for all of it, so that it never moves and leaves a copy.
    let mut password = Zeroizing::new(String::with_capacity(512));
    password.push_str("  Password   ");
    password.push_str(credential.password.expose());

    let mut lines: Lines = Vec::new();
    let mut add = |important, text: String| lines.push((important, Zeroizing::new(text)));
    add(
        true,
        format!(
            "  {} {}: shown once",
            credential.occasion, credential.username
        ),
    );
    add(false, String::new());
    add(false, format!("  Server     {host}"));
    for (i, pair) in ports.chunks(2).enumerate() {
        let name = if i == 0 { "Ports" } else { "" };
        add(false, format!("  {name:<10} {}", pair.join("  ")));
    }
    add(
        false,
        format!("  Sign-in    {} (over TLS only)", MECHANISMS.join(" or ")),
    );
    add(true, format!("  Username   {}", credential.username));
    lines.push((true, password));
    let mut add = |important, text: String| lines.push((important, Zeroizing::new(text)));
    add(
        false,
        format!(
            "  Key        {} (its name in lists; not secret)",
            credential.key
        ),
    );
    if let Some(at) = credential.expires_at {
        add(false, format!("  Expires    {at}"));
    }
    add(true, "  Clipboard  …".to_owned());
    add(false, String::new());
    add(
        false,
        "  Only a hash of it is kept: nobody can show it again.".to_owned(),
    );
    add(
        true,
        "  Saved it? Enter: it works from then on. Ctrl-C: nothing is changed.".to_owned(),
    );
    lines
}

/// The terminal with the panel on it. Dropped, every line is overwritten and
/// the screen is as it was.
struct Screen {
    tty: Tty,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let mut tty = Tty::open()?;
        // Alternate screen, cursor hidden.
        tty.write(b"\x1b[?1049h\x1b[?25l")?;
        let mut screen = Self { tty };
        screen.erase()?;
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

    fn draw(&mut self, lines: &Lines) -> io::Result<()> {
        for (row, (_, text)) in (1..).zip(self.fitting(lines)) {
            self.tty.write(format!("\x1b[{row};1H\x1b[2K").as_bytes())?;
            self.tty.write(text.as_bytes())?;
        }
        Ok(())
    }

    /// Says what became of the clipboard, on its line.
    fn status(&mut self, lines: &Lines, outcome: &str) -> io::Result<()> {
        let at = self
            .fitting(lines)
            .iter()
            .position(|(_, text)| text.starts_with("  Clipboard"));
        let Some(row) = at else { return Ok(()) };
        self.tty
            .write(format!("\x1b[{};1H\x1b[2K  Clipboard  {outcome}", row + 1).as_bytes())
    }

    fn fitting<'a>(&self, lines: &'a Lines) -> Vec<&'a (bool, Zeroizing<String>)> {
        let small = self.tty.size().0 < lines.len();
        lines
            .iter()
            .filter(|(important, _)| *important || !small)
            .collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone, and everything on it.
        let _ = self.erase();
        let _ = self.tty.write(b"\x1b[?25h\x1b[?1049l");
    }
}
