//! Questions to a person. Without one at stdin and stderr nothing is ever
//! asked: a script gets an error that names the flag (promise 8).

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use dialoguer::Input;
use dialoguer::console::Term;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{SigId, flag};
use zeroize::Zeroizing;

use super::Context;
use super::output::Output;
use super::tty::{CTRL_C, CTRL_D, Tty};
use crate::error::{Error, Result};

pub fn person_present() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for `name` to be typed, before something that cannot be undone.
pub fn confirm(context: &Context, what: &'static str, consequence: &str, name: &str) -> Result<()> {
    if context.confirmed_beforehand() {
        return Ok(());
    }
    confirm_beside(&context.out, what, consequence, name)
}

/// The same, where nothing was said beforehand.
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
    let _signals = Caught::new();
    let terminal = Term::stderr();
    let typed: String = Input::new()
        .with_prompt(format!("Type {name} to go on"))
        .allow_empty(true)
        .interact_text_on(&terminal)
        .map_err(|_| {
            // dialoguer hides it while it waits, and leaves it so. Where the
            // terminal is gone there is none to show.
            let _ = terminal.show_cursor();
            let _ = terminal.write_line("");
            Error::Interrupted
        })?;
    if typed.trim() == name {
        Ok(())
    } else {
        Err(Error::Cancelled)
    }
}

/// Asks twice for a new password, unseen.
pub fn new_password() -> Result<Zeroizing<Vec<u8>>> {
    let first = hidden("New password: ")?;
    let second = hidden("The same again: ")?;
    if *first != *second {
        return Err(Error::Usage(
            "the two passwords differ; nothing was changed".into(),
        ));
    }
    Ok(first)
}

/// Asks for one line, unseen.
pub fn hidden(prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Nobody types more, and a buffer that never grows leaves no copies.
    const MAX: usize = 1024;
    const BACKSPACE: u8 = 0x08;
    const CTRL_U: u8 = 0x15;
    const DELETE: u8 = 0x7f;

    let gone = |e: io::Error| Error::System(format!("the terminal cannot be used: {e}"));
    let mut tty = Tty::open().map_err(gone)?;
    tty.write(prompt.as_bytes()).map_err(gone)?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let outcome = loop {
        match tty.key() {
            Err(interrupted) => break Err(interrupted),
            Ok(CTRL_C) => break Err(Error::Interrupted),
            Ok(CTRL_D) if line.is_empty() => break Err(Error::Cancelled),
            Ok(b'\r' | b'\n') => break Ok(()),
            Ok(BACKSPACE | DELETE) => {
                // A whole character, should it have several bytes.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            Ok(CTRL_U) => line.clear(),
            Ok(byte) if line.len() < MAX => line.push(byte),
            Ok(_) => {}
        }
    };
    // The terminal may be gone, which `outcome` knows already.
    let _ = tty.write(b"\r\n");
    outcome.map(|()| line)
}

/// While a question waits, a signal interrupts it instead of ending the
/// program with the terminal as it then is.
struct Caught(Vec<SigId>);

impl Caught {
    fn new() -> Self {
        let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter();
        Self(
            signals
                .filter_map(|signal| flag::register(signal, Arc::default()).ok())
                .collect(),
        )
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
