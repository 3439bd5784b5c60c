//! Lists: who is in them, in what form, and how they end.

use std::process::Stdio;

use rusqlite::Connection;

use crate::support::{self, Sandbox, finished};

const DAY: i64 = 86_400;

/// Writes what the sign-in service will write: the last connection of the
/// user's only password, so many days ago.
fn connected(sandbox: &Sandbox, username: &str, days_ago: i64) {
    let store = Connection::open(sandbox.store()).unwrap();
    let changed = store
        .execute(
            "INSERT INTO last_connections (username, password_id, seen_at, address)
             SELECT username, password_id, unixepoch() - ?2, '192.0.2.7' FROM passwords WHERE username = ?1",
            (username, days_ago * DAY),
        )
        .unwrap();
    assert_eq!(changed, 1);
}

fn created(sandbox: &Sandbox, username: &str, days_ago: i64) {
    let store = Connection::open(sandbox.store()).unwrap();
    for table in ["users", "passwords"] {
        let sql = format!("UPDATE {table} SET created_at = unixepoch() - ?2 WHERE username = ?1");
        store.execute(&sql, (username, days_ago * DAY)).unwrap();
    }
}

fn usernames(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let list = sandbox.json(&[&["user", "list"], args].concat());
    let users = list.as_array().unwrap().iter();
    users
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn stale_and_never_used_go_by_the_last_connection() {
    let sandbox = Sandbox::new();
    for name in ["busy", "idle", "new", "old"] {
        let username = format!("{name}@example.com");
        sandbox.create(&username);
        created(&sandbox, &username, 100);
    }
    created(&sandbox, "new@example.com", 1);
    connected(&sandbox, "busy@example.com", 2);
    connected(&sandbox, "idle@example.com", 95);

    assert_eq!(
        usernames(&sandbox, &["--never-used"]),
        ["new@example.com", "old@example.com"]
    );
    assert_eq!(
        usernames(&sandbox, &["--stale", "90d"]),
        ["idle@example.com", "old@example.com"]
    );
    assert_eq!(
        usernames(&sandbox, &["--stale", "90d", "--never-used"]),
        ["old@example.com"]
    );

    let show = sandbox.ok(&["user", "show", "busy@example.com"]);
    assert!(
        show.contains("Last connection   2d ago from 192.0.2.7\n"),
        "{show}"
    );
    assert!(
        show.contains("100d old, last used 2d ago from 192.0.2.7\n"),
        "{show}"
    );
    let json = sandbox.json(&["user", "show", "busy@example.com"]);
    assert_eq!(json["last_connection"]["address"], "192.0.2.7");

    // A reset does not make it "never": the user did connect.
    sandbox.noted(&["user", "reset", "busy@example.com"]);
    assert_eq!(
        usernames(&sandbox, &["--never-used"]),
        ["new@example.com", "old@example.com"]
    );
    let json = sandbox.json(&["user", "show", "busy@example.com"]);
    assert_eq!(json["last_connection"]["address"], "192.0.2.7");
    assert_eq!(
        json["old_passwords"][0]["last_connection"]["address"],
        "192.0.2.7"
    );
}

#[test]
fn expired_users_say_so_everywhere() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    sandbox.noted(&["user", "set", "shop@example.com", "--expires-in", "1s"]);
    support::wait_for("the second to pass", || {
        (sandbox.verify("shop@example.com", &password) == 4).then_some(())
    });
    assert_eq!(
        usernames(&sandbox, &["--status", "expired"]),
        ["shop@example.com"]
    );
    let show = sandbox.ok(&["user", "show", "shop@example.com"]);
    assert!(show.contains("Z (expired)\n"), "{show}");
    sandbox.noted(&["user", "set", "shop@example.com", "--expires-in", "1d"]);
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
}

fn with_many_users(count: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut store = Connection::open(sandbox.store()).unwrap();
    let tx = store.transaction().unwrap();
    for i in 0..count {
        tx.execute(
            "INSERT INTO users (username, domain, label, created_at)
             VALUES (?1, 'example.com', 'Shop ' || ?2, 1800000000)",
            (format!("user{i:05}@example.com"), i),
        )
        .unwrap();
    }
    tx.commit().unwrap();
    sandbox
}

#[test]
fn a_long_table_streams_in_columns() {
    let sandbox = with_many_users(2500);
    let table = sandbox.ok(&["user", "list"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2501);
    let column = lines[0].find("STATUS").unwrap();
    assert!(
        lines[1..]
            .iter()
            .all(|line| line[column..].starts_with("active "))
    );
    assert!(lines[2500].starts_with("user02499@example.com  Shop 2499  active"));
    assert_eq!(
        sandbox.json(&["user", "list"]).as_array().unwrap().len(),
        2500
    );
    let csv = sandbox.ok(&["user", "list", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 2501);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = with_many_users(20_000);
    for format in ["table", "json", "csv"] {
        let mut child = sandbox
            .command(&["user", "list", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let run = finished(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{format}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let sandbox = with_many_users(10);
    let full = |args: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        finished(
            sandbox
                .command(args)
                .stdout(full.unwrap())
                .output()
                .unwrap(),
        )
    };
    for args in [["user", "export"], ["domain", "list"], ["user", "list"]] {
        let run = full(&args);
        assert_eq!(run.code, 1);
        let said = "error: stdout could not be written: No space left";
        assert!(run.stderr.starts_with(said), "{run:?}");
    }
    // The change is made, whatever became of its record.
    let run = full(&["--json", "domain", "add", "example.net"]);
    assert_eq!(run.code, 1);
    let error = run.stderr.lines().last().unwrap();
    let error: serde_json::Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["code"], "output_failed");
    let said = "the changes were made, but could not be written to stdout: No space left";
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(said), "{message}");
    sandbox.ok(&["domain", "show", "example.net"]);
}

#[test]
fn labels_of_strangers_cannot_drive_the_terminal() {
    let sandbox = with_many_users(1);
    let store = Connection::open(sandbox.store()).unwrap();
    store
        .execute(
            "UPDATE users SET label = 'a' || char(27) || '[2J' || char(8238)",
            [],
        )
        .unwrap();
    for command in ["list", "show"] {
        let mut args = vec!["user", command];
        args.extend((command == "show").then_some("user00000@example.com"));
        let table = sandbox.ok(&args);
        assert!(table.contains(r"a\u{1b}[2J\u{202e}"), "{table}");
    }
}

#[test]
fn a_text_finds_names_and_labels() {
    let sandbox = Sandbox::new();
    for (name, label) in [
        ("shop", "WordPress"),
        ("crm", "Überblick"),
        ("web", "Der Shop"),
    ] {
        let username = format!("{name}@example.com");
        sandbox.noted(&["user", "create", &username, "--label", label]);
    }
    let found = |text: &str| usernames(&sandbox, &[text]);
    assert_eq!(found("SHOP"), ["shop@example.com", "web@example.com"]);
    assert_eq!(found("über"), ["crm@example.com"]);
    assert_eq!(found("m@ex"), ["crm@example.com"]);
    assert_eq!(found("nothing"), [""; 0]);
    sandbox.noted(&["user", "suspend", "web@example.com"]);
    assert_eq!(
        usernames(&sandbox, &["shop", "--status", "suspended"]),
        ["web@example.com"]
    );
}

#[test]
fn an_order_is_the_one_asked_for() {
    let sandbox = Sandbox::new();
    for (name, days) in [("a", 10), ("b", 30), ("c", 20)] {
        let username = format!("{name}@example.com");
        sandbox.create(&username);
        created(&sandbox, &username, days);
    }
    connected(&sandbox, "a@example.com", 5);
    connected(&sandbox, "c@example.com", 1);
    sandbox.noted(&["user", "set", "c@example.com", "--expires-in", "9d"]);
    sandbox.noted(&["user", "set", "b@example.com", "--expires-in", "3d"]);
    for (order, right) in [
        ("name", "a b c"),
        ("age", "b c a"),
        ("used", "c a b"),
        ("expires", "b c a"),
        ("created", "a c b"),
    ] {
        let found = usernames(&sandbox, &["--sort", order]).join(" ");
        assert_eq!(found.replace("@example.com", ""), right, "{order}");
    }
    assert_eq!(
        usernames(&sandbox, &["--sort", "age", "--limit", "1"]),
        ["b@example.com"]
    );
    for args in [
        &["user", "list", "--sort", "age", "--after", "a@example.com"][..],
        &["user", "list", "--sort", "size"],
        &["user", "list", "--sort", "age", "--limit", "100001"],
    ] {
        assert_eq!(sandbox.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn who_is_in_an_overlap_is_active_too() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    sandbox.noted(&["user", "reset", "shop@example.com", "--overlap", "1d"]);
    for status in ["active", "overlap"] {
        let list = sandbox.json(&["user", "list", "--status", status]);
        assert_eq!(list[0]["status"], "overlap", "{status}");
    }
}
