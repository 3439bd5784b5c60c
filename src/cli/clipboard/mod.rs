//! The clipboard: of the desktop, or of the terminal at the other end of an
//! SSH connection. A convenience: the password is shown whatever happens here,
//! and "copied" is said only when it was.

mod choose;
#[cfg(feature = "clipboard")]
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

    pub fn clipboard(&self, password: Password) -> Clipboard {
        let copy = self.copy.unwrap_or_default();
        let env = environment::read();
        let plan = choose(&env, copy);
        // A desktop that does not answer leaves the terminal to try.
        let fallback = (copy == Copy::Auto).then(|| choose(&env, Copy::Terminal));
        Clipboard {
            plan,
            fallback,
            env,
            timeout: self.copy_timeout,
            password: Some(password),
            holder: Holder::Nobody,
        }
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
    plan: Plan,
    fallback: Option<Plan>,
    env: environment::Env,
    timeout: Duration,
    password: Option<Password>,
    holder: Holder,
}

/// Who has the password now, besides us.
enum Holder {
    Nobody,
    #[cfg(feature = "clipboard")]
    Desktop(desktop::OwnerProcess),
    Terminal(Terminal),
}

impl Clipboard {
    /// Copies it, once; it is not kept here any longer.
    pub fn copy(&mut self) -> Outcome {
        let Some(password) = self.password.take() else {
            return Outcome::NotCopied("it was copied before".into());
        };
        let outcome = self.carry_out(self.plan, &password);
        match (&outcome, self.fallback.take()) {
            (Outcome::NotCopied(_), Some(plan @ Plan::Terminal(_))) if plan != self.plan => {
                match self.carry_out(plan, &password) {
                    Outcome::NotCopied(_) => outcome,
                    sent => sent,
                }
            }
            _ => outcome,
        }
    }

    fn carry_out(&mut self, plan: Plan, password: &Password) -> Outcome {
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
            #[cfg(feature = "clipboard")]
            Plan::Desktop => {
                match desktop::OwnerProcess::start(&self.env, self.timeout, password) {
                    Ok(owner) => {
                        self.holder = Holder::Desktop(owner);
                        Outcome::Copied {
                            cleared_in: self.timeout,
                        }
                    }
                    Err(reason) => Outcome::NotCopied(reason),
                }
            }
            #[cfg(not(feature = "clipboard"))]
            Plan::Desktop => {
                Outcome::NotCopied("this smtpcred was built without the desktop's clipboard".into())
            }
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
            #[cfg(feature = "clipboard")]
            Holder::Desktop(owner) => owner.stop(),
            // No answer comes from a terminal, so no failure either.
            Holder::Terminal(terminal) => drop(terminal::send(terminal, &self.env, b" ")),
        }
    }
}
