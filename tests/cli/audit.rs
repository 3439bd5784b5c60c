//! The audit trail as a person reads it, and as a script follows it.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Stdio};

use serde_json::Value;

use crate::support::pty::{CTRL_C, Pty};
use crate::support::{Sandbox, Server, wait_for};

const EVENTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// With a domain for each of these.
fn with_events() -> Sandbox {
    let sandbox = Sandbox::empty();
    for name in EVENTS {
        add(&sandbox, name);
    }
    sandbox
}

fn add(sandbox: &Sandbox, name: &str) {
    let run = sandbox.run(&["domain", "add", &format!("{name}.example")]);
    assert_eq!(run.code, 0, "{run:?}");
}

/// The names in the order in which they appear.
fn order(text: &str) -> Vec<&'static str> {
    let mut found: Vec<_> = EVENTS
        .into_iter()
        .filter_map(|name| Some((text.find(name)?, name)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

fn on_terminal(sandbox: &Sandbox, args: &[&str]) -> Vec<&'static str> {
    let args = [&["audit", "list"], args].concat();
    let ended = Pty::run(&sandbox.command(&args)).end();
    assert_eq!(ended.code, 0);
    order(&ended.left())
}

#[test]
fn a_person_sees_the_newest_first_and_a_script_the_oldest() {
    let sandbox = with_events();
    assert_eq!(on_terminal(&sandbox, &[]), ["gamma", "beta", "alpha"]);
    for most in ["--limit", "--last"] {
        assert_eq!(on_terminal(&sandbox, &[most, "2"]), ["gamma", "beta"]);
    }
    // With the flags of a script, tried on a terminal.
    assert_eq!(on_terminal(&sandbox, &["--after", "1"]), ["beta", "gamma"]);
    assert_eq!(
        on_terminal(&sandbox, &["--json", "--limit", "2"]),
        ["alpha", "beta"]
    );

    let piped = |args: &[&str]| order(&sandbox.ok(&[&["audit", "list"], args].concat()));
    assert_eq!(piped(&[]), EVENTS);
    assert_eq!(piped(&["--limit", "2"]), ["alpha", "beta"]);
    assert_eq!(piped(&["--last", "2"]), ["beta", "gamma"]);
    assert_eq!(piped(&["--since", "2026-01-01"]), EVENTS);
    let none = sandbox.json(&["audit", "list", "--since", "2099-01-01T00:00:00Z"]);
    assert_eq!(none.as_array().map(Vec::len), Some(0));
}

/// Follows in a pipe.
fn follow(sandbox: &Sandbox, args: &[&str]) -> (Server, BufReader<ChildStdout>) {
    let args = [&["audit", "list", "--follow"], args].concat();
    let child = sandbox.command(&args).stdout(Stdio::piped()).spawn();
    let mut child = Server(child.expect("it runs"));
    let stdout = child.0.stdout.take().expect("a pipe");
    (child, BufReader::new(stdout))
}

fn next(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    line
}

#[test]
fn new_events_come_line_by_line() {
    let sandbox = with_events();
    for args in [&["--json"][..], &["--format", "csv"], &[]] {
        let (_child, mut lines) = follow(&sandbox, &[args, &["--last", "1"]].concat());
        if args != ["--json"] {
            assert!(next(&mut lines).to_lowercase().contains("action"));
        }
        next(&mut lines);
        let name = format!("new{}", args.len());
        add(&sandbox, &name);
        let line = next(&mut lines);
        assert!(line.contains(&format!("{name}.example")), "{line}");
        if args == ["--json"] {
            let event: Value = serde_json::from_str(&line).expect("a document");
            assert_eq!(event["action"], "domain.add");
        }
    }
}

/// As with tail -n 1 -f.
#[test]
fn following_begins_with_the_last_ones() {
    let sandbox = with_events();
    for number in ["--limit", "--last"] {
        let (_child, mut lines) = follow(&sandbox, &["--json", number, "1"]);
        let first = next(&mut lines);
        let last = sandbox.json(&["audit", "list", "--last", "1"]);
        let first: Value = serde_json::from_str(&first).expect("a document");
        assert_eq!(first["id"], last[0]["id"]);
        add(&sandbox, &format!("x{number}"));
        assert!(next(&mut lines).contains(&format!("x{number}.example")));
    }
    let three = ["audit", "list", "--follow", "--limit", "1", "--after", "1"];
    assert_eq!(sandbox.run(&three).code, 2);
}

#[test]
fn a_user_that_is_renamed_is_followed() {
    let sandbox = with_events();
    let (old, new) = ("shop@alpha.example", "store@beta.example");
    sandbox.create(old);
    let (_child, mut lines) = follow(&sandbox, &["--user", old, "--json", "--last", "1"]);
    assert!(next(&mut lines).contains("user.create"));
    assert_eq!(sandbox.run(&["user", "rename", old, new]).code, 0);
    assert!(next(&mut lines).contains("user.rename"));
    sandbox.noted(&["user", "suspend", new]);
    assert!(next(&mut lines).contains("user.suspend"));
    // The rename is an event of both domains.
    for domain in ["alpha.example", "beta.example"] {
        let events = sandbox.json(&["audit", "list", "--domain", domain]);
        let events = events.as_array().unwrap().iter();
        let renames = events.filter(|event| event["action"] == "user.rename");
        assert_eq!(renames.count(), 1, "{domain}");
    }
}

#[test]
fn following_ends_with_its_reader() {
    let sandbox = with_events();
    // Nothing that it follows happens any more.
    let (mut child, lines) = follow(&sandbox, &["--user", "nobody@alpha.example"]);
    drop(lines);
    let status = wait_for("its end", || child.0.try_wait().expect("ours"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_person_ends_following_with_ctrl_c() {
    let sandbox = with_events();
    let mut pty = Pty::run(&sandbox.command(&["audit", "list", "-f"]));
    assert_eq!(order(&pty.see("gamma.example")), EVENTS);
    add(&sandbox, "later");
    pty.see("later.example");
    pty.press(CTRL_C);
    let ended = pty.end();
    assert_eq!(ended.code, 130);
    assert!(!ended.left().contains("error"), "{}", ended.left());
    ended.assert_restored();
}
