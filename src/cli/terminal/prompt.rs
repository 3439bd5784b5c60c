//! Questions to a person. They are asked only if stdin and stderr are terminals: a script gets
//! an error that names the flag (promise 8).

use std::io::{self, IsTerminal as _};

use zeroize::Zeroizing;

use super::output::Output;
pub use super::picker::choose;
use super::tty::{CTRL_C, CTRL_D, ESCAPE, Tty, TtyEvent, is_dumb};
use super::typed::Typed;
use crate::cli::context::Context;
use crate::error::{Error, Result};

/// Returns whether stdin and stderr are terminals.
pub fn person_present() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns whether stdout is a terminal, too, and can show a choice.
pub fn person_watches() -> bool {
    /// In columns. A narrower one shows no name.
    const NARROWEST: u16 = 20;
    let size = terminal_size::terminal_size_of(io::stderr());
    let narrow = size.is_some_and(|(width, _)| (1..NARROWEST).contains(&width.0));
    person_present() && io::stdout().is_terminal() && !is_dumb() && !narrow
}

/// Asks a person to type `name` before something that cannot be undone. --yes skips the question.
pub fn confirm(context: &Context, what: &'static str, consequence: &str, name: &str) -> Result<()> {
    if context.confirmed_beforehand() {
        return Ok(());
    }
    confirm_beside(&context.out, what, consequence, name)
}

/// Asks like [`confirm`], even with --yes.
pub fn confirm_beside(
    out: &Output,
    what: &'static str,
    consequence: &str,
    name: &str,
) -> Result<()> {
    if !person_present() {
        return Err(Error::NeedsConfirmation(what));
    }
    out.warn(consequence);
    let typed = shown(&format!("Type {name} to continue: "))?;
    if typed.trim() == name {
        Ok(())
    } else {
        Err(Error::Cancelled)
    }
}

/// Asks twice for a new password, without showing it. One that is not accepted is not asked
/// for again.
pub fn new_password<T>(accept: &dyn Fn(Zeroizing<Vec<u8>>) -> Result<T>) -> Result<T> {
    let first = hidden("New password: ")?;
    let accepted = accept(first.clone())?;
    let second = hidden("Repeat it: ")?;
    if *first != *second {
        return Err(Error::Usage(
            "the two passwords differ; nothing was changed".into(),
        ));
    }
    Ok(accepted)
}

/// Asks a question that Enter answers with no. The answer counts once Enter ends it: acting on
/// the key alone would leave that Enter to the next question.
pub fn agrees(question: &str) -> Result<bool> {
    let answer = shown(&format!("{question} [y/N] "))?;
    let answer = answer.trim().to_lowercase();
    Ok(["y", "yes"].contains(&answer.as_str()))
}

/// Asks for a line of text. An empty one cancels.
pub fn line(question: &str) -> Result<String> {
    let typed = shown(&format!("{question}: "))?;
    match typed.trim() {
        "" => Err(Error::Cancelled),
        typed => Ok(typed.to_owned()),
    }
}

/// Asks for one line, and shows it.
fn shown(prompt: &str) -> Result<String> {
    let mut tty = Tty::open().map_err(|e| terminal_error(&e))?;
    let mut typed = Typed::default();
    tty_write(&mut tty, prompt)?;
    let outcome = loop {
        match tty.event_until(None) {
            Err(interrupted) => break Err(interrupted),
            Ok(Some(TtyEvent::Key(CTRL_C))) => break Err(Error::Interrupted),
            Ok(Some(TtyEvent::Key(ESCAPE | CTRL_D))) => break Err(Error::Cancelled),
            Ok(Some(TtyEvent::Key(b'\r' | b'\n'))) => break Ok(()),
            // What is added is only echoed: a dumb terminal cannot erase.
            Ok(Some(TtyEvent::Key(key))) if typed.key(key) => {
                if typed.ends_with(key) {
                    tty.write(&[key]).map_err(|_| Error::Interrupted)?;
                } else {
                    tty_write(&mut tty, &format!("\r\x1b[K{prompt}{}", typed.text()))?;
                }
            }
            Ok(_) => {}
        }
    };
    // If the terminal is gone, `outcome` is already an error.
    let _ = tty.write(b"\r\n");
    outcome.map(|()| typed.text().into_owned())
}

fn tty_write(tty: &mut Tty, text: &str) -> Result<()> {
    tty.write(text.as_bytes()).map_err(|_| Error::Interrupted)
}

fn terminal_error(error: &io::Error) -> Error {
    Error::System(format!("the terminal cannot be used: {error}"))
}

/// Asks for one line, without showing it.
pub fn hidden(prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    // In bytes. The buffer never grows: a growing buffer leaves copies behind.
    const MAX: usize = 1024;
    const BACKSPACE: u8 = 0x08;
    const CTRL_U: u8 = 0x15;
    const DELETE: u8 = 0x7f;

    let mut tty = Tty::open().map_err(|e| terminal_error(&e))?;
    tty.write(prompt.as_bytes())
        .map_err(|e| terminal_error(&e))?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let outcome = loop {
        match tty.key() {
            Err(interrupted) => break Err(interrupted),
            Ok(CTRL_C) => break Err(Error::Interrupted),
            Ok(CTRL_D) if line.is_empty() => break Err(Error::Cancelled),
            Ok(b'\r' | b'\n') => break Ok(()),
            Ok(BACKSPACE | DELETE) => {
                // Remove a whole character, which may have several bytes.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            Ok(CTRL_U) => line.clear(),
            Ok(byte) if line.len() < MAX => line.push(byte),
            Ok(_) => {}
        }
    };
    // If the terminal is gone, `outcome` is already an error.
    let _ = tty.write(b"\r\n");
    outcome.map(|()| line)
}
