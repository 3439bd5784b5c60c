//! The terminal device, for what must not stay on it: hidden input, and the panel that
//! shows a password once.
//!
//! While a [`Tty`] is open, keys arrive one by one without echo, Ctrl-C is a key like any
//! other, and signals are events. Dropping it restores the terminal.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dialoguer::console::Term;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcflush, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{SigId, flag};

use crate::error::{Error, Exit, Result};

pub const CTRL_C: u8 = 0x03;
pub const CTRL_D: u8 = 0x04;
pub const ESCAPE: u8 = 0x1b;

/// How long the rest of what one key sends may take over a slow line.
const SEQUENCE: Duration = Duration::from_millis(100);

/// An open terminal in raw mode.
pub struct Tty {
    device: File,
    before: Termios,
    /// The signals that end a program.
    signals: UnixStream,
    /// The window has another size.
    resized: UnixStream,
    handlers: Vec<SigId>,
    /// A key that came after Esc.
    next: Option<u8>,
}

/// What happens at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtyEvent {
    Key(u8),
    Up,
    Down,
    /// Another key that sends several bytes.
    OtherKey,
    Resized,
}

impl Tty {
    /// Opens the controlling terminal.
    pub fn open() -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&device)?;
        let (signals, signal_sender) = UnixStream::pair()?;
        let (resized, size_sender) = UnixStream::pair()?;
        resized.set_nonblocking(true)?;
        let mut tty = Self {
            device,
            before,
            signals,
            resized,
            handlers: Vec::new(),
            next: None,
        };
        let mut catch = |signal, sender: &UnixStream| -> io::Result<()> {
            let sender = sender.try_clone()?;
            let handler = signal_hook::low_level::pipe::register(signal, sender)?;
            tty.handlers.push(handler);
            Ok(())
        };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            catch(signal, &signal_sender)?;
        }
        catch(SIGWINCH, &size_sender)?;
        let mut raw = tty.before.clone();
        raw.local_flags &=
            !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // Input typed ahead is no answer to the next question.
        tcsetattr(&tty.device, SetArg::TCSAFLUSH, &raw)?;
        Ok(tty)
    }

    /// Writes all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.device.write_all(bytes)
    }

    /// Waits for a byte of input. A signal or the loss of the terminal is
    /// [`Error::Interrupted`].
    pub fn key(&mut self) -> Result<u8> {
        loop {
            if let Some(TtyEvent::Key(key)) = self.input_until(None)? {
                return Ok(key);
            }
        }
    }

    /// Waits for a key or another size of the window, until the deadline if there is one.
    pub fn event_until(&mut self, deadline: Option<Instant>) -> Result<Option<TtyEvent>> {
        let event = match self.next.take() {
            Some(key) => Some(TtyEvent::Key(key)),
            None => self.input_until(deadline)?,
        };
        if event != Some(TtyEvent::Key(ESCAPE)) {
            return Ok(event);
        }
        match self.input_until(Some(Instant::now() + SEQUENCE))? {
            Some(TtyEvent::Key(b'[' | b'O')) => {
                // Its last byte, after parameters.
                while let Some(event) = self.input_until(Some(Instant::now() + SEQUENCE))? {
                    match event {
                        TtyEvent::Key(b'A') => return Ok(Some(TtyEvent::Up)),
                        TtyEvent::Key(b'B') => return Ok(Some(TtyEvent::Down)),
                        TtyEvent::Key(0x40..=0x7e) => break,
                        _ => {}
                    }
                }
                Ok(Some(TtyEvent::OtherKey))
            }
            Some(TtyEvent::Key(key)) => {
                self.next = Some(key);
                Ok(event)
            }
            _ => Ok(event),
        }
    }

    /// Discards what was typed so far.
    pub fn forget_keys(&mut self) -> Result<()> {
        self.next = None;
        tcflush(&self.device, FlushArg::TCIFLUSH).map_err(|_| Error::Interrupted)
    }

    fn input_until(&mut self, deadline: Option<Instant>) -> Result<Option<TtyEvent>> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.map(|left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
            let mut fds = [
                PollFd::new(self.device.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.resized.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, left.unwrap_or(PollTimeout::NONE)) {
                Err(Errno::EINTR) => continue,
                Err(_) => return Err(Error::Interrupted),
                Ok(0) => return Ok(None),
                Ok(_) => {}
            }
            let [keys, signals, resized] = fds.map(|fd| fd.any().unwrap_or(true));
            if signals {
                return Err(Error::Interrupted);
            }
            if resized {
                // A window that is dragged has many sizes; the last one counts.
                while matches!(self.resized.read(&mut [0; 64]), Ok(1..)) {}
                return Ok(Some(TtyEvent::Resized));
            }
            if !keys {
                continue;
            }
            let mut key = [0];
            match self.device.read(&mut key) {
                Ok(1) => return Ok(Some(TtyEvent::Key(key[0]))),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(Error::Interrupted),
            }
        }
    }

    /// Returns the number of lines and columns.
    pub fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size_of(&self.device) {
            Some((columns, lines)) => (lines.0.into(), columns.0.into()),
            None => (24, 80),
        }
    }
}

/// Returns whether the terminal can only print lines, or is not known.
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Opens the terminal for questions while a program reads stderr.
pub fn beside_stderr() -> io::Result<Term> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    Ok(Term::read_write_pair(device.try_clone()?, device))
}

/// Lets signals end the program again after a [`Tty`] was open. For commands that change nothing:
/// otherwise signals stay caught and have no effect.
pub fn let_signals_end() -> io::Result<()> {
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        let code = i32::from(Exit::Interrupted as u8);
        flag::register_conditional_shutdown(signal, code, always)?;
    }
    Ok(())
}

/// Keeps signals from ending the program: while a question waits, which they
/// interrupt, and between showing a password and reporting whether it is valid.
#[derive(Default)]
pub struct SignalsHeld(Vec<SigId>);

impl SignalsHeld {
    /// Begins to hold signals, until this is dropped.
    pub fn hold(&mut self) {
        let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter();
        let held = signals.filter_map(|signal| flag::register(signal, Arc::default()).ok());
        self.0.extend(held);
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = tcflush(&self.device, FlushArg::TCIFLUSH);
        let _ = tcsetattr(&self.device, SetArg::TCSANOW, &self.before);
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}
