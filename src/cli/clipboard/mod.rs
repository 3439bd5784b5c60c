//! The clipboard: of the desktop, or of the terminal at the other end of an
//! SSH connection. A convenience: the password is shown whatever happens here,
//! and "copied" is said only when it was.

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
use choose::{Plan, Terminal, choose};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Copy {
    /// Whatever reaches you: the desktop, or over SSH your terminal
    #[default]
    Auto,
    Never,
    /// The clipboard of this machine's desktop (X11 or Wayland)
    Desktop,
    /// The clipboard of your terminal (OSC 52), also through tmux and screen
    Terminal,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where the password goes")]
pub struct CopyArgs {
    /// Which clipboard the password is copied to
    #[arg(long, value_enum, value_name = "WHERE")]
    copy: Option<Copy>,

    /// How long it stays in the desktop's clipboard
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "45s",
        allow_hyphen_values = true
    )]
    copy_timeout: Duration,
}

impl CopyArgs {
    pub fn is_explicit(&self) -> bool {
        self.copy.is_some_and(|copy| copy != Copy::Never)
    }

    /// Copies it, and says in the answer what became of that.
    pub fn copy(&self, password: &Password) -> Clipboard {
        let copy = self.copy.unwrap_or_default();
        let mut clipboard = Clipboard {
            env: environment::read(),
            holder: Holder::Nobody,
            outcome: Outcome::Sent,
        };
        let plan = choose(&clipboard.env, copy);
        clipboard.outcome = clipboard.carry_out(plan, self.copy_timeout, password);
        // A desktop that does not answer leaves the terminal to try.
        if copy == Copy::Auto && plan == Plan::Desktop && clipboard.holder.is_nobody() {
            let plan = choose(&clipboard.env, Copy::Terminal);
            let outcome = clipboard.carry_out(plan, self.copy_timeout, password);
            if outcome == Outcome::Sent {
                clipboard.outcome = outcome;
            }
        }
        clipboard
    }
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Copied {
        cleared_in: Duration,
    },
    /// There is no acknowledgement.
    Sent,
    NotCopied(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied { cleared_in } => write!(f, "copied; cleared in {cleared_in}"),
            Self::Sent => {
                f.write_str("sent to your terminal, which does not say whether it took it")
            }
            Self::NotCopied(reason) => write!(f, "not copied: {reason}"),
        }
    }
}

pub struct Clipboard {
    env: environment::Env,
    holder: Holder,
    pub outcome: Outcome,
}

/// Who has the password now, besides us.
enum Holder {
    Nobody,
    Desktop(desktop::OwnerProcess),
    Terminal(Terminal),
}

impl Holder {
    const fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }
}

impl Clipboard {
    fn carry_out(&mut self, plan: Plan, timeout: Duration, password: &Password) -> Outcome {
        match plan {
            Plan::Nothing(reason) => Outcome::NotCopied(reason.to_owned()),
            Plan::Terminal(terminal) => {
                match terminal::send(terminal, &self.env, password.expose().as_bytes()) {
                    Ok(()) => {
                        self.holder = Holder::Terminal(terminal);
                        Outcome::Sent
                    }
                    Err(e) => Outcome::NotCopied(e.to_string()),
                }
            }
            Plan::Desktop => match desktop::OwnerProcess::start(&self.env, timeout, password) {
                Ok(owner) => {
                    self.holder = Holder::Desktop(owner);
                    Outcome::Copied {
                        cleared_in: timeout,
                    }
                }
                Err(reason) => Outcome::NotCopied(reason),
            },
        }
    }

    /// The person is done looking. The desktop's clipboard clears itself in
    /// time; the terminal's cannot be looked at later, so it is cleared now.
    pub fn close(&mut self) {
        if matches!(self.holder, Holder::Terminal(_)) {
            self.clear();
        }
    }

    /// The password is not valid after all.
    pub fn clear(&mut self) {
        match std::mem::replace(&mut self.holder, Holder::Nobody) {
            Holder::Nobody => {}
            Holder::Desktop(owner) => owner.stop(),
            // No answer comes from a terminal, so no failure either.
            Holder::Terminal(terminal) => drop(terminal::send(terminal, &self.env, b" ")),
        }
    }
}
