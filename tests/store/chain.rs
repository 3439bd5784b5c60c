//! A history that shows tampering (promise 13).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, params};
use smtpcred::app::chain::verify_chain;
use smtpcred::model::event_chain::{
    ChainFault, ChainPlace, ChainReport, EventColumns, EventHash, KeptHead,
};
use smtpcred::store::{Access, Location, Store};

use crate::support::dice::Dice;
use crate::support::postgres::Postgres;
use crate::support::{Sandbox, is_long};

const COLUMNS: &str = "id, at, actor, run_as, host, action, domain, username, fields";

/// A store with some history, its journal emptied, and its head.
struct History {
    sandbox: Sandbox,
    head: ChainPlace,
}

impl History {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for i in 0..8 {
            let name = format!("app{i}@example.com");
            sandbox.create(&name);
            sandbox.noted(&["user", "set", &name, "--daily-limit", "9"]);
            sandbox.noted(&["user", "suspend", &name]);
        }
        let report = verified(&sandbox.store(), None);
        assert_eq!(report.fault, None);
        Self {
            sandbox,
            head: report.head,
        }
    }

    /// A copy, in its own folder, tampered with.
    fn copy(&self, tamper: &str) -> PathBuf {
        let path = self.sandbox.store().with_file_name("copy.db");
        fs::copy(self.sandbox.store(), &path).unwrap();
        let copy = Connection::open(&path).unwrap();
        copy.execute_batch(tamper)
            .unwrap_or_else(|error| panic!("{tamper}: {error}"));
        path
    }
}

fn verified(path: &Path, kept: Option<KeptHead>) -> ChainReport {
    let mut store = Store::open(&Location::from(path), Access::Look).unwrap();
    verify_chain(&mut store, kept).unwrap()
}

/// A change of one column of one event, to what it was not.
fn edit(dice: &mut Dice, id: u64) -> String {
    let n = dice.below(1_000_000);
    let set = match dice.below(9) {
        0 => format!("at = at + 1 + {n}"),
        1 => format!("actor = actor || 'x{n}'"),
        2 => format!("run_as = COALESCE(run_as, '') || 'x{n}'"),
        3 => format!("host = 'x{n}'"),
        4 => format!("action = 'x{n}'"),
        5 => format!("domain = COALESCE(domain, '') || '{n}'"),
        6 => format!("username = COALESCE(username, '') || '{n}'"),
        7 => format!("fields = '{{\"x\":{n}}}'"),
        _ => format!("hash = '{n:064x}'"),
    };
    format!("UPDATE events SET {set} WHERE id = {id}")
}

/// Moves all numbers from one on, up or down.
fn moved(from: u64, by: i64) -> String {
    format!(
        "UPDATE events SET id = -id WHERE id >= {from};
        UPDATE events SET id = -id + ({by}) WHERE id < 0;"
    )
}

/// One of the ways to tamper with events, and the first number it is about.
fn tampering(dice: &mut Dice, last: u64) -> (String, u64) {
    let id = 1 + dice.below(last);
    let inserted = |at: u64, from: u64| {
        format!(
            "INSERT INTO events ({COLUMNS}, hash) SELECT {at}, at, actor, run_as, host, action,
                domain, username, fields, hash FROM events WHERE id = {from}"
        )
    };
    match dice.below(9) {
        0..=2 => (edit(dice, id), id),
        // With the numbers closed up.
        3 if id < last => {
            let close = moved(id + 1, -1);
            (format!("DELETE FROM events WHERE id = {id}; {close}"), id)
        }
        4 if id < last => {
            let swap = format!(
                "UPDATE events SET id = -1 WHERE id = {id};
                UPDATE events SET id = {id} WHERE id = {id} + 1;
                UPDATE events SET id = {id} + 1 WHERE id = -1"
            );
            (swap, id)
        }
        // Behind itself, or at the end.
        5 => (
            format!("{} {}", moved(id + 1, 1), inserted(id + 1, id)),
            id + 1,
        ),
        6 => (inserted(last + 1, id), last + 1),
        7 => (format!("DELETE FROM events WHERE id >= {id}"), id),
        _ => (format!("DELETE FROM events WHERE id = {id}"), id),
    }
}

#[test]
fn p13_each_of_a_thousand_tamperings_shows() {
    let history = History::new();
    let mut dice = Dice::new();
    let last = history.head.id.unsigned_abs();
    let times = if is_long() { 1000 } else { 200 };
    for _ in 0..times {
        let (tamper, first) = tampering(&mut dice, last);
        let report = verified(&history.copy(&tamper), None);
        let fault = report.fault.unwrap_or_else(|| panic!("{tamper}: not seen"));
        let event = fault.event().map(i64::unsigned_abs);
        assert_eq!(event, Some(first), "{tamper}: {fault}");
    }
    let report = verified(&history.copy(""), None);
    assert_eq!((report.fault, report.head), (None, history.head));
}

/// Computes the hashes of a store again, from an event on, and records its end.
fn chained_again(path: &Path, from: i64) {
    let store = Connection::open(path).unwrap();
    let read = format!("SELECT {COLUMNS}, hash FROM events ORDER BY id");
    let mut statement = store.prepare(&read).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut last = ChainPlace::default();
    while let Some(row) = rows.next().unwrap() {
        let text = |column| row.get_ref(column).unwrap().as_str_or_null().unwrap();
        let id = row.get(0).unwrap();
        let event = EventColumns {
            id,
            at: row.get(1).unwrap(),
            actor: text(2).unwrap(),
            run_as: text(3),
            host: text(4).unwrap(),
            action: text(5).unwrap(),
            domain: text(6),
            username: text(7),
            fields: text(8).unwrap(),
        };
        let hash = if id < from {
            text(9).unwrap().parse::<EventHash>().unwrap()
        } else {
            last.hash.followed_by(&event)
        };
        last = ChainPlace { id, hash };
        let set = "UPDATE events SET hash = ?2 WHERE id = ?1";
        store.execute(set, params![id, hash.to_string()]).unwrap();
    }
    let mark = "UPDATE event_marks SET event = ?1, hash = ?2 WHERE mark = 'head'";
    store
        .execute(mark, params![last.id, last.hash.to_string()])
        .unwrap();
}

/// Only the kept head tells.
#[test]
fn p13_a_history_that_was_chained_again_is_seen_by_a_kept_head() {
    let history = History::new();
    let last = history.head.id;
    let mut dice = Dice::new();
    for round in 0..20 {
        let id = 1 + i64::try_from(dice.below(last.unsigned_abs())).unwrap();
        let tamper = match round % 3 {
            0 => edit(&mut dice, id.unsigned_abs()).replace("hash = '", "host = '"),
            1 => format!("DELETE FROM events WHERE id >= {id}"),
            _ => format!(
                "DELETE FROM events WHERE id = {id}; {}",
                moved(id.unsigned_abs() + 1, -1)
            ),
        };
        let path = history.copy(&tamper);
        chained_again(&path, id);
        let report = verified(&path, None);
        assert_eq!(report.fault, None, "{tamper}: whole by itself");
        for number in [None, Some(last)] {
            let kept = KeptHead {
                id: number,
                hash: history.head.hash,
            };
            let report = verified(&path, Some(kept));
            assert_eq!(report.fault, Some(ChainFault::KeptHead(number)), "{tamper}");
        }
    }
}

#[test]
fn p13_an_end_that_was_cut_stays_seen_after_the_next_event() {
    let history = History::new();
    let store = Connection::open(history.sandbox.store()).unwrap();
    store
        .execute_batch("DELETE FROM events WHERE id > 10; DELETE FROM sqlite_sequence")
        .unwrap();
    drop(store);
    let last = history.head.id;
    for _ in 0..2 {
        let run = history.sandbox.run(&["audit", "verify", "--json"]);
        assert_eq!(run.code, 7, "{run:?}");
        let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(said["event"], 11);
        let reason = said["reason"].as_str().unwrap();
        let missing = format!("events 11 to {last} are missing");
        assert!(reason.starts_with(&missing), "{reason}");
        history
            .sandbox
            .noted(&["user", "resume", "app1@example.com"]);
    }
    let doctor = history.sandbox.run(&["doctor", "--json"]);
    assert!(doctor.stdout.contains("are missing"), "{doctor:?}");
    let status = history.sandbox.run(&["status", "--json"]);
    assert!(
        status.stdout.contains(r#""matter": "history""#),
        "{status:?}"
    );
    let verify = history.sandbox.run(&["store", "verify"]);
    assert_eq!(verify.code, 7, "{verify:?}");
    assert!(
        verify.stdout.contains("its history is broken"),
        "{verify:?}"
    );
}

#[test]
fn p13_copies_and_backups_have_the_same_chain() {
    let history = History::new();
    copies(&history.sandbox);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p13_copies_and_backups_of_a_database_have_the_same_chain() {
    let server = Postgres::start();
    copies(&server.sandbox_with_domain());
}

fn copies(sandbox: &Sandbox) {
    sandbox.create("shop@example.com");
    let head = sandbox.ok(&["audit", "head"]);
    let backup = sandbox.folder.path().join("one.backup");
    sandbox.noted(&["store", "backup", backup.to_str().unwrap()]);
    let report = verified_backup(&backup);
    assert_eq!(report.fault, None);
    assert_eq!(format!("{}\n", report.head), head);
    sandbox.ok(&["audit", "verify", "--head", &head]);
    let run = sandbox.run(&["audit", "verify", "--head", &"f".repeat(64)]);
    assert_eq!(run.code, 7, "{run:?}");
}

fn verified_backup(path: &Path) -> ChainReport {
    let mut store = Store::open_backup(path).unwrap();
    verify_chain(&mut store, None).unwrap()
}

/// A role cannot change events, and what it adds besides the program shows.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p13_what_a_role_adds_shows() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    sandbox.create("shop@example.com");
    let database = sandbox.database.as_ref().unwrap();
    database.sql("CREATE ROLE operator LOGIN");
    sandbox.noted(&["store", "grant", "--role", "operator", "--to", "operator"]);
    let name = database.sql("SELECT current_database()");
    let by_role = |sql: &str| server.try_sql_as("operator", &name, sql);
    for refused in [
        "UPDATE smtpcred.events SET host = 'x'",
        "DELETE FROM smtpcred.events",
        "DELETE FROM smtpcred.event_marks",
        "UPDATE smtpcred.event_marks SET event = 1",
        "UPDATE smtpcred.event_marks SET hash = 'x'",
        "INSERT INTO smtpcred.event_marks VALUES ('archived', 1, 'x', 1)",
    ] {
        assert!(by_role(refused).is_err(), "{refused}");
    }
    // The program writes them as the database wants them.
    let url = server.url_as("operator", &name);
    for deed in ["suspend", "resume"] {
        sandbox.noted(&["--store", &url, "user", deed, "shop@example.com"]);
    }
    sandbox.is_sound();
    by_role(
        "INSERT INTO smtpcred.events (at, actor, host, action, fields)
            VALUES (1, 'ana', 'relay', 'user.delete', '{}')",
    )
    .unwrap();
    let run = sandbox.run(&["audit", "verify"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.stdout.contains("another program wrote"), "{run:?}");
    // Nothing else stops.
    sandbox.create("other@example.com");
    assert_eq!(sandbox.run(&["audit", "verify"]).code, 7);
}

#[test]
fn p13_the_chain_goes_on_behind_an_archive() {
    let history = History::new();
    archive(&history.sandbox);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p13_the_chain_of_a_database_goes_on_behind_an_archive() {
    let server = Postgres::start();
    archive(&server.sandbox_with_domain());
}

const ALL: &str = "2100-01-01";

fn archive(sandbox: &Sandbox) {
    let file = |name: &str| sandbox.folder.path().join(name).display().to_string();
    let [one, two, none] = ["one.jsonl", "two.jsonl", "none.jsonl"].map(file);
    let installation = || sandbox.json(&["store", "verify"])[0]["installation"].clone();
    let (head, first) = (sandbox.ok(&["audit", "head"]), installation());
    sandbox.create("old@example.com");
    let nothing = sandbox.json(&["audit", "archive", &none, "--before", "2026-10-01"]);
    assert_eq!(nothing["events"], 0);
    let archived = sandbox.json(&["audit", "archive", &one, "--before", ALL]);
    assert_eq!(archived["first"], 1);
    let mode = fs::metadata(&one).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(installation(), first);
    // What made it is the first event now.
    let events = sandbox.json(&["audit", "list"]);
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(events[0]["action"], "audit.archive");
    sandbox.create("new@example.com");
    sandbox.is_sound();
    // The archive proves what the store no longer can.
    let kept = sandbox.run(&["audit", "verify", "--head", &head]);
    assert_eq!(kept.code, 7, "{kept:?}");
    assert!(
        kept.stdout.contains("that of an archived event"),
        "{kept:?}"
    );
    let whole = sandbox.json(&["audit", "verify", &one, "--head", &head]);
    assert_eq!(whole["events"], archived["events"]);
    let taken = sandbox.run(&["audit", "archive", &one, "--before", ALL]);
    assert_ne!(taken.code, 0, "{taken:?}");
    let next = sandbox.json(&["audit", "archive", &two, "--before", ALL]);
    assert_eq!(next["events"], 2);
    let start = fs::read_to_string(&two).unwrap();
    let start: serde_json::Value = serde_json::from_str(start.lines().next().unwrap()).unwrap();
    assert_eq!(start["after"], archived["head"]);
    sandbox.is_sound();

    let text = fs::read_to_string(&one).unwrap();
    let line = |n: usize| text.lines().nth(n).unwrap();
    let last = text.lines().count() - 1;
    for broken in [
        text.replace(line(1), &line(1).replace("domain.add", "domain.set")),
        text.replace(&format!("{}\n", line(1)), ""),
        text.replace(&format!("{}\n", line(last)), ""),
        text.replace(line(2), &line(2)[..20]),
        format!("{text}{}\n", line(last)),
    ] {
        fs::write(&one, broken).unwrap();
        let run = sandbox.run(&["audit", "verify", &one]);
        assert_eq!(run.code, 7, "{run:?}");
    }
    fs::write(&one, "{}\n").unwrap();
    assert_eq!(sandbox.run(&["audit", "verify", &one]).code, 2);

    // What does not verify is not archived.
    sandbox.create("last@example.com");
    sandbox.sql("UPDATE events SET host = 'x'");
    let three = file("three.jsonl");
    let refused = sandbox.run(&["audit", "archive", &three, "--before", ALL]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("nothing was archived"),
        "{refused:?}"
    );
    assert!(!Path::new(&three).exists());
    assert_eq!(
        sandbox.json(&["audit", "list"]).as_array().unwrap().len(),
        2
    );
}

/// Each event is in the store or in a whole archive.
#[test]
fn p13_a_killed_archive_loses_no_event() {
    let history = History::new();
    let sandbox = &history.sandbox;
    let mut dice = Dice::new();
    let mut archived = 0;
    for round in 0..20 {
        let file = sandbox.folder.path().join(format!("{round}.jsonl"));
        let args = ["audit", "archive", file.to_str().unwrap(), "--before", ALL];
        let before = events_of(sandbox);
        let mut running = sandbox
            .command(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Any moment will do.
        sleep(dice.within(Duration::from_millis(120)));
        running.kill().unwrap();
        running.wait().unwrap();
        sandbox.is_sound();
        let after = events_of(sandbox);
        if after.first() == before.first() {
            continue;
        }
        archived += 1;
        let whole = sandbox.json(&["audit", "verify", file.to_str().unwrap()]);
        assert_eq!(whole["head"]["id"], before.last().copied().unwrap());
    }
    println!("{archived} of 20 were archived");
}

fn events_of(sandbox: &Sandbox) -> Vec<i64> {
    let events = sandbox.json(&["audit", "list"]);
    let events = events.as_array().unwrap().iter();
    events.map(|event| event["id"].as_i64().unwrap()).collect()
}
