//! A terminal with the program in it: what is typed, what is on the screen,
//! and what is left when the program has ended.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, ExitStatus, PtyPair, PtySize, native_pty_system};
use vt100::Parser;

use crate::support::wait_for;

/// As sshd sets it.
pub const SSH: &str = "192.0.2.1 40000 192.0.2.2 22";

pub const ENTER: &str = "\r";
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";

const ENTER_ALTERNATE: &[u8] = b"\x1b[?1049h";
const LEAVE_ALTERNATE: &[u8] = b"\x1b[?1049l";

pub struct Pty {
    size: (u16, u16),
    pair: Option<PtyPair>,
    child: Option<Box<dyn Child + Send + Sync>>,
    /// None once the terminal is gone.
    keys: Option<Box<dyn Write + Send>>,
    name: PathBuf,
    /// Ours, so that the modes can be looked at and nothing printed is lost.
    device: Option<File>,
    printed: Arc<Mutex<Vec<u8>>>,
    hung_up: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// How a terminal treats what is typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Modes {
    pub echo: bool,
    pub lines: bool,
    pub signals: bool,
}

/// As a shell leaves it to a program, and wants it back.
pub const NORMAL: Modes = Modes {
    echo: true,
    lines: true,
    signals: true,
};

/// A program that has ended, and what it left behind.
pub struct Ended {
    pub code: i32,
    pub modes: Modes,
    pub printed: Vec<u8>,
    size: (u16, u16),
}

impl Pty {
    /// Nothing runs in it yet.
    pub fn open(lines: u16, columns: u16) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize {
                rows: lines,
                cols: columns,
                pixel_width: 0,
                pixel_height: 0,
            })
            .expect("a pseudo-terminal");
        let name = pair.master.tty_name().expect("a name");
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let hung_up = Arc::new(AtomicBool::new(false));
        let (all, stop) = (Arc::clone(&printed), Arc::clone(&hung_up));
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut part) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                all.lock().unwrap().extend_from_slice(&part[..n]);
            }
        });
        Self {
            size: (lines, columns),
            keys: Some(pair.master.take_writer().expect("a writer")),
            device: Some(device(&name)),
            pair: Some(pair),
            child: None,
            name,
            printed,
            hung_up,
            reader: Some(reader),
        }
    }

    /// A terminal of the usual size with the program in it.
    pub fn run(command: &Command) -> Self {
        let mut pty = Self::open(24, 80);
        pty.start(command);
        pty
    }

    /// The command starts a session with this as its terminal. It is reached
    /// over SSH, unless a desktop is named: nothing here may look for one by
    /// itself, and find that of whoever runs the tests.
    pub fn start(&mut self, command: &Command) {
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        builder.env("TERM", "xterm-256color");
        let desktop = ["DISPLAY", "WAYLAND_DISPLAY"];
        if !command
            .get_envs()
            .any(|(name, _)| desktop.iter().any(|d| name == *d))
        {
            builder.env("SSH_CONNECTION", SSH);
        }
        for (name, value) in command.get_envs() {
            builder.env(name, value.expect("nothing to remove"));
        }
        if let Some(folder) = command.get_current_dir() {
            builder.cwd(folder);
        }
        let pair = self.pair.as_ref().expect("not hung up");
        let child = pair.slave.spawn_command(builder);
        self.child = Some(child.expect("the program starts"));
    }

    /// Gives the window another size, as a person who drags it.
    pub fn resize(&mut self, lines: u16, columns: u16) {
        self.size = (lines, columns);
        let pair = self.pair.as_ref().expect("not hung up");
        let size = PtySize {
            rows: lines,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        pair.master.resize(size).expect("a size");
    }

    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("started");
        child.process_id().expect("running").try_into().unwrap()
    }

    pub fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().expect("not hung up");
        terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this was printed, wherever it is by now.
    pub fn see_printed(&self, text: &str) {
        wait_for(text, || {
            let printed = String::from_utf8_lossy(&self.printed()).into_owned();
            printed.contains(text).then_some(())
        });
    }

    /// Answers the panel, once it asks.
    pub fn answer(&mut self, key: &str) {
        self.see("Saved it?");
        self.press(key);
    }

    /// Where the window is too small for the question: until an answer is taken.
    pub fn answer_unasked(&mut self, key: &str) {
        wait_for("an answer to be taken", || {
            self.press(key);
            let child = self.child.as_mut().expect("started");
            child.try_wait().unwrap()
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn printed(&self) -> Vec<u8> {
        self.printed.lock().unwrap().clone()
    }

    pub fn screen(&self) -> Parser {
        replayed(self.size, &self.printed())
    }

    /// Waits until this text is on the screen, and returns all of the screen.
    pub fn see(&self, text: &str) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(text, || {
                last = self.screen().screen().contents();
                last.contains(text).then_some(())
            });
        }));
        assert!(seen.is_ok(), "{text:?} did not appear; the screen:\n{last}");
        last
    }

    pub fn modes(&self) -> Modes {
        let device = self.device.as_ref().expect("not hung up");
        let flags = tcgetattr(device).expect("a terminal").local_flags;
        Modes {
            echo: flags.contains(LocalFlags::ECHO),
            lines: flags.contains(LocalFlags::ICANON),
            signals: flags.contains(LocalFlags::ISIG),
        }
    }

    /// Waits for the end of the program, and for the last of its output.
    pub fn end(mut self) -> Ended {
        let code = self.wait();
        let modes = self.modes();
        self.device = None;
        if let Some(pair) = &mut self.pair {
            // The last one that has the terminal open for writing: the reader
            // now comes to an end.
            let unused = native_pty_system().openpty(PtySize::default()).unwrap();
            drop(std::mem::replace(&mut pair.slave, unused.slave));
        }
        let reader = self.reader.take().expect("once");
        wait_for("the end of the output", || {
            reader.is_finished().then_some(())
        });
        Ended {
            code,
            modes,
            printed: self.printed(),
            size: self.size,
        }
    }

    /// Closes the window, and waits for the end of the program.
    pub fn hang_up(mut self) -> i32 {
        self.hung_up.store(true, Ordering::SeqCst);
        let mut device = self.device.take().expect("once");
        // The crate types Enter and Ctrl-D when its writer is dropped, unless
        // there is no Ctrl-D.
        let mut modes = tcgetattr(&device).unwrap();
        modes.control_chars[SpecialCharacterIndices::VEOF as usize] = 0;
        tcsetattr(&device, SetArg::TCSANOW, &modes).unwrap();
        self.keys = None;
        // Wakes the reader, which has the terminal's other end open as well.
        device.write_all(b" ").unwrap();
        self.reader.take().expect("once").join().unwrap();
        drop(device);
        self.pair = None;
        self.wait()
    }

    /// Waits for the end of the program by a signal that it does not catch.
    pub fn end_by_signal(mut self) {
        let status = self.status();
        assert!(status.signal().is_some(), "not killed: {status:?}");
    }

    fn wait(&mut self) -> i32 {
        let status = self.status();
        assert!(status.signal().is_none(), "killed by {status:?}");
        status.exit_code().try_into().unwrap()
    }

    fn status(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("started");
        let screen = replayed(self.size, &self.printed.lock().unwrap());
        wait_for(
            &format!(
                "the end of the program; the screen:\n{}",
                screen.screen().contents()
            ),
            || child.try_wait().unwrap(),
        )
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ended {
    pub fn screen(&self) -> Parser {
        replayed(self.size, &self.printed)
    }

    /// All that is left to be read: on the screen, scrolled off it, and on the
    /// alternate screen.
    pub fn left(&self) -> String {
        let mut parser = self.screen();
        let mut text = with_scrollback(&mut parser);
        // Shows the other screen as it was left, where 1049 would clear it.
        parser.process(b"\x1b[?47h");
        text.push_str(&with_scrollback(&mut parser));
        text
    }

    /// The same on a terminal that has no alternate screen.
    pub fn left_without_alternate_screen(&self) -> String {
        let plain = without(&without(&self.printed, ENTER_ALTERNATE), LEAVE_ALTERNATE);
        assert!(plain.len() < self.printed.len(), "it was not used");
        with_scrollback(&mut replayed(self.size, &plain))
    }

    /// The terminal is as it was before the program came.
    pub fn assert_restored(&self) {
        let parser = self.screen();
        assert!(!parser.screen().hide_cursor(), "the cursor is hidden");
        assert!(!parser.screen().alternate_screen(), "the wrong screen");
        assert_eq!(self.modes, NORMAL);
    }

    /// Neither the secret nor a piece of it can be read any more.
    pub fn assert_forgotten(&self, secret: &str) {
        for text in [self.left(), self.left_without_alternate_screen()] {
            assert!(!tells(&text, secret), "the password is left in:\n{text}");
        }
    }
}

/// Whether some part of the secret that is worth having is in the text.
pub fn tells(text: &str, secret: &str) -> bool {
    const WORTH_HAVING: usize = 7;
    let secret: Vec<char> = secret.chars().collect();
    secret
        .windows(WORTH_HAVING)
        .any(|part| text.contains(&part.iter().collect::<String>()))
}

/// The generated password on the screen, once it is there in full, also where
/// the window is too narrow to have it in one line.
pub fn password_on(screen: &str) -> Option<String> {
    const LENGTH: usize = 36;
    let text: String = screen.split_whitespace().collect();
    let at = text.find("smtpc_")?;
    let password = text.get(at..at + LENGTH)?;
    // What follows in a password cut short has one of these in it.
    let strange = |c: char| !c.is_ascii_alphanumeric() || "0O1Il".contains(c);
    (!password["smtpc_".len()..].contains(strange)).then(|| password.to_owned())
}

fn replayed((lines, columns): (u16, u16), printed: &[u8]) -> Parser {
    const SCROLLBACK: usize = 1000;
    let size = |n| NonZeroU16::new(n).unwrap();
    let mut parser = Parser::new(size(lines), size(columns), SCROLLBACK);
    parser.process(printed);
    parser
}

fn with_scrollback(parser: &mut Parser) -> String {
    let screen = parser.screen_mut();
    let mut text = String::new();
    for back in (0..=screen.scrollback_len()).rev() {
        screen.set_scrollback(back);
        text.push_str(&screen.contents());
        text.push('\n');
    }
    text
}

fn without(bytes: &[u8], sequence: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut kept = Vec::new();
    while let Some(byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(sequence) {
            rest = after;
        } else {
            kept.push(*byte);
            rest = &rest[1..];
        }
    }
    kept
}

fn device(name: &PathBuf) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        // It must not become the terminal of the tests.
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(name)
        .expect("the terminal's device")
}
