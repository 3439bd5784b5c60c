//! `status`: what it says, how it ends, and that a person can watch it.

use std::fs;
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::pty::{CTRL_C, Pty};
use crate::support::{PROGRAM, Run, Sandbox, wait_for};

const SHOP: &str = "shop@example.com";
const WATCH: &[&str] = &["status", "--watch"];
const KEYS: &str = "q quits";

fn status(sandbox: &Sandbox) -> (i32, Value) {
    let run = sandbox.run(&["status", "--json"]);
    assert_eq!(run.stderr, "");
    (run.code, serde_json::from_str(&run.stdout).unwrap())
}

fn matters(status: &Value) -> Vec<&str> {
    let list = status["look_at"].as_array().unwrap();
    list.iter()
        .map(|one| one["matter"].as_str().unwrap())
        .collect()
}

/// Nothing is to be looked at, whatever is set up on this machine.
fn quiet() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.create(SHOP);
    sandbox
}

#[test]
fn its_names_are_all_there_and_stay() {
    let sandbox = quiet();
    let run = sandbox.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<&str> = status
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for name in [
        "users",
        "expiring",
        "refused_24h",
        "limits_near",
        "rotations_unfinished",
        "sessions",
        "serve",
        "last_backup",
        "look_at",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(status["users"]["total"], 1);
    assert_eq!(status["users"]["active"], 1);
    assert_eq!(status["domains"], 1);
    assert!(status["sessions"].is_null() && status["last_backup"].is_null());
    let made = sandbox.json(&["store", "backup", "one.backup"]);
    let run = sandbox.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(status["last_backup"]["at"], made["at"]);
    assert_eq!(status["last_backup"]["file"], made["file"]);
    assert!(sandbox.run(&["status"]).stdout.contains("Backup"));
}

#[test]
fn each_matter_is_found_and_comes_with_its_command() {
    let sandbox = quiet();
    let (code, before) = status(&sandbox);
    assert!(code == 0 || matters(&before) == ["serve"], "{before}");
    sandbox.noted(&["user", "set", SHOP, "--expires-in", "13d"]);
    sandbox.noted(&["user", "set", SHOP, "--daily-limit", "10"]);
    for sql in [
        "INSERT INTO failures (username, address, reason, first_at, last_at, count)
            VALUES ('shop@example.com', '192.0.2.7', 'wrong-password', 4000000000, 4000000000, 10)",
        "INSERT INTO counts (owner, span, at, messages, recipients, new_recipients)
            VALUES ('shop@example.com', 'day', 4000000000, 8, 8, 0)",
        "INSERT INTO limits_near (owner, kind) VALUES ('shop@example.com', 'messages/day')",
        "INSERT INTO rotations (username, password_id, state, began_at, with_command)
            VALUES ('shop@example.com', NULL, 'withdrawn', 1700000000, 0)",
    ] {
        sandbox.sql(sql);
    }
    let (code, found) = status(&sandbox);
    assert_eq!(code, 7);
    let expected = ["unfinished_rotation", "limit", "refused", "expiring"];
    let matters: Vec<_> = matters(&found)
        .into_iter()
        .filter(|one| *one != "serve")
        .collect();
    assert_eq!(matters, expected);
    let text = sandbox.run(&["status"]).stdout;
    for command in [
        "smtpcred user rotate --due",
        "smtpcred why shop@example.com",
        "smtpcred user list --expiring 14d",
    ] {
        assert!(text.contains(command), "{command} is not in:\n{text}");
    }
    assert!(text.lines().count() <= 24, "{text}");
    // Each command is one.
    for one in found["look_at"].as_array().unwrap() {
        let command = one["command"].as_str().unwrap();
        let help = format!("{} --help", command.replace("smtpcred", PROGRAM));
        let words: Vec<_> = help.split(' ').skip(1).collect();
        assert_eq!(sandbox.run(&words).code, 0, "{command}");
    }
}

#[test]
fn metrics_say_the_same_and_name_few_users() {
    let sandbox = quiet();
    let metrics = ["status", "--format", "openmetrics", "--auth", "none"];
    for sql in [
        "INSERT INTO users (username, domain, created_at, expires_at)
            SELECT 'u' || n || '@example.com', 'example.com', 1700000000, NULL
            FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 150)
                SELECT n FROM s) numbers",
        "INSERT INTO passwords (password_id, username, hash, created_at)
            SELECT 'abcd' || (1000 + row_number() OVER (ORDER BY username)), username, 'x',
                1700000000 + row_number() OVER (ORDER BY username) FROM users
            WHERE username <> 'shop@example.com'",
        "UPDATE users SET daily_limit = 10 WHERE username = 'shop@example.com'",
        "INSERT INTO counts (owner, span, at, messages, recipients, new_recipients)
            VALUES ('shop@example.com', 'day', 4000000000, 8, 8, 0)",
        "INSERT INTO limits_near (owner, kind) VALUES ('shop@example.com', 'messages/day')",
        "INSERT INTO usage (username, domain, day, messages, recipients, bytes, refusals)
            SELECT username, domain, 40000, 3, 3, 300, 0 FROM users",
        "INSERT INTO usage_by_domain (domain, day, messages, recipients, bytes, refusals)
            VALUES ('example.com', 40000, 453, 453, 45300, 0)",
        "INSERT INTO rotations (username, password_id, state, began_at, with_command)
            VALUES ('shop@example.com', NULL, 'withdrawn', 1700000000, 0)",
    ] {
        sandbox.sql(sql);
    }
    let run = sandbox.run(&metrics);
    // A script writes this into a file: that something needs attention is no failure.
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    for line in [
        "smtpcred_store_up 1",
        "smtpcred_users{status=\"active\"} 151",
        "smtpcred_limit_used_ratio{owner=\"shop@example.com\",limit=\"messages/day\"} 0.8",
        "smtpcred_rotation_unfinished 1",
        "smtpcred_attention{matter=\"unfinished_rotation\"} 1",
        "smtpcred_attention{matter=\"alert\"} 0",
        "smtpcred_attention{matter=\"serve\"} 1",
    ] {
        assert!(
            run.stdout.lines().any(|one| one == line),
            "{line}: {}",
            run.stdout
        );
    }
    assert!(run.stdout.ends_with("\n# EOF\n"));
    let named = |name: &str| run.stdout.matches(&format!("\n{name}{{")).count();
    assert_eq!(named("smtpcred_password_age_seconds"), 100);
    assert_eq!(named("smtpcred_messages_today"), 101);
    // The day is to come, so that no midnight comes between.
    assert!(
        run.stdout
            .contains("smtpcred_messages_today{user=\"other\"} 153\n")
    );
    let oldest = run
        .stdout
        .split("smtpcred_password_age_seconds{user=\"")
        .nth(1);
    assert!(
        oldest.unwrap().starts_with("u100@example.com\""),
        "{oldest:?}"
    );
}

#[test]
fn metrics_say_that_the_store_is_gone_and_are_only_of_status() {
    let sandbox = quiet();
    let none = sandbox.folder.path().join("none.db");
    let none = ["--store", none.to_str().unwrap()];
    let gone = sandbox.run(&[&["status", "--format", "openmetrics"][..], &none].concat());
    assert_eq!(gone.code, 75);
    assert!(gone.stdout.contains("\nsmtpcred_store_up 0\n"), "{gone:?}");
    assert!(gone.stdout.ends_with("\n# EOF\n") && gone.stderr.contains("no store"));
    for other in [
        &["user", "list"][..],
        &["domain", "add", "other.example"],
        &["status", "--watch"],
    ] {
        let run = sandbox.run(&[other, &["--format", "openmetrics"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{other:?}");
    }
    let listed = sandbox.ok(&["domain", "list", "--json"]);
    assert!(!listed.contains("other.example"), "nothing was done");
    let none_asked = sandbox.run(&["user", "list", "--help"]);
    assert!(!none_asked.stdout.contains("openmetrics"));
}

#[test]
fn an_alert_is_shown_until_someone_acknowledges_it() {
    let sandbox = quiet();
    let none = serde_json::json!({"open": 0, "latest": null});
    assert_eq!(status(&sandbox).1["alerts"], none);
    sandbox.create("crm@example.com");
    for name in ["crm@example.com", SHOP] {
        let password = sandbox.ok(&["user", "reset", name, "--quiet"]);
        let run = sandbox.run_with_stdin(&["scan", "-"], password.as_bytes());
        assert_eq!(run.code, 7, "{run:?}");
    }
    let (code, found) = status(&sandbox);
    assert_eq!(code, 7);
    assert!(matters(&found).contains(&"alert"), "{found}");
    let latest = &found["alerts"]["latest"];
    assert_eq!(
        (&found["alerts"]["open"], &latest["id"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        (&latest["kind"], &latest["username"]),
        (&"leak".into(), &SHOP.into())
    );
    let text = sandbox.run(&["status"]).stdout;
    for part in [
        "Alerts     2 open, latest: leak, shop@example.com",
        "2 alerts are open  smtpcred alert list",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let csv = sandbox.run(&["status", "--format", "csv"]).stdout;
    assert!(csv.lines().last().unwrap().ends_with(",2"), "{csv}");
    sandbox.noted(&["alert", "ack", "2"]);
    assert_eq!(status(&sandbox).1["alerts"]["latest"]["id"], 1);
    sandbox.noted(&["alert", "ack", "--all"]);
    let (_, found) = status(&sandbox);
    assert_eq!(found["alerts"], none);
    assert!(!matters(&found).contains(&"alert"), "{found}");
}

#[test]
fn a_lowered_limit_is_near_at_once() {
    let sandbox = quiet();
    sandbox.sql(
        "INSERT INTO counts (owner, span, at, messages, recipients, new_recipients)
            VALUES ('shop@example.com', 'day', 4000000000, 8, 8, 0)",
    );
    sandbox.noted(&["user", "set", SHOP, "--daily-limit", "11"]);
    assert_eq!(status(&sandbox).1["limits_near"], serde_json::json!([]));
    sandbox.noted(&["user", "set", SHOP, "--daily-limit", "8"]);
    let near = &status(&sandbox).1["limits_near"][0];
    assert_eq!(near["owner"], SHOP);
    assert_eq!((&near["used"], &near["used_up"]), (&8.into(), &true.into()));
}

#[test]
fn serve_is_asked_as_a_mail_server_asks() {
    let sandbox = quiet();
    let folder = sandbox.folder.path();
    let run = |socket: &str| -> Value {
        let run = sandbox.run(&["status", "--auth", socket, "--json"]);
        assert_eq!(run.code, 7, "{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    };
    let missing = folder.join("missing");
    let found = run(missing.to_str().unwrap());
    assert_eq!(found["serve"]["answers"], false);
    assert_eq!(matters(&found), ["serve"]);
    // It takes connections and says nothing.
    let hangs = folder.join("hangs");
    let _listener = UnixListener::bind(&hangs).unwrap();
    let began = std::time::Instant::now();
    let found = run(hangs.to_str().unwrap());
    assert_eq!(found["serve"]["answers"], false);
    // Together with the start of a process on a busy machine.
    assert!(began.elapsed().as_secs() < 30, "it waits for a moment only");
}

#[test]
fn trouble_with_the_store_is_no_status() {
    let none = Sandbox::empty();
    let run = none.run(&["status"]);
    assert_eq!((run.code, run.stdout.as_str()), (75, ""));
    let newer = quiet();
    newer.sql("PRAGMA user_version = 99");
    let run = newer.run(&["status", "--json"]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("store_too_new"), "{}", run.stderr);
    // A writer keeps no reader waiting.
    let busy = quiet();
    let lock = busy.lock();
    let run = busy.run(&["status", "--json"]);
    assert!([0, 7].contains(&run.code), "{}", run.stderr);
    drop(lock);
}

#[test]
fn p8_watching_needs_a_terminal_and_says_what_to_use() {
    let sandbox = quiet();
    let Run { code, stderr, .. } = sandbox.run(WATCH);
    assert_eq!(code, 2);
    assert!(stderr.contains("smtpcred status --json"), "{stderr}");
}

#[test]
fn it_is_drawn_again_and_ends_with_a_key() {
    for key in ["q", "\x1b", CTRL_C] {
        let sandbox = quiet();
        let mut pty = Pty::run(&sandbox.command(WATCH));
        let text = pty.see(KEYS);
        assert!(text.contains("Users      1, all active"), "{text}");
        assert!(pty.screen().screen().alternate_screen());
        sandbox.create("crm@example.com");
        pty.see("Users      2, all active");
        pty.press("\x1b[A");
        pty.press(key);
        let ended = pty.end();
        assert_eq!(ended.code, 0, "{key:?}");
        ended.assert_restored();
        let printed = String::from_utf8_lossy(&ended.printed).into_owned();
        assert!(!printed.contains("\x1b[2J"), "it would flicker");
    }
}

#[test]
fn a_small_window_shows_what_matters_and_says_that_lines_are_missing() {
    let sandbox = quiet();
    sandbox.noted(&["user", "set", SHOP, "--expires-in", "3d"]);
    let mut pty = Pty::open(4, 80);
    pty.start(&sandbox.command(WATCH));
    let text = pty.see("more lines");
    assert!(text.starts_with("Attention"), "{text}");
    assert!(text.contains("smtpcred"), "{text}");
    pty.resize(24, 80);
    pty.see("Users");
    pty.press("q");
    assert_eq!(pty.end().code, 0);
}

#[test]
fn a_signal_restores_the_terminal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let sandbox = quiet();
        let pty = Pty::run(&sandbox.command(WATCH));
        pty.see(KEYS);
        pty.signal(signal);
        let ended = pty.end();
        assert_eq!(ended.code, 130, "{signal}");
        ended.assert_restored();
    }
}

#[test]
fn trouble_is_shown_and_tried_again() {
    let sandbox = quiet();
    let mut pty = Pty::run(&sandbox.command(WATCH));
    pty.see("Users      1, all active");
    let aside = sandbox.folder.path().join("aside");
    fs::rename(sandbox.store().parent().unwrap(), &aside).unwrap();
    let text = pty.see("Trouble");
    assert!(
        text.contains("Users      1, all active"),
        "what was last seen: {text}"
    );
    fs::rename(&aside, sandbox.store().parent().unwrap()).unwrap();
    wait_for("the end of the trouble", || {
        let text = pty.screen().screen().contents();
        (!text.contains("Trouble")).then_some(())
    });
    pty.press("q");
    assert_eq!(pty.end().code, 0);
}

#[test]
fn a_window_that_has_no_room_shows_the_first_lines() {
    let sandbox = quiet();
    let mut pty = Pty::open(3, 20);
    pty.start(&sandbox.command(WATCH));
    let text = pty.see(KEYS);
    assert!(text.starts_with("Attention"), "{text}");
    pty.press("q");
    pty.end().assert_restored();
}

#[test]
fn without_a_command_a_person_sees_the_status() {
    let none: &[&str] = &[];
    let sandbox = quiet();
    let pty = Pty::run(&sandbox.command(none));
    let text = pty.see("smtpcred --help lists all commands");
    assert!(text.contains("Users      1, all active"), "{text}");
    assert!([0, 7].contains(&pty.end().code));
    // Without a store it is the help.
    let pty = Pty::run(&Sandbox::empty().command(none));
    pty.see("Examples, files and exit codes");
    assert_eq!(pty.end().code, 2);
}

#[test]
fn p8_without_a_command_a_script_gets_the_short_help() {
    let none: &[&str] = &[];
    let run = quiet().run(none);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    let short = quiet().run(&["-h"]);
    assert_eq!(run.stderr, short.stdout);
    for args in [none, &["-h"], &["--help"], &["help"]] {
        let run = quiet().run(args);
        let text = run.stdout + &run.stderr;
        let groups = ["Everyday:", "Inspect:", "Server:", "Files:"];
        let places = groups.map(|group| text.find(group).expect(group));
        assert!(places.is_sorted(), "{text}");
        for hidden in ["generate", "write-as-owner", "password-strength"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    let run = quiet().run(&["--yes"]);
    assert_eq!(run.code, 2);
    assert!(!run.stderr.contains("generate"), "{}", run.stderr);
}
