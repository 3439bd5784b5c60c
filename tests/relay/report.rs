//! A report reaches a mailbox through the Postfix of the machine, or says why not.

use std::fs;
use std::thread;

use data_encoding::BASE64;
use nix::sys::prctl::set_no_new_privs;

use crate::alerts::{own_network, postfix};
use crate::support::mail::Place;
use crate::support::mail::postfix::Setup;
use crate::support::nobody::give_to_nobody;
use crate::support::serve::store;
use crate::support::wait_for;

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn a_report_reaches_a_mailbox_as_text_and_as_a_page() {
    // What is done to a thread stays with it.
    thread::scope(|scope| {
        let ended = scope.spawn(report_is_mailed).join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn report_is_mailed() {
    own_network();
    // As in the packages' unit: it cannot run the sendmail program of the machine.
    set_no_new_privs().expect("anyone may do that");
    let (sandbox, place) = (store(), Place::new());
    sandbox.create("shop@example.com");
    let run = sandbox.run(&["report", "--mail", "ana@alerts.test"]);
    assert_eq!(run.code, 74, "{run:?}");
    assert!(run.stderr.contains("Connection refused"), "{run:?}");

    let mail = place.path().join("mail");
    fs::create_dir(&mail).expect("our folder");
    give_to_nobody(&mail);
    let [auth, policy] = Setup::sockets(&place, false);
    let shown = ["show-server-config", "postfix", "--auth", &auth];
    let shown = sandbox.ok(&[&shown[..], &["--policy", &policy]].concat());
    let _postfix = postfix(&shown, &place, &mail);

    let refused = sandbox.run(&["report", "--mail", "no-one@alerts.test"]);
    assert_eq!(refused.code, 74, "{refused:?}");
    assert!(refused.stderr.contains("said: 550 "), "{refused:?}");
    let run = sandbox.run(&["report", "--mail", "ana@alerts.test"]);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (0, "mailed to ana@alerts.test\n")
    );
    let message = wait_for("the mail", || {
        let mut messages = fs::read_dir(mail.join("ana/new")).ok()?;
        Some(messages.next()?.expect("our folder").path())
    });
    let message = fs::read_to_string(message).expect("a message");
    for part in [
        "Return-Path: <>\n",
        "Subject: [smtpcred] SMTP credentials, ",
        "Content-Type: multipart/alternative; boundary=",
        "Auto-Submitted: auto-generated\n",
    ] {
        assert!(message.contains(part), "{part} is not in:\n{message}");
    }
    let parts = message
        .split("Content-Transfer-Encoding: base64\n\n")
        .skip(1);
    let parts: Vec<_> = parts
        .map(|part| {
            let body: String = part
                .lines()
                .take_while(|line| !line.starts_with("--"))
                .collect();
            String::from_utf8(BASE64.decode(body.as_bytes()).expect("base64")).expect("UTF-8")
        })
        .collect();
    let [text, page] = &parts[..] else {
        panic!("{} parts", parts.len());
    };
    assert!(
        text.contains("1 of 1 users can sign in") && !text.contains('<'),
        "{text}"
    );
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"),
        "{page}"
    );
}
