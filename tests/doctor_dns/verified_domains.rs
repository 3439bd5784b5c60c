//! `domain verify`, and `--require-verified-domains` through a running relay.

use crate::support::mail::Place;
use crate::support::nsd::Nsd;
use crate::support::serve::{Policy, Serve};
use crate::support::zones::{check, of, sound_but};
use crate::support::{self, Run, Sandbox, mail, serve, zones};

const TO: &str = "one@elsewhere.test";
const REFUSED: &str = "The domain of this login is not verified: it may not send yet";

#[test]
#[ignore = "needs nsd: run tests/run"]
fn a_token_in_the_dns_verifies_a_domain() {
    let sandbox = zones::store();
    sandbox.noted(&["domain", "add", "tenant.example"]);
    let verify = |nsd: &Nsd| {
        sandbox.run(&[
            "domain",
            "verify",
            "tenant.example",
            "--resolver",
            &nsd.address,
        ])
    };
    let unverified = |run: &Run, found: &str| {
        assert_eq!((run.code, run.stdout.as_str()), (7, ""), "{run:?}");
        assert!(
            run.stderr
                .contains(&format!("_smtpcred.tenant.example: {found}")),
            "{run:?}"
        );
        let line = run.stderr.split("publish: ").nth(1).unwrap();
        line.split(';').next().unwrap().to_owned()
    };
    let without = zones::serve(&[("tenant.example".into(), String::new())]);
    let record = unverified(&verify(&without), "nothing");
    assert!(record.starts_with("_smtpcred.tenant.example. IN TXT \"smtpcred-verification="));
    // The same each time.
    assert_eq!(unverified(&verify(&without), "nothing"), record);
    let other = "_smtpcred TXT \"smtpcred-verification=guess\"";
    let other = zones::serve(&[("tenant.example".into(), other.into())]);
    assert_eq!(
        unverified(&verify(&other), "smtpcred-verification=guess"),
        record
    );
    // Where nobody can tell it is not said to be missing.
    let broken = zones::serve(&[("tenant.example".into(), "not a record".into())]);
    let run = verify(&broken);
    assert_eq!(run.code, 75, "{run:?}");
    assert!(sandbox.json(&["domain", "show", "tenant.example"])["verified_at"].is_null());

    let with = zones::serve(&[(
        "tenant.example".into(),
        format!("{record}\n_smtpcred TXT \"another\"\n"),
    )]);
    let run = verify(&with);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.stderr, "verified the domain tenant.example\n");
    // For good, also when the record is gone.
    let again = verify(&without);
    assert!(
        again.code == 0 && again.stderr.contains("has been verified since"),
        "{again:?}"
    );
    let audit = sandbox.json(&["audit", "list"]);
    let events = audit.as_array().unwrap().iter();
    assert_eq!(events.filter(|e| e["action"] == "domain.verify").count(), 1);
    // Who has the name next has to prove it anew.
    sandbox.noted(&["domain", "remove", "tenant.example", "--yes"]);
    sandbox.noted(&["domain", "add", "tenant.example"]);
    assert_ne!(unverified(&verify(&with), "smtpcred-verification="), record);
}

#[test]
#[ignore = "needs nsd: run tests/run"]
fn where_domains_have_to_be_verified_check_says_so() {
    let nsd = zones::serve(&[("good.example".into(), sound_but("", ""))]);
    let sandbox = zones::store();
    sandbox.noted(&["domain", "add", "good.example"]);
    sandbox.noted(&["set-settings", "--require-verified-domains", "yes"]);
    let (code, findings) = check(&sandbox, &nsd, "good.example", &["--selector", "s1"]);
    let found = of(&findings, "verification");
    assert_eq!((code, &found["state"]), (7, &"missing".into()));
    let record = found["wanted"].as_str().unwrap();
    let zone = format!("{}{record}\n", sound_but("", ""));
    let nsd = zones::serve(&[("good.example".into(), zone)]);
    sandbox.noted(&[
        "domain",
        "verify",
        "good.example",
        "--resolver",
        &nsd.address,
    ]);
    let (code, findings) = check(&sandbox, &nsd, "good.example", &["--selector", "s1"]);
    assert_eq!(
        (code, &of(&findings, "verification")["state"]),
        (0, &"ok".into())
    );
}

/// The domain's token in a zone of our own, and the domain verified by it.
fn verify(sandbox: &Sandbox, domain: &str) {
    let run = sandbox.run(&["domain", "verify", domain, "--resolver", "127.0.0.1:1"]);
    assert_eq!(run.code, 75, "{run:?}");
    let empty = zones::serve(&[(domain.to_owned(), String::new())]);
    let run = sandbox.run(&["domain", "verify", domain, "--resolver", &empty.address]);
    let record = run.stderr.split("publish: ").nth(1).expect("a record");
    let record = record.split(';').next().expect("a record").to_owned();
    drop(empty);
    let nsd = zones::serve(&[(domain.to_owned(), record + "\n")]);
    sandbox.noted(&["domain", "verify", domain, "--resolver", &nsd.address]);
}

#[test]
#[ignore = "needs root, Postfix and nsd: run tests/run"]
fn p3_who_has_no_verified_domain_cannot_send_from_then_on() {
    let sandbox = serve::store();
    for domain in ["a.example", "b.example"] {
        sandbox.noted(&["domain", "add", domain]);
    }
    let [a, b] = ["shop@a.example", "shop@b.example"].map(|user| (user, sandbox.create(user)));
    verify(&sandbox, "a.example");
    let place = Place::new();
    let relay = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    // One session each that stays: what is set holds in it, too.
    let mut sessions = [&a, &b].map(|(user, password)| {
        let mut smtp = postfix.try_client().unwrap();
        let reply = smtp.try_auth_plain(user, password, true).unwrap();
        assert_eq!(reply.code, 235, "{reply:?}");
        (*user, smtp)
    });
    let send = |sessions: &mut [(&str, mail::smtp::Smtp); 2]| {
        sessions.each_mut().map(|(user, smtp)| {
            let reply = smtp.try_send_message(user, TO).unwrap();
            assert!(
                reply.code == 250 || reply.text.contains(REFUSED),
                "{reply:?}"
            );
            reply.code
        })
    };
    assert_eq!(send(&mut sessions), [250, 250]);
    let run = sandbox.run(&["set-settings", "--require-verified-domains", "yes"]);
    assert!(
        run.stderr
            .contains("1 domain with users can no longer send"),
        "{run:?}"
    );
    assert_eq!(send(&mut sessions), [250, 554]);
    verify(&sandbox, "b.example");
    assert_eq!(send(&mut sessions), [250, 250]);
    sandbox.noted(&["domain", "remove", "b.example", "--yes", "--with-users"]);
    sandbox.noted(&["domain", "add", "b.example"]);
    let warning =
        "shop@b.example cannot send until its domain is verified: smtpcred domain verify b.example";
    let again = sandbox.warned(&["user", "create", "shop@b.example", "--quiet"], warning);
    let again = again.trim_end().to_owned();
    // Signing in tells nothing about it.
    let mut smtp = postfix.try_client().unwrap();
    let reply = smtp.try_auth_plain(b.0, &again, true).unwrap();
    assert_eq!(reply.code, 235, "{reply:?}");
    // The session before is of a user who was deleted.
    sessions[1].1 = smtp;
    assert_eq!(send(&mut sessions), [250, 554]);
    sandbox.noted(&["set-settings", "--require-verified-domains", "no"]);
    assert_eq!(send(&mut sessions), [250, 250]);
    // Twice one recipient was refused; and it is in the log.
    support::wait_for("the refusals to be written down", || {
        let usage = sandbox.json(&["usage"]);
        let rows = usage.as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["name"] == b.0)?;
        (row["refusals"] == 2).then_some(())
    });
    relay.logs(REFUSED);
}

#[test]
#[ignore = "needs root: run tests/run"]
fn each_stage_refuses_who_is_not_verified() {
    let sandbox = serve::store();
    sandbox.create("shop@example.com");
    sandbox.require_verified_domain();
    let place = Place::new();
    let _relay = Serve::start(&sandbox, &place);
    let mut policy = Policy::connect(&place.policy()).unwrap();
    for state in ["MAIL", "RCPT", "DATA", "END-OF-MESSAGE"] {
        let action = policy.ask(state, "shop@example.com", TO, "1.1").unwrap();
        assert_eq!(
            action.as_deref(),
            Some(format!("554 5.7.1 {REFUSED}").as_str()),
            "{state}"
        );
    }
}
