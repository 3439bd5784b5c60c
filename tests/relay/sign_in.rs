//! Postfix and Exim, set up with nothing but what `smtpcred show-server-config`
//! prints, sign users in and let them send as `smtpcred serve` says.
//! Long, because both servers pass through the same steps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::mail::Place;
use crate::support::mail::exim::{self, Exim};
use crate::support::mail::postfix::{self, Postfix};
use crate::support::mail::smtp::{Reply, Smtp};
use crate::support::serve::{Serve, age_counts, end_soon, store};
use crate::support::{self, Run, Sandbox, wait_for};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";

/// A mail server under test.
struct Server<'a> {
    sandbox: &'a Sandbox,
    starttls: &'a dyn Fn() -> Smtp,
    tls: &'a dyn Fn() -> Smtp,
    /// Its code for a refusal for now, and what a policy server's 553 and 421
    /// become.
    defers: u16,
    not_owned: u16,
    stopped: u16,
}

fn with_postfix(chroot: bool, test: impl FnOnce(&Server)) {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let [auth, policy] = postfix::Setup::sockets(&place, chroot);
    let shipped = sandbox.ok(&shown("postfix", &auth, &policy));
    let postfix = Postfix::start(&place, &postfix::Setup::shipped(chroot, &shipped));
    test(&Server {
        sandbox: &sandbox,
        starttls: &|| postfix.client(),
        tls: &|| postfix.client_tls(),
        defers: 450,
        not_owned: 553,
        stopped: 421,
    });
}

fn with_exim(test: impl FnOnce(&Server)) {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let exim = Exim::start(&place, &shipped_exim(&sandbox, &place));
    test(&Server {
        sandbox: &sandbox,
        starttls: &|| exim.client(),
        tls: &|| exim.client_tls(),
        defers: 451,
        not_owned: 550,
        stopped: 451,
    });
}

fn shown<'a>(server: &'a str, auth: &'a str, policy: &'a str) -> [&'a str; 6] {
    let command = "show-server-config";
    [command, server, "--auth", auth, "--policy", policy]
}

fn shipped_exim(sandbox: &Sandbox, place: &Place) -> exim::Setup {
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    exim::Setup::shipped(&sandbox.ok(&shown("exim", &auth, &policy)))
}

impl Server<'_> {
    fn code(&self, user: &str, password: &str) -> u16 {
        (self.starttls)().auth_plain(user, password, true).code
    }

    fn signed_in(&self, user: &str, password: &str) -> Smtp {
        (self.starttls)().signed_in(user, password)
    }

    fn reset(&self, user: &str, more: &[&str]) -> String {
        let reset = ["user", "reset", user, "--yes", "--quiet"];
        let password = self.sandbox.ok(&[&reset, more].concat());
        password.trim_end().to_owned()
    }
}

/// Every way to say it, on both ports; a wrong password is one, so that its
/// answers do not become slower.
fn signs_in(server: &Server) {
    let password = server.sandbox.create(USER);
    for connect in [server.starttls, server.tls] {
        for (password, code) in [(password.as_str(), 235), ("wrong", 535)] {
            for initial in [true, false] {
                let replies = [
                    connect().auth_plain(USER, password, initial),
                    connect().auth_login(USER, password, initial),
                ];
                for reply in replies {
                    assert_eq!(reply.code, code, "{reply:?}");
                }
            }
        }
        let upper = connect().auth_plain("SHOP@Example.COM", &password, true);
        assert_eq!(upper.code, 235, "{upper:?}");
        let mut same = connect();
        assert_eq!(same.auth_login(USER, "wrong", false).code, 535);
        assert_eq!(same.auth_login(USER, &password, false).code, 235);
    }
    assert_eq!(server.code("nobody@example.com", &password), 535);

    server.sandbox.noted(&["user", "suspend", USER, "--yes"]);
    assert_eq!(server.code(USER, &password), 535);
    server.sandbox.noted(&["user", "resume", USER]);
    assert_eq!(server.code(USER, &password), 235);
    server
        .sandbox
        .noted(&["user", "set", USER, "--expires-in", "1s"]);
    wait_for("the expiry", || {
        (server.code(USER, &password) == 535).then_some(())
    });
    server
        .sandbox
        .noted(&["user", "set", USER, "--expires-in", "none"]);
    assert_eq!(server.code(USER, &password), 235);
}

/// Both passwords for a while, then the new one alone; or at once.
fn resets(server: &Server) {
    let first = server.sandbox.create(USER);
    let second = server.reset(USER, &["--overlap", "1h"]);
    let codes = [&first, &second].map(|password| server.code(USER, password));
    assert_eq!(codes, [235, 235]);
    end_soon(server.sandbox);
    wait_for("the end of the overlap", || {
        (server.code(USER, &first) == 535).then_some(())
    });
    assert_eq!(server.code(USER, &second), 235);
    let third = server.reset(USER, &[]);
    let codes = [&first, &second, &third].map(|password| server.code(USER, password));
    assert_eq!(codes, [535, 535, 235]);
}

fn sends(server: &Server) {
    let password = server.sandbox.create(USER);
    let mut stranger = (server.starttls)();
    let refused = stranger.send_message(USER, TO);
    assert!(matches!(refused.code, 550 | 554), "{refused:?}");

    let mut smtp = server.signed_in(USER, &password);
    let says = |reply: Reply, code: u16, text: &str| {
        assert_eq!(reply.code, code, "{reply:?}");
        // Exim breaks lines where it likes.
        let said = reply.text.replace('\n', " ");
        assert!(said.contains(text), "{reply:?}");
    };
    says(smtp.send_message("other@example.com", TO), 250, "");
    says(smtp.send_message("", TO), 250, "");
    let not_owned = "5.7.1";
    let theirs = smtp.send_message("shop@elsewhere.test", TO);
    says(theirs.clone(), server.not_owned, not_owned);
    says(theirs, server.not_owned, "not owned by this login");

    // What is sent without a limit is written down a moment later.
    wait_for("the counts", || {
        let usage = server.sandbox.json(&["usage"]);
        (usage[0]["messages"] == 2).then_some(())
    });
    server
        .sandbox
        .noted(&["user", "set", USER, "--sender", USER, "--daily-limit", "4"]);
    says(
        smtp.send_message("other@example.com", TO),
        server.not_owned,
        "not owned",
    );
    says(smtp.send_message(USER, TO), 250, "");
    says(smtp.send_message(USER, TO), 250, "");
    let over = smtp.send_message(USER, TO);
    says(
        over.clone(),
        server.defers,
        "Sending limit of shop@example.com reached: 4 messages a day",
    );
    says(over, server.defers, "4.7.1");
    age_counts(server.sandbox, 86_400 + 900);
    says(smtp.send_message(USER, TO), 250, "");

    server.sandbox.noted(&["user", "suspend", USER, "--yes"]);
    assert_eq!(smtp.mail(USER).code, 250);
    says(smtp.rcpt(TO), server.stopped, "session no longer works");
    server.sandbox.noted(&["user", "resume", USER]);
    let mut smtp = server.signed_in(USER, &password);
    says(smtp.send_message(USER, TO), 250, "");
    server.sandbox.noted(&["user", "delete", USER, "--yes"]);
    assert_eq!(smtp.mail(USER).code, 250);
    says(smtp.rcpt(TO), server.stopped, "session no longer works");
}

fn keeps_records(server: &Server) {
    let password = server.sandbox.create(USER);
    assert_eq!(server.code(USER, "wrong"), 535);
    assert_eq!(server.code(USER, "wrong"), 535);
    let mut smtp = server.signed_in(USER, &password);
    assert_eq!(smtp.mail(USER).code, 250);
    for to in [TO, "two@elsewhere.test"] {
        assert_eq!(smtp.rcpt(to).code, 250);
    }
    assert_eq!(smtp.data("Subject: two\n\ntest\n").code, 250);
    assert_eq!(
        smtp.send_message("me@elsewhere.test", TO).code,
        server.not_owned
    );

    let seen =
        || server.sandbox.json(&["user", "show", USER])["last_connection"]["address"].clone();
    let usage = || server.sandbox.json(&["usage"])[0].clone();
    wait_for("all that was found out to be written down", || {
        (seen() == "127.0.0.1" && usage()["refusals"] == 1).then_some(())
    });
    let sent = usage();
    assert_eq!(
        [&sent["name"], &sent["messages"], &sent["recipients"]],
        [&Value::from(USER), &Value::from(1), &Value::from(2)]
    );
    assert!(sent["bytes"].as_u64().unwrap() > 10, "{sent}");
    let failures = server.sandbox.json(&["audit", "failures"]);
    assert_eq!(failures[0]["username"], USER);
    assert_eq!(failures[0]["address"], "127.0.0.1");
    assert_eq!(failures[0]["reason"], "wrong-password");
    assert_eq!(failures[0]["count"], 2);
    assert_eq!(failures.as_array().unwrap().len(), 1, "{failures}");
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_signs_in() {
    with_postfix(false, signs_in);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_signs_in_from_its_chroot() {
    with_postfix(true, |server| {
        let password = server.sandbox.create(USER);
        assert_eq!(server.code(USER, "wrong"), 535);
        let mut smtp = server.signed_in(USER, &password);
        assert_eq!(smtp.send_message(USER, TO).code, 250);
        assert_eq!(smtp.send_message("a@elsewhere.test", TO).code, 553);
    });
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn exim_signs_in() {
    with_exim(signs_in);
}

#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn p3_a_reset_counts_at_once() {
    with_postfix(false, resets);
    with_exim(resets);
}

#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn p7_senders_limits_and_suspensions_hold() {
    with_postfix(false, sends);
    with_exim(sends);
}

#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn connections_failures_and_usage_are_written_down() {
    with_postfix(false, keeps_records);
    with_exim(keeps_records);
}

/// Its own check likes what it prints, and nothing else.
fn check(sandbox: &Sandbox, shown: &[&str], config: &str, path: Option<&str>) -> Run {
    let args = [shown, &["--check", "--config", config]].concat();
    let mut command = sandbox.command(&args);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    support::finished(command.output().unwrap())
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_is_checked() {
    let sandbox = store();
    for chroot in [false, true] {
        let place = Place::new();
        let [auth, policy] = postfix::Setup::sockets(&place, chroot);
        let args = shown("postfix", &auth, &policy);
        let text = sandbox.ok(&args);
        let postfix = Postfix::start(&place, &postfix::Setup::shipped(chroot, &text));
        let config = postfix.config.to_str().unwrap();
        let good = check(&sandbox, &args, config, None);
        assert_eq!(good.code, 0, "{good:?}");
        let other = check(
            &sandbox,
            &shown("postfix", "other/auth", &policy),
            config,
            None,
        );
        assert_eq!(other.code, 7, "{other:?}");
        let master = postfix.config.join("master.cf");
        let whole = std::fs::read_to_string(&master).unwrap();
        for (part, instead) in [
            ("  -o smtpd_sasl_auth_enable=yes\n", ""),
            ("smtpd_sasl_type=dovecot", "smtpd_sasl_type=cyrus"),
            ("smtpd_tls_auth_only=yes", "smtpd_tls_auth_only=no"),
            ("smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"),
            ("smtpd_recipient_restrictions", "smtpd_data_restrictions"),
        ] {
            assert!(whole.contains(part), "{part}");
            let mut broken = whole.replace(part, instead);
            if part.contains("tls") {
                // Enough by itself.
                broken = broken.replace(
                    "smtpd_tls_security_level=encrypt",
                    "smtpd_tls_security_level=may",
                );
            }
            std::fs::write(&master, broken).unwrap();
            let run = check(&sandbox, &args, config, None);
            assert_eq!(run.code, 7, "{part}: {run:?}");
        }
    }
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn exim_is_checked() {
    let sandbox = store();
    let place = Place::new();
    let exim = Exim::start(&place, &shipped_exim(&sandbox, &place));
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    let args = shown("exim", &auth, &policy);
    let config = exim.config.to_str().unwrap();
    let path = exim.config.parent().unwrap().to_str();
    let good = check(&sandbox, &args, config, path);
    assert_eq!(good.code, 0, "{good:?}");
    let other = check(&sandbox, &shown("exim", &auth, "/run/other"), config, path);
    assert_eq!(other.code, 7, "{other:?}");
    let whole = std::fs::read_to_string(config).unwrap();
    for (part, instead) in [
        ("public_name = LOGIN", "public_name = OTHER"),
        ("auth_advertise_hosts", "# auth_advertise_hosts"),
        (
            "acl_smtp_data = acl_smtpcred_data",
            "acl_smtp_data = acl_other\n",
        ),
        ("protocol_state=END-OF-MESSAGE", "protocol_state=DATA"),
    ] {
        assert!(whole.contains(part), "{part}");
        std::fs::write(config, whole.replace(part, instead)).unwrap();
        let run = check(&sandbox, &args, config, path);
        assert_eq!(run.code, 7, "{part}: {run:?}");
    }
}

/// Doctor finds the text that earlier versions printed, and its replacement.
#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn the_text_that_was_printed_for_exim_before_is_found() {
    let sandbox = store();
    let place = Place::new();
    let mut setup = shipped_exim(&sandbox, &place);
    setup.acl = setup
        .acl
        .replace("$recipients_count", "$rcpt_count")
        .replace("smtpcred_plain : smtpcred_login", "*");
    let exim = Exim::start(&place, &setup);
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    let args = [&shown("exim", &auth, &policy)[..], &["--json"]].concat();
    let path = exim.config.parent().unwrap().to_str();
    let run = check(&sandbox, &args, exim.config.to_str().unwrap(), path);
    assert_eq!(run.code, 7, "{run:?}");
    let all: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let wrong = all.iter().filter(|one| one["good"] == false);
    let wrong: Vec<_> = wrong
        .map(|one| ["wanted", "found"].map(|name| one[name].as_str().unwrap()))
        .collect();
    let ours = "authenticated = smtpcred_plain : smtpcred_login";
    let [rcpt, data] = ["acl_smtp_rcpt", "acl_smtp_data"].map(|acl| format!("{acl} with {ours}"));
    assert_eq!(
        wrong,
        [
            [&rcpt as &str, "authenticated = *"],
            [
                "acl_smtp_data with recipient_count=$recipients_count",
                "recipient_count=$rcpt_count"
            ],
            [&data, "authenticated = *"],
        ]
    );
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn p7_exim_counts_no_recipient_that_it_refused() {
    with_exim(|server| {
        let password = server.sandbox.create(USER);
        let limit = ["--limit", "recipients/hour=10"];
        server
            .sandbox
            .noted(&[&["user", "set", USER], &limit[..]].concat());
        let mut smtp = server.signed_in(USER, &password);
        let mut send = |name: &str, good: usize, bad: usize| {
            assert_eq!(smtp.mail(USER).code, 250);
            for n in 0..bad {
                let refused = smtp.command(&format!("RCPT TO:<a {name}{n}@@elsewhere.test>"));
                assert_eq!(refused.code, 501, "{refused:?}");
            }
            for n in 0..good {
                let reply = smtp.rcpt(&format!("{name}{n}@elsewhere.test"));
                assert_eq!(reply.code, 250, "{reply:?}");
            }
            smtp.data("Subject: some\n\ntest\n").code
        };
        assert_eq!(send("a", 8, 3), 250);
        assert_eq!(send("b", 2, 0), 250);
        assert_eq!(smtp.send_message(USER, TO).code, server.defers);
    });
}

/// smtpcred does not know them: Exim's other rules apply to them, and they have no
/// limits.
#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn exim_keeps_its_users_of_other_authenticators() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = shipped_exim(&sandbox, &place);
    setup.authenticators = setup.authenticators.replacen(
        "smtpcred_plain:",
        "others:
  driver = plaintext
  public_name = OTHERS
  server_prompts = :
  server_condition = ${if eq{$auth3}{the-old-secret}}
  server_set_id = $auth2

smtpcred_plain:",
        1,
    );
    let exim = Exim::start(&place, &setup);
    let password = sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--limit", "messages/hour=1"]);
    let mut ours = exim.client();
    assert_eq!(ours.auth_plain(USER, &password, true).code, 235);
    assert_eq!(ours.send_message("a@elsewhere.test", TO).code, 550);
    assert_eq!(ours.send_message(USER, TO).code, 250);
    assert_eq!(ours.send_message(USER, TO).code, 451);
    let mut other = exim.client();
    let response = STANDARD.encode("\0old@example.net\0the-old-secret");
    let reply = other.command(&format!("AUTH OTHERS {response}"));
    assert_eq!(reply.code, 235, "{reply:?}");
    for _ in 0..2 {
        let reply = other.send_message("old@example.net", TO);
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    let mut stranger = exim.client();
    assert_eq!(stranger.send_message("old@example.net", TO).code, 550);
}
