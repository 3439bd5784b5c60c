//! Who is rotated, and by whom; and how an overlap is ended.
//! Long, because each reason to rotate is one test.

use std::os::unix::fs::{MetadataExt as _, chown};

use rusqlite::Connection;
use serde_json::Value;

use crate::support::rotation::{After, Place, USER, WELL};
use crate::support::{Run, Sandbox, wait_for};

const DUE: &[&str] = &["user", "rotate", "--due"];

/// A store with users of these passwords' ages, in days, and an installation that
/// says where to.
fn aged(users: &[(&str, i64)]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&["set-settings", "--write-file", "{username}", "-q"]);
    for (name, days) in users {
        sandbox.create(name);
        let store = Connection::open(sandbox.store()).unwrap();
        let sql = "UPDATE passwords SET created_at = created_at - ?1 * 86400 WHERE username = ?2";
        assert_eq!(store.execute(sql, (days, name)).unwrap(), 1);
    }
    sandbox
}

fn due(sandbox: &Sandbox, more: &[&str]) -> Vec<String> {
    let planned = sandbox.json(&[DUE, &["--dry-run"], more].concat());
    let planned = planned.as_array().unwrap().iter();
    planned
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}

/// All that the store has.
fn dump(sandbox: &Sandbox) -> Vec<String> {
    let store = Connection::open(sandbox.store()).unwrap();
    let mut all = Vec::new();
    for table in [
        "users",
        "passwords",
        "rotations",
        "rotation_rules",
        "events",
        "settings",
    ] {
        let mut rows = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|i| format!("{:?}", row.get_ref(i).unwrap()));
            all.push(format!("{table} {}", values.collect::<Vec<_>>().join(" ")));
        }
    }
    all
}

#[test]
fn the_nearest_rule_says_who_is_due_and_nothing_changes() {
    let sandbox = aged(&[
        ("a@example.com", 15),
        ("b@example.com", 15),
        ("c@example.com", 31),
        ("d@example.com", 15),
    ]);
    sandbox.noted(&["domain", "add", "other.org"]);
    for (name, rule) in [("a@example.com", "10d"), ("d@example.com", "15d")] {
        sandbox.ok(&["user", "set", name, "--rotate-every", rule, "-q"]);
    }
    let before = dump(&sandbox);
    assert_eq!(due(&sandbox, &[]), ["a@example.com", "d@example.com"]);
    assert_eq!(dump(&sandbox), before, "a dry run changes nothing");
    sandbox.ok(&[
        "domain",
        "set",
        "example.com",
        "--rotate-every",
        "30d",
        "-q",
    ]);
    assert_eq!(
        due(&sandbox, &[]),
        ["a@example.com", "c@example.com", "d@example.com"]
    );
    sandbox.ok(&["set-settings", "--rotate-every", "1d", "-q"]);
    assert_eq!(
        due(&sandbox, &[]),
        ["a@example.com", "c@example.com", "d@example.com"]
    );
    sandbox.ok(&[
        "domain",
        "set",
        "example.com",
        "--rotate-every",
        "none",
        "-q",
    ]);
    assert_eq!(due(&sandbox, &[]).len(), 4);
    // Whatever is set.
    assert_eq!(due(&sandbox, &["--older-than", "20d"]), ["c@example.com"]);
    assert_eq!(
        due(&sandbox, &["--older-than", "1d", "--limit", "2"]).len(),
        2
    );
    assert_eq!(
        sandbox
            .run(&["user", "rotate", USER, "--older-than", "1d"])
            .code,
        2
    );

    let run = sandbox.run(&[DUE, &["--older-than", "20d", "--quiet", "--trust-store"]].concat());
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", "")
    );
    assert!(
        due(&sandbox, &["--older-than", "20d"]).is_empty(),
        "it is done"
    );
    assert!(sandbox.folder.path().join("c@example.com").exists());
}

#[test]
fn the_nearest_delivery_is_taken_as_a_whole() {
    let sandbox = aged(&[("a@example.com", 9), ("b@example.com", 9)]);
    sandbox.ok(&[
        "domain",
        "set",
        "example.com",
        "--deliver",
        "cat of-the-domain",
        "-q",
    ]);
    sandbox.ok(&["user", "set", "a@example.com", "--write-env", "/a", "-q"]);
    let planned = sandbox.json(&[DUE, &["--dry-run", "--older-than", "1d"]].concat());
    assert_eq!(planned[0]["delivery"], "SMTP_PASSWORD in /a");
    assert_eq!(planned[1]["delivery"], "command cat of-the-domain");
    let of_the_run = ["--dry-run", "--older-than", "1d", "--deliver", "true"];
    let planned = sandbox.json(&[DUE, &of_the_run].concat());
    assert_eq!(planned[0]["delivery"], "command true");
}

#[test]
fn who_expires_soon_is_rotated_once() {
    let sandbox = aged(&[("a@example.com", 30), ("b@example.com", 30)]);
    sandbox.ok(&["user", "set", "a@example.com", "--expires-in", "5d", "-q"]);
    sandbox.ok(&["user", "set", "b@example.com", "--expires-in", "20d", "-q"]);
    assert!(due(&sandbox, &["--ahead", "4d"]).is_empty());
    assert_eq!(due(&sandbox, &[]), ["a@example.com"]);
    assert_eq!(due(&sandbox, &["--ahead", "21d"]).len(), 2);
    let run = sandbox.run(&[DUE, &["--trust-store"]].concat());
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "rotated 1, failed 0\n")
    );
    assert!(due(&sandbox, &[]).is_empty(), "not every night");
    let run = sandbox.run(&[DUE, &["--trust-store"]].concat());
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "rotated 0, failed 0\n")
    );
}

#[test]
fn who_cannot_sign_in_is_left_alone() {
    let sandbox = aged(&[("a@example.com", 30), ("b@example.com", 30)]);
    sandbox.noted(&["user", "suspend", "a@example.com"]);
    let store = Connection::open(sandbox.store()).unwrap();
    let sql = "UPDATE users SET expires_at = unixepoch() - 9 WHERE username = 'b@example.com'";
    assert_eq!(store.execute(sql, []).unwrap(), 1);
    assert!(due(&sandbox, &["--older-than", "1d"]).is_empty());
    for (name, reason) in [("a@example.com", "suspended"), ("b@example.com", "expired")] {
        let run = sandbox.run(&["user", "rotate", name, "--deliver", "touch delivered"]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (1, "rotated 0, failed 1\n")
        );
        assert!(run.stderr.contains(reason), "{run:?}");
    }
    assert!(!sandbox.folder.path().join("delivered").exists());
    // The run wrote down that it has expired, once.
    let events = sandbox.json(&["audit", "list", "--user", "b@example.com"]);
    let events = events.as_array().unwrap().iter();
    assert_eq!(events.filter(|e| e["action"] == "user.expired").count(), 1);
}

#[test]
fn p8_quiet_says_one_line_where_all_is_not_well() {
    let sandbox = aged(&[("a@example.com", 30), ("b@example.com", 30)]);
    std::fs::create_dir(sandbox.folder.path().join("b@example.com")).unwrap();
    let args = ["--quiet", "--older-than", "1d", "--trust-store"];
    let run = sandbox.run(&[DUE, &args].concat());
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (1, "rotated 1, failed 1\n")
    );
    assert!(
        run.stderr.contains("b@example.com was not rotated"),
        "{run:?}"
    );
    // Unfinished ones are due again; what failed stays what it is.
    assert_eq!(due(&sandbox, &[]), ["b@example.com"]);
    std::fs::remove_dir(sandbox.folder.path().join("b@example.com")).unwrap();
    let run = sandbox.run(&[DUE, &["--quiet", "--trust-store"]].concat());
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn p6_at_most_two_passwords_live() {
    let place = Place::new();
    place.is(After::Rotated, &place.rotate(WELL, &[]));
    let first = place.got();
    let run = place.rotate(WELL, &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("--force"), "{run:?}");
    assert!(place.works(&first) && place.works(&place.old));
    assert_eq!(place.rotate(WELL, &["--force"]).code, 0);
    assert!(place.works(&first) && place.works(&place.got()) && !place.works(&place.old));
}

#[test]
fn retire_stops_what_something_replaces() {
    let place = Place::new();
    let retire = |args: &[&str]| -> Run {
        place
            .sandbox
            .run(&[&["user", "retire"], args, &["--json"]].concat())
    };
    let refused = |args: &[&str], code, name: &str| {
        let before = dump(&place.sandbox);
        let run = retire(args);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{run:?}");
        assert!(run.stderr.contains(&format!("\"{name}\"")), "{run:?}");
        assert_eq!(dump(&place.sandbox), before);
    };
    let only = place.keys().remove(0);
    refused(&[USER], 4, "last_password");
    refused(&[USER, "--password-id", &only], 4, "last_password");
    refused(
        &[USER, "--password-id", "nosuchky"],
        3,
        "password_id_not_found",
    );
    refused(&["nobody@example.com"], 3, "user_not_found");

    assert_eq!(place.rotate(WELL, &[]).code, 0);
    assert_eq!(retire(&[USER]).code, 0);
    assert!(place.works(&place.got()) && !place.works(&place.old));
    refused(&[USER], 4, "last_password");
    refused(&[USER, "--password-id", &only], 3, "password_id_not_found");

    // Of an unfinished one somebody has to know.
    assert_eq!(place.rotate("cat > lost; exit 1", &[]).code, 1);
    refused(&[USER], 2, "usage");
    let newest = place.keys().remove(1);
    assert_eq!(retire(&[USER, "--password-id", &newest]).code, 0);
    assert!(place.works(&place.got()));
    assert_eq!(place.sandbox.run(&["report", "--unfinished"]).code, 0);

    // The new one of an overlap, which an application could not take.
    let old = place.got();
    assert_eq!(place.rotate("cat > other", &[]).code, 0);
    let [retiring, newest] = place.keys().try_into().unwrap();
    let run = place
        .sandbox
        .run(&["user", "retire", USER, "--password-id", &newest]);
    assert_eq!(run.code, 0, "{run:?}");
    let said = format!("{retiring} still works and does not retire");
    assert!(run.stderr.contains(&said), "{run:?}");
    assert!(place.works(&old));
    let user = place.sandbox.json(&["user", "show", USER]);
    assert_eq!(user["status"], "active");
    assert_eq!(user["passwords"][0]["retires_at"], Value::Null);
    assert_eq!(place.sandbox.run(&["why", USER]).code, 0);
    refused(&[USER], 4, "last_password");
}

#[test]
fn the_password_is_the_one_that_works_whatever_came_after_it() {
    let day = 86_400;
    let sandbox = aged(&[(USER, 200)]);
    let key = |user: &Value| user["passwords"][0]["id"].as_str().unwrap().to_owned();
    let before = sandbox.json(&["user", "show", USER]);
    let age = |user: &Value| user["password_age_seconds"].as_i64().unwrap();
    assert!(age(&before) >= 200 * day);

    let run = sandbox.run(&["user", "rotate", USER, "--deliver", "false"]);
    assert_eq!(run.code, 1, "{run:?}");
    let after = sandbox.json(&["user", "show", USER]);
    assert_eq!(after["password_created_at"], before["password_created_at"]);
    assert!(age(&after) >= 200 * day);
    let report = sandbox.run(&["report", "--old-passwords", "180d", "--json"]);
    assert_eq!(report.code, 7, "{report:?}");
    assert!(
        report
            .stdout
            .contains(&format!("password ID {}", key(&before)))
    );
    let doctor = sandbox.run(&["doctor", "--json"]).stdout;
    let doctor: Value = serde_json::from_str(&doctor).unwrap();
    let old = doctor.as_array().unwrap().iter();
    let mut old = old.filter(|finding| finding["check"] == "old passwords");
    assert_eq!(old.next().unwrap()["state"], "warn");

    // One made by a clock that was two days ahead, and replaced since.
    let shift = format!(
        "UPDATE passwords SET created_at = unixepoch() + {}",
        2 * day
    );
    let store = Connection::open(sandbox.store()).unwrap();
    store.execute_batch(&shift).unwrap();
    let run = sandbox.run(&["user", "reset", USER]);
    let password = run.stdout.trim_end();
    assert_eq!(sandbox.verify(USER, password), 0);
    let user = sandbox.json(&["user", "show", USER]);
    assert!(
        run.stderr
            .contains(&format!("(password ID {})", key(&user))),
        "{run:?}"
    );
    assert!(age(&user) < day);

    // And one that still works, for a while.
    store.execute_batch(&shift).unwrap();
    let run = sandbox.run(&["user", "reset", USER, "--overlap", "24h"]);
    let sql = "SELECT password_id FROM passwords WHERE hash IS NOT NULL AND retires_at IS NULL";
    let new: String = store.query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(
        run.stderr.contains(&format!("(password ID {new})")),
        "{run:?}"
    );
    let user = sandbox.json(&["user", "show", USER]);
    assert!(age(&user) < day && user["password_created_at"] != Value::Null);
}

#[test]
fn what_sign_in_cannot_use_why_and_doctor_name() {
    for (change, said) in [
        ("retires_at = unixepoch() + 60", "are inconsistent"),
        ("hash = '$2y$10$nothing'", "is damaged"),
    ] {
        let place = Place::new();
        let doctor = || {
            let said = place.sandbox.run(&["doctor", "--json"]).stdout;
            let all: Vec<Value> = serde_json::from_str(&said).unwrap();
            let mut all = all.into_iter();
            all.find(|finding| finding["check"] == "integrity").unwrap()
        };
        assert_eq!(doctor()["state"], "ok");
        let sql = format!("UPDATE passwords SET {change}");
        place.sql().execute_batch(&sql).unwrap();
        assert_eq!(place.sandbox.verify(USER, &place.old), 75);
        let why = place.sandbox.run(&["why", USER, "--json"]);
        assert_eq!(why.code, 7, "{why:?}");
        let why: Value = serde_json::from_str(&why.stdout).unwrap();
        assert_eq!(why["can_sign_in"], false);
        assert!(why["reasons"][0].as_str().unwrap().contains(said), "{why}");
        let integrity = doctor();
        assert_eq!(integrity["state"], "fail");
        let found = integrity["found"].as_str().unwrap();
        assert!(found.contains(USER) && found.contains(said), "{found}");
    }
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p8_root_runs_nothing_that_another_user_could_have_written() {
    let place = Place::new();
    let deliver = place.script(WELL);
    place
        .sandbox
        .ok(&["user", "set", USER, "--deliver", &deliver, "-q"]);
    let data = place.sandbox.store();
    let data = data.parent().unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        chown(entry.unwrap().path(), Some(65_534), Some(65_534)).unwrap();
    }
    chown(data, Some(65_534), Some(65_534)).unwrap();
    for args in [
        &["user", "rotate", USER][..],
        &["user", "rotate", "--due", "--older-than", "1s"],
    ] {
        wait_for("the password to be a second old", || {
            let aged = "passwords WHERE created_at < unixepoch() - 1";
            (place.count(aged) > 0).then_some(())
        });
        let run = place.sandbox.run(&[args, &["--json"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{run:?}");
        assert!(run.stderr.contains("\"untrusted_delivery\""), "{run:?}");
    }
    assert!(!place.path("got").exists());
    assert_eq!(place.rotate("cat > got; exit 75", &[]).code, 1);
    assert!(place.path("got").exists(), "what root says itself");
    place.is(After::Rotated, &place.rotate_to(&["--trust-store"]));
    assert!(place.works(&place.got()));
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        let owner = entry.metadata().unwrap().uid();
        assert_eq!(
            owner, 65_534,
            "{entry:?}: its owner could not rotate any more"
        );
    }
}
