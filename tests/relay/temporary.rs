//! Temporary passwords on the sockets and through Postfix.

use serde_json::Value;

use crate::support::mail::Place;
use crate::support::serve::{Auth, Policy, Serve, postfix, sql, store};
use crate::support::{Sandbox, wait_for};

const USER: &str = "shop@example.com";
const HOME: &str = "192.0.2.7";
const AWAY: &str = "203.0.113.9";

fn issue(sandbox: &Sandbox, more: &[&str]) -> (String, String) {
    let issue = ["user", "issue", USER, "--quiet"];
    let found = sandbox.json(&[&issue[..], more].concat());
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("password"), text("password_id"))
}

/// Whether this relay accepts it; it must say something.
fn accepts(place: &Place, address: &str, password: &str) -> bool {
    let mut auth = Auth::connect(&place.auth()).expect("a greeting");
    let said = auth.plain(address, USER, password).expect("an answer");
    said.expect("not hung up")
}

fn shown(sandbox: &Sandbox, id: &str) -> Value {
    let user = sandbox.json(&["user", "show", USER]);
    let all = user["temporary_passwords"].as_array().unwrap();
    all.iter().find(|one| one["id"] == id).unwrap().clone()
}

/// Twice each: hashed, and remembered.
#[test]
#[ignore = "needs root: run tests/run"]
fn p3_one_works_beside_the_others_until_it_ends() {
    let sandbox = store();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let own = sandbox.create(USER);
    let (ci, ci_id) = issue(&sandbox, &["--for", "1h", "--label", "ci"]);
    let (guest, guest_id) = issue(&sandbox, &["--for", "90d", "--from", "192.0.2.0/24"]);
    for _ in 0..2 {
        for (password, address) in [(&own, AWAY), (&ci, AWAY), (&guest, HOME)] {
            assert!(accepts(&place, address, password), "{address}");
        }
        assert!(!accepts(&place, AWAY, &guest), "not from there");
        assert!(!accepts(&place, "unknown", &guest), "nor from nowhere");
        assert!(!accepts(&place, HOME, "wrong-Otter-61"));
    }
    let used = wait_for("the sign-ins", || {
        let found = shown(&sandbox, &guest_id);
        found["last_connection"].is_object().then_some(found)
    });
    assert_eq!(used["last_connection"]["address"], HOME);
    assert_eq!(used["from"], serde_json::json!(["192.0.2.0/24"]));
    let failures = wait_for("the refusals", || {
        let found = sandbox.json(&["audit", "failures", "--user", USER]);
        let found = found.as_array().unwrap().clone();
        let of = |one: &&Value| one["reason"] == "address-not-allowed";
        (found.iter().filter(of).count() == 2).then_some(found)
    });
    assert!(failures.iter().any(|one| one["address"] == AWAY));

    // A reset, an overlap and a restart leave both alone.
    let next = sandbox.noted(&["user", "reset", USER, "--yes", "--quiet"]);
    let next = next.trim_end();
    assert!(!accepts(&place, HOME, &own) && accepts(&place, HOME, next));
    sandbox.noted(&["user", "reset", USER, "--overlap", "1h", "--quiet"]);
    serve.restart_in_place();
    for password in [&ci, &guest] {
        assert!(accepts(&place, HOME, password));
    }
    assert!(!accepts(&place, AWAY, &guest));

    // The rules of the user hold for one without its own, and do not for the other.
    let set = ["user", "set", USER, "--quiet", "--addresses"];
    sandbox.warned(
        &[&set[..], &["listed"]].concat(),
        "no address is allowed, so shop@example.com cannot sign in; run: smtpcred user allow \
         shop@example.com CIDR",
    );
    assert!(!accepts(&place, HOME, &ci) && accepts(&place, HOME, &guest));
    sandbox.noted(&[&set[..], &["none"]].concat());
    assert!(accepts(&place, HOME, &ci));

    // One ends by hand, the other by time.
    let retire = ["user", "retire", USER, "--quiet", "--password-id"];
    sandbox.noted(&[&retire[..], &[&guest_id]].concat());
    assert!(!accepts(&place, HOME, &guest) && accepts(&place, HOME, &ci));
    let ended = format!(
        "UPDATE passwords SET retires_at = retires_at - 3600 WHERE password_id = '{ci_id}'"
    );
    sql(&sandbox, &ended);
    assert!(!accepts(&place, HOME, &ci));
    assert_eq!(shown(&sandbox, &ci_id)["works"], false);
}

#[test]
#[ignore = "needs root: run tests/run"]
fn one_teaches_no_address() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let own = sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--quiet", "--addresses", "learn"]);
    let (guest, _) = issue(&sandbox, &["--for", "1h"]);
    assert!(accepts(&place, AWAY, &guest) && accepts(&place, HOME, &own));
    let seen = wait_for("both", || {
        let found = sandbox.json(&["user", "addresses", USER]);
        (found.as_array()?.len() == 2).then_some(found)
    });
    let state = |network: &str| {
        let mut all = seen.as_array().unwrap().iter();
        all.find(|one| one["network"] == network).unwrap()["state"].clone()
    };
    assert_eq!(state("192.0.2.0/24"), "learned");
    assert_eq!(state("203.0.113.0/24"), "new");
}

/// A session ends with the password that it signed in with, and is counted for that.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p3_through_postfix_its_session_ends_with_it() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    sandbox.create(USER);
    let (one, id) = issue(&sandbox, &["--for", "2h", "--from", "127.0.0.1"]);
    let (away, _) = issue(&sandbox, &["--for", "2h", "--from", HOME]);
    assert_eq!(postfix.client().auth_plain(USER, &away, true).code, 535);
    let mut smtp = postfix.client().signed_in(USER, &one);
    assert_eq!(smtp.send_message(USER, "one@elsewhere.test").code, 250);
    wait_for("the count", || {
        (shown(&sandbox, &id)["messages"] == 1).then_some(())
    });
    sandbox.noted(&["user", "reset", USER, "--yes", "--quiet"]);
    assert_eq!(smtp.send_message(USER, "one@elsewhere.test").code, 250);
    sandbox.noted(&["user", "retire", USER, "--password-id", &id, "--quiet"]);
    let mut reply = smtp.mail(USER);
    if reply.code == 250 {
        reply = smtp.rcpt("one@elsewhere.test");
    }
    assert_eq!(reply.code, 421, "{reply:?}");
    assert_eq!(postfix.client().auth_plain(USER, &one, true).code, 535);
    let _ = Policy::connect(&place.policy()).expect("it still serves");
}
