//! The other programs, each in a private folder, on private sockets.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Group, Pid, Uid, User};
use tempfile::TempDir;

use crate::support::wait_for;

/// A server that ends with this value, whatever happens.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Started, and ready.
    pub fn start(command: &mut Command, log: PathBuf, ready: impl Fn() -> bool) -> Self {
        let output = File::create(&log).expect("a log");
        // Should this process be killed, the system ends the server.
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "TERM"]);
        guarded.arg(command.get_program()).args(command.get_args());
        guarded.env_clear();
        for (name, value) in command.get_envs() {
            guarded.envs(value.map(|value| (name, value)));
        }
        guarded
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output);
        let child = guarded.spawn().expect("setpriv, of util-linux");
        let mut running = Self { child, log };
        wait_for(&format!("{command:?} to be ready"), || {
            if let Some(status) = running.child.try_wait().expect("ours") {
                panic!("{command:?}: {status}: {}", running.said());
            }
            ready().then_some(())
        });
        running
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// As in a power cut: it writes nothing any more.
    pub fn kill(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}", self.log.display(), self.said());
        }
        // It has children of its own, and ends them when it is asked to end.
        let pid = i32::try_from(self.child.id()).expect("a pid");
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Only its authentication: a passwd-file, with the cache on.
pub struct Dovecot {
    running: Running,
    pub socket: PathBuf,
    _folder: TempDir,
}

impl Dovecot {
    /// Each password with its scheme, such as `{PLAIN}secret`.
    pub fn start<'a>(users: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        // Its authentication runs as another user.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
        let lines = users
            .into_iter()
            .map(|(name, pass)| format!("{name}:{pass}\n"));
        fs::write(path.join("users"), lines.collect::<String>()).expect("a passwd-file");
        let config = DOVECOT.replace("FOLDER", path.to_str().expect("UTF-8"));
        fs::write(path.join("conf"), config).expect("a configuration");
        let socket = path.join("auth");
        let mut command = Command::new("dovecot");
        command.args(["-F", "-c"]).arg(path.join("conf"));
        Self {
            running: Running::start(&mut command, path.join("output"), || listens(&socket)),
            socket,
            _folder: folder,
        }
    }

    /// The one process that answers; there since the first connection.
    pub fn pid(&self) -> u32 {
        let children = |pid| {
            let path = format!("/proc/{pid}/task/{pid}/children");
            fs::read_to_string(path).expect("Linux's /proc")
        };
        let master = children(self.running.pid());
        let mut pids = master
            .split_whitespace()
            .map(|pid| pid.parse().expect("a pid"));
        let auth = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name == "auth\n")
        };
        pids.find(auth).expect("Dovecot's auth process")
    }
}

const DOVECOT: &str = "
protocols = none
ssl = no
base_dir = FOLDER/run
state_dir = FOLDER/run
log_path = FOLDER/log
auth_mechanisms = plain login
auth_cache_size = 20M
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = username_format=%u FOLDER/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener FOLDER/auth {
    mode = 0600
  }
  client_limit = 5000
}
service anvil {
  client_limit = 5003
}
";

/// <https://pypi.org/project/policyd-rate-limit/>, counting in `SQLite` what
/// Postfix asks it after DATA, as its manual recommends.
pub struct Policyd {
    _running: Running,
    pub socket: PathBuf,
    database: PathBuf,
    _folder: TempDir,
}

impl Policyd {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        let user = User::from_uid(Uid::effective()).ok().flatten();
        let group = Group::from_gid(Gid::effective()).ok().flatten();
        let config = POLICYD
            .replace("FOLDER", path.to_str().expect("UTF-8"))
            .replace("USER", &user.expect("a name for this user").name)
            .replace("GROUP", &group.expect("a name for this group").name);
        let file = path.join("conf.yaml");
        fs::write(&file, config).expect("a configuration");
        let socket = path.join("policy");
        let mut command = Command::new(policyd().join("bin/policyd-rate-limit"));
        command.arg("--file").arg(file);
        Self {
            _running: Running::start(&mut command, path.join("output"), || listens(&socket)),
            socket,
            database: path.join("db.sqlite3"),
            _folder: folder,
        }
    }

    /// What it has counted since it was emptied.
    pub fn counted(&self) -> u32 {
        let sql = "SELECT coalesce(sum(recipient_count), 0) FROM mail_count";
        self.open()
            .query_row(sql, [], |row| row.get(0))
            .expect("its table")
    }

    /// It adds up the rows of a day each time: the more, the slower.
    pub fn empty(&self) {
        self.open()
            .execute("DELETE FROM mail_count", [])
            .expect("its table");
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.database).expect("its database")
    }
}

const POLICYD: &str = "
debug: False
user: USER
group: GROUP
pidfile: FOLDER/pid
SOCKET: FOLDER/policy
backend: 0
sqlite_config:
    database: FOLDER/db.sqlite3
limits:
    - [1000000000, 86400]
limits_by_id: {}
sql_limits_by_id: ''
limit_by_sasl: True
count_mode: 1
delay_to_close: 300
";

/// Installed once, where cargo keeps such things.
fn policyd() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policyd-rate-limit");
    if !place.join("bin/policyd-rate-limit").exists() {
        let run = |command: &mut Command| {
            let output = command.output().expect("it runs");
            assert!(output.status.success(), "{command:?}: {output:?}");
        };
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&place));
        let packages = ["policyd-rate-limit==1.2.0", "PyYAML==6.0.3"];
        run(Command::new(place.join("bin/pip"))
            .args(["install", "-q"])
            .args(packages));
    }
    place
}

fn listens(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}
