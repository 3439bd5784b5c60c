//! The terminal itself, for what must not stay on it: hidden input, and the
//! panel that shows a password once.
//!
//! While a [`Tty`] is open, keys arrive one by one and unechoed, Ctrl-C is a
//! key like others, and signals are events. Dropped, the terminal is as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcflush, tcgetattr, tcsetattr,
};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::error::{Error, Exit, Result};

pub const CTRL_C: u8 = 0x03;
pub const CTRL_D: u8 = 0x04;

pub struct Tty {
    device: File,
    before: Termios,
    signals: UnixStream,
    handlers: Vec<SigId>,
}

impl Tty {
    pub fn open() -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&device)?;
        let (signals, sender) = UnixStream::pair()?;
        let mut tty = Self {
            device,
            before,
            signals,
            handlers: Vec::new(),
        };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let sender = sender.try_clone()?;
            tty.handlers
                .push(signal_hook::low_level::pipe::register(signal, sender)?);
        }
        let mut raw = tty.before.clone();
        raw.local_flags &=
            !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // What was typed ahead was not meant as an answer to what comes.
        tcsetattr(&tty.device, SetArg::TCSAFLUSH, &raw)?;
        Ok(tty)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.device.write_all(bytes)
    }

    /// Waits for one key. A signal, or the end of the terminal, interrupts.
    pub fn key(&mut self) -> Result<u8> {
        loop {
            let mut fds = [
                PollFd::new(self.device.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(_) => return Err(Error::Interrupted),
                Ok(_) => {}
            }
            let [keys, signals] = fds.map(|fd| fd.any().unwrap_or(true));
            if signals {
                return Err(Error::Interrupted);
            }
            if !keys {
                continue;
            }
            let mut key = [0];
            match self.device.read(&mut key) {
                Ok(1) => return Ok(key[0]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(Error::Interrupted),
            }
        }
    }

    /// Lines and columns.
    pub fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size_of(&self.device) {
            Some((columns, lines)) => (lines.0.into(), columns.0.into()),
            None => (24, 80),
        }
    }
}

/// Signals end the program again, as they did before there was a [`Tty`]: for what
/// only reads. Else they stay caught, and nobody notices them.
pub fn let_signals_end() -> io::Result<()> {
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        let code = i32::from(Exit::Interrupted as u8);
        signal_hook::flag::register_conditional_shutdown(signal, code, always)?;
    }
    Ok(())
}

impl Drop for Tty {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put back.
        let _ = tcflush(&self.device, FlushArg::TCIFLUSH);
        let _ = tcsetattr(&self.device, SetArg::TCSANOW, &self.before);
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}
