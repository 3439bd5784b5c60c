//! `PgBouncer` in front of a test's own PostgreSQL.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tempfile::TempDir;

use crate::support::postgres::Postgres;
use crate::support::{free_port, wait_for};

pub struct Pooler {
    child: Child,
    folder: TempDir,
    /// The first part of its configuration.
    fixed: String,
    pub port: u16,
}

impl Pooler {
    /// `settings` are lines of its configuration.
    pub fn start(server: &Postgres, settings: &str) -> Self {
        let postgres = User::from_name("postgres").unwrap();
        let postgres = postgres.expect("the user postgres: run tests/run");
        let (uid, gid) = (postgres.uid.as_raw(), postgres.gid.as_raw());
        let folder = tempfile::tempdir().expect("a temporary folder");
        chown(folder.path(), Some(uid), Some(gid)).expect("as root: run tests/run");
        let port = free_port();
        let users = folder.path().join("users");
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let config = folder.path().join("pgbouncer.ini");
        let fixed = format!(
            "[databases]\n* = host={} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n",
            server.folder().display(),
            users.display(),
        );
        fs::write(&config, format!("{fixed}{settings}\n")).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("pgbouncer")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .uid(uid)
            .gid(gid)
            .spawn();
        let mut pooler = Self {
            child: child.expect("PgBouncer is not installed: run tests/run"),
            folder,
            fixed,
            port,
        };
        wait_for("PgBouncer to answer", || {
            let ended = pooler.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", pooler.log());
            pooler.try_sql("postgres", "SELECT 1").ok()
        });
        pooler
    }

    /// Changes the settings, for open connections, too.
    pub fn configure(&self, settings: &str) {
        let config = self.folder.path().join("pgbouncer.ini");
        fs::write(config, format!("{}{settings}\n", self.fixed)).unwrap();
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGHUP).unwrap();
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a query as another program in the same pool.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).expect("SQL that is right")
    }

    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let said = self.psql(database).args(["-c", sql]).output();
        let said = said.expect("psql runs");
        if said.status.success() {
            Ok(String::from_utf8(said.stdout).unwrap().trim_end().into())
        } else {
            Err(String::from_utf8_lossy(&said.stderr).into_owned())
        }
    }

    pub fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .arg("-d")
            .arg(self.url(database))
            .stdin(Stdio::null());
        psql
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
