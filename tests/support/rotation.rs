//! What the tests of rotation share: a user with a password, deliveries written
//! as shell scripts, and what is true afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::support::{Run, Sandbox, Server, leaks, wait_for};

pub const USER: &str = "shop@example.com";

/// Takes the password to where [`Place::got`] looks.
pub const WELL: &str = "cat > got";
/// The same, until somebody says [`Place::go`].
pub const HANGS: &str = "cat > got; echo $$ > pid; while [ ! -e go ]; do sleep 0.02; done";

pub struct Place {
    pub sandbox: Sandbox,
    /// The first password of [`USER`].
    pub old: String,
}

/// What is true after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The new one works, the old one retires.
    Rotated,
    /// Only the old one works.
    Withdrawn,
    /// The same, and nothing says that a rotation was tried.
    Refused,
    /// Both work, and neither retires.
    Unfinished,
}

impl Place {
    pub fn new() -> Self {
        Self::in_sandbox(Sandbox::new())
    }

    pub fn in_sandbox(sandbox: Sandbox) -> Self {
        let old = sandbox.create(USER);
        Self { sandbox, old }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.folder.path().join(name)
    }

    /// A command line for `--deliver`. No file is run that was just written: another
    /// test that starts a program holds it open for writing.
    pub fn script(&self, text: &str) -> String {
        let path = self.path(&format!("{:x}.sh", text.len()));
        fs::write(&path, text).unwrap();
        format!("sh {}", path.display())
    }

    pub fn command(&self, script: &str, more: &[&str]) -> Command {
        let script = self.script(script);
        let args = [&["user", "rotate", USER, "--deliver", &script], more].concat();
        self.sandbox.command(&args)
    }

    pub fn rotate(&self, script: &str, more: &[&str]) -> Run {
        let run = crate::support::finished(self.command(script, more).output().unwrap());
        let printed = run.stdout.clone() + &run.stderr;
        leaks::look("what a rotation printed", printed.as_bytes());
        run
    }

    pub fn rotate_to(&self, args: &[&str]) -> Run {
        self.sandbox
            .run(&[&["user", "rotate", USER], args].concat())
    }

    /// Begins a rotation that hangs, and waits until the command has the password.
    pub fn hanging(&self, more: &[&str]) -> Server {
        let running = spawned(&mut self.command(HANGS, more));
        self.wait_for_file("pid");
        running
    }

    pub fn go(&self) {
        fs::write(self.path("go"), "").unwrap();
    }

    pub fn wait_for_file(&self, name: &str) -> String {
        wait_for("a file that a delivery writes", || {
            let text = fs::read_to_string(self.path(name)).ok()?;
            text.ends_with('\n').then(|| text.trim_end().to_owned())
        })
    }

    /// The password that was delivered last.
    pub fn got(&self) -> String {
        let text = fs::read_to_string(self.path("got")).unwrap();
        text.strip_suffix('\n').expect("a newline").to_owned()
    }

    pub fn works(&self, password: &str) -> bool {
        match self.sandbox.verify(USER, password) {
            0 => true,
            6 => false,
            other => panic!("verify: {other}"),
        }
    }

    pub fn sql(&self) -> Connection {
        Connection::open(self.sandbox.store()).unwrap()
    }

    pub fn count(&self, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {what}");
        self.sql().query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    /// The keys that work, the older first.
    pub fn keys(&self) -> Vec<String> {
        let store = self.sql();
        let mut found = store
            .prepare(
                "SELECT p.password_id FROM passwords p LEFT JOIN rotations r
                    ON r.username = p.username AND r.password_id = p.password_id
                WHERE p.username = 'shop@example.com' AND p.hash IS NOT NULL
                ORDER BY p.retires_at IS NULL, r.password_id IS NOT NULL",
            )
            .unwrap();
        let keys = found.query_map([], |row| row.get(0)).unwrap();
        keys.map(Result::unwrap).collect()
    }

    /// As `serve` writes it down: a sign-in with this key, so long after the
    /// delivery came to an end.
    pub fn signed_in(&self, key: &str, after: i64) {
        let changed = self
            .sql()
            .execute(
                "INSERT OR REPLACE INTO last_connections (username, password_id, seen_at, address)
                SELECT username, ?1, max(COALESCE(settles_at, 0), unixepoch()) + ?2, '192.0.2.1'
                FROM rotations WHERE username = 'shop@example.com'",
                (key, after),
            )
            .unwrap();
        assert_eq!(changed, 1, "no rotation is unfinished");
    }

    /// What the store says, what `report` says, and the old password.
    pub fn is(&self, after: After, run: &Run) {
        let live = "passwords WHERE username = 'shop@example.com' AND hash IS NOT NULL";
        let found = (
            self.count(live),
            self.count(&format!("{live} AND retires_at > unixepoch()")),
            self.count("rotations WHERE state = 'withdrawn' AND password_id IS NULL"),
            self.count("rotations WHERE password_id IS NOT NULL"),
        );
        let (expected, report, code) = match after {
            After::Rotated => ((2, 1, 0, 0), 0, 0),
            After::Withdrawn => ((1, 0, 1, 0), 7, 1),
            After::Refused => ((1, 0, 0, 0), 0, 1),
            After::Unfinished => ((2, 0, 0, 1), 7, 1),
        };
        assert_eq!(
            found, expected,
            "live, retiring, withdrawn, unfinished: {run:?}"
        );
        assert_eq!(run.code, code, "{run:?}");
        assert!(self.works(&self.old), "p6: the old password: {run:?}");
        let report = (self.sandbox.run(&["report", "--unfinished"]).code, report);
        assert_eq!(report.0, report.1, "{run:?}");
    }

    /// A good delivery comes to a good end, whatever went before.
    pub fn mends(&self) {
        let run = self.rotate(WELL, &[]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(self.works(&self.got()) && self.works(&self.old));
        assert_eq!(self.count("rotations"), 0);
    }
}

/// With its output in pipes.
pub fn spawned(command: &mut Command) -> Server {
    let child: Child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Server(child)
}

/// Gone, or dead and not asked for by its parent.
pub fn is_dead(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}
