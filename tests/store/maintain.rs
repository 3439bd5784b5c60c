//! `store maintain`: what is forgotten, and that nobody has to wait for it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::small::Small;
use crate::support::{self, Sandbox, Server, finished, wait_for};

fn opened(sandbox: &Sandbox) -> Connection {
    let store = Connection::open(sandbox.store()).unwrap();
    store.busy_timeout(Duration::from_secs(60)).unwrap();
    store
}

/// What was sent by so many users, so many days ago.
fn sent(store: &Connection, users: u32, days_ago: i64) {
    store
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
            SELECT printf('u%06d@example.com', i), unixepoch() / 86400 - ?2, 'example.com',
                1, 1, 1000, 0 FROM n",
            (users, days_ago),
        )
        .unwrap();
}

fn refused(store: &Connection, name: &str, days_ago: i64, seconds: i64) {
    store
        .execute(
            "INSERT INTO failures (username, address, reason, first_at, last_at, count)
            VALUES (?1, '192.0.2.1', 'wrong-password', 0, unixepoch() - ?2 * 86400 - ?3, 1)",
            (name, days_ago, seconds),
        )
        .unwrap();
}

fn rows(store: &Connection, table: &str) -> u32 {
    let sql = format!("SELECT count(*) FROM {table}");
    store.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn done(list: &Value, task: &str, field: &str) -> u64 {
    let tasks = list.as_array().unwrap();
    let found = tasks.iter().find(|done| done["task"] == task).unwrap();
    found[field].as_u64().unwrap()
}

#[test]
fn what_is_past_its_time_is_forgotten_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let store = opened(&sandbox);
    sent(&store, 2_500, 401);
    sent(&store, 3, 400);
    sent(&store, 2, 0);
    refused(&store, "old", 30, 60);
    refused(&store, "young", 30, -60);
    let events = rows(&store, "events");

    for args in [
        &["store", "maintain", "--dry-run"][..],
        &["store", "maintain"],
    ] {
        let list = sandbox.json(args);
        assert_eq!(done(&list, "usage", "rows"), 2_500);
        assert_eq!(done(&list, "failures", "rows"), 1);
        let left = if args.len() > 2 { 2_505 } else { 5 };
        assert_eq!(rows(&store, "usage"), left);
    }
    assert_eq!(rows(&store, "failures"), 1);
    assert_eq!(rows(&store, "events"), events, "they are kept");
    let list = sandbox.json(&["store", "maintain"]);
    assert_eq!(done(&list, "usage", "rows"), 0, "nothing is left to do");
}

#[test]
fn a_hash_that_is_long_retired_is_erased_and_a_younger_one_is_not() {
    let sandbox = Sandbox::new();
    for name in ["long", "short"] {
        let username = format!("{name}@example.com");
        sandbox.create(&username);
        sandbox.ok(&["user", "reset", &username, "--overlap", "1h", "--quiet"]);
    }
    let store = opened(&sandbox);
    for (name, seconds) in [("long", 60), ("short", -60)] {
        let changed = store.execute(
            "UPDATE passwords SET retires_at = unixepoch() - 30 * 86400 - ?2
            WHERE username = ?1 AND retires_at IS NOT NULL",
            (format!("{name}@example.com"), seconds),
        );
        assert_eq!(changed.unwrap(), 1);
    }
    let list = sandbox.json(&["store", "maintain"]);
    assert_eq!(done(&list, "hashes", "rows"), 1);
    let left: String = store
        .query_row(
            "SELECT username FROM passwords WHERE retires_at IS NOT NULL AND hash IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, "short@example.com");
}

#[test]
fn p10_others_write_in_between_and_a_kill_loses_nothing() {
    const OLD: u32 = 60_000;
    let sandbox = Sandbox::new();
    let store = opened(&sandbox);
    sent(&store, OLD, 500);
    let begin = || {
        let run = sandbox
            .command(&["store", "maintain"])
            .stdout(Stdio::null())
            .spawn();
        let run = Server(run.unwrap());
        wait_for("the first piece", || {
            (rows(&store, "usage") < OLD).then_some(())
        });
        run
    };
    let mut run = begin();
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let left = rows(&store, "usage");
    assert!(left > 0 && left < OLD, "{left}: not killed half-way");
    assert_eq!(left % 1000, 0, "whole pieces");
    let whole: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");

    // The next one does the rest, and others come in between.
    let mut run = begin();
    let mut writes = 0;
    while run.0.try_wait().unwrap().is_none() {
        store
            .execute("UPDATE domains SET max_users = 5", [])
            .unwrap();
        writes += 1;
    }
    assert!(run.0.wait().unwrap().success());
    assert_eq!(rows(&store, "usage"), 0);
    assert!(writes >= 10, "{writes} writes in between");
}

#[test]
fn room_is_given_back_while_somebody_reads() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    let store = opened(&sandbox);
    sent(&store, 60_000, 500);
    drop(store);
    let before = fs::metadata(sandbox.store()).unwrap().len();
    let reader = opened(&sandbox);
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(rows(&reader, "usage"), 60_000);
    let list = sandbox.json(&["store", "maintain"]);
    let given = done(&list, "space", "bytes");
    assert!(given > before / 2, "{given} of {before}");
    assert_eq!(
        rows(&reader, "usage"),
        60_000,
        "it reads what it began with"
    );
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
    drop(reader);
    sandbox.ok(&["user", "list"]);
    let after = fs::metadata(sandbox.store()).unwrap().len();
    assert!(after < before / 2, "{after} of {before}");
}

#[test]
fn a_store_of_an_older_version_is_written_anew_while_somebody_reads() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    let store = opened(&sandbox);
    store
        .execute_batch("PRAGMA auto_vacuum = NONE; VACUUM")
        .unwrap();
    // More than is written anew unasked.
    sent(&store, 300_000, 500);
    let run = sandbox.json(&["store", "maintain"]);
    assert!(
        done(&run, "space", "bytes") > 16 << 20,
        "would be given back"
    );
    let whole = |store: &Connection| -> u64 {
        store
            .query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    };
    let before = whole(&store);
    store.execute_batch("BEGIN").unwrap();
    assert_eq!(rows(&store, "usage"), 0);
    sandbox.ok(&["store", "maintain", "--vacuum"]);
    assert_eq!(rows(&store, "domains"), 1, "it reads on");
    store.execute_batch("COMMIT").unwrap();
    assert!(whole(&store) < before / 10);
    let gradually: i64 = store
        .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
        .unwrap();
    assert_eq!(gradually, 2, "from now on little by little");
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
}

#[test]
#[ignore = "needs mount: run tests/run"]
fn p4_a_full_disk_changes_nothing_and_says_so() {
    let sandbox = Sandbox::empty();
    let small = Small::new(sandbox.folder.path());
    let store = small.0.join("store.db");
    let run = |args: &[&str]| {
        let mut command = Command::new(support::PROGRAM);
        command.args(args).env("SMTPCRED_STORE", &store);
        finished(command.output().unwrap())
    };
    assert_eq!(run(&["domain", "add", "example.com"]).code, 0);
    let connection = Connection::open(&store).unwrap();
    sent(&connection, 3_000, 500);
    drop(connection);
    small.leave(16);
    let failed = run(&["store", "maintain"]);
    assert_eq!(failed.code, 75, "{}", failed.stderr);
    small.empty();
    assert_eq!(run(&["store", "maintain"]).code, 0);
    let connection = Connection::open(&store).unwrap();
    assert_eq!(rows(&connection, "usage"), 0);
}

/// All users expired a minute ago, and no event was written.
fn expired(sandbox: &Sandbox, users: u32) {
    opened(sandbox)
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
            INSERT INTO users (username, domain, created_at, expires_at)
            SELECT printf('u%06d@example.com', i), 'example.com', 1700000000, unixepoch() - 60
            FROM n"
        ))
        .unwrap();
}

fn told_expired(store: &Connection) -> (u32, u32) {
    let sql = "SELECT count(*), count(DISTINCT username) FROM events
        WHERE action = 'user.expired'";
    let both = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    store.query_row(sql, [], both).unwrap()
}

#[test]
fn users_that_expire_together_get_events_soon_from_serve_and_at_once_from_a_rotation() {
    const USERS: u32 = 3_500;
    let sandbox = Sandbox::new();
    expired(&sandbox, USERS);
    sandbox.ok(&["user", "rotate", "--due"]);
    assert_eq!(told_expired(&opened(&sandbox)), (USERS, USERS));

    let sandbox = Sandbox::new();
    expired(&sandbox, USERS);
    let auth = sandbox.folder.path().join("auth");
    let serve = sandbox
        .command(&["serve", "--allow-root", "--auth", auth.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn();
    let _serve = Server(serve.unwrap());
    let store = opened(&sandbox);
    // Long before serve checks again.
    wait_for("an event for each", || {
        (told_expired(&store).0 >= USERS).then_some(())
    });
    assert_eq!(told_expired(&store), (USERS, USERS));
}
