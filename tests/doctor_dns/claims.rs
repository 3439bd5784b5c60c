//! What `smtpcred doctor` calls a fault is one: real servers set up so refuse who
//! has the right password.

use std::fs;

use crate::support::doctor::{Changed, with_postfix};
use crate::support::mail::Place;
use crate::support::mail::dovecot::{Dovecot, Passwords};
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::serve::{Auth, Serve, store};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";

/// The code of a message that is sent with the right password.
fn code(part: &str, instead: &str) -> u16 {
    let sandbox = store();
    let password = sandbox.create(USER);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = Setup::new(&place, false);
    assert!(setup.options.contains(part), "{}", setup.options);
    setup.options = setup.options.replace(part, instead);
    let postfix = Postfix::start(&place, &setup);
    let mut client = postfix.client();
    assert_eq!(client.auth_plain(USER, &password, true).code, 235);
    client.send_message(USER, TO).code
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_refuses_to_send() {
    let relay = "smtpd_relay_restrictions=permit_sasl_authenticated,reject";
    assert_eq!(code(relay, relay), 250);
    let nobody = "smtpd_relay_restrictions=reject_unauth_destination";
    assert_eq!(code(relay, nobody), 554, "nobody may relay");
    let late = "smtpd_relay_restrictions=reject,permit_sasl_authenticated";
    assert_eq!(code(relay, late), 554, "users may relay too late");
    let maps = format!("{relay}\n  -o smtpd_sender_restrictions=reject_sender_login_mismatch");
    assert_eq!(code(relay, &maps), 553, "an empty table of senders");
    let client = format!("{relay}\n  -o smtpd_client_restrictions=reject");
    assert_eq!(code(relay, &client), 554, "no client is let in");
    let recipient = "smtpd_recipient_restrictions=$submission_recipient_restrictions";
    let elsewhere = "smtpd_recipient_restrictions=reject_unauth_destination";
    assert_eq!(
        code(recipient, elsewhere),
        554,
        "users meet the end of a list"
    );
}

/// What it says to put into master.cf makes all well.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn what_it_says_to_type() {
    with_postfix(|ground, _, postfix| {
        let file = postfix.config.join("master.cf");
        let mut text = fs::read_to_string(&file).unwrap();
        let broken = text.replace(
            "check_policy_service",
            "warn_if_reject check_policy_service",
        );
        let broken = broken.replace("smtpd_sasl_type=dovecot", "smtpd_sasl_type=cyrus");
        let _changed = Changed::write(&file, broken.as_bytes());
        let (_, run) = ground.run();
        let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        text = broken;
        let mut typed = 0;
        for advice in found.as_array().unwrap() {
            let advice = advice["advice"].as_str().unwrap_or_default();
            let Some((service, rest)) = advice
                .strip_prefix("in master.cf, below ")
                .and_then(|rest| rest.split_once(": "))
            else {
                continue;
            };
            let (line, _) = rest.split_once(", then: ").unwrap();
            let option = format!("  {line}\n");
            let head = text.find(&format!("\n{service} ")).unwrap() + 1;
            let end = text[head..]
                .find("\n\n")
                .map_or(text.len(), |end| head + end + 1);
            text.insert_str(end, &option);
            typed += 1;
        }
        // Of both services the kind of SASL and two lists.
        assert_eq!(typed, 6, "{}", run.stdout);
        fs::write(&file, &text).unwrap();
        let (found, run) = ground.run();
        assert!(found.is_empty(), "{found:?}\n{text}\n{}", run.stdout);
    });
}

/// A hash of 19 MiB in a worker that may have so much in all.
fn accepted(most: &str) -> bool {
    let sandbox = store();
    let password = sandbox.create(USER);
    let place = Place::new();
    let text = sandbox.ok(&["show-server-config", "dovecot"]);
    let limit = format!("service auth-worker {{\n vsz_limit = {most}\n}}\n");
    let text = text.replace("auth_cache_size", &format!("{limit}auth_cache_size"));
    assert!(text.contains(&limit), "{text}");
    let dovecot = Dovecot::start(&place, &Passwords::Shipped(text));
    let mut auth = Auth::connect(&dovecot.socket).unwrap();
    auth.ask(USER, &password).unwrap()
}

#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn dovecot_refuses_without_memory() {
    // 28M would do without Dovecot's module for PostgreSQL.
    assert!(accepted("48M"));
    assert!(!accepted("24M"));
}
