//! The pager of long output, as git has it: `PAGER`, or less, which ends by itself if everything
//! fits.

use std::env;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::stdio::dup2_stdout;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGQUIT};
use signal_hook::flag;

use super::tty::is_dumb;
use crate::host;

/// The usual pager.
const LESS: &str = "less";

/// Which pager shows long output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PagerChoice {
    /// `PAGER`, or less.
    #[default]
    Usual,
    /// This command.
    Command(String),
    Never,
}

/// A program that shows what is written to stdout.
pub(super) struct Pager {
    child: Child,
    /// stdout as it was before.
    terminal: OwnedFd,
    signals: Vec<SigId>,
}

impl Pager {
    /// Starts a pager between stdout and the terminal. `None` if there is none, or if none is
    /// wanted: output then goes straight to the terminal.
    /// Lines that are wider than the terminal are cut if `scrolls`: less then scrolls to the right.
    pub(super) fn begin(choice: &PagerChoice, scrolls: bool) -> io::Result<Option<Self>> {
        // A rule of sudo that allows one command must not allow a shell: less is kept from
        // starting one, and a pager that the caller names is not run.
        let for_other = host::is_for_another();
        let named = env::var("PAGER").ok().filter(|_| !for_other);
        let wanted = match choice {
            PagerChoice::Usual => named.unwrap_or_else(|| LESS.into()),
            PagerChoice::Command(command) => command.clone(),
            PagerChoice::Never => return Ok(None),
        };
        // On a dumb terminal, less waits for a key before it shows anything.
        if is_dumb() || ["", "cat"].contains(&wanted.trim()) || !exists(&wanted) {
            return Ok(None);
        }
        let mut command = Command::new("sh");
        command.args(["-c", &wanted]).stdin(Stdio::piped());
        // With F, less would exit although it has cut off lines.
        let less = if scrolls && wanted == LESS {
            "RSX"
        } else {
            "FRX"
        };
        // The output is UTF-8 in every locale.
        for (name, value) in [("LESS", less), ("LV", "-c"), ("LESSCHARSET", "utf-8")] {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        if for_other {
            command.env("LESSSECURE", "1");
        }
        io::stdout().flush()?;
        let mut child = command.spawn()?;
        let terminal = io::stdout().as_fd().try_clone_to_owned()?;
        if let Some(pipe) = child.stdin.take() {
            dup2_stdout(pipe)?;
        }
        // The pager answers them.
        let signals = [SIGINT, SIGQUIT].into_iter();
        let signals = signals.filter_map(|signal| flag::register(signal, Arc::default()).ok());
        Ok(Some(Self {
            child,
            terminal,
            signals: signals.collect(),
        }))
    }
}

impl Drop for Pager {
    /// Waits until the person has read everything.
    fn drop(&mut self) {
        // Only the end of the pipe tells the pager that there is no more. If the terminal is
        // gone, no one reads.
        let _ = io::stdout().flush();
        let _ = dup2_stdout(&self.terminal);
        let _ = self.child.wait();
        for signal in self.signals.drain(..) {
            signal_hook::low_level::unregister(signal);
        }
    }
}

/// Returns whether the program of this command line exists. A shell would only say so on stderr,
/// and the output would be lost.
pub fn exists(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let Some(program) = words.find(|word| !word.contains('=')) else {
        return false;
    };
    if program.contains(['$', '"', '\'', '\\', '(', '`', '~']) {
        // Only a shell knows.
        return true;
    }
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}
