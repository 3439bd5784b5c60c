//! What a rotation looks at before it changes anything, and how many users it looks at.

use std::fmt::Write as _;
use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Run, Sandbox};

const USER: &str = "shop@example.com";

fn rotate(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.run(&[&["user", "rotate", USER], more].concat())
}

fn actions(sandbox: &Sandbox) -> Vec<String> {
    let events = sandbox.json(&["audit", "list"]);
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| event["action"].as_str().unwrap().to_owned())
        .collect()
}

/// A dry run reports all obstacles; a run detects them before it creates a password.
#[test]
fn p6_what_is_in_the_way_is_seen_before_anything_changes() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(USER);
    let path = |name: &str| {
        let path = sandbox.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    };
    fs::write(path("plain"), "no program").unwrap();
    fs::write(path("env"), "SMTP_PASSWORD='open\n").unwrap();
    fs::create_dir(path("folder")).unwrap();
    let (missing, plain) = (path("missing/pw"), path("plain"));
    let (env, folder) = (path("env"), path("folder"));
    for (to, why) in [
        (&["--write-file", &missing][..], "No such file or directory"),
        (&["--write-file", &folder], "not a regular file"),
        (&["--write-env", &env], "env: "),
        (&["--deliver", "no-such-program"], "could not be started"),
        (&["--deliver", &plain], "Permission denied"),
        (
            &["--write-file", &path("pw"), "--prove"],
            "no server name is set, and --prove needs one",
        ),
    ] {
        let before = actions(&sandbox);
        let dry = rotate(&sandbox, &[to, &["--dry-run", "--json"]].concat());
        let planned: Value = serde_json::from_str(&dry.stdout).unwrap();
        let problem = planned[0]["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(why), "{to:?}: {dry:?}");
        assert_eq!(actions(&sandbox), before, "a dry run");

        let run = rotate(&sandbox, to);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
        assert_eq!(sandbox.verify(USER, &old), 0);
        let user = sandbox.json(&["user", "show", USER]);
        assert_eq!(
            user["passwords"].as_array().map(Vec::len),
            Some(1),
            "{user}"
        );
        // A user that was named is not due for it.
        assert_eq!(actions(&sandbox), before);
        assert_eq!(sandbox.run(&["report", "--unfinished"]).code, 0);
        let due = sandbox.json(&["user", "rotate", "--due", "--dry-run"]);
        assert_eq!(due, Value::Array(Vec::new()));
    }
    // Of one that is due it is still known tomorrow.
    age_passwords(&sandbox);
    let run = sandbox.run(&[&DUE[..], &["--write-file", &missing]].concat());
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(sandbox.run(&["report", "--unfinished"]).code, 7);
    let after = actions(&sandbox);
    assert!(after.contains(&"rotation.withdraw".to_owned()), "{after:?}");
    assert!(!after.contains(&"rotation.begin".to_owned()), "{after:?}");
    let run = rotate(&sandbox, &["--write-file", &path("pw")]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(sandbox.run(&["report", "--unfinished"]).code, 0);
}

/// More than one round of users, whose passwords are two days old.
fn many(users: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    let hash = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
    let mut rows = String::from("username,hash\n");
    for i in 0..users {
        writeln!(rows, "app{i:06}@example.com,{hash}").unwrap();
    }
    let import = ["user", "import", "-", "--from", "csv"];
    let run = sandbox.run_with_stdin(&import, rows.as_bytes());
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(age_passwords(&sandbox), users);
    sandbox
}

/// All passwords are two days old. Returns how many there are.
fn age_passwords(sandbox: &Sandbox) -> usize {
    let store = Connection::open(sandbox.store()).unwrap();
    let sql = "UPDATE passwords SET created_at = unixepoch() - 172800";
    store.execute(sql, []).unwrap()
}

const DUE: [&str; 5] = ["user", "rotate", "--due", "--older-than", "1d"];
/// More than one round.
const MANY: usize = 7_000;

#[test]
fn each_user_is_planned_once_in_however_many_rounds() {
    let sandbox = many(MANY);
    let [first, last] = ["app000000@example.com", "app006999@example.com"];
    let shared = sandbox.folder.path().join("shared");
    let shared = shared.to_str().unwrap();
    for name in [first, last] {
        sandbox.noted(&["user", "set", name, "--write-file", shared]);
    }
    sandbox.noted(&["set-settings", "--deliver", "cat"]);
    let store = Connection::open(sandbox.store()).unwrap();
    let sql = "INSERT INTO rotations (username, state, began_at, with_command)
        VALUES ('app004000@example.com', 'withdrawn', unixepoch() - 60, 1)";
    store.execute(sql, []).unwrap();
    drop(store);
    let planned = sandbox.json(&[&DUE[..], &["--dry-run"]].concat());
    let planned = planned.as_array().unwrap();
    let name = |one: &Value| one["username"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = planned.iter().map(name).collect();
    assert_eq!(
        names[0], "app004000@example.com",
        "the unfinished one first"
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), planned.len()), (MANY, MANY));
    // They would be written in different rounds, and still share one file.
    let problems: Vec<_> = planned
        .iter()
        .filter(|one| !one["problem"].is_null())
        .map(|one| (name(one), one["problem"].as_str().unwrap().to_owned()))
        .collect();
    let [(username, why)] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(username, last);
    assert!(
        why.contains("the password of another user of this run in") && why.contains(shared),
        "{why}"
    );
    // One file for all is refused before the first of them.
    let run = sandbox.run(&[&DUE[..], &["--write-file", shared]].concat());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("add {username} to its name"), "{run:?}");
}

#[test]
#[ignore = "rotates some thousand passwords: run tests/run"]
fn all_rounds_are_rotated() {
    let sandbox = many(MANY);
    sandbox.noted(&["set-settings", "--argon2", "m=7168,t=5,p=1"]);
    let deliver = [
        &DUE[..],
        &["--deliver", "grep -q .", "--jobs", "8", "--quiet"],
    ]
    .concat();
    let run = sandbox.run(&deliver);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let left = sandbox.json(&[&DUE[..], &["--dry-run"]].concat());
    assert_eq!(left, Value::Array(Vec::new()));
}
