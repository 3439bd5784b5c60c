//! An alert reaches a command, and a mailbox through the Postfix of the machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;

use crate::support::mail::Place;
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::nobody::give_to_nobody;
use crate::support::serve::{Serve, store};
use crate::support::{free_port, wait_for};

const USER: &str = "shop@example.com";
const THIEF: &str = "127.0.0.1";

/// A network of this thread and its processes, in which port 25 is free and is the machine's.
pub fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root may do that");
    let mut up = Command::new("ip");
    let up = up.args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip: run tests/run").success());
}

/// Postfix on port 25, with a mailbox for ana@alerts.test in this folder.
pub fn postfix<'a>(shown: &str, place: &'a Place, mail: &Path) -> Postfix<'a> {
    let mut setup = Setup::shipped(false, shown);
    let mailbox = format!(
        "virtual_mailbox_domains = alerts.test\n\
         virtual_mailbox_base = {}\n\
         virtual_mailbox_maps = inline:{{ana@alerts.test=ana/}}\n\
         virtual_minimum_uid = 1\n\
         virtual_uid_maps = static:65534\n\
         virtual_gid_maps = static:65534\n",
        mail.display()
    );
    setup.main += &mailbox;
    Postfix::start_on(place, &setup, [25, free_port(), free_port()])
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn an_old_password_that_is_tried_reaches_a_command_and_a_mailbox() {
    // What is done to a thread stays with it.
    thread::scope(|scope| {
        let ended = scope.spawn(old_password_is_told).join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn old_password_is_told() {
    own_network();
    let (sandbox, place) = (store(), Place::new());
    let old = sandbox.create(USER);
    sandbox.ok(&["user", "reset", USER, "--quiet"]);
    let got = place.sockets().join("got");
    let command = format!("sh -c 'cat >>{}'", got.display());
    let ways = ["--alert-exec", &command, "--alert-mail", "ana@alerts.test"];
    sandbox.noted(&[&["set-settings"], &ways[..]].concat());
    let mail = place.path().join("mail");
    fs::create_dir(&mail).expect("our folder");
    give_to_nobody(&mail);
    let [auth, policy] = Setup::sockets(&place, false);
    let shown = ["show-server-config", "postfix", "--auth", &auth];
    let shown = sandbox.ok(&[&shown[..], &["--policy", &policy]].concat());
    let postfix = postfix(&shown, &place, &mail);
    // As in the packages' unit: it cannot run the sendmail program of the machine.
    set_no_new_privs().expect("anyone may do that");
    let _serve = Serve::start(&sandbox, &place);

    let reply = postfix.client().auth_plain(USER, &old, true);
    assert_eq!(reply.code, 535, "{reply:?}");
    let line = wait_for("the command", || {
        let text = fs::read_to_string(&got).ok()?;
        text.ends_with('\n').then_some(text)
    });
    let told: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    for (field, value) in [
        ("kind", "old-password"),
        ("username", USER),
        ("address", THIEF),
        ("next", "smtpcred audit failures --user shop@example.com"),
    ] {
        assert_eq!(told[field], value, "{line}");
    }
    let message = wait_for("the mail", || {
        let mut messages = fs::read_dir(mail.join("ana/new")).ok()?;
        Some(messages.next()?.expect("our folder").path())
    });
    let message = fs::read_to_string(message).expect("a message");
    for part in [
        "Return-Path: <>\n",
        "Subject: [smtpcred] old-password: shop@example.com\n",
        "Auto-Submitted: auto-generated\n",
        "was tried from 127.0.0.1: by an application",
    ] {
        assert!(message.contains(part), "{part} is not in:\n{message}");
    }
    assert!(!message.contains(&old) && !line.contains(&old));
    // Nothing else is told, neither of the wrong password nor of the alert's own mail.
    wait_for("all to be sent", || {
        let sent = sandbox.texts("SELECT count(sent_at) || '' FROM alert_deliveries");
        (sent == ["2"]).then_some(())
    });
    let kinds = sandbox.texts("SELECT kind || ' ' || more FROM alerts");
    assert_eq!(kinds, ["old-password 0"]);
}
