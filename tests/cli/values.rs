//! What a value means: the same in flags, files and plans, or an error that says what
//! is wrong with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Run, Sandbox};

const USER: &str = "shop@example.com";
const PAST: &str = "2020-12-31";

/// All users, as the list has them, but for their ages.
fn users(sandbox: &Sandbox) -> Value {
    let mut users = sandbox.json(&["user", "list"]);
    for user in users.as_array_mut().unwrap() {
        user["password_age_seconds"].take();
    }
    users
}

/// A file with this in it, which only its owner reads.
fn file(sandbox: &Sandbox, name: &str, text: &str) {
    let path = sandbox.folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Nothing but `usage` comes of it.
fn refused(sandbox: &Sandbox, args: &[&str], why: &str) -> Run {
    let before = (users(sandbox), sandbox.json(&["audit", "list"]));
    let run = sandbox.run(args);
    assert_eq!(run.code, 2, "{args:?}: {run:?}");
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(why), "{args:?}: {run:?}");
    let after = (users(sandbox), sandbox.json(&["audit", "list"]));
    assert_eq!(after, before, "{args:?}");
    run
}

#[test]
fn an_expiry_lies_in_the_future() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let path = sandbox.folder.path().join("passwords");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    file(
        &sandbox,
        "past.csv",
        "username,expires_at\na@example.com,2020-12-31\n",
    );
    file(&sandbox, "good.csv", "username\na@example.com\n");
    let plan = |name: &str, user: &str, at: &str| {
        let text = format!("[users.\"{user}\"]\nexpires_at = {at}\n");
        file(&sandbox, name, &text);
    };
    plan("new.toml", "a@example.com", PAST);
    plan("old.toml", USER, PAST);
    let bulk = ["user", "create", "--output-dir", "passwords", "--from"];
    for args in [
        &["user", "create", "a@example.com", "--expires-at", PAST][..],
        &["user", "set", USER, "--expires-at", PAST],
        &[&bulk[..], &["good.csv", "--expires-at", PAST]].concat(),
        &[&bulk[..], &["past.csv"]].concat(),
        &["apply", "new.toml", "--write-file", "{username}"],
        &["apply", "old.toml"],
    ] {
        let run = refused(&sandbox, args, "is in the past");
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("user suspend"), "{args:?}: {said}");
    }
    // One that expired as it was planned: the plan holds.
    sandbox.sql("UPDATE users SET expires_at = 1609372800");
    assert_eq!(sandbox.run(&["apply", "old.toml"]).code, 0);
    assert_eq!(users(&sandbox)[0]["status"], "expired");

    // One that had expired where it comes from stays so, and that is said.
    let hash = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
    file(
        &sandbox,
        "theirs.csv",
        &format!("username,hash,expires_at\nb@example.com,{hash},{PAST}\n"),
    );
    let run = sandbox.run(&["user", "import", "theirs.csv", "--from", "csv"]);
    assert_eq!(run.code, 0, "{run:?}");
    let said = "imported 1 user whose expiry has passed and who cannot sign in";
    assert!(run.stderr.contains(said), "{run:?}");
    let status = || sandbox.json(&["user", "show", "b@example.com"])["status"].clone();
    assert_eq!(status(), "expired");
    // An export contains it, and brings it back, with the same warning.
    sandbox.noted(&["user", "export", "--output", "ours.csv"]);
    let extend = ["user", "set", "b@example.com", "--expires-in", "1d"];
    sandbox.noted(&extend);
    assert_eq!(status(), "active");
    let update = ["user", "import", "ours.csv", "--from", "csv", "--update"];
    let run = sandbox.run(&update);
    assert_eq!((run.code, status()), (0, "expired".into()), "{run:?}");
    assert!(run.stderr.contains(said), "{run:?}");
}

/// A sign or a zero before it, where any command takes a number.
#[test]
fn numbers_are_digits_alone() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("a@example.com");
    for (args, flag) in [
        (&["user", "list"][..], "--limit"),
        (&["domain", "list"], "--limit"),
        (&["audit", "list"], "--limit"),
        (&["audit", "failures"], "--limit"),
        (&["report"], "--limit"),
        (&["usage"], "--top"),
        (&["user", "rotate", "--due"], "--limit"),
        (&["user", "rotate", "--due"], "--jobs"),
        (&["apply", "plan.toml"], "--jobs"),
        (&["serve", "--auth", "a"], "--workers"),
        (
            &["show-settings", "a@example.com", "--for", "swaks"],
            "--port",
        ),
        (
            &["test", "a@example.com", "--to", "b@example.com"],
            "--port",
        ),
    ] {
        for number in ["+5", "05", "-5", "0", " 5", "5.0", "0x5", "99999999999"] {
            let value = format!("{flag}={number}");
            let run = sandbox.run(&[args, &[&value]].concat());
            assert_eq!(run.code, 2, "{args:?} {value}: {}", run.stderr);
            assert!(
                run.stderr.contains("it is not a number from 1 to"),
                "{}",
                run.stderr
            );
        }
    }
    for (args, flag) in [
        (&["serve", "--auth", "a"][..], "--listen"),
        (&["domain", "check", "example.com"], "--resolver"),
    ] {
        for port in ["010040", "+10040", "0", "", " 25", "99999"] {
            for host in ["127.0.0.1", "[::1]"] {
                let value = format!("{flag}={host}:{port}");
                let run = sandbox.run(&[args, &[&value]].concat());
                assert_eq!(run.code, 2, "{args:?} {value}: {}", run.stderr);
                assert!(run.stderr.contains("is not a valid"), "{}", run.stderr);
            }
        }
    }
    for server in ["a.example:0587", "a.example:+587", "a.example:0"] {
        let run = sandbox.run(&["show-settings", "a@example.com", "--server", server]);
        assert_eq!(run.code, 2, "{server}: {}", run.stderr);
    }
    for port in ["0587", "+587", "04650/tls"] {
        let run = sandbox.run(&["doctor", "--port", port]);
        assert_eq!(run.code, 2, "{port}: {}", run.stderr);
    }
    for size in ["+32M", "032M"] {
        let run = sandbox.run(&["serve", "--auth", "a", "--remember", size]);
        assert_eq!(run.code, 2, "{size}: {}", run.stderr);
    }
    sandbox.ok(&["user", "list", "--limit", "5"]);
    assert_eq!(sandbox.verify("a@example.com", &password), 0);
}

#[test]
fn the_last_day_of_9999_is_a_day() {
    let sandbox = Sandbox::new();
    for (name, at, stored) in [
        ("a@example.com", "9999-12-31", "9999-12-31T00:00:00Z"),
        (
            "b@example.com",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
        ),
    ] {
        sandbox.ok(&["user", "create", name, "--expires-at", at, "-q"]);
        assert_eq!(sandbox.json(&["user", "show", name])["expires_at"], stored);
    }
    sandbox.ok(&["user", "export", "--with-hashes", "--output", "e.csv", "-q"]);
    let before = users(&sandbox);
    let back = ["user", "import", "e.csv", "--from", "csv", "--update", "-q"];
    sandbox.ok(&back);
    assert_eq!(users(&sandbox), before);
    refused(
        &sandbox,
        &[
            "user",
            "set",
            "a@example.com",
            "--expires-at",
            "10000-01-01",
        ],
        "is not a valid time",
    );
}

#[test]
fn none_is_no_label_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["user", "create", "a@example.com", "--label", "none", "-q"]);
    let hash = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
    file(
        &sandbox,
        "import.csv",
        &format!("username,label,hash\nb@example.com,none,{hash}\n"),
    );
    sandbox.noted(&["user", "import", "import.csv", "--from", "csv"]);
    file(&sandbox, "bulk.csv", "username,label\nc@example.com,none\n");
    let bulk = [
        "user", "create", "--from", "bulk.csv", "--reveal", "json", "-q",
    ];
    sandbox.ok(&bulk);
    file(
        &sandbox,
        "plan.toml",
        "[users.\"d@example.com\"]\nlabel = \"none\"\n",
    );
    let run = sandbox.run(&["apply", "plan.toml", "--write-file", "{username}", "-q"]);
    assert_eq!(run.code, 0, "{run:?}");
    let all = users(&sandbox);
    assert_eq!(all.as_array().unwrap().len(), 4);
    for user in all.as_array().unwrap() {
        assert_eq!(user["label"], Value::Null, "{user}");
    }
}

#[test]
fn a_domain_beside_a_whole_name_is_its_domain() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["domain", "add", "other.example", "-q"]);
    let hash = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
    let rows = |domain: &str| {
        format!("username,domain,hash\na@example.com,{domain},{hash}\nb,other.example,{hash}\n")
    };
    file(&sandbox, "bad.csv", &rows("other.example"));
    file(&sandbox, "good.csv", &rows("EXAMPLE.com"));
    file(
        &sandbox,
        "bulk.csv",
        "username,domain\nc@example.com,other.example\n",
    );
    let why = "is not the domain of its username";
    refused(
        &sandbox,
        &["user", "import", "bad.csv", "--from", "csv"],
        why,
    );
    let bulk = ["user", "create", "--from", "bulk.csv", "--reveal", "json"];
    refused(&sandbox, &bulk, why);
    sandbox.noted(&["user", "import", "good.csv", "--from", "csv"]);
    let all = users(&sandbox);
    let names = all.as_array().unwrap().iter().map(|u| &u["username"]);
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["a@example.com", "b@other.example"]);
}

#[test]
fn of_a_password_with_lines_below_the_first_one_is_asked_for() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let entry = format!("{password}\nuser: shop\nurl: https://example.com\n");
    file(&sandbox, "entry", &entry);
    let before = sandbox.json(&["audit", "list"]);
    for args in [
        &["user", "create", "a@example.com", "--password-stdin"][..],
        &[
            "user",
            "create",
            "a@example.com",
            "--password-file",
            "entry",
        ],
        &["user", "reset", USER, "--password-stdin"],
        &["user", "reset", USER, "--password-file", "entry"],
        &["verify", USER],
        &[
            "test",
            USER,
            "--to",
            "me@example.org",
            "--server",
            "localhost:9/tls",
        ],
    ] {
        let run = sandbox.run_with_stdin(args, entry.as_bytes());
        // One that is to be made is refused, as every other that is no good.
        let code = if args[0] == "user" { 4 } else { 2 };
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        let said = run.stderr.contains("3 lines; pass only the first");
        assert!(said && !run.stderr.contains(&password), "{args:?}: {run:?}");
    }
    assert_eq!(sandbox.json(&["audit", "list"]), before);
    assert_eq!(sandbox.verify(USER, &format!("{password}\r\n")), 0);
}

#[test]
fn of_a_password_in_another_encoding_the_encoding_is_named() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("a@example.com");
    let wide: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [wide, format!("\u{feff}{password}\n").into_bytes()] {
        let run = sandbox.run_with_stdin(&["verify", "a@example.com"], &bytes);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("UTF-16"), "{run:?}");
    }
}

#[test]
fn half_a_byte_is_no_hexadecimal() {
    let sandbox = Sandbox::new();
    let dump = |value: &str| {
        format!(
            "VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n \
             73686f70006578616d706c652e636f6d007573657250617373776f7264\n {value}\nDATA=END\n"
        )
    };
    for bad in ["6f6c642070617373203", "6f6c6420706173+f"] {
        file(&sandbox, "sasldb", &dump(bad));
        let args = ["user", "import", "sasldb", "--from", "sasldb"];
        refused(&sandbox, &args, "is not as db_dump prints it");
    }
    file(&sandbox, "sasldb", &dump("6f6C642070617373"));
    let run = sandbox.run(&["user", "import", "sasldb", "--from", "sasldb"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(sandbox.verify(USER, "old pass"), 0);
}
