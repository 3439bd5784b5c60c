//! What guesses about flags and words have in common.

use clap::{Arg, Command};

/// What to say about an unknown flag or a word too many.
pub struct Answer {
    /// Says what is wrong, if clap's message would repeat a password.
    pub message: Option<String>,
    pub hint: String,
}

impl From<String> for Answer {
    fn from(hint: String) -> Self {
        Self {
            message: None,
            hint,
        }
    }
}

/// Returns whether a command has a flag, and shows it.
pub(super) fn has(command: &Command, long: &str) -> bool {
    let shown = |arg: &&Arg| !arg.is_hide_set();
    let mut shown = command.get_arguments().filter(shown);
    shown.any(|arg| arg.get_long() == Some(long))
}
