//! The clipboard of the desktop, or of the terminal at the other end of an SSH connection.
//! A convenience: the password is shown whatever happens here, and "copied" is printed only
//! if it is true.

mod choose;
#[cfg_attr(not(feature = "clipboard"), path = "no_desktop.rs")]
mod desktop;
mod environment;
#[cfg(feature = "clipboard")]
pub mod owner;
mod terminal;

use std::fmt;

use clap::Args;

use crate::model::duration::Duration;
use crate::model::password::Password;
use choose::{ClipboardChoice, CopyPlan, Terminal, choose};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where the password goes")]
pub struct CopyArgs {
    /// Copy the password to this clipboard
    #[arg(long, value_enum, value_name = "WHERE")]
    copy: Option<ClipboardChoice>,

    /// Clear the desktop's clipboard after this time
    ///
    /// A terminal's clipboard cannot be read back, so it is cleared when you press Enter in the
    /// panel: paste the password first.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "45s",
        allow_hyphen_values = true
    )]
    copy_timeout: Duration,

    /// Whether the person is at the other end of the terminal, and nowhere else.
    #[arg(skip)]
    only_terminal: bool,
}

impl CopyArgs {
    /// Returns the flags for a person that only this terminal reaches: no desktop and no tmux of
    /// this machine, and nothing of the parent processes.
    pub fn to_this_terminal(&self) -> Self {
        Self {
            copy: Some(ClipboardChoice::Terminal),
            only_terminal: true,
            ..self.clone()
        }
    }

    /// Returns whether a clipboard was asked for.
    pub fn is_explicit(&self) -> bool {
        self.copy.is_some_and(|copy| copy != ClipboardChoice::Never)
    }

    /// Copies the password. The result contains the outcome.
    pub fn copy(&self, password: &Password) -> Clipboard {
        let copy = self.copy.unwrap_or_default();
        let mut clipboard = Clipboard {
            env: if self.only_terminal {
                environment::of_terminal()
            } else {
                environment::read()
            },
            holder: Holder::None,
            outcome: CopyOutcome::Sent,
        };
        let plan = choose(&clipboard.env, copy);
        clipboard.outcome = clipboard.carry_out(plan, self.copy_timeout, password);
        // If the desktop does not answer, try the terminal.
        if copy == ClipboardChoice::Auto && plan == CopyPlan::Desktop && clipboard.holder.is_none()
        {
            let plan = choose(&clipboard.env, ClipboardChoice::Terminal);
            let outcome = clipboard.carry_out(plan, self.copy_timeout, password);
            if outcome == CopyOutcome::Sent {
                clipboard.outcome = outcome;
            }
        }
        clipboard
    }
}

/// The outcome of copying.
#[derive(Debug, PartialEq, Eq)]
pub enum CopyOutcome {
    Copied {
        cleared_in: Duration,
    },
    /// Sent to a terminal, which does not acknowledge it.
    Sent,
    NotCopied(String),
}

impl fmt::Display for CopyOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied { cleared_in } => write!(f, "copied; cleared in {cleared_in}"),
            Self::Sent => f.write_str("sent to your terminal (unconfirmed)"),
            Self::NotCopied(reason) => write!(f, "not copied: {reason}"),
        }
    }
}

/// A clipboard that may contain the password.
pub struct Clipboard {
    env: environment::Env,
    holder: Holder,
    pub outcome: CopyOutcome,
}

/// What holds a copy of the password.
enum Holder {
    None,
    Desktop(desktop::OwnerProcess),
    Terminal(Terminal),
}

impl Holder {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl Clipboard {
    fn carry_out(&mut self, plan: CopyPlan, timeout: Duration, password: &Password) -> CopyOutcome {
        match plan {
            CopyPlan::Nothing(reason) => CopyOutcome::NotCopied(reason.to_owned()),
            CopyPlan::Terminal(terminal) => {
                match terminal::send(terminal, &self.env, password.expose().as_bytes()) {
                    Ok(()) => {
                        self.holder = Holder::Terminal(terminal);
                        CopyOutcome::Sent
                    }
                    Err(e) => CopyOutcome::NotCopied(e.to_string()),
                }
            }
            CopyPlan::Desktop => match desktop::OwnerProcess::start(&self.env, timeout, password) {
                Ok(owner) => {
                    self.holder = Holder::Desktop(owner);
                    CopyOutcome::Copied {
                        cleared_in: timeout,
                    }
                }
                Err(reason) => CopyOutcome::NotCopied(reason),
            },
        }
    }

    /// Ends the panel. The desktop's clipboard clears itself in time; a terminal's cannot be read
    /// back later, so it is cleared now.
    pub fn close(&mut self) {
        if matches!(self.holder, Holder::Terminal(_)) {
            self.clear();
        }
    }

    /// Clears the clipboard, because the password is not valid.
    pub fn clear(&mut self) {
        match std::mem::replace(&mut self.holder, Holder::None) {
            Holder::None => {}
            Holder::Desktop(owner) => owner.stop(),
            // A terminal does not answer, so no failure is seen.
            Holder::Terminal(terminal) => drop(terminal::send(terminal, &self.env, b" ")),
        }
    }
}
