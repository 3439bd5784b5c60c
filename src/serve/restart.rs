//! Running this program anew without a moment in which nobody listens: the
//! same process runs the program again, which finds its sockets where it left
//! them. A new version of the program is started that way, too.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{SigSet, Signal};

use super::sockets::{Listener, Protocol};
use crate::error::Error;

pub struct Restart {
    pub(super) listeners: Vec<Listener>,
}

/// Sockets are handed over from this number on; connections are closed by then.
const FIRST: i32 = 64;

impl Restart {
    /// Does not return, unless it fails.
    pub fn run(self) -> Error {
        let failed = |e: io::Error| Error::System(format!("cannot run this program anew: {e}"));
        let mut numbers = Vec::new();
        let mut names = Vec::new();
        for listener in &self.listeners {
            // A copy that stays open, while the sockets we have do not.
            match fcntl(&listener.socket, FcntlArg::F_DUPFD(FIRST)) {
                Ok(number) => numbers.push(number),
                Err(e) => return failed(e.into()),
            }
            names.push(match listener.protocol {
                Protocol::Auth => "auth",
                Protocol::Policy => "policy",
            });
        }
        let first = numbers.first().copied().unwrap_or(FIRST);
        if !numbers.iter().copied().eq((first..).take(numbers.len())) {
            return Error::System(
                "cannot run this program anew: no numbers for its sockets".into(),
            );
        }
        let program = match std::env::current_exe() {
            Ok(program) => replaced(program),
            Err(e) => return failed(e),
        };
        // The program has no handlers yet when it starts; without this another
        // signal would end it.
        let _ = signals().thread_block();
        let error = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDS", numbers.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .exec();
        let _ = signals().thread_unblock();
        failed(error)
    }
}

/// Those that do not mean "end".
fn signals() -> SigSet {
    [Signal::SIGHUP, Signal::SIGUSR2].into_iter().collect()
}

/// Once there are handlers.
pub fn listen_to_signals() {
    let _ = signals().thread_unblock();
}

/// Where an upgrade put the new program, the system says that the one we run
/// is deleted.
fn replaced(program: PathBuf) -> PathBuf {
    match program
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(path) => path.into(),
        None => program,
    }
}
