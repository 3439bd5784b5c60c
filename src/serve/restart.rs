//! Restarts the program without a moment in which nothing listens: the same process
//! executes the program again, which inherits its sockets. A new version of the program
//! is started this way, too.
//!
//! Nothing is closed before the program has shown that it can start: a child process
//! runs it with `--check-start`. Then the very file that was tried is run, by its
//! descriptor and never through a shell.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use mio::Waker;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::fexecve;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::sealed_memory::{SealedMemory, VARIABLE};
use super::sockets::Listener;
use crate::app::relay::FORMAT;
use crate::error::{Error, Result};
use crate::model::text::escaped;

/// Why it ended.
pub enum End {
    /// By a signal.
    Stopped,
    /// To start the new program with the same sockets.
    Restart(Restart),
}

/// A restart that is about to happen.
pub struct Restart {
    pub(super) listeners: Vec<Listener>,
    pub(super) program: Program,
    /// What the new program continues with, if it can.
    pub(super) memory: Option<SealedMemory>,
}

/// A program that can start.
pub struct Program {
    file: File,
    stamp: Stamp,
    /// It takes over what ours remembers.
    pub takes_over: bool,
}

/// A check, in another thread, of whether the program that has replaced ours can start.
pub struct ProgramCheck(Receiver<Result<Program>>);

/// Identifies a version of a file: while it is the same, so is the content.
type Stamp = [i64; 6];

/// The flag that makes the program report that it can start.
const CHECK: &str = "--check-start";
/// The answer to it, before the version.
const CAN_START: &str = "smtpcred can start, version ";
/// A line of the answer, before the format: without it, nothing is carried over.
const TAKES_OVER: &str = "takes over what is remembered, format ";

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// In bytes, of any other output.
const MOST: u64 = 4096;
/// Sockets are handed over from this number on; connections are closed by then.
const FIRST: i32 = 64;
const OURSELVES: &str = "/proc/self/exe";

impl ProgramCheck {
    /// Wakes the loop when it is done.
    pub fn start(waker: Arc<Waker>) -> Self {
        let (sender, checked) = channel();
        thread::spawn(move || {
            // This process may have ended by then.
            let _ = sender.send(Program::prove());
            let _ = waker.wake();
        });
        Self(checked)
    }

    /// Returns the result, or `None` while the check runs.
    pub fn result(&self) -> Option<Result<Program>> {
        match self.0.try_recv() {
            Ok(checked) => Some(checked),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(Error::System("the result is unknown".into())))
            }
        }
    }
}

impl Program {
    /// Tries the program that has now replaced ours. Takes up to five seconds.
    pub fn prove() -> Result<Self> {
        // The child inherits our mask: a signal to all processes of a unit must not
        // end it.
        let _ = signals().thread_block();
        let path = std::env::current_exe().map(replaced);
        let path = path.map_err(|e| Error::System(format!("its path is unknown: {e}")))?;
        Self::try_file(&path).map_err(|reason| {
            let path = path.display().to_string();
            Error::System(format!("{}: {reason}", escaped(&path)))
        })
    }

    fn try_file(path: &PathBuf) -> std::result::Result<Self, String> {
        let text = |e: io::Error| e.to_string();
        // A pipe in its place must not block.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(text)?;
        let stamp = stamp(&file).map_err(text)?;
        let own = File::open(OURSELVES).and_then(|mut own| header(&mut own));
        if header(&mut file).ok() != Some(own.map_err(text)?) {
            return Err("it is not a program for this machine".into());
        }
        let (said, saying) = io::pipe().map_err(text)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        command
            .arg0(path)
            .args(std::env::args_os().skip(1))
            .arg(CHECK)
            .stdin(Stdio::null())
            .stdout(saying.try_clone().map_err(text)?)
            .stderr(saying);
        for name in [
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "NOTIFY_SOCKET",
            VARIABLE,
        ] {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(text)?;
        // Together with our ends of the pipe.
        drop(command);
        let takes_over = can_start(child, said)?;
        Ok(Self {
            file,
            stamp,
            takes_over,
        })
    }

    /// Returns only if it fails.
    fn run(&self, args: &[CString], environment: &[CString]) -> io::Error {
        match stamp(&self.file) {
            Ok(stamp) if stamp == self.stamp => {}
            Ok(_) => return io::Error::other("it was changed"),
            Err(e) => return e,
        }
        exec(&self.file, args, environment)
    }
}

fn exec(file: &File, args: &[CString], environment: &[CString]) -> io::Error {
    let Err(error) = fexecve(file, args, environment);
    error.into()
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok([
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        found.size().cast_signed(),
        found.mtime(),
        found.mtime_nsec(),
        i64::from(found.mode()),
    ])
}

/// The first bytes of a program for this machine: its format and the type of its
/// processor (elf(5)). The C library would run anything else with a shell.
fn header(file: &mut File) -> io::Result<([u8; 6], [u8; 2])> {
    let mut header = [0; 20];
    file.read_exact(&mut header)?;
    Ok((std::array::from_fn(|i| header[i]), [header[18], header[19]]))
}

/// Returns the answer of a program that can start.
pub fn start_report() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{CAN_START}{version}\n{TAKES_OVER}{FORMAT}\n")
}

/// Waits for the answer that it can start. Returns whether it takes over what is remembered.
fn can_start(mut child: Child, said: PipeReader) -> std::result::Result<bool, String> {
    let (sender, answer) = channel();
    // It may neither answer nor end: this wait has a limit, the other one has none.
    thread::spawn(move || {
        let mut text = Vec::new();
        // Only the output so far counts.
        let _ = said.take(MOST).read_to_end(&mut text);
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    let said = answer.recv_timeout(PATIENCE);
    // It may have ended, or may be about to.
    let _ = child.kill();
    let status = child.wait().map_err(|e| e.to_string())?;
    let said = match said {
        Ok(said) => said,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            return Err(format!("it did not start within {} s", PATIENCE.as_secs()));
        }
    };
    if said.lines().any(|line| line.starts_with(CAN_START)) {
        let takes_over = format!("{TAKES_OVER}{FORMAT}");
        return Ok(said.lines().any(|line| line == takes_over));
    }
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(match last {
        Some(line) => format!("it does not start: {} ({status})", escaped(line)),
        None => format!("it does not start ({status})"),
    })
}

impl Restart {
    /// Replaces this process by the new program. Returns only if that fails.
    pub fn run(self) -> Error {
        let failed = |e: io::Error| Error::System(format!("cannot run this program anew: {e}"));
        let copies = match copies(&self.listeners) {
            Ok(copies) => copies,
            Err(e) => return failed(e),
        };
        let listeners = self.listeners.iter();
        let names: Vec<_> = listeners.map(|one| one.purpose.name()).collect();
        // Without it, passwords are hashed once more.
        let memory = self.memory.as_ref();
        let memory = memory.and_then(|memory| memory.pass_on().ok());
        let first = copies.first().map_or(FIRST, AsRawFd::as_raw_fd);
        let args: Vec<_> = std::env::args_os()
            .filter_map(|arg| c_string(arg.into_vec()))
            .collect();
        let environment = environment(&[
            ("LISTEN_PID", std::process::id().to_string()),
            ("LISTEN_FDS", copies.len().to_string()),
            ("LISTEN_FDS_FIRST_FD", first.to_string()),
            ("LISTEN_FDNAMES", names.join(":")),
            (VARIABLE, memory.unwrap_or_default()),
        ]);
        // The program has no handlers yet when it starts; without this another
        // signal would end it.
        let _ = signals().thread_block();
        let error = self.program.run(&args, &environment);
        // Changed since it was tried, or out of memory: our own file is still there.
        if let Ok(own) = File::open(OURSELVES) {
            exec(&own, &args, &environment);
        }
        let _ = signals().thread_unblock();
        failed(error)
    }
}

/// Duplicates the sockets to consecutive descriptors, which stay open across exec. If
/// another file has one of the numbers, it tries higher ones.
fn copies(listeners: &[Listener]) -> io::Result<Vec<OwnedFd>> {
    let mut from = FIRST;
    loop {
        let mut copies: Vec<OwnedFd> = Vec::new();
        for listener in listeners {
            let next = copies.last().map_or(from, |fd| fd.as_raw_fd() + 1);
            copies.push(fcntl_dupfd_cloexec(&listener.socket, next)?);
        }
        let numbers: Vec<_> = copies.iter().map(AsRawFd::as_raw_fd).collect();
        if numbers.windows(2).any(|two| two[1] != two[0] + 1) {
            from = numbers.last().copied().unwrap_or(from);
            continue;
        }
        for copy in &copies {
            fcntl_setfd(copy, FdFlags::empty())?;
        }
        return Ok(copies);
    }
}

/// Our own variables, with these replaced.
fn environment(more: &[(&str, String)]) -> Vec<CString> {
    let ours = std::env::vars_os()
        .filter(|(name, _)| more.iter().all(|(other, _)| name != other))
        .filter_map(|(name, value)| {
            let mut both = name.into_vec();
            both.push(b'=');
            both.extend(value.into_vec());
            c_string(both)
        });
    let more = more
        .iter()
        .filter_map(|(name, value)| c_string(format!("{name}={value}").into()));
    ours.chain(more).collect()
}

/// Text from the system contains no NUL.
fn c_string(bytes: Vec<u8>) -> Option<CString> {
    CString::new(bytes).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::sockets::Purpose;

    #[test]
    fn sockets_are_handed_over_side_by_side() {
        let listeners: Vec<_> = (0..3)
            .map(|_| {
                let any = "127.0.0.1:0".parse().unwrap();
                Listener::bind_tcp(Purpose::Metrics, any).unwrap()
            })
            .collect();
        // Other files use two of the numbers.
        let taken = [FIRST + 1, FIRST + 4]
            .map(|number| fcntl_dupfd_cloexec(&listeners[0].socket, number).unwrap());
        let copies = copies(&listeners).unwrap();
        let first = copies[0].as_raw_fd();
        assert!(copies.iter().map(AsRawFd::as_raw_fd).eq(first..first + 3));
        drop(taken);
    }
}
