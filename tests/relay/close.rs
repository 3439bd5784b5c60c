//! `user close`: a thief's session ends at its next command, and the application goes on.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crate::support::mail::Place;
use crate::support::mail::postfix::Postfix;
use crate::support::mail::smtp::Smtp;
use crate::support::serve::{Serve, postfix, store};
use crate::support::{Sandbox, wait_for};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";

/// Creates the user, with its password in a file that new ones go to.
fn application(sandbox: &Sandbox) -> PathBuf {
    let file = sandbox.folder.path().join("password");
    fs::write(&file, sandbox.create(USER) + "\n").expect("our folder");
    let path = file.display().to_string();
    sandbox.noted(&["user", "set", USER, "--write-file", &path]);
    file
}

fn read(file: &PathBuf) -> String {
    let text = fs::read_to_string(file).expect("a password");
    text.trim_end().to_owned()
}

/// The application stops, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends one message after another, each with the password as the file has it, until it is
/// over. A session whose password stops on the way is begun again, as applications do.
fn send_always(postfix: &Postfix, file: &PathBuf, over: &AtomicBool, sent: &AtomicU32) {
    while !over.load(Ordering::Relaxed) {
        let password = read(file);
        let mut smtp = postfix.client();
        let reply = smtp.auth_plain(USER, &password, true);
        let is_old = || read(file) != password;
        if reply.code != 235 {
            assert!(is_old(), "refused with the current password: {reply:?}");
            continue;
        }
        let mut reply = smtp.mail(USER);
        for next in [
            |smtp: &mut Smtp| smtp.rcpt(TO),
            |smtp: &mut Smtp| smtp.data("Subject: one\r\n\r\none"),
        ] {
            if reply.code == 250 {
                reply = next(&mut smtp);
            }
        }
        if reply.code == 250 {
            sent.fetch_add(1, Ordering::Relaxed);
        } else {
            assert!(is_old(), "refused with the current password: {reply:?}");
        }
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p11_a_thief_is_out_and_the_application_goes_on() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let file = application(&sandbox);
    let stolen = read(&file);
    let mut thief = postfix.client().signed_in(USER, &stolen);
    assert_eq!(thief.send_message(USER, TO).code, 250);
    let (over, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let enough = |more: u32| {
        let before = sent.load(Ordering::Relaxed);
        wait_for("the application to send", || {
            (sent.load(Ordering::Relaxed) >= before + more).then_some(())
        });
    };
    let record = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            send_always(&postfix, &file, &over, &sent);
        });
        let end = End(&over);
        enough(3);
        // Written within a second.
        wait_for("what was sent", || {
            let user = sandbox.json(&["user", "show", USER]);
            (user["passwords"][0]["messages"].as_u64() >= Some(1)).then_some(())
        });
        let close = [
            "user",
            "close",
            USER,
            "--reason",
            "leak 4711",
            "--trust-store",
            "--yes",
            "--json",
        ];
        let record = sandbox.noted(&close);
        let reply = thief.mail(USER);
        let reply = if reply.code == 250 {
            thief.rcpt(TO)
        } else {
            reply
        };
        assert_eq!(reply.code, 421, "{reply:?}");
        enough(3);
        drop(end);
        sending.join().expect("no refusal");
        record
    });
    assert_eq!(postfix.client().auth_plain(USER, &stolen, true).code, 535);
    assert_ne!(read(&file), stolen);
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["measure"], "rotated");
    assert_eq!(record["reason"], "leak 4711");
    assert!(
        record["passwords"][0]["messages"].as_u64() >= Some(1),
        "{record}"
    );
    let sessions = record["sessions"].as_array().expect("a list");
    assert!(sessions.iter().any(|one| one["messages"] == 1), "{record}");
    let events = sandbox.json(&["audit", "list", "--user", USER]);
    let events = events.as_array().expect("a list");
    let closed = events
        .iter()
        .filter(|event| event["action"] == "user.close");
    let closed: Vec<_> = closed.collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["fields"]["reason"], "leak 4711");
    assert_eq!(
        closed[0]["fields"]["new_password_id"],
        record["new_password_id"]
    );
    let text = closed[0].to_string() + &record.to_string();
    assert!(!text.contains(&stolen) && !text.contains(&read(&file)));
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p11_without_a_delivery_the_user_is_suspended() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let stolen = sandbox.create(USER);
    let mut thief = postfix.client().signed_in(USER, &stolen);
    let close = ["user", "close", USER];
    assert_eq!(sandbox.run(&close).code, 5);
    assert_eq!(thief.send_message(USER, TO).code, 250, "not confirmed");
    let known = sandbox.json(&["user", "close", USER, "--dry-run"]);
    assert_eq!(known["measure"], "none");
    assert_eq!(known["sessions"][0]["messages"], 1, "{known}");
    assert_eq!(thief.send_message(USER, TO).code, 250, "a dry run");
    let done = sandbox.noted(&[&close[..], &["--yes", "--json"]].concat());
    assert!(done.contains("\"suspended\""), "{done}");
    let mut reply = thief.mail(USER);
    if reply.code == 250 {
        reply = thief.rcpt(TO);
    }
    assert_eq!(reply.code, 421, "{reply:?}");
    assert_eq!(postfix.client().auth_plain(USER, &stolen, true).code, 535);
}

/// What cannot be delivered is said, and the command that stops the thief nevertheless.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p11_a_delivery_that_fails_is_not_called_closed() {
    let sandbox = store();
    let stolen = sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--deliver", "sh -c 'exit 75'"]);
    let ran = sandbox.run(&["user", "close", USER, "--yes", "--trust-store"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("did not arrive"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--suspend"), "{}", ran.stderr);
    assert_eq!(
        sandbox
            .run_with_stdin(&["verify", USER], stolen.as_bytes())
            .code,
        0
    );
    let ran = sandbox.run(&["user", "close", USER, "--yes", "--suspend"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        sandbox
            .run_with_stdin(&["verify", USER], stolen.as_bytes())
            .code,
        4
    );
}
