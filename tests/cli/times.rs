//! Times are local on a terminal, and RFC 3339 in UTC everywhere else.

use std::fs;

use regex::Regex;

use crate::support::Sandbox;
use crate::support::pty::Pty;

/// An hour before UTC, without files of zones.
const ZONE: &str = "XYZ-1";
const UTC: &str = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ";

/// What is on the terminal at the end, in lines of 120 columns.
fn seen(sandbox: &Sandbox, zone: Option<&str>, args: &[&str]) -> String {
    let mut command = sandbox.command(args);
    command.envs(zone.map(|zone| ("TZ", zone)));
    let mut pty = Pty::open(40, 120);
    pty.start(&command);
    let ended = pty.end();
    ended.screen().screen().contents()
}

fn has(text: &str, pattern: &str) -> bool {
    Regex::new(pattern).unwrap().is_match(text)
}

fn with_an_expiry() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.noted(&[
        "user",
        "create",
        "shop@example.com",
        "--expires-in",
        "3d",
        "--quiet",
    ]);
    sandbox
}

#[test]
fn people_see_their_own_time() {
    const CLOCK: &str = r"[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2}( 20\d\d)? \d\d:\d\d \+01:00";
    let sandbox = with_an_expiry();
    let reset = [
        "user",
        "reset",
        "shop@example.com",
        "--overlap",
        "24h",
        "--output",
        "p",
    ];
    for (args, shown) in [
        (&reset[..], format!(r"works until {CLOCK} \(in 24 hours\)")),
        (
            &reset[..],
            format!(r"the older one retires {CLOCK} \(in 24 hours\)"),
        ),
        (
            &["user", "show", "shop@example.com"],
            format!("Expires +in 3 days, {CLOCK}\n"),
        ),
        (
            &["user", "show", "shop@example.com"],
            format!("retires {CLOCK} \\(in 24 hours\\),"),
        ),
        (
            &["why", "shop@example.com"],
            format!("Expires +in 3 days, {CLOCK}\n"),
        ),
        (
            &["user", "list"],
            r" in 3d, \d{1,2} [A-Z][a-z]{2} .* 20\d\d-\d\d-\d\d(\n|$)".into(),
        ),
        (
            &["user", "list", "--overlap"],
            r" in 24h, \d{1,2} [A-Z][a-z]{2}".into(),
        ),
        (
            &["audit", "list"],
            r" expires_at=\d{1,2} [A-Z][a-z]{2} \d\d:\d\d:\d\d \+01:00".into(),
        ),
        (
            &["audit", "list"],
            r"\n( |\d)\d [A-Z][a-z]{2} \d\d:\d\d:\d\d \+01:00 ".into(),
        ),
        (
            &["report", "--expiring", "7d"],
            r" in 3d, \d{1,2} [A-Z][a-z]{2}".into(),
        ),
        (
            &["domain", "show", "example.com"],
            format!("Created +(just now|.* ago), {CLOCK}\n"),
        ),
    ] {
        let _ = fs::remove_file(sandbox.folder.path().join("p"));
        let screen = seen(&sandbox, Some(ZONE), args);
        assert!(
            has(&screen, &shown),
            "{args:?}: {shown} is not in:\n{screen}"
        );
        assert!(!has(&screen, UTC), "{args:?}:\n{screen}");
    }
}

#[test]
fn people_see_when_a_user_last_connected() {
    let sandbox = with_an_expiry();
    let (at, text) = ("strftime('%s', 'now') - 7200", "2 hours ago, ");
    sandbox.sql(&format!(
        "INSERT INTO last_connections (username, password_id, seen_at, address) SELECT username, password_id, {at}, '192.0.2.7' FROM passwords"
    ));
    for command in [["user", "show"], ["why", ""]] {
        let words = command.iter().copied().filter(|word| !word.is_empty());
        let args: Vec<_> = words.chain(["shop@example.com"]).collect();
        let screen = seen(&sandbox, Some(ZONE), &args);
        let shown = format!(r"  {text}[A-Z][a-z]{{2}} .* \+01:00, from 192\.0\.2\.7");
        assert!(has(&screen, &shown), "{shown} is not in:\n{screen}");
        assert!(
            sandbox
                .run(&args)
                .stdout
                .contains("  2h ago from 192.0.2.7")
        );
    }
}

#[test]
fn p8_programs_get_utc() {
    let sandbox = with_an_expiry();
    for args in [
        &["user", "show", "shop@example.com"][..],
        &["user", "list", "--columns", "expires"],
        &["audit", "list"],
        &["report", "--expiring", "7d"],
        &["domain", "list"],
    ] {
        let mut command = sandbox.command(args);
        command.env("TZ", ZONE);
        let piped = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(has(&piped, UTC) && !piped.contains("+01:00"), "{piped}");
        for format in ["json", "csv"] {
            let args = [args, &["--format", format, "--no-pager"]].concat();
            let screen = seen(&sandbox, Some(ZONE), &args);
            assert!(has(&screen, UTC) && !screen.contains("+01:00"), "{screen}");
        }
    }
    let days = sandbox.ok(&["user", "list", "--columns", "created"]);
    assert!(has(&days, r"^CREATED\n20\d\d-\d\d-\d\d\n$"), "{days}");
}

#[test]
fn the_variable_beats_the_key_and_a_bad_zone_is_utc() {
    let sandbox = with_an_expiry();
    let show = ["domain", "show", "example.com"];
    sandbox.noted(&["config", "set", "time-zone", "Etc/GMT-3"]);
    assert!(seen(&sandbox, None, &show).contains("+03:00"));
    assert!(seen(&sandbox, Some(ZONE), &show).contains("+01:00"));
    for bad in ["Mars/Phobos", "../../etc/passwd", "\u{1b}[31m"] {
        let screen = seen(&sandbox, Some(bad), &show);
        assert!(
            screen.contains("(TZ) is unknown; times are shown in UTC"),
            "{screen}"
        );
        assert!(screen.contains("+00:00"), "{screen}");
    }
    // Nothing is said where no time is shown.
    let quiet = seen(&sandbox, Some("Mars/Phobos"), &["config", "list"]);
    assert!(!quiet.contains("unknown"), "{quiet}");
}

#[test]
fn configured_columns_are_for_people() {
    let sandbox = with_an_expiry();
    sandbox.noted(&["config", "set", "columns", "status,username"]);
    let list = ["user", "list"];
    let lines = |text: &str| {
        // Without the line that counts the users.
        let lines = text.lines().map(|line| line.trim_end().to_owned());
        lines.take(2).collect::<Vec<_>>()
    };
    let screen = seen(&sandbox, None, &list);
    assert_eq!(
        lines(&screen),
        ["STATUS  USERNAME", "active  shop@example.com"]
    );
    let one = seen(&sandbox, None, &["user", "list", "--columns", "username"]);
    assert_eq!(lines(&one), ["USERNAME", "shop@example.com"]);
    assert!(sandbox.ok(&list).starts_with("USERNAME  "), "a pipe");
    sandbox.noted(&["config", "unset", "columns"]);
    assert!(!seen(&sandbox, None, &list).contains("DAILY LIMIT"));
    sandbox.noted(&["config", "set", "wide", "true"]);
    assert!(seen(&sandbox, None, &list).contains("DAILY"));
    assert!(!sandbox.ok(&list).contains("DAILY"), "a pipe");
}

#[test]
fn the_pager_is_the_configured_one() {
    let sandbox = Sandbox::new();
    for number in 0..45 {
        sandbox.noted(&["domain", "add", &format!("d{number}.example"), "--quiet"]);
    }
    let list = ["domain", "list"];
    sandbox.noted(&["config", "set", "pager", "sed s/^/paged:/"]);
    assert!(seen(&sandbox, None, &list).contains("paged:d9.example"));
    assert!(!seen(&sandbox, None, &["domain", "list", "--no-pager"]).contains("paged:"));
    let mut other = sandbox.command(&list);
    other
        .env("SMTPCRED_PAGER", "sed s/^/other:/")
        .env("PAGER", "false");
    let mut pty = Pty::open(40, 120);
    pty.start(&other);
    assert!(pty.end().left().contains("other:d9.example"));
    sandbox.noted(&["config", "set", "pager", "false"]);
    let screen = seen(&sandbox, None, &list);
    assert!(
        screen.contains("d9.example") && !screen.contains("paged:"),
        "{screen}"
    );
    assert!(!sandbox.ok(&list).contains("paged:"), "a pipe");
}
