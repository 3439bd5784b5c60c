//! `test --wait` with a real Postfix and a follower of its log.

use std::fs;

use super::Follower;
use crate::support::desk::{Desk, USER, at};
use crate::support::mail::Place;
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::nobody::give_to_nobody;
use crate::support::serve::{Serve, own_again, store};

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn a_test_ends_with_the_word_of_the_next_server() {
    let (sandbox, place) = (store(), Place::new());
    let _serve = Serve::start(&sandbox, &place);
    let [auth, policy] = Setup::sockets(&place, false);
    let command = ["show-server-config", "postfix"];
    let sockets = ["--auth", &auth, "--policy", &policy];
    let mut setup = Setup::shipped(false, &sandbox.ok(&[&command[..], &sockets].concat()));
    let (log, mail) = (place.path().join("mail.log"), place.path().join("mail"));
    fs::create_dir(&mail).unwrap();
    give_to_nobody(&mail);
    let ends = format!(
        "maillog_file = {}
transport_maps = inline:{{ {{bad.test = error:5.1.1 no such user}}, {{slow.test = retry:4.2.2 mailbox full}}, {{ok.test = virtual}} }}
virtual_mailbox_base = {}
virtual_mailbox_maps = inline:{{you@ok.test=you/}}
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_reject_unlisted_recipient = no
",
        log.display(),
        mail.display()
    );
    setup.main += &ends;
    let postfix = Postfix::start(&place, &setup);
    let desk = Desk::new(&sandbox, &place);
    let server = at(postfix.submission);
    let password = desk.password.clone();
    let run = |to: &str, wait: &str| {
        let args = ["--server", &server, "--to", to, "--wait", wait];
        desk.json(&args, &password)
    };
    // Nothing is sent if the answer cannot be known.
    let args = ["--server", &server, "--to", "you@ok.test", "--wait", "1s"];
    let refused = desk.run(&args, &password);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        refused.stderr.contains("messages are not kept"),
        "{refused:?}"
    );
    sandbox.noted(&["set-settings", "--keep-messages", "30d"]);
    own_again(&sandbox);

    let (code, test) = run("you@ok.test", "1s");
    assert_eq!((code, &test["sent"]), (75, &true.into()), "{test:#}");
    assert!(test["delivery"]["state"].is_null(), "{test:#}");

    let follower = Follower::start(&sandbox, &["--log", &log.display().to_string()]);
    for (to, exit, state, dsn) in [
        ("you@ok.test", 0, "sent", "2.0.0"),
        ("you@slow.test", 7, "deferred", "4.2.2"),
        ("you@bad.test", 1, "bounced", "5.1.1"),
    ] {
        let (code, test) = run(to, "60s");
        let delivery = &test["delivery"];
        assert_eq!(code, exit, "{test:#}");
        assert_eq!(
            (&delivery["state"], &delivery["dsn"]),
            (&state.into(), &dsn.into()),
            "{test:#}"
        );
        // Not only when the patience ends.
        assert!(
            delivery["milliseconds"].as_u64().unwrap() < 60_000,
            "{test:#}"
        );
        assert!(!delivery["queue_id"].as_str().unwrap().is_empty());
        assert!(!delivery["reply"].as_str().unwrap().is_empty());
    }
    let args = ["--server", &server, "--to", "you@bad.test", "--wait", "60s"];
    let shown = desk.run(&args, &password);
    let last: Vec<_> = shown.stdout.lines().rev().take(3).collect();
    assert!(
        last[2].contains("delivery   bounced: no such user"),
        "{shown:?}"
    );
    assert!(
        last[0].contains("next     smtpcred messages show "),
        "{shown:?}"
    );
    follower.stop();

    // The application's admin is told, and the holder of a role sees no recipients.
    let bounce = &sandbox.json(&["why", USER])["last_bounce"];
    assert_eq!(bounce["address"], "you@bad.test", "{bounce:#}");
    assert_eq!(bounce["meaning"], "the address does not exist");
    let line = sandbox.run(&["why", USER]).stdout;
    assert!(
        line.contains("ago to you@bad.test: no such user (the address"),
        "{line}"
    );
    let status = || -> serde_json::Value {
        serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).unwrap()
    };
    let hour = serde_json::json!({"sent": 2, "deferred": 1, "bounced": 2, "other": 0});
    assert_eq!(status()["messages_1h"], hour);
    let line = sandbox.run(&["status"]).stdout;
    assert!(
        line.contains("2 sent, 1 deferred, 2 bounced in the last hour"),
        "{line}"
    );
    sandbox.noted(&["role", "grant", "helpdesk", "--role", "viewer"]);
    let store = sandbox.store().display().to_string();
    let seen = sandbox.json(&["--store", &store, "as", "helpdesk", "--", "why", USER]);
    assert!(seen["last_bounce"].is_null(), "{seen:#}");
    assert_eq!(seen["username"], USER);
}
