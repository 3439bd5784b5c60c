//! The report: in pages nothing is lost, and whoever reads it slowly, or any other long
//! list, keeps nothing from being written.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::pty::Pty;
use crate::support::{Sandbox, Server, finished, wait_for};

const DAY: i64 = 86_400;
const SHA: &str = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";

/// Users that come and go in every way, most of them with something to say of.
fn with_trouble(sandbox: &Sandbox) {
    let now = "CAST(strftime('%s', 'now') AS INTEGER)";
    let now = if sandbox.database.is_some() {
        "CAST(extract(epoch FROM now()) AS BIGINT)"
    } else {
        now
    };
    let argon2 = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA";
    let mut sql = vec!["BEGIN;".to_owned()];
    for i in 0..40_i64 {
        let name = format!("user{i:02}@example.com");
        let expires = match i % 5 {
            0 => format!("{now} - 5"),
            1 => format!("{now} + {}", 3 * DAY),
            _ => "NULL".into(),
        };
        let suspended = if i % 8 == 7 { "1600000000" } else { "NULL" };
        let made = format!("{now} - {}", if i % 3 == 0 { 200 * DAY } else { 10 });
        sql.push(format!(
            "INSERT INTO users (username, domain, expires_at, suspended_at, created_at)
                VALUES ('{name}', 'example.com', {expires}, {suspended}, {made});"
        ));
        let hash = if i % 4 == 0 { SHA } else { argon2 };
        sql.push(format!(
            "INSERT INTO passwords (username, password_id, hash, created_at)
                VALUES ('{name}', 'new{i:05}', '{hash}', {made});"
        ));
        if i % 6 == 0 {
            sql.push(format!(
                "INSERT INTO passwords (username, password_id, hash, created_at, retires_at)
                    VALUES ('{name}', 'old{i:05}', '{SHA}', 1600000000, {now} + 500);"
            ));
        }
        if i % 2 == 1 {
            sql.push(format!(
                "INSERT INTO last_connections (username, password_id, seen_at)
                    VALUES ('{name}', 'new{i:05}', {now} - {});",
                if i % 9 == 1 { 100 * DAY } else { 5 }
            ));
        }
        if i % 10 == 0 {
            sql.push(format!(
                "INSERT INTO alerts (at, last_at, kind, domain, username, matter, text, more)
                    VALUES ({now} - 9, {now}, 'guesses', 'example.com', '{name}', '{name}', 'x', 0);"
            ));
        }
        if i % 13 == 3 {
            sql.extend((0..10).map(|n| {
                format!(
                    "INSERT INTO seen_addresses (username, password_id, network, address, first_at,
                            last_at, sign_ins)
                        VALUES ('{name}', 'new{i:05}', '192.0.{n}.0/24', '192.0.{n}.1', {now} - 99,
                            {now} - 9, 1);"
                )
            }));
        }
        if i % 7 == 0 {
            sql.push(format!(
                "INSERT INTO rotations (username, state, began_at, with_command)
                    VALUES ('{name}', 'withdrawn', {now}, 1);"
            ));
        }
    }
    // Not from everywhere.
    let listed =
        "INSERT INTO address_rules (owner, addresses) VALUES ('user29@example.com', 'listed')";
    sql.push(format!("{listed}; COMMIT;"));
    sandbox.sql(&sql.concat());
}

fn findings(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let run = sandbox.run(&[&["report", "--json"], args].concat());
    let list: Vec<Value> = serde_json::from_str(&run.stdout).expect("a list");
    assert_eq!(run.code, if list.is_empty() { 0 } else { 7 }, "{run:?}");
    list
}

fn username(finding: &Value) -> &str {
    finding["username"].as_str().expect("a name")
}

fn pages_are_the_whole(sandbox: &Sandbox) {
    with_trouble(sandbox);
    let everything: &[&str] = &[
        "--stale=90d",
        "--never-used",
        "--expiring=14d",
        "--old-passwords=180d",
        "--overlaps",
        "--unfinished",
        "--weak-hashes",
        "--alerts",
        "--many-networks=10",
    ];
    // Alone, all, and what is looked for where nothing is said.
    let mut selections: Vec<&[&str]> = everything.chunks(1).collect();
    selections.extend([everything, &[]]);
    for wanted in selections {
        let whole = findings(sandbox, wanted);
        assert!(!whole.is_empty(), "{wanted:?}");
        assert!(whole.iter().map(username).is_sorted());
        for limit in ["1", "2", "7", "1000"] {
            let mut all: Vec<Value> = Vec::new();
            loop {
                let mut args = [wanted, &["--limit", limit]].concat();
                let after = all.last().map(|last| username(last).to_owned());
                if let Some(after) = &after {
                    args.extend(["--after", after]);
                }
                let page = findings(sandbox, &args);
                let names: BTreeSet<_> = page.iter().map(username).collect();
                assert!(names.len() <= limit.parse().expect("a number"));
                assert!(page.is_empty() || limit != "1" || names.len() == 1);
                if page.is_empty() {
                    break;
                }
                all.extend(page);
            }
            assert_eq!(all, whole, "{wanted:?} in pages of {limit}");
        }
    }
    let whole = findings(sandbox, everything);
    let of = |name: &str| -> Vec<&str> {
        let own = whole.iter().filter(|finding| username(finding) == name);
        own.filter_map(|finding| finding["matter"].as_str())
            .collect()
    };
    // Each beside what else is said of the user.
    assert_eq!(
        of("user00@example.com"),
        [
            "unfinished_rotation",
            "expired",
            "old_password",
            "overlap",
            "never_used",
            "weak_hash",
            "weak_hash",
            "open_alert"
        ]
    );
    assert_eq!(of("user19@example.com"), ["stale"]);
    assert_eq!(of("user07@example.com"), ["unfinished_rotation"]);
    assert!(of("user17@example.com").is_empty());
    assert_eq!(of("user16@example.com").last(), Some(&"many_networks"));
    assert!(!of("user29@example.com").contains(&"many_networks"));
    assert_eq!(findings(sandbox, &["--alerts"]).len(), 4);
    assert_eq!(
        findings(sandbox, &["--many-networks=11"]),
        Vec::<Value>::new()
    );
    assert!(of("user02@example.com").is_empty(), "unused, but new");

    let run = sandbox.run(&["report", "--monitor"]);
    let count = |matter: &str| whole.iter().filter(|f| f["matter"] == matter).count();
    for matter in ["expired", "weak_hash", "open_alert", "many_networks"] {
        let said = format!("{matter}={}", count(matter));
        assert!(run.stdout.contains(&said), "{said}: {}", run.stdout);
    }
    assert_eq!(run.code, 2);
}

#[test]
fn pages_put_together_are_the_whole_report() {
    pages_are_the_whole(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn pages_put_together_are_the_whole_report_on_postgresql() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    pages_are_the_whole(&sandbox);
    // Who may see of hashes how they were made, and no more, is told the same.
    let database = sandbox.database.as_ref().expect("a database");
    let name = database.url.rsplit('/').next().expect("its name");
    let name = name.split('?').next().expect("its name");
    server.sql(name, "CREATE ROLE auditor LOGIN");
    sandbox.ok(&["store", "grant", "--role", "auditor", "--to", "auditor"]);
    let args = ["report", "--weak-hashes", "--overlaps", "--json"];
    let auditor = sandbox
        .command(&args)
        .env("SMTPCRED_STORE", server.url_as("auditor", name))
        .output();
    let auditor = finished(auditor.expect("it runs"));
    let own = sandbox.run(&args);
    assert_eq!((auditor.code, own.code), (7, 7), "{}", auditor.stderr);
    assert_eq!(auditor.stdout, own.stdout);
}

/// Findings are shown while the rest is read, however long that takes.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn findings_are_printed_while_the_rest_is_read() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    sandbox.sql(&format!(
        "INSERT INTO users (username, domain, created_at)
            SELECT 'user' || lpad(i::text, 5, '0') || '@example.com', 'example.com', 1600000000
            FROM generate_series(0, 5999) i;
        INSERT INTO passwords (username, password_id, hash, created_at)
            SELECT username, 'key00001', '{SHA}', 1600000000 FROM users;
        INSERT INTO last_connections (username, password_id, seen_at)
            SELECT username, 'key00001', 1600000000 FROM users;
        UPDATE users SET expires_at = 1700000000 WHERE username = 'user00007@example.com';
        ANALYZE users;
        CREATE FUNCTION slow(name TEXT) RETURNS BOOLEAN LANGUAGE plpgsql COST 1000000 AS $$
        BEGIN
            PERFORM pg_sleep(CASE WHEN name < 'user04000' THEN 0.0005 ELSE 600 END);
            RETURN true;
        END $$;
        ALTER TABLE users RENAME TO fast;
        CREATE VIEW users AS SELECT * FROM fast WHERE slow(username)"
    ));
    for format in ["json", "csv", "table"] {
        let args = ["report", "--expiring=1d", "--format", format];
        let child = sandbox.command(&args).stdout(Stdio::piped()).spawn();
        let mut child = Server(child.expect("it runs"));
        let mut stdout = child.0.stdout.take().expect("a pipe");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut read = Vec::new();
            let mut piece = [0; 1000];
            while let Ok(count @ 1..) = stdout.read(&mut piece) {
                read.extend(&piece[..count]);
                let _ = sender.send(String::from_utf8_lossy(&read).into_owned());
            }
        });
        wait_for("the first finding", || {
            let read = receiver.try_iter().last()?;
            read.contains("user00007@example.com").then_some(())
        });
        assert!(child.0.try_wait().expect("ours").is_none(), "{format}");
    }
}

/// On a terminal: how many there are of each matter, the worst first.
#[test]
fn a_person_sees_the_worst_first_and_what_lists_the_rest() {
    let sandbox = Sandbox::new();
    with_trouble(&sandbox);
    let ended = Pty::run(&sandbox.command(&["report", "--no-pager"])).end();
    assert_eq!(ended.code, 7);
    let screen = ended.left();
    let titles = [
        "Unfinished",
        "Alerts",
        "Expired",
        "Weak hash",
        "Networks",
        "Overlap",
        "Never used",
    ];
    let places = titles.map(|title| screen.find(title).expect(title));
    assert!(places.is_sorted(), "{screen}");
    let whole = findings(&sandbox, &["--never-used"]);
    let (all, others) = (whole.len(), whole.len() - 3);
    for text in [
        format!("Never used    {all} users: user00@example.com ("),
        format!(" and {others} more\n"),
        "              smtpcred report --never-used\n".into(),
        "smtpcred report --stale 90d\n".into(),
        "to try again:\n                smtpcred user rotate user00@example.com\n".into(),
    ] {
        assert!(screen.contains(&text), "{text}: {screen}");
    }
    // What the command of a group prints is a list, on a terminal, too.
    let list = Pty::run(&sandbox.command(&["report", "--never-used", "--no-pager"])).end();
    assert!(list.left().contains("USERNAME"), "{}", list.left());
}

/// So many of everything that is listed.
fn filled(count: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    let sql = format!(
        "BEGIN;
        CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS
            (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) SELECT i FROM n;
        INSERT INTO users (username, domain, created_at)
            SELECT printf('user%05d@example.com', i), 'example.com', 1600000000 FROM n;
        INSERT INTO passwords (username, password_id, hash, created_at)
            SELECT printf('user%05d@example.com', i), 'key00001', '{SHA}', 1600000000 FROM n;
        INSERT INTO domains (name, created_at)
            SELECT printf('d%05d.example', i), 1600000000 FROM n;
        INSERT INTO events (at, actor, host, action, fields)
            SELECT 1600000000, 'ana', 'relay', 'domain.set', '{{}}' FROM n;
        INSERT INTO failures SELECT printf('user%05d@example.com', i), '192.0.2.7',
            'wrong-password', unixepoch() - 9, unixepoch() - i, 1 FROM n;
        INSERT INTO usage SELECT printf('user%05d@example.com', i), unixepoch() / 86400,
            'example.com', i % 100, i, i, 0 FROM n;
        COMMIT;"
    );
    sandbox.sql(&sql);
    sandbox
}

/// A store with more users than `doctor` reads by default.
#[test]
fn doctor_reads_a_part_of_a_large_store_and_all_of_it_on_request() {
    const MANY: u32 = 200_000;
    let sandbox = filled(MANY);
    let found = |args: &[&str], check: &str| -> (String, String) {
        let run = sandbox.run(&[&["doctor", "--json"], args].concat());
        let list: Vec<Value> = serde_json::from_str(&run.stdout).expect("a list");
        let mut list = list.into_iter();
        let one = list.find(|finding| finding["check"] == check);
        let one = one.expect("it was looked at");
        let text = |field: &str| one[field].as_str().expect("a text").to_owned();
        (text("state"), text("found"))
    };
    let (state, integrity) = found(&[], "integrity");
    assert!(state == "ok" && integrity.starts_with("intact, judging by "));
    assert!(integrity.ends_with("smtpcred doctor --full"), "{integrity}");
    assert_eq!(
        found(&["--full"], "integrity"),
        ("ok".into(), "intact".into())
    );

    let (_, part) = found(&[], "old passwords");
    assert!(part.starts_with("about 200000 are 180d old or more, estimated from 1 of 2 users"));
    let (_, all) = found(&["--full"], "old passwords");
    assert_eq!(all, "200000 are 180d old or more");
    let (_, none) = found(&[], "expiring");
    assert!(
        none.starts_with("none, estimated from 1 of 2 users"),
        "{none}"
    );

    // Wherever it is.
    let store = Connection::open(sandbox.store()).expect("a store");
    let sql = "UPDATE passwords SET hash = 'nothing' WHERE username = 'user99999@example.com'";
    assert_eq!(store.execute(sql, []).expect("a change"), 1);
    let (state, damage) = found(&["--full"], "integrity");
    assert!(
        state == "fail" && damage.contains("user99999@example.com"),
        "{damage}"
    );
}

/// Whoever takes a list slowly, and stopped in the middle of it.
#[test]
fn a_slow_reader_of_a_list_does_not_let_the_log_grow() {
    const MANY: u32 = 20_000;
    let sandbox = filled(MANY);
    let store = Connection::open(sandbox.store()).expect("a store");
    store.busy_timeout(Duration::ZERO).expect("SQLite");
    for list in [
        &["report"][..],
        &["report", "--weak-hashes", "--format", "csv"],
        &["report", "--never-used", "--json"],
        &["user", "export"],
        &["user", "export", "--json", "--domain", "example.com"],
        &["user", "list", "--json"],
        &["domain", "list", "--json"],
        &["audit", "list", "--json"],
        &["audit", "failures", "--json"],
        &["usage", "--json"],
    ] {
        let child = sandbox.command(list).stdout(Stdio::piped()).spawn();
        let mut child = Server(child.expect("it runs"));
        let mut stdout = child.0.stdout.take().expect("a pipe");
        // The rest of it is more than the pipe takes.
        let mut first = [0; 1000];
        stdout.read_exact(&mut first).expect("its beginning");
        let another = "UPDATE domains SET max_users = COALESCE(max_users, 0) + 1";
        store.execute_batch(another).expect("a change");
        wait_for(&format!("the log to be emptied beside {list:?}"), || {
            let busy = store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
            (busy.ok()? == 0).then_some(())
        });
        assert!(child.0.try_wait().expect("ours").is_none(), "{list:?}");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("the rest");
        let rows = rest.lines().count();
        assert!(rows > 19_000, "{list:?}: {rows}");
        assert!(child.0.wait().expect("ours").code().is_some());
    }
}
