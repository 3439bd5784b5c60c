//! The old name of a renamed user, through Postfix as `show-server-config` sets it up, and on
//! several relays: it works for the overlap and counts as the user, and then not at all.

use crate::support::mail::Place;
use crate::support::mail::smtp::Smtp;
use crate::support::postgres::Postgres;
use crate::support::serve::{Auth, Policy, Serve, own, postfix, settled, store};
use crate::support::{Sandbox, wait_for};

const OLD: &str = "shop@example.com";
const NEW: &str = "store@example.com";
const TO: &str = "one@elsewhere.test";

fn rename(sandbox: &Sandbox, old: &str, new: &str, more: &[&str]) {
    sandbox.noted(&[&["user", "rename", old, new], more].concat());
}

/// The overlap of an hour that was just begun has two seconds left.
fn end_soon(sandbox: &Sandbox) {
    sandbox.sql("UPDATE old_names SET until = until - 3598 WHERE until > renamed_at");
}

fn sends_as(smtp: &mut Smtp, sender: &str) -> u16 {
    let mut reply = smtp.mail(sender);
    if reply.code == 250 {
        reply = smtp.rcpt(TO);
    }
    // A session that has ended gives no answer any more.
    let reset = smtp.try_command("RSET");
    if reply.code != 250 {
        return reply.code;
    }
    assert!(reset.is_ok(), "{reset:?}");
    smtp.send_message(sender, TO).code
}

/// Through sign-in, envelope and the end of a message.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p3_an_old_name_works_for_its_overlap_and_then_no_more() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let password = sandbox.create(OLD);
    let code = |name: &str| postfix.client().auth_plain(name, &password, true).code;
    let open = |name: &str| {
        let mut smtp = postfix.client();
        assert_eq!(smtp.auth_plain(name, &password, true).code, 235, "{name}");
        smtp
    };
    let mut before = open(OLD);
    assert_eq!(sends_as(&mut before, OLD), 250);
    assert_eq!(code(NEW), 535);

    rename(&sandbox, OLD, NEW, &["--overlap", "1h"]);
    assert_eq!([code(OLD), code(NEW)], [235, 235]);
    let wrong = postfix.client().auth_plain(OLD, "wrong", true).code;
    assert_eq!(wrong, 535);
    let (mut old, mut new) = (open(OLD), open(NEW));
    for smtp in [&mut before, &mut old, &mut new] {
        assert_eq!(sends_as(smtp, OLD), 250);
    }
    // All of it is the user's.
    let usage = || sandbox.texts("SELECT username || ' ' || messages FROM usage");
    wait_for("the usage", || {
        (usage() == [format!("{NEW} 4")]).then_some(())
    });
    settled(&sandbox);
    let user = sandbox.json(&["user", "show", NEW]);
    assert!(user["last_connection"]["at"].is_string(), "{user}");
    assert_eq!(user["old_names"][0]["username"], OLD);

    end_soon(&sandbox);
    wait_for("the end of the overlap", || {
        (code(OLD) == 535).then_some(())
    });
    for smtp in [&mut before, &mut old] {
        assert_eq!(sends_as(smtp, OLD), 421);
    }
    assert_eq!(sends_as(&mut new, OLD), 250);

    // It stops at once without one, and by the same command again.
    for name in [OLD, NEW] {
        let other = if name == OLD { NEW } else { OLD };
        let mut session = open(other);
        rename(&sandbox, other, name, &[]);
        assert_eq!([code(other), code(name)], [535, 235]);
        assert_eq!(sends_as(&mut session, OLD), 421);
    }
    let mut session = open(NEW);
    rename(&sandbox, NEW, OLD, &["--overlap", "1h"]);
    assert_eq!(sends_as(&mut session, OLD), 250);
    rename(&sandbox, NEW, OLD, &[]);
    assert_eq!(sends_as(&mut session, OLD), 421);
    assert_eq!(code(NEW), 535);

    into_another_domain(&sandbox, &open, &code);
}

/// Only sessions that signed in with the old name may send as the old domain.
fn into_another_domain(sandbox: &Sandbox, open: &dyn Fn(&str) -> Smtp, code: &dyn Fn(&str) -> u16) {
    const ELSEWHERE: &str = "shop@example.org";
    sandbox.noted(&["domain", "add", "example.org"]);
    let run = sandbox.run(&["user", "rename", OLD, ELSEWHERE, "--overlap", "1h"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stderr
            .contains("--sender example.org --sender example.com"),
        "{}",
        run.stderr
    );
    let (mut old, mut new) = (open(OLD), open(ELSEWHERE));
    assert_eq!(
        [sends_as(&mut old, OLD), sends_as(&mut old, ELSEWHERE)],
        [250, 250]
    );
    assert_eq!(
        [sends_as(&mut new, OLD), sends_as(&mut new, ELSEWHERE)],
        [553, 250]
    );
    // What stops the user stops its old name.
    sandbox.noted(&["user", "suspend", ELSEWHERE]);
    assert_eq!([code(OLD), sends_as(&mut old, OLD)], [535, 421]);
    sandbox.noted(&["user", "resume", ELSEWHERE]);
    assert_eq!(code(OLD), 235);
    sandbox.noted(&["user", "delete", ELSEWHERE, "--yes"]);
    assert_eq!(code(OLD), 535);
}

/// Limits are one limit, whichever name a session has.
#[test]
#[ignore = "needs root: run tests/run"]
fn p7_an_old_name_has_no_limit_of_its_own() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    sandbox.create(OLD);
    let limits = ["--daily-limit", "6", "--limit", "new-recipients/day=1"];
    sandbox.noted(&[&["user", "set", OLD], &limits[..]].concat());
    let mut policy = Policy::connect(&place.policy()).unwrap();
    let mut number = 0;
    let mut sends = |name: &str, to: &str| {
        number += 1;
        let instance = format!("{number}.6b007f0a.1.0");
        for state in ["RCPT", "END-OF-MESSAGE"] {
            let action = policy.ask(state, name, to, &instance).unwrap().unwrap();
            if action != "DUNNO" {
                return action;
            }
        }
        "sent".to_owned()
    };
    assert_eq!([sends(OLD, TO), sends(OLD, TO)], ["sent", "sent"]);
    rename(&sandbox, OLD, NEW, &["--overlap", "1h"]);
    // The recipient is no new one under either name.
    assert_eq!([OLD, NEW, OLD].map(|name| sends(name, TO)), ["sent"; 3]);
    for name in [OLD, NEW] {
        let refused = sends(name, "two@elsewhere.test");
        assert!(refused.contains("new recipient"), "{name}: {refused}");
    }
    assert_eq!(sends(NEW, TO), "sent");
    for name in [OLD, NEW] {
        let refused = sends(name, TO);
        assert!(refused.contains("6 messages a day"), "{name}: {refused}");
    }
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p3_an_old_name_stops_on_all_relays_at_once() {
    let server = Postgres::start();
    let sandbox = server.sandbox();
    sandbox.noted(&["store", "init"]);
    own(&sandbox);
    let places = [(); 2].map(|()| Place::new());
    let _serves = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let password = sandbox.create(OLD);
    let right = |name: &str| {
        places.each_ref().map(|place| {
            let mut auth = Auth::connect(&place.auth()).unwrap();
            auth.plain("192.0.2.9", name, &password).unwrap().unwrap()
        })
    };
    for _ in 0..3 {
        assert_eq!(right(OLD), [true; 2]);
        rename(&sandbox, OLD, NEW, &["--overlap", "1h"]);
        assert_eq!([right(OLD), right(NEW)], [[true; 2]; 2]);
        rename(&sandbox, OLD, NEW, &[]);
        assert_eq!([right(OLD), right(NEW)], [[false; 2], [true; 2]]);
        rename(&sandbox, NEW, OLD, &[]);
        assert_eq!([right(OLD), right(NEW)], [[true; 2], [false; 2]]);
    }
}
