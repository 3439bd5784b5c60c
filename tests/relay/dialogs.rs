//! What a mail server says to a relay and what it is told, as dialogs: see
//! `support/dialog.rs` for how `dialogs/*.txt` are read. A single relay is
//! asked many of them at the same time: wrong passwords are answered late.

use std::path::Path;

use smtpcred::model::hash::{Cost, Hasher};

use crate::support::dialog::{Dialog, Stage};
use crate::support::{Sandbox, dialog, free_port, relay};

/// Of everybody in the dialogs who has no other one.
const PASSWORD: &str = "correct horse battery";

/// A user who was imported: today, this password would be refused as easy to guess.
const IMPORTED: (&str, &str) = ("unicode@example.com", "pässwörd-日本");

/// Users, and what else is said when they are created.
const USERS: &[(&str, &str, &[&str])] = &[
    ("alice@example.com", PASSWORD, &[]),
    ("bob@example.com", PASSWORD, &[]),
    ("carol@example.com", PASSWORD, &[]),
    ("o.brien+tag@example.com", "qu\"ote's & %percent", &[]),
    ("renewed@example.com", "the one before it", &[]),
    ("both@example.com", "the one before it", &[]),
    (
        "info@example.com",
        PASSWORD,
        &["--sender", "info@example.com", "--sender", "other.example"],
    ),
    (
        "limited@example.com",
        PASSWORD,
        &["--limit", "recipients/day=3"],
    ),
    ("few@example.com", PASSWORD, &["--limit", "messages/day=2"]),
    (
        "strict@example.com",
        PASSWORD,
        &["--limit", "messages/day=1", "--on-limit", "reject"],
    ),
    (
        "risky@example.com",
        PASSWORD,
        &["--limit", "messages/day=1", "--on-limit", "suspend"],
    ),
    ("leaving@example.com", PASSWORD, &[]),
];

fn people(sandbox: &Sandbox) {
    for (username, password, more) in USERS {
        let create = ["user", "create", username, "--password-stdin"];
        let run = sandbox.run_with_stdin(&[&create, *more].concat(), password.as_bytes());
        assert_eq!(run.code, 0, "{username}: {}", run.stderr);
    }
    let (username, password) = IMPORTED;
    let salt = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let hash = Hasher::default().hash(password.as_bytes(), Cost::default(), salt);
    let rows = format!("username,hash\n{username},\"{}\"\n", hash.unwrap().as_str());
    let run = sandbox.run_with_stdin(&["user", "import", "-", "--from", "csv"], rows.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    sandbox.noted(&["user", "suspend", "carol@example.com"]);
    for (username, more) in [
        ("renewed@example.com", &[][..]),
        ("both@example.com", &["--overlap", "24h"]),
    ] {
        let reset = ["user", "reset", username, "--password-stdin"];
        let run = sandbox.run_with_stdin(&[&reset, more].concat(), PASSWORD.as_bytes());
        assert_eq!(run.code, 0, "{username}: {}", run.stderr);
    }
}

fn dialogs() -> Vec<Dialog> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the dialogs") {
        let path = entry.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        found.extend(dialog::parse(&name, &text));
    }
    found
}

#[test]
fn everything_is_answered_as_it_is_written() {
    let dialogs = dialogs();
    assert!(
        dialogs.len() > 100,
        "only {} dialogs were found",
        dialogs.len()
    );
    let sandbox = Sandbox::new();
    sandbox.noted(&["set-settings", "--argon2", "m=7168,t=5,p=1"]);
    people(&sandbox);
    let port = free_port();
    let _relay = relay::start(&sandbox, &[], &["--listen", &format!("127.0.0.1:{port}")]);
    // Remembered from here on: most dialogs are hers.
    let mut first = relay::Client::auth(&sandbox);
    first.sign_in(1, "alice@example.com", PASSWORD, "203.0.113.1");
    assert_eq!(
        first.line().as_deref(),
        Some("OK\t1\tuser=alice@example.com")
    );
    let stage = Stage {
        sandbox: &sandbox,
        port,
    };
    // Not more at a time than a slow machine hashes before clients are hung up on.
    let mut wrong = Vec::new();
    for part in dialogs.chunks(40) {
        std::thread::scope(|scope| {
            let run: Vec<_> = part
                .iter()
                .map(|dialog| scope.spawn(|| dialog.run(&stage)))
                .collect();
            let run = run.into_iter().map(|run| run.join().expect("no panic"));
            wrong.extend(run.filter_map(Result::err));
        });
    }
    assert!(
        wrong.is_empty(),
        "{} of {} dialogs:\n{}",
        wrong.len(),
        dialogs.len(),
        wrong.join("\n")
    );
}
