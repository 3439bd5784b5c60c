//! Who is rotated, and by whom; and how an overlap is ended.

use std::os::unix::fs::{MetadataExt as _, chown};

use rusqlite::Connection;

mod support;
use support::{Run, Sandbox, wait_for};

#[path = "support/rotation.rs"]
mod rotation;
use rotation::{After, Place, USER, WELL};

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
    sandbox.ok(&["domain", "add", "other.org"]);
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
    sandbox.ok(&["user", "suspend", "a@example.com"]);
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
    refused(&[USER, "--key", &only], 4, "last_password");
    refused(&[USER, "--key", "nosuchky"], 3, "key_not_found");
    refused(&["nobody@example.com"], 3, "user_not_found");

    assert_eq!(place.rotate(WELL, &[]).code, 0);
    assert_eq!(retire(&[USER]).code, 0);
    assert!(place.works(&place.got()) && !place.works(&place.old));
    refused(&[USER], 4, "last_password");
    refused(&[USER, "--key", &only], 3, "key_not_found");

    // Of an unfinished one somebody has to know.
    assert_eq!(place.rotate("cat > lost; exit 1", &[]).code, 1);
    refused(&[USER], 2, "usage");
    let newest = place.keys().remove(1);
    assert_eq!(retire(&[USER, "--key", &newest]).code, 0);
    assert!(place.works(&place.got()));
    assert_eq!(place.sandbox.run(&["report", "--unfinished"]).code, 0);
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
