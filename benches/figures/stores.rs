//! The stores that are measured, and the program run against them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{KNOWN, PASSWORD, wall};

pub struct Store {
    pub path: PathBuf,
}

impl Store {
    /// Ten users, made by the program.
    pub fn ten(folder: &TempDir) -> Self {
        let store = Self::begun(folder.path().join("ten.db"));
        for i in 1..10 {
            let (name, label) = (format!("app-{i}@one.example"), format!("App {i}"));
            wall(&mut store.command(&["user", "create", &name, "--label", &label]));
        }
        store
    }

    /// One user made by the program, the others beside it: a million hashes
    /// would take hours.
    pub fn million(folder: &TempDir) -> Self {
        let store = Self::begun(folder.path().join("million.db"));
        let fast = "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000";
        let connection = Connection::open(&store.path).expect("a store");
        connection
            .execute_batch(&format!("{fast}; BEGIN; {FILL} COMMIT"))
            .expect("it can be filled");
        store
    }

    fn begun(path: PathBuf) -> Self {
        let store = Self { path };
        let args = ["user", "create", KNOWN, "--add-domain", "--password-stdin"];
        store.with_password(&args);
        store
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path.with_file_name("smtpcred"));
        command.args(args);
        clean(&mut command, self);
        command
    }

    pub fn verify(&self) -> Duration {
        self.with_password(&["verify", KNOWN])
    }

    fn with_password(&self, args: &[&str]) -> Duration {
        let start = Instant::now();
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(PASSWORD.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let time = start.elapsed();
        assert!(output.status.success(), "{command:?}: {output:?}");
        time
    }
}

/// Nothing in the environment that one side has and the other has not.
pub fn clean(command: &mut Command, store: &Store) {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", store.path.parent().unwrap_or(Path::new("/")))
        .env("SMTPCRED_STORE", &store.path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

/// The names of the users that [`FILL`] makes.
pub fn name(i: u64) -> String {
    format!(
        "app-{:08x}@domain-{}.example",
        (i * 2_654_435_761) % (1 << 32),
        i % 50
    )
}

/// The odd factor shuffles the names: pages come to be as full and as scattered
/// as after years of use. Half of the users have connected; one in sixteen has
/// an old password that still works, another one in sixteen an erased one.
const FILL: &str = "
    CREATE TEMP TABLE made AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
        SELECT i, 1700000000 + (i * 7919) % 50000000 AS at,
            printf('app-%08x@domain-%d.example', (i * 2654435761) % 4294967296, i % 50) AS name,
            printf('K%07x', (i * 40503) % 268435456) AS key
        FROM n;
    INSERT INTO domains (name, created_at)
        SELECT DISTINCT printf('domain-%d.example', i % 50), 1700000000 FROM made;
    INSERT INTO users (username, domain, label, created_at)
        SELECT name, printf('domain-%d.example', i % 50), printf('Application %d', i % 9973), at
        FROM made;
    INSERT INTO passwords (username, password_id, hash, created_at)
        SELECT name, key, printf('$argon2id$v=19$m=19456,t=2,p=1$%.22s$%.43s',
            hex(randomblob(16)), hex(randomblob(32))), at
        FROM made;
    INSERT INTO passwords (username, password_id, hash, created_at, retires_at)
        SELECT name, 'Old' || key, hash, created_at - 9, 4000000000
        FROM made JOIN passwords ON username = name WHERE i % 16 = 0;
    INSERT INTO passwords (username, password_id, hash, created_at, retires_at)
        SELECT name, 'Old' || key, NULL, at - 9, at FROM made WHERE i % 16 = 1;
    INSERT INTO last_connections (username, password_id, seen_at, address)
        SELECT name, key, at + 60, printf('192.0.2.%d', i % 256) FROM made WHERE i % 2 = 0;
    UPDATE totals SET n = (SELECT count(*) FROM users);";
