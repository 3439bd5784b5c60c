//! Real mail servers for the tests: Postfix, Exim and Dovecot, each a private
//! one on free ports of the loopback, and a client that speaks to them.

pub mod dovecot;
pub mod exim;
pub mod postfix;
pub mod smtp;
pub mod tls;

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User};
use tempfile::TempDir;

/// The folder of one setup: its servers, their certificate and the sockets
/// between them. Make it first; it has to outlive the servers.
pub struct Place {
    folder: TempDir,
    pub certificate: tls::Certificate,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The servers run as users of their own.
        open(folder.path(), 0o755);
        let certificate = tls::Certificate::new(folder.path());
        let place = Self {
            folder,
            certificate,
        };
        make(&place.queue(), 0o755);
        make(&place.sockets(), 0o755);
        give_to("nobody", &place.sockets());
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Postfix's queue, and its root where it runs in a chroot.
    pub fn queue(&self) -> PathBuf {
        self.path().join("queue")
    }

    /// Where `smtpcred serve` puts its sockets: it belongs to nobody, and lets
    /// everybody pass, as do the chroots.
    pub fn sockets(&self) -> PathBuf {
        self.queue().join("smtpcred")
    }

    pub fn auth(&self) -> PathBuf {
        self.sockets().join("auth")
    }

    pub fn policy(&self) -> PathBuf {
        self.sockets().join("policy")
    }

    /// A folder of one server.
    fn home(&self, name: &str, owner: &str) -> PathBuf {
        let home = self.path().join(name);
        make(&home, 0o755);
        give_to(owner, &home);
        home
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the mode, whatever the umask made of it.
pub fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our file");
}

fn make(path: &Path, mode: u32) {
    fs::create_dir(path).expect("a new folder");
    open(path, mode);
}

fn give_to(user: &str, path: &Path) {
    let user = User::from_name(user)
        .expect("the users")
        .unwrap_or_else(|| {
            panic!("there is no user {user}: run tests/run");
        });
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may give away");
}

/// A server in the foreground; it ends, with all its children, when dropped.
pub struct Daemon {
    name: &'static str,
    child: Child,
    /// What it prints, and what else it writes.
    logs: Vec<PathBuf>,
}

impl Daemon {
    /// Starts a program that leads a process group of its own. What it prints
    /// goes to its log.
    fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Self {
        let out = File::options().create(true).append(true).open(&log);
        let out = out.expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: run tests/run"));
        let logs = vec![log];
        Self { name, child, logs }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    pub fn log(&self) -> String {
        let read = |log: &PathBuf| fs::read(log).unwrap_or_default();
        String::from_utf8_lossy(&self.logs.iter().map(read).collect::<Vec<_>>().concat())
            .into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Waits for it to be ready, and fails at once if it has ended.
    fn wait_until<T>(&mut self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let name = self.name;
        crate::support::wait_for(what, || {
            if let Some(status) = self.child.try_wait().expect("our child") {
                panic!("{name} has ended: {status}\n{}", self.log());
            }
            probe()
        })
    }

    fn wait_for_port(&mut self, port: u16) {
        self.wait_until("its port", || TcpStream::connect(("127.0.0.1", port)).ok());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = self.pid();
        // It may have ended by itself.
        let _ = kill(group, Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Those of its children that are left.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "-- the end of the log of {}:\n{}",
                self.name,
                last.join("\n")
            );
        }
    }
}

/// Runs a tool of a server to its end, which must be a good one.
fn tool(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run tests/run"));
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let _ = write!(said, "{}", String::from_utf8_lossy(&output.stderr));
        panic!("{program} {args:?}: {}\n{said}", output.status);
    }
    said
}
