//! What tests do to a store behind the program's back, on either engine.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use super::{Sandbox, Server, wait_at_lock, wait_for};

/// A database of a PostgreSQL server that the test runs.
#[derive(Clone, Debug)]
pub struct Database {
    pub url: String,
    /// As psql takes it.
    pub connection: String,
}

/// The lock that whoever changes something has to have.
pub enum Lock {
    Sqlite(Connection),
    Postgres(Database, Server),
}

/// As in src/store/postgres/mod.rs.
const LOCK: i64 = 0x736d_7470_6372_6564;

impl Database {
    /// The answer as psql prints it, with nothing around it.
    pub fn sql(&self, sql: &str) -> String {
        let mut said = self.psql(&["-c", "SET search_path = smtpcred", "-c", sql]);
        let said = said.output().expect("psql runs");
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{sql}: {errors}");
        let said = String::from_utf8(said.stdout).expect("UTF-8");
        said.trim_end().to_owned()
    }

    fn psql(&self, args: &[&str]) -> Command {
        let mut psql = Command::new("psql");
        psql.env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(args)
            .arg(&self.connection)
            .stdin(Stdio::null());
        psql
    }

    /// How many have the lock, or wait for it.
    pub fn lockers(&self, granted: bool) -> usize {
        let number = self.sql(&format!(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE d.datname = current_database() AND l.locktype = 'advisory'
                AND l.granted = {granted}"
        ));
        number.parse().expect("a number")
    }

    /// Waits until nobody else is connected: what a killed process had asked for is
    /// done or undone.
    fn settle(&self) {
        wait_for("the connections to end", || {
            let others = self.sql(
                "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND backend_type = 'client backend'",
            );
            (others == "0").then_some(())
        });
    }
}

impl Sandbox {
    /// Its store is to be in this database.
    pub fn in_database(database: Database) -> Self {
        let mut sandbox = Self::empty();
        sandbox.database = Some(database);
        sandbox
    }

    /// What names the store.
    pub fn location(&self) -> OsString {
        match &self.database {
            Some(database) => (&database.url).into(),
            None => self.store().into(),
        }
    }

    /// Runs SQL as an admin with the engine's own program would.
    pub fn sql(&self, statement: &str) {
        if let Some(database) = &self.database {
            database.sql(statement);
            return;
        }
        let store = Connection::open(self.store()).expect("a store");
        store.busy_timeout(Duration::from_secs(10)).expect("SQLite");
        store.execute_batch(statement).expect("a good statement");
    }

    /// All that this query finds, which is one text to a row.
    pub fn texts(&self, query: &str) -> Vec<String> {
        if let Some(database) = &self.database {
            let said = database.sql(query);
            return said.lines().map(str::to_owned).collect();
        }
        let store = Connection::open(self.store()).expect("a store");
        store.busy_timeout(Duration::from_secs(10)).expect("SQLite");
        let mut query = store.prepare(query).expect("a good query");
        let found = query.query_map([], |row| row.get(0)).expect("rows");
        found.map(|text| text.expect("a text")).collect()
    }

    /// Keeps everybody from changing anything.
    pub fn lock(&self) -> Lock {
        let Some(database) = &self.database else {
            let store = Connection::open(self.store()).expect("a store");
            store.execute_batch("BEGIN IMMEDIATE").expect("its lock");
            return Lock::Sqlite(store);
        };
        let psql = database
            .psql(&[])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut lock = Lock::Postgres(database.clone(), Server(psql.expect("psql runs")));
        lock.say(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK});"));
        wait_for("the lock", || (database.lockers(true) == 1).then_some(()));
        lock
    }

    /// Waits until all of these wait for the lock.
    pub fn wait_at_lock<'a>(&self, children: impl Iterator<Item = &'a Child>) {
        let Some(database) = &self.database else {
            children.for_each(wait_at_lock);
            return;
        };
        let count = children.count();
        wait_for("all to want the lock", || {
            (database.lockers(false) >= count).then_some(())
        });
    }

    /// After processes were killed.
    pub fn settle(&self) {
        if let Some(database) = &self.database {
            database.settle();
        }
    }

    /// What is kept fits together, as far as the engine can tell.
    pub fn is_sound(&self) {
        let history = self.run(&["audit", "verify"]);
        assert_eq!(history.code, 0, "{history:?}");
        if let Some(database) = &self.database {
            // Keys are its own to watch over; but does every user have its password?
            let orphans = database.sql(
                "SELECT count(*) FROM users u WHERE NOT EXISTS
                    (SELECT 1 FROM passwords p WHERE p.username = u.username)",
            );
            assert_eq!(orphans, "0");
            return;
        }
        let store = Connection::open(self.store()).expect("a store");
        let answer: String = store
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("an answer");
        assert_eq!(answer, "ok");
        let mut orphans = store.prepare("PRAGMA foreign_key_check").expect("SQLite");
        assert!(!orphans.exists([]).expect("an answer"));
    }
}

impl Lock {
    fn say(&mut self, sql: &str) {
        match self {
            Self::Sqlite(store) => store.execute_batch(sql).expect("SQLite"),
            Self::Postgres(_, psql) => {
                let stdin = psql.0.stdin.as_mut().expect("a pipe");
                writeln!(stdin, "{sql}").expect("psql listens");
            }
        }
    }

    /// Others may have it.
    pub fn release(&mut self) {
        self.say("ROLLBACK;");
        if let Self::Postgres(_, psql) = self {
            drop(psql.0.stdin.take());
            psql.0.wait().expect("psql ends");
        }
    }

    /// Waits until another process has it, after [`Self::release`].
    pub fn wait_for_holder(&self) {
        match self {
            Self::Sqlite(store) => super::wait_for_holder(store),
            Self::Postgres(database, _) => wait_for("somebody to have the lock", || {
                (database.lockers(true) == 1).then_some(())
            }),
        }
    }
}
