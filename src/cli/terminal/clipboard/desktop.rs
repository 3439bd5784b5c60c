//! Starts the process that owns the desktop's clipboard after this program has ended: on X11
//! and Wayland, a selection lives no longer than its owner.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::time::{self, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::environment::Env;
use super::owner::COPIED;
use crate::model::duration::Duration;
use crate::model::password::Password;

/// A desktop that takes longer counts as not answering.
const PATIENCE: time::Duration = time::Duration::from_millis(1500);

/// The process that owns the clipboard.
pub struct OwnerProcess(Child);

impl OwnerProcess {
    /// Starts the process, passes the password on and waits for it to be in the clipboard. The
    /// error is for people.
    pub fn start(env: &Env, timeout: Duration, password: &Password) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("the clipboard's owner cannot be started: {e}");
        let program = std::env::current_exe().map_err(failed)?;
        let child = Command::new(program)
            .arg("clipboard-owner")
            .arg(format!("{}s", timeout.seconds()))
            .env_clear()
            .envs(env.desktop())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut owner = Self(child);
        let answer = owner.converse(password).map_err(failed)?;
        if answer == COPIED {
            return Ok(owner);
        }
        owner.stop();
        Err(if answer.is_empty() {
            "the desktop does not answer".to_owned()
        } else {
            answer
        })
    }

    fn converse(&mut self, password: &Password) -> std::io::Result<String> {
        if let Some(mut stdin) = self.0.stdin.take() {
            stdin.write_all(password.expose().as_bytes())?;
        }
        let Some(mut stdout) = self.0.stdout.take() else {
            return Ok(String::new());
        };
        let deadline = Instant::now() + PATIENCE;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
                Ok(0) => return Ok(String::new()),
                Ok(_) => {}
            }
            let mut part = [0; 256];
            match stdout.read(&mut part)? {
                0 => break,
                n => answer.extend_from_slice(&part[..n]),
            }
        }
        Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    }

    /// Ends the process, which clears the clipboard if it still owns it.
    pub fn stop(self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // It may have ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}
