//! Questions to a person. They are asked only if stdin and stderr are terminals: a script gets
//! an error that names the flag (promise 8).

use std::io::{self, IsTerminal as _};

use dialoguer::console::Term;
use dialoguer::{FuzzySelect, Input};
use zeroize::Zeroizing;

use super::output::{Output, OutputFormat};
use super::tty::{self, CTRL_C, CTRL_D, SignalsHeld, Tty, forget_typed_ahead};
use crate::cli::context::Context;
use crate::error::{Error, Result};

/// Returns whether stdin and stderr are terminals.
pub fn person_present() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns whether stdout is a terminal, too: otherwise the choice could not be seen.
pub fn person_watches() -> bool {
    person_present() && io::stdout().is_terminal()
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
    let mut signals = SignalsHeld::default();
    signals.hold();
    forget_typed_ahead();
    let terminal = match out.format() {
        // stderr has only documents.
        OutputFormat::Json => tty::beside_stderr().map_err(|e| terminal_error(&e))?,
        OutputFormat::Table | OutputFormat::Csv => Term::stderr(),
    };
    let typed: String = Input::new()
        .with_prompt(format!("Type {name} to continue"))
        .allow_empty(true)
        .interact_text_on(&terminal)
        .map_err(|_| {
            restore(&terminal);
            Error::Interrupted
        })?;
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

/// Lets a person choose one of these by typing a part of it. Returns its place.
pub fn choose(prompt: &str, items: &[String]) -> Result<usize> {
    /// The most items at a time: what was printed before stays in sight.
    const SHOWN: usize = 10;
    let mut signals = SignalsHeld::default();
    signals.hold();
    forget_typed_ahead();
    let terminal = Term::stderr();
    let chosen = FuzzySelect::new()
        .with_prompt(prompt)
        .items(items)
        .default(0)
        .max_length(SHOWN)
        .interact_on_opt(&terminal)
        .map_err(|_| {
            restore(&terminal);
            Error::Interrupted
        })?;
    chosen.ok_or(Error::Cancelled)
}

/// Shows the cursor, which dialoguer leaves hidden. If the terminal is gone, there is none.
fn restore(terminal: &Term) {
    let _ = terminal.show_cursor();
    let _ = terminal.write_line("");
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
