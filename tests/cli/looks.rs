//! How output looks on terminals of all sizes and kinds, to the letter: `tests/golden/looks`.
//!
//! A line `== 80` begins what a terminal of 80 columns shows, `== 80 in colour` the same with
//! its colours as `<32>`. After a change that is meant: `UPDATE_GOLDEN=1`, as for
//! `tests/cli/golden.rs`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use unicode_width::UnicodeWidthStr as _;

use super::golden::Mask;
use crate::support::pty::{Ended, Pty};
use crate::support::{PROGRAM, Sandbox};

const WIDTHS: [u16; 5] = [40, 60, 80, 100, 160];
/// High enough that nothing scrolls.
const LINES: u16 = 200;

/// Users with all that makes a table difficult, at fixed distances from now.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let long = format!("{}@example.com", "x".repeat(64));
    for (name, label) in [
        ("shop@example.com", "WordPress"),
        ("buchhaltung@example.com", "会計システム"),
        ("party@example.com", "Party 🎉 planner"),
        (
            &long,
            "A long label of an application that sends all invoices",
        ),
        ("old@example.com", "Legacy"),
    ] {
        sandbox.noted(&["user", "create", name, "--label", label]);
    }
    sandbox.noted(&[
        "domain",
        "add",
        "xn--bcher-kva.example",
        "--host",
        "smtp.example.com",
    ]);
    sandbox.noted(&[
        "domain",
        "set",
        "example.com",
        "--max-users",
        "15",
        "--daily-limit",
        "1500",
    ]);
    sandbox.noted(&["user", "suspend", "old@example.com"]);
    sandbox.noted(&["user", "set", &long, "--daily-limit", "100"]);
    for sql in [
        // As wide on every day.
        "UPDATE users SET created_at = unixepoch('2020-01-15 12:00:00')",
        "UPDATE users SET suspended_at = created_at WHERE suspended_at IS NOT NULL",
        "UPDATE domains SET created_at = unixepoch('2020-01-15 12:00:00')",
        "UPDATE users SET expires_at = unixepoch('2099-07-15 12:00:00')
         WHERE username LIKE 'party@%' OR username LIKE 'xxx%'",
        "UPDATE passwords SET created_at = unixepoch() - 40 * 86400 - 3600",
        "INSERT INTO last_connections (username, password_id, seen_at, address)
         SELECT username, password_id, unixepoch() - 7200,
             CASE username WHEN 'shop@example.com' THEN '2001:db8:1234:5678:9abc:def0:1234:5678'
                 ELSE '192.0.2.7' END
         FROM passwords WHERE username IN ('shop@example.com', 'old@example.com')",
        "INSERT INTO counts (owner, span, at, messages, recipients, new_recipients)
         SELECT username, 'day', unixepoch() - unixepoch() % 900, 91, 91, 0
         FROM users WHERE daily_limit = 100",
        "INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
         SELECT 'shop@example.com', unixepoch() / 86400 - value, 'example.com', 300 - value * 40,
             300, 12345678, value
         FROM json_each('[0,1,2,3,4,5,6,7]')",
        "INSERT INTO failures (username, address, reason, first_at, last_at, count)
         VALUES ('party@example.com', '192.0.2.9', 'wrong-password', unixepoch() - 300,
             unixepoch() - 120, 12)",
    ] {
        sandbox.sql(sql);
    }
    sandbox
}

/// The events as if one admin had caused them, at a time that is as wide on every day.
fn same_events(sandbox: &Sandbox) {
    sandbox.sql(
        "UPDATE events SET at = unixepoch('2020-01-15 12:00:00'), actor = 'ana', run_as = 'root',
             host = 'mx1';
         UPDATE failures SET first_at = unixepoch('2020-01-15 12:00:00'),
             last_at = unixepoch('2020-01-15 12:34:56')",
    );
}

/// A terminal of this width, whatever the machine that runs the tests has set.
fn shown_at(sandbox: &Sandbox, args: &[&str], width: u16, variables: &[(&str, &str)]) -> Ended {
    let mut command = sandbox.command(args);
    // No pager, unless a test names one.
    command
        .env("PAGER", "")
        .env("TZ", "UTC")
        .env("LANG", "C.UTF-8");
    command.envs(variables.iter().copied());
    let mut pty = Pty::open(LINES, width);
    pty.start(&command);
    pty.end()
}

fn text(ended: &Ended) -> String {
    let text = String::from_utf8(ended.printed.clone()).expect("UTF-8");
    text.replace("\r\n", "\n")
}

/// Colours as `<32>`, everything else that a terminal obeys as `<?>`.
fn with_colours(text: &str) -> String {
    let colour = regex::Regex::new("\x1b\\[([0-9;]*)m").unwrap();
    colour.replace_all(text, "<$1>").replace('\x1b', "<?>")
}

fn without_colours(text: &str) -> String {
    let colour = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let text = colour.replace_all(text, "");
    assert!(!text.contains('\x1b'), "more than colours: {text:?}");
    // What is coloured may end in spaces.
    let lines = text.lines().map(str::trim_end);
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn look(sandbox: &Sandbox, args: &[&str]) -> String {
    let mut ids = Mask::new(sandbox);
    ids.learn(sandbox);
    let years = regex::Regex::new(r"\b(in )?\d+ years( ago)?").unwrap();
    let short = regex::Regex::new(r"\bin \d\dy,").unwrap();
    let ages = regex::Regex::new(r"\(\d+y\)").unwrap();
    let mask = |text: &str| {
        let text = ids.apply(text);
        let text = years.replace_all(&text, "${1}NN years${2}");
        let text = short.replace_all(&text, "in NNy,");
        ages.replace_all(&text, "(Ny)").into_owned()
    };
    let mut looks = String::new();
    for width in WIDTHS {
        let text = text(&shown_at(sandbox, args, width, &[]));
        let plain = without_colours(&text);
        for line in plain.lines() {
            // Commands and long words stay whole.
            let note = line.contains("smtpcred ");
            let long = line.split_whitespace().any(|word| word.width() > 16);
            let names = note || long;
            assert!(
                line.width() <= width.into() || names,
                "{args:?} at {width}: {line}"
            );
        }
        write!(looks, "== {width}\n{}", mask(&plain)).unwrap();
        if [40, 80].contains(&width) {
            let coloured = with_colours(&mask(&text));
            write!(looks, "== {width} in colour\n{coloured}").unwrap();
        }
    }
    looks
}

fn compare(name: &str, looks: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/looks");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, looks).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    let lines = kept
        .lines()
        .chain(["(end)"])
        .zip(looks.lines().chain(["(end)"]));
    for (number, (was, is)) in (1..).zip(lines) {
        assert_eq!(was, is, "{name}.txt:{number} differs:\n{looks}");
    }
}

#[test]
fn lists_fit_every_terminal() {
    let sandbox = sandbox();
    compare("user-list", &look(&sandbox, &["user", "list"]));
    compare("domain-list", &look(&sandbox, &["domain", "list"]));
    compare("usage", &look(&sandbox, &["usage", "--by", "day"]));
    compare(
        "user-show",
        &look(&sandbox, &["user", "show", "party@example.com"]),
    );
}

#[test]
fn reports_fit_every_terminal() {
    let sandbox = sandbox();
    same_events(&sandbox);
    for (name, args) in [
        ("why", &["why", "party@example.com"][..]),
        ("report", &["report"]),
        ("audit-list", &["audit", "list"]),
        ("audit-failures", &["audit", "failures"]),
        ("show-settings", &["show-settings", "shop@example.com"]),
    ] {
        compare(name, &look(&sandbox, args));
    }
}

/// What `doctor` finds depends on the machine, but not whether it fits.
#[test]
fn doctor_breaks_no_word() {
    let sandbox = sandbox();
    let args = [
        "doctor", "--server", "exim", "--config", "/nowhere", "--port", "9",
    ];
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let wide = without_colours(&text(&shown_at(&sandbox, &args, 500, &[])));
    for width in [60, 80, 120] {
        let shown = without_colours(&text(&shown_at(&sandbox, &args, width, &[])));
        for line in shown.lines().filter(|line| line.width() > width.into()) {
            assert!(
                line.split_whitespace().any(|word| word.width() > 20),
                "{width}: {line}"
            );
        }
        for word in words(&wide).iter().filter(|word| word.len() > 12) {
            assert!(shown.contains(word.as_str()), "{word} at {width}:\n{shown}");
        }
    }
}

#[test]
fn a_block_of_doctor_names_each_value() {
    let sandbox = sandbox();
    let args = [
        "doctor", "--server", "exim", "--config", "/nowhere", "--port", "9",
    ];
    let shown = without_colours(&text(&shown_at(&sandbox, &args, 40, &[])));
    assert!(shown.starts_with("State"), "{shown}");
    assert!(!shown.lines().any(|line| line.trim() == "FAIL"), "{shown}");
}

#[test]
fn colour_is_never_the_only_sign() {
    let sandbox = sandbox();
    sandbox.noted(&["user", "set", "shop@example.com", "--expires-in", "9d"]);
    let args = ["user", "list"];
    let coloured = text(&shown_at(&sandbox, &args, 100, &[]));
    let plain = text(&shown_at(&sandbox, &args, 100, &[("NO_COLOR", "1")]));
    assert!(!plain.contains('\x1b'));
    assert_eq!(without_colours(&coloured), plain);
    assert!(plain.contains("1 expiring within 14 days"));
    assert!(coloured.contains("\x1b[38;5;136m  in 9d, "), "{coloured:?}");
    for colour in ["\x1b[38;5;2m", "\x1b[38;5;1m"] {
        assert!(coloured.contains(colour), "{coloured:?}");
    }
    let never = shown_at(&sandbox, &["user", "list", "--color", "never"], 100, &[]);
    assert_eq!(text(&never), plain);
}

#[test]
fn every_kind_of_terminal_shows_a_list() {
    let sandbox = sandbox();
    let args = ["user", "list"];
    let right = without_colours(&text(&shown_at(&sandbox, &args, 80, &[])));
    for (variables, is_coloured) in [
        (&[("TERM", "dumb")][..], false),
        (&[("TERM", "linux")], true),
        (&[("TERM", "")], true),
        (&[("LANG", "C"), ("LC_ALL", "C")], true),
        (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
    ] {
        let ended = shown_at(&sandbox, &args, 80, variables);
        assert_eq!(ended.code, 0);
        let shown = text(&ended);
        assert_eq!(shown.contains('\x1b'), is_coloured, "{variables:?}");
        assert_eq!(without_colours(&shown), right, "{variables:?}");
    }
}

/// In pipes they stay on one line.
#[test]
fn messages_are_wrapped_at_words_and_commands_stay_whole() {
    let sandbox = sandbox();
    let args = ["user", "show", "nobody@example.net"];
    let run = sandbox.run(&args);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    let shown = without_colours(&text(&shown_at(&sandbox, &args, 40, &[("TERM", "dumb")])));
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&shown), words(&run.stderr));
    assert!(shown.lines().count() > 2, "{shown}");
    for line in shown.lines() {
        assert!(
            line.width() <= 40 || line.starts_with("smtpcred "),
            "{shown}"
        );
    }
}

#[test]
fn absurd_widths_lose_nothing() {
    let sandbox = sandbox();
    let names = [
        "shop@example.com",
        "buchhaltung@example.com",
        "会計システム",
    ];
    for width in [1, 2, 7, 20, 49, 50, 10_000] {
        for args in [
            &["user", "list"][..],
            &["domain", "list"],
            &["user", "show", "shop@example.com"],
        ] {
            let ended = shown_at(&sandbox, args, width, &[]);
            assert_eq!(ended.code, 0, "{args:?} at {width}");
            let shown = without_colours(&text(&ended));
            let whole = |name: &&str| shown.contains(*name);
            assert!(args != ["user", "list"] || names.iter().filter(|n| whole(n)).count() >= 2);
        }
    }
}

#[test]
fn a_label_of_combining_characters_is_one_column_wide() {
    let sandbox = Sandbox::new();
    let label = format!("a{}", "\u{301}".repeat(99));
    sandbox.noted(&["user", "create", "a@example.com", "--label", &label]);
    sandbox.noted(&["user", "create", "b@example.com", "--label", "Shop"]);
    let shown = without_colours(&text(&shown_at(&sandbox, &["user", "list"], 120, &[])));
    let at = |line: &str| line[..line.find("active").unwrap()].width();
    let lines: Vec<_> = shown
        .lines()
        .filter(|line| line.contains("active"))
        .collect();
    assert!(lines[0].contains(&label), "{shown}");
    assert_eq!(at(lines[0]), at(lines[1]), "{shown}");
}

fn with_many_users() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)
         INSERT INTO users (username, domain, label, created_at)
         SELECT printf('user%05d@example.com', i), 'example.com', 'Shop ' || i, 1800000000 FROM n",
    );
    sandbox
}

#[test]
fn a_resize_while_a_list_prints_loses_no_row() {
    let sandbox = with_many_users();
    let mut command = sandbox.command(&["user", "list"]);
    command.env("PAGER", "");
    let mut pty = Pty::open(24, 80);
    pty.start(&command);
    pty.see_printed("user00010@example.com");
    pty.resize(24, 20);
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    let shown = text(&ended);
    assert_eq!(shown.matches("@example.com").count(), 2500);
}

/// A program of this name that does this, first in the search path.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> String {
    let folder = sandbox.folder.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", folder.display())
}

fn paged(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(PROGRAM);
    command.args(args).env("SMTPCRED_STORE", sandbox.store());
    // As if the tests were not run by sudo.
    let names = ["SUDO_UID", "SUDO_USER", "DOAS_USER", "PAGER", "LESS"];
    for name in names.iter().filter(|name| std::env::var_os(name).is_some()) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let mut pty = Pty::open(24, 80);
    pty.start(&command);
    pty.end()
}

#[test]
fn long_lists_go_through_the_pager_that_is_set() {
    let sandbox = with_many_users();
    let list = ["user", "list"];
    // Without PAGER it is less, told to end if everything fits and to pass colours on.
    let path = program(&sandbox, "less", "echo \"less with $LESS\"; cat");
    let with_less = text(&paged(&sandbox, &list, &[("PATH", &path)]));
    assert!(
        with_less.starts_with("less with FRX\n"),
        "{}",
        &with_less[..200]
    );
    assert!(with_less.contains("user02499@example.com"));
    let kept = text(&paged(&sandbox, &list, &[("PATH", &path), ("LESS", "-S")]));
    assert!(kept.starts_with("less with -S\n"));
    let path = program(&sandbox, "mine", "echo \"mine: $1\"; cat");
    let own = text(&paged(
        &sandbox,
        &list,
        &[("PATH", &path), ("PAGER", "mine -x")],
    ));
    assert!(own.starts_with("mine: -x\n"));
    // A wide table is cut at the edge, and scrolls to the right.
    let path = program(&sandbox, "less", "echo \"less with $LESS\"; cat");
    let wide = ["user", "list", "--wide"];
    let shown = text(&paged(&sandbox, &wide, &[("PATH", &path)]));
    assert!(shown.starts_with("less with RSX\n"), "{}", &shown[..200]);
    assert!(shown.contains("DAILY LIMIT"), "{}", &shown[..400]);
    let few = ["user", "list", "--wide", "--limit", "5"];
    assert!(!text(&paged(&sandbox, &few, &[("PATH", &path)])).contains("less with"));
    // less would wait for a key there before it shows anything.
    for term in ["dumb", ""] {
        let variables = [("PATH", path.as_str()), ("PAGER", "mine"), ("TERM", term)];
        let shown = text(&paged(&sandbox, &list, &variables));
        assert!(!shown.contains("mine: "), "{}", &shown[..200]);
    }
    // What fits the terminal needs no pager.
    let short = ["user", "list", "--limit", "5"];
    let shown = text(&paged(
        &sandbox,
        &short,
        &[("PATH", &path), ("PAGER", "mine")],
    ));
    assert!(!shown.contains("mine"), "{shown}");
}

/// A rule of sudo for one command gives no shell through its pager.
#[test]
fn p14_behind_sudo_the_pager_starts_nothing() {
    let sandbox = with_many_users();
    let path = program(&sandbox, "less", "echo \"secure: $LESSSECURE\"; cat");
    program(&sandbox, "mine", "echo mine; cat");
    for named in [("PAGER", "mine"), ("SMTPCRED_PAGER", "mine")] {
        let variables = [("PATH", path.as_str()), ("SUDO_USER", "ana"), named];
        let shown = text(&paged(&sandbox, &["user", "list"], &variables));
        assert!(shown.starts_with("secure: 1\n"), "{}", &shown[..200]);
    }
    let shown = text(&paged(&sandbox, &["user", "list"], &[("PATH", &path)]));
    assert!(shown.starts_with("secure: \n"), "{}", &shown[..200]);
}

#[test]
fn without_a_pager_everything_is_printed() {
    let sandbox = with_many_users();
    let path = program(&sandbox, "mine", "echo mine; cat");
    let list = ["user", "list"];
    let no_pager = ["user", "list", "--no-pager"];
    let shown = [
        paged(&sandbox, &list, &[("PATH", &path), ("PAGER", "")]),
        paged(&sandbox, &list, &[("PATH", &path), ("PAGER", "cat")]),
        paged(
            &sandbox,
            &list,
            &[("PATH", &path), ("PAGER", "no-such-pager -R")],
        ),
        paged(
            &sandbox,
            &list,
            &[("PATH", &path), ("PAGER", "/no/such/pager")],
        ),
        paged(&sandbox, &list, &[("PATH", "/nowhere")]),
        paged(&sandbox, &no_pager, &[("PATH", &path), ("PAGER", "mine")]),
    ];
    for ended in shown {
        assert_eq!(ended.code, 0);
        let text = text(&ended);
        assert_eq!(text.matches("@example.com").count(), 2500);
        assert!(!text.contains("mine"));
        assert!(
            text.ends_with("2500 users\n"),
            "{}",
            &text[text.len() - 200..]
        );
    }
}

#[test]
fn a_pager_that_ends_early_is_no_failure() {
    let sandbox = with_many_users();
    let path = program(&sandbox, "mine", "read line; echo \"$line\"; exit 0");
    let dies = program(&sandbox, "dies", "kill -9 $$");
    for (path, pager) in [(&path, "mine"), (&dies, "dies")] {
        let ended = paged(
            &sandbox,
            &["user", "list"],
            &[("PATH", path), ("PAGER", pager)],
        );
        assert_eq!(ended.code, 0, "{pager}: {}", text(&ended));
        assert!(!text(&ended).contains("error"), "{pager}");
        ended.assert_restored();
    }
}

#[test]
fn columns_are_named_as_in_the_headings() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    for columns in [
        "username,last-connection",
        "USERNAME, Last Connection",
        "Username,last_connection",
    ] {
        let list = sandbox.ok(&["user", "list", "--columns", columns]);
        assert!(
            list.starts_with("USERNAME          LAST CONNECTION\n"),
            "{list}"
        );
    }
    let run = sandbox.run(&["user", "list", "--columns", "Usrename"]);
    assert_eq!(run.code, 2);
    let said = "there is no column 'Usrename'; did you mean username?; the columns are username, ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn each_changed_field_has_a_line_for_people() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let args = [
        "user",
        "set",
        "shop@example.com",
        "--label",
        "My shop",
        "--daily-limit",
        "5",
    ];
    let shown = text(&shown_at(&sandbox, &args, 80, &[]));
    let said =
        "changed shop@example.com:\n  label        none -> \"My shop\"\n  daily limit  none -> 5\n";
    assert_eq!(without_colours(&shown), said);
}
