//! PostgreSQL servers of a test's own: a primary on a socket in a private folder,
//! and standbys that follow it. A long file: each method is short, and all are of one
//! server.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tempfile::TempDir;

use crate::support::engine::Database;
use crate::support::{Sandbox, wait_for};

pub struct Postgres {
    /// Nothing while it is stopped.
    child: Option<Child>,
    folder: TempDir,
    uid: u32,
    gid: u32,
    port: u16,
}

/// Whose number it is does not matter: each server has a folder of its own.
const PORT: u16 = 5432;

fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed: run tests/run")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .expect("PostgreSQL is not installed: run tests/run")
}

impl Postgres {
    /// A primary with no store in it.
    pub fn start() -> Self {
        let server = Self::empty();
        let data = server.data();
        let made = server
            .program("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--username=postgres",
            ])
            // The order of names must not depend on it.
            .arg("--locale=C.UTF-8")
            .arg("-D")
            .arg(&data)
            .output();
        succeeded("initdb", &made.expect("initdb runs"));
        // Standbys connect as any database user does. Servers are killed, not machines: what
        // was written stays without waiting for the disk, which other tests keep busy.
        let settings = format!(
            "listen_addresses = ''\nport = {PORT}\nmax_wal_senders = 4\nwal_level = replica\n\
             hot_standby = on\nmax_connections = 200\nlog_connections = off\n\
             wal_log_hints = on\nwal_keep_size = 64MB\nfsync = off\n"
        );
        let config = data.join("postgresql.conf");
        let mut config = OpenOptions::new().append(true).open(config).unwrap();
        config.write_all(settings.as_bytes()).unwrap();
        server.started()
    }

    /// A copy of another that follows it, as `pg_basebackup` makes it.
    pub fn standby(of: &Self) -> Self {
        let server = Self::empty();
        let copied = server
            .program("pg_basebackup")
            .args([
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--username=postgres",
            ])
            .args(["--wal-method=stream", "--no-sync"])
            .arg("-D")
            .arg(server.data())
            .arg("-d")
            .arg(of.connection("postgres") + " user=postgres")
            .output();
        succeeded("pg_basebackup", &copied.expect("pg_basebackup runs"));
        server.started()
    }

    fn empty() -> Self {
        let user = User::from_name("postgres").unwrap();
        let user = user.expect("the user postgres: run tests/run");
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let folder = tempfile::tempdir().expect("a temporary folder");
        chown(folder.path(), Some(uid), Some(gid)).expect("as root: run tests/run");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        Self {
            child: None,
            folder,
            uid,
            gid,
            port: PORT,
        }
    }

    fn started(mut self) -> Self {
        self.run();
        self
    }

    /// Starts it (again), and waits until it answers.
    pub fn run(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("PostgreSQL starts"));
        wait_for("PostgreSQL to answer", || {
            let child = self.child.as_mut()?;
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", self.log());
            self.try_sql("postgres", "SELECT 1").ok()
        });
    }

    /// As a power failure ends it.
    pub fn kill(&mut self) {
        let children = self.children();
        self.signal(Signal::SIGKILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        // They would notice by themselves, and could answer until then.
        for child in children {
            let _ = kill(child, Signal::SIGKILL);
        }
        let pid = self.data().join("postmaster.pid");
        let _ = fs::remove_file(pid);
    }

    /// Ends it in good order, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// At once, but in good order.
    pub fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    /// In the way that this signal says.
    pub fn end(&mut self, signal: Signal) {
        self.signal(signal);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// To the postmaster.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
    }

    /// To all its processes: those that serve connections, too.
    pub fn signal_all(&self, signal: Signal) {
        for child in self.children() {
            let _ = kill(child, signal);
        }
        self.signal(signal);
    }

    fn children(&self) -> Vec<Pid> {
        let Some(child) = &self.child else {
            return Vec::new();
        };
        let found = Command::new("pgrep")
            .args(["-P", &child.id().to_string()])
            .output()
            .expect("pgrep runs");
        let children = String::from_utf8(found.stdout).unwrap();
        let pid = |line: &str| Pid::from_raw(line.trim().parse().unwrap());
        children.lines().map(pid).collect()
    }

    /// Runs in recovery, as Patroni leaves a primary that lost its lease.
    pub fn run_demoted(&mut self) {
        let signal = self.data().join("standby.signal");
        File::create(&signal).unwrap();
        chown(signal, Some(self.uid), Some(self.gid)).unwrap();
        self.run();
    }

    /// Follows another primary, as `repmgr node rejoin` and Patroni arrange it.
    pub fn rejoin(&mut self, primary: &Self) {
        self.stop();
        // A new primary has no standby yet.
        self.configure("synchronous_standby_names = ''\n");
        // Otherwise its new timeline may not show yet.
        primary.sql("postgres", "CHECKPOINT");
        let rewound = self
            .program("pg_rewind")
            .args(["--write-recovery-conf", "--no-sync", "--target-pgdata"])
            .arg(self.data())
            .arg("--source-server")
            .arg(primary.connection("postgres") + " user=postgres")
            .output();
        succeeded("pg_rewind", &rewound.expect("pg_rewind runs"));
        self.run();
    }

    /// Waits until this standby has all that its primary has now.
    pub fn catches_up_with(&self, primary: &Self) {
        let end = primary.sql("postgres", "SELECT pg_current_wal_flush_lsn()");
        let behind = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn");
        wait_for("the standby to catch up", || {
            (self.sql("postgres", &behind) == "t").then_some(())
        });
    }

    /// A standby becomes the primary.
    pub fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote(true, 60)");
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        format!("{}:{}", self.folder.path().display(), self.port)
    }

    /// Makes an empty database; returns its URL.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// A sandbox with an empty database of its own for a store.
    pub fn sandbox(&self) -> Sandbox {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("store{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Sandbox::in_database(Database {
            url: self.database(&name),
            connection: format!("{} user=postgres", self.connection(&name)),
        })
    }

    /// The same in another encoding than UTF-8.
    pub fn sandbox_encoded(&self, encoding: &str) -> Sandbox {
        let name = encoding.to_lowercase();
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'"),
        );
        Sandbox::in_database(Database {
            url: self.url(&name),
            connection: format!("{} user=postgres", self.connection(&name)),
        })
    }

    /// A standby, without which no commit is acknowledged.
    pub fn synchronous_standby(&self) -> Self {
        let standby = Self::standby(self);
        // Not in its configuration: once promoted it has none.
        self.configure("synchronous_standby_names = '*'\n");
        self.reload();
        wait_for("the standby to be synchronous", || {
            let states = self.sql("postgres", "SELECT sync_state FROM pg_stat_replication");
            (states == "sync").then_some(())
        });
        standby
    }

    /// As [`Self::sandbox`], on servers of which the first is the primary now.
    pub fn sandbox_on(servers: &[&Self]) -> Sandbox {
        let mut sandbox = servers[0].sandbox();
        if let Some(database) = &mut sandbox.database {
            let name = database.url.rsplit('/').next().expect("a name").to_owned();
            database.url = Self::url_of(servers, &name);
            let folder = |server: &&Self| server.folder.path().display().to_string();
            let hosts: Vec<_> = servers.iter().map(folder).collect();
            let ports: Vec<_> = servers.iter().map(|s| s.port.to_string()).collect();
            database.connection = format!(
                "host={} port={} user=postgres dbname={name} target_session_attrs=read-write",
                hosts.join(","),
                ports.join(",")
            );
        }
        sandbox
    }

    /// The same with the domain example.com.
    pub fn sandbox_with_domain(&self) -> Sandbox {
        let sandbox = self.sandbox();
        sandbox.noted(&["domain", "add", "example.com"]);
        sandbox
    }

    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    pub fn url_as(&self, user: &str, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{folder}:{PORT}/{database}")
    }

    /// For servers of which one is the primary.
    pub fn url_of(servers: &[&Self], database: &str) -> String {
        let folder = |server: &&Self| {
            server
                .folder
                .path()
                .display()
                .to_string()
                .replace('/', "%2F")
        };
        let hosts: Vec<_> = servers
            .iter()
            .map(|s| format!("{}:{PORT}", folder(s)))
            .collect();
        let hosts = hosts.join(",");
        format!("postgres://postgres@{hosts}/{database}?target_session_attrs=read-write")
    }

    /// As psql and its like take it, beside the user.
    pub fn connection(&self, database: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        format!("host={folder} port={port} dbname={database}")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).expect("SQL that is right")
    }

    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.try_sql_as("postgres", database, sql)
    }

    pub fn try_sql_as(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let said = Command::new("psql")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.connection(database))
            .args(["-U", user])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        if said.status.success() {
            Ok(String::from_utf8(said.stdout)
                .unwrap()
                .trim_end()
                .to_owned())
        } else {
            Err(String::from_utf8_lossy(&said.stderr).into_owned())
        }
    }

    /// A connection that does nothing, as long as it runs.
    pub fn idle(&self) -> Child {
        Command::new("psql")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-X", "-q", "-U", "postgres", &self.connection("postgres")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql runs")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// For its configuration; another one after [`Self::reload`] only.
    pub fn configure(&self, lines: &str) {
        let config = self.data().join("postgresql.conf");
        let mut config: File = OpenOptions::new().append(true).open(config).unwrap();
        config.write_all(lines.as_bytes()).unwrap();
    }

    pub fn reload(&self) {
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Starts anew, and lets users in by the network: with TLS and a password only.
    /// `server.pem` and `server.key` are in its folder.
    pub fn listen_with_tls(&mut self, port: u16) {
        for file in ["server.pem", "server.key"] {
            let file = self.folder.path().join(file);
            chown(file, Some(self.uid), Some(self.gid)).unwrap();
        }
        let folder = self.folder.path().display();
        self.configure(&format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n\
             ssl_cert_file = '{folder}/server.pem'\nssl_key_file = '{folder}/server.key'\n"
        ));
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        self.signal(Signal::SIGQUIT);
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
        self.port = port;
        self.run();
    }

    /// Restarts, and accepts anyone at this address of this machine.
    pub fn listen_at(&mut self, address: &str, port: u16) {
        self.configure(&format!("listen_addresses = '{address}'\nport = {port}\n"));
        let rules =
            "local all all trust\nlocal replication all trust\nhost all all 127.0.0.0/8 trust\n";
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        self.stop();
        self.port = port;
        self.run();
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(programs().join(name));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .uid(self.uid)
            .gid(self.gid);
        command
    }
}

fn succeeded(what: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children end with it, whatever state they are in.
        self.signal_all(Signal::SIGCONT);
        self.signal(Signal::SIGQUIT);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}
