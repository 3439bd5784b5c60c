//! What the tests share: a store of their own, and the program run against it
//! as a shell would, with nothing else in its environment.

// Each group of tests and each benchmark uses a part of it.
#![allow(dead_code)]

pub mod applications;
pub mod apply;
pub mod booted;
pub mod bulk;
pub mod clients;
pub mod desk;
pub mod dialog;
pub mod dice;
pub mod doctor;
pub mod engine;
pub mod fake_smtp;
pub mod killer;
pub mod leaks;
pub mod load;
pub mod mail;
pub mod nobody;
pub mod nsd;
pub mod pooler;
pub mod postgres;
pub mod pty;
pub mod relay;
pub mod rotation;
pub mod serve;
pub mod slow;
pub mod small;
pub mod source;
pub mod store_writer;
pub mod watched;
pub mod world;
pub mod zones;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{PipeWriter, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use rusqlite::Connection;
use tempfile::TempDir;

pub use engine::Lock;

/// The program under test, as cargo built it.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_smtpcred");

/// Returns whether `SMTPCRED_LONG` is set: tests that kill or attack at random moments
/// then do it as often as before a release.
pub fn is_long() -> bool {
    std::env::var_os("SMTPCRED_LONG").is_some()
}

/// A place with a store in it; gone when dropped.
pub struct Sandbox {
    pub folder: TempDir,
    /// Where the store is, if it is not a file in the folder.
    pub database: Option<engine::Database>,
}

/// What came out of one run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// No store yet.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            database: None,
        }
    }

    /// A store with the domain example.com.
    pub fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.noted(&["domain", "add", "example.com"]);
        sandbox
    }

    /// The file.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("data/smtpcred.db")
    }

    /// The program with these arguments, stdin empty, not run yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.other_command(PROGRAM, args)
    }

    /// The same for another program, such as one that runs ours.
    pub fn other_command<S: AsRef<OsStr>>(&self, program: &str, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("SMTPCRED_STORE", self.location())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let run = finished(self.command(args).output().expect("the program runs"));
        looked_at(args, None, run)
    }

    pub fn run_with_stdin<S: AsRef<OsStr>>(&self, args: &[S], stdin: &[u8]) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        // A program that exits early does not read it.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin);
        let run = finished(child.wait_with_output().expect("the program ends"));
        looked_at(args, Some(stdin), run)
    }

    /// Must succeed and say nothing on stderr; returns stdout.
    pub fn ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let run = self.run(args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
        run.stdout
    }

    /// Must succeed; may note on stderr what it did, and must warn of nothing.
    /// Returns stdout.
    pub fn noted<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        let warns = |line: &str| {
            ["warning:", "error:", "hint:", "{\"warning\"", "{\"error\""]
                .iter()
                .any(|word| line.starts_with(word))
        };
        assert!(!run.stderr.lines().any(warns), "{args:?}: {}", run.stderr);
        run.stdout
    }

    /// Must succeed with this one warning, notes apart; returns stdout.
    pub fn warned<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S], warning: &str) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        let warnings: Vec<&str> = run
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "))
            .collect();
        assert_eq!(warnings, [warning], "{args:?}");
        run.stdout
    }

    /// Where one domain has users and is not verified.
    pub fn require_verified_domain(&self) {
        let set = ["set-settings", "--require-verified-domains", "yes"];
        self.warned(
            &set,
            "1 domain with users can no longer send until verified; for each, run: smtpcred domain verify DOMAIN",
        );
    }

    /// Creates a user and returns its password.
    pub fn create(&self, username: &str) -> String {
        let stdout = self.ok(&["user", "create", username, "--quiet"]);
        stdout.strip_suffix('\n').expect("a newline").to_owned()
    }

    /// The exit code of `verify`.
    pub fn verify(&self, username: &str, password: &str) -> i32 {
        self.run_with_stdin(&["verify", username], password.as_bytes())
            .code
    }

    /// The program, waiting for the lock that the connection holds: it has
    /// looked at all it looks at before it changes something. On SQLite; see
    /// [`Self::held_up`].
    pub fn at_lock(&self, args: &[&str], stdout: impl Into<Stdio>) -> (Server, Connection) {
        match self.held_up(args, stdout) {
            (waiting, Lock::Sqlite(store)) => (waiting, store),
            (_, Lock::Postgres(..)) => panic!("not on PostgreSQL"),
        }
    }

    /// The same on either engine.
    pub fn held_up(&self, args: &[&str], stdout: impl Into<Stdio>) -> (Server, Lock) {
        let lock = self.lock();
        let child = self
            .command(args)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn();
        let waiting = Server(child.expect("the program runs"));
        self.wait_at_lock(std::iter::once(&waiting.0));
        (waiting, lock)
    }

    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let stdout = self.noted(&[args, &["--json"]].concat());
        serde_json::from_str(&stdout).expect("one JSON document")
    }
}

/// What was printed, once it was looked at for passwords.
fn looked_at<S: AsRef<OsStr>>(args: &[S], stdin: Option<&[u8]>, run: Run) -> Run {
    const READ: [&str; 8] = [
        "audit", "doctor", "domain", "report", "store", "usage", "verify", "why",
    ];
    let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
    leaks::look(&format!("stderr of {args:?}"), run.stderr.as_bytes());
    if args
        .first()
        .is_some_and(|first| READ.iter().any(|read| first == read))
    {
        leaks::look(&format!("stdout of {args:?}"), run.stdout.as_bytes());
    }
    let lines = || run.stderr.lines();
    let has = |word: &str| lines().any(|line| line.starts_with(word));
    assert!(!has("thread '"), "{args:?} panicked: {}", run.stderr);
    assert!(
        run.code != 0 || !has("error:"),
        "{args:?} succeeded with an error: {}",
        run.stderr
    );
    if run.code == 0 {
        leaks::made_by(&args, stdin, &run.stdout);
    }
    run
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        leaks::look_at(self);
    }
}

pub fn finished(output: Output) -> Run {
    use std::os::unix::process::ExitStatusExt as _;
    let status = output.status;
    Run {
        // A signal is no exit code; tests that expect one look for 1000 + it.
        code: status
            .code()
            .unwrap_or_else(|| 1000 + status.signal().unwrap_or(0)),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

/// Waits for something to become true, and fails loudly if it does not.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ports that nobody uses, for TCP and UDP, below those that the system hands out: nobody gets
/// one by chance before the server has it.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    for number in 0..10_000_u32 {
        let random = RandomState::new().hash_one(number);
        let port = 10_000 + u16::try_from(random % 22_000).expect("a small number");
        if !taken.contains(&port) && is_free(port) {
            taken.insert(port);
            return port;
        }
    }
    panic!("no port is free");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A signal that was sent has been caught.
pub fn wait_until_caught(running: &Server) {
    wait_for("the signal to be caught", || {
        let path = format!("/proc/{}/status", running.0.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let pending = pending.expect("Linux").trim();
        pending.trim_start_matches('0').is_empty().then_some(())
    });
}

/// How a program ended that might have hung; then it is killed. For little
/// output: nobody reads it until the end.
pub fn ended(mut running: Server) -> Run {
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    let status = wait_for("the program to end", || running.0.try_wait().expect("ours"));
    let mut output = Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    if let Some(mut stdout) = stdout {
        stdout.read_to_end(&mut output.stdout).expect("its stdout");
    }
    if let Some(mut stderr) = stderr {
        stderr.read_to_end(&mut output.stderr).expect("its stderr");
    }
    leaks::look("stderr", &output.stderr);
    finished(output)
}

/// Waits until this process does nothing but try to lock the store: it sleeps and wakes
/// over and over, writes nothing, and reads no page. (A rollback journal is looked for, and
/// 16 bytes of the store are read, each time.)
pub fn wait_at_lock(child: &Child) {
    const TRIES: u64 = 40;
    const PAGE: u64 = 512;
    let number = |file: &str, name: &str| {
        // Only root and, of an ordinary process, its owner may read `io`.
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse::<u64>().ok())
    };
    let (mut io, mut from) = ((0, 0), 0);
    wait_for("the program to want the lock", || {
        let sleeps = number("status", "voluntary_ctxt_switches:")?;
        let read = number("io", "rchar:").unwrap_or_default();
        let written = number("io", "wchar:").unwrap_or_default();
        // A disk that is slow makes it wait, too, but not by the clock.
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", child.id()));
        let call = call.unwrap_or_default();
        let call = call.split(' ').next().and_then(|call| call.parse().ok());
        let elsewhere = call.is_some_and(|call: i64| {
            ![nix::libc::SYS_clock_nanosleep, nix::libc::SYS_nanosleep].contains(&call)
        });
        if elsewhere || written != io.1 || read - io.0 > PAGE {
            from = sleeps;
        }
        io = (read, written);
        (sleeps - from > TRIES).then_some(())
    });
}

/// Waits until another process holds the lock that this connection had.
pub fn wait_for_holder(store: &Connection) {
    store.busy_timeout(Duration::ZERO).expect("no waiting");
    wait_for("somebody to lock the store", || {
        let free = store.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        (!free).then_some(())
    });
}

/// Fills a pipe, so that nobody can write to it before somebody reads.
pub fn fill(pipe: &PipeWriter) {
    // Opened anew: only this end must not wait, and not whoever shares it.
    let mut own = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(format!("/proc/self/fd/{}", pipe.as_raw_fd()))
        .expect("a pipe");
    for size in [4096, 1] {
        while own.write(&vec![b'.'; size]).is_ok() {}
    }
}

/// Ends with its test, whatever happens.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
