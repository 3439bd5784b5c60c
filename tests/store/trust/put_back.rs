//! A backup is restored while a part of the old store stays: its log, or a relay that has it
//! open.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::support::relay::{self, Client, Relay, until};
use crate::support::{Run, Sandbox};

const SHOP: &str = "shop@example.com";
const LIST: &[&str] = &["user", "list", "--json"];

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// How the backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backup {
    /// `sqlite3 .backup`
    Made,
    /// `VACUUM INTO`
    Vacuumed,
    /// A copy of a file that is not in use.
    Copied,
}

impl Backup {
    const ALL: [Self; 3] = [Self::Made, Self::Vacuumed, Self::Copied];

    fn of(self, sandbox: &Sandbox) -> PathBuf {
        let store = sandbox.store();
        let backup = sandbox.folder.path().join(format!("{self:?}.db"));
        match self {
            Self::Made => {
                let command = format!(".backup {}", backup.display());
                let run = Command::new("sqlite3").arg(&store).arg(command).status();
                assert!(run.expect("sqlite3 runs").success());
            }
            Self::Vacuumed => {
                sandbox.sql(&format!("VACUUM INTO '{}'", backup.display()));
            }
            Self::Copied => {
                assert!(!beside(&store, "-wal").exists());
                fs::copy(&store, &backup).unwrap();
            }
        }
        backup
    }
}

/// `cp`: the same file with new content.
fn put_back(sandbox: &Sandbox, backup: &Path) {
    fs::write(sandbox.store(), fs::read(backup).unwrap()).unwrap();
}

/// Follows the hint.
fn put_back_well(sandbox: &Sandbox, backup: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&sandbox.store(), suffix));
    }
    put_back(sandbox, backup);
}

fn is_refused(sandbox: &Sandbox, what: &str) {
    let files = || {
        let store = sandbox.store();
        [
            fs::read(&store).unwrap(),
            fs::read(beside(&store, "-wal")).unwrap(),
        ]
    };
    let before = files();
    let said = |run: &Run| {
        let log = beside(&sandbox.store(), "-wal");
        let rm = format!("rm -f {}", log.display());
        run.stderr.contains("is of another file") && run.stderr.contains(&rm)
    };
    for args in [LIST, &["domain", "add", "example.org"]] {
        let run = sandbox.run(args);
        assert!(run.code == 75 && said(&run), "{what}: {run:?}");
    }
    assert_eq!(sandbox.verify(SHOP, "whatever it was"), 75, "p4: {what}");
    let doctor = sandbox.run(&["doctor", "--json"]);
    assert!(
        doctor.stdout.contains("is of another file"),
        "{what}: {doctor:?}"
    );
    assert!(
        !doctor.stdout.contains("nothing is lost"),
        "{what}: {doctor:?}"
    );
    assert!(files() == before, "{what}: it was left as it was found");
}

fn killed(relay: Relay) {
    relay.signal(Signal::SIGKILL);
    relay.ended();
}

fn signs_in(sandbox: &Sandbox, password: &str) -> bool {
    let mut client = Client::auth(sandbox);
    client.sign_in(1, SHOP, password, "192.0.2.1");
    client.line().is_some_and(|line| line.starts_with("OK"))
}

#[test]
fn an_old_log_is_not_replayed_into_a_restored_backup() {
    for backup in Backup::ALL {
        let sandbox = Sandbox::new();
        let old = sandbox.create(SHOP);
        let copy = backup.of(&sandbox);
        sandbox.create("later@example.com");
        let relay = relay::start(&sandbox, &[], &[]);
        sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
        sandbox.create("even.later@example.com");
        killed(relay);
        put_back(&sandbox, &copy);
        is_refused(&sandbox, &format!("{backup:?}"));
        put_back_well(&sandbox, &copy);
        assert_eq!(sandbox.verify(SHOP, &old), 0, "{backup:?}");
        assert_eq!(sandbox.run(LIST).code, 0);
    }
}

/// The same commands made both, so they differ little.
#[test]
fn the_log_of_another_installation_is_not_replayed() {
    let both = [Sandbox::new(), Sandbox::new()];
    let _ = both.each_ref().map(|sandbox| sandbox.create(SHOP));
    let [here, there] = both;
    let copy = Backup::Copied.of(&there);
    let relay = relay::start(&here, &[], &[]);
    here.create("later@example.com");
    killed(relay);
    put_back(&here, &copy);
    is_refused(&here, "another installation");
}

/// The log was checkpointed in full before more was written.
#[test]
fn p3_a_running_relay_notices_that_its_store_was_overwritten() {
    for backup in Backup::ALL {
        for taken_in in [false, true] {
            let what = format!("{backup:?}, taken in: {taken_in}");
            let sandbox = Sandbox::new();
            let old = sandbox.create(SHOP);
            let copy = backup.of(&sandbox);
            if backup == Backup::Copied && !taken_in {
                // Not the exact file with which the log began.
                sandbox.create("between@example.com");
            }
            let relay = relay::start(&sandbox, &[], &[]);
            let new = sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
            let new = new.trim_end();
            for i in 0..20 {
                sandbox.create(&format!("user{i}@example.com"));
            }
            if taken_in {
                sandbox.sql("PRAGMA wal_checkpoint(PASSIVE)");
                sandbox.create("after@example.com");
            }
            assert!(signs_in(&sandbox, new), "{what}");
            put_back(&sandbox, &copy);
            assert!(!signs_in(&sandbox, new), "{what}");
            assert!(!signs_in(&sandbox, &old), "{what}");
            is_refused(&sandbox, &what);
            until("the log to say why", relay::PATIENCE, || {
                relay.count("its old log was kept") > 0
            });
            relay.signal(Signal::SIGTERM);
            assert_eq!(relay.ended().0, Some(0), "{what}");
            put_back_well(&sandbox, &copy);
            let relay = relay::start(&sandbox, &[], &[]);
            assert!(signs_in(&sandbox, &old), "{what}");
            drop(relay);
        }
    }
}

/// At its last check the store was the very file that is put back.
#[test]
fn p3_a_relay_that_was_idle_notices_that_its_store_was_overwritten() {
    for checkpointed in [false, true] {
        let what = format!("checkpointed: {checkpointed}");
        let sandbox = Sandbox::new();
        sandbox.create(SHOP);
        let copy = Backup::Copied.of(&sandbox);
        let relay = relay::start(&sandbox, &[], &[]);
        let new = sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
        sandbox.create("later@example.com");
        if checkpointed {
            sandbox.sql("PRAGMA wal_checkpoint(PASSIVE)");
        }
        put_back(&sandbox, &copy);
        assert!(!signs_in(&sandbox, new.trim_end()), "{what}");
        is_refused(&sandbox, &what);
        until("the log to say why", relay::PATIENCE, || {
            relay.count("its old log was kept") > 0
        });
    }
}

/// An empty log has nothing to replay: the backup is the store.
#[test]
fn p3_a_running_relay_uses_a_restored_backup_without_a_log() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(SHOP);
    let copy = Backup::Copied.of(&sandbox);
    let relay = relay::start(&sandbox, &[], &[]);
    let new = sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
    assert!(signs_in(&sandbox, new.trim_end()));
    sandbox.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    put_back(&sandbox, &copy);
    until("the backup to be the store", relay::PATIENCE, || {
        signs_in(&sandbox, &old)
    });
    assert!(!signs_in(&sandbox, new.trim_end()));
    assert_eq!(sandbox.verify(SHOP, &old), 0);
    drop(relay);
}

/// The next program to open the store would create another log.
#[test]
fn p3_a_running_relay_notices_that_its_log_was_removed() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    assert!(signs_in(&sandbox, &old));
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(beside(&sandbox.store(), suffix)).unwrap();
    }
    let new = sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
    until("the reset to hold", relay::PATIENCE, || {
        signs_in(&sandbox, new.trim_end())
    });
    assert!(!signs_in(&sandbox, &old));
    drop(relay);
}

/// Each store has its own number, including a restored backup.
#[test]
fn each_store_has_a_number_of_its_own() {
    let sandbox = Sandbox::new();
    let number = |path: &Path| -> i64 {
        let store = Connection::open(path).unwrap();
        let row = store.query_row("PRAGMA schema_version", [], |row| row.get(0));
        row.unwrap()
    };
    let first = number(&sandbox.store());
    assert!(first > 1 << 16, "{first}");
    let copy = Backup::Made.of(&sandbox);
    assert!(number(&copy) < 1 << 16);
    put_back_well(&sandbox, &copy);
    sandbox.ok(LIST);
    let then = number(&sandbox.store());
    assert!(then > 1 << 16 && then != first, "{then}");
}
