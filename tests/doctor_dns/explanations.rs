//! What `smtpcred test` says of servers that do not do as they should. Every fault
//! is one that a real server really has.

use crate::support::desk::{Desk, TO, USER, at, at_tls, text};
use crate::support::mail::Place;
use crate::support::mail::dovecot::{Dovecot, Passwords};
use crate::support::mail::exim::{self, Exim};
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::mail::smtp::Smtp;
use crate::support::mail::tls::{HOST, certificate_at};
use crate::support::serve::{Serve, sql, store};
use crate::support::wait_for;

/// A service of Postfix with something wrong in it, and what comes of it.
struct Wrong {
    options: &'static str,
    args: &'static [&'static str],
    exit: i32,
    code: &'static str,
    /// What Postfix says begins so.
    said: &'static str,
}

const SEND: &[&str] = &["--to", TO];

const fn wrong(options: &'static str, exit: i32, code: &'static str, said: &'static str) -> Wrong {
    Wrong {
        options,
        args: SEND,
        exit,
        code,
        said,
    }
}

const WRONG: &[Wrong] = &[
    wrong(
        "smtpd_sasl_auth_enable=no",
        1,
        "no_auth",
        "the server offers neither",
    ),
    Wrong {
        args: &["--to", "you@else.test"],
        ..wrong(
            "smtpd_relay_restrictions=reject_unauth_destination",
            4,
            "relay_denied",
            "554 5.7.1",
        )
    },
    wrong(
        "queue_minfree=1000000000000",
        75,
        "server_trouble",
        "452 4.3.1",
    ),
    wrong(
        "smtpd_recipient_restrictions=check_policy_service,unix:/nowhere",
        75,
        "server_trouble",
        "451 4.3.5",
    ),
    wrong(
        "relay_recipient_maps=inline:{a=b}",
        4,
        "recipient_refused",
        "550 5.1.1",
    ),
    Wrong {
        args: &["--to", TO, "--body", LARGE],
        ..wrong("message_size_limit=200", 4, "too_large", "552 5.3.4")
    },
    wrong(
        "smtpd_data_restrictions=reject",
        4,
        "message_refused",
        "554 5.",
    ),
    wrong(
        "smtpd_sender_login_maps=inline:{a=b}\nsmtpd_sender_restrictions=reject_sender_login_mismatch",
        4,
        "sender_not_owned",
        "553 5.7.1",
    ),
    wrong(
        "smtpd_recipient_restrictions=check_recipient_access,static:{450 4.2.0 Greylisted}",
        75,
        "try_later",
        "450 4.2.0",
    ),
];

const LARGE: &str = "a line of a message that is larger than this server likes it to be, \
    and goes on and on for longer than anybody reads who is not paid for it, since it has nothing to \
    say; which it says twice: a line of a message that is larger than this server likes it to be";

fn options(own: &str) -> String {
    let each = own.lines().map(|line| format!("  -o {{{line}}}\n"));
    each.collect::<Vec<_>>().concat()
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn what_postfix_says_is_explained() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = Setup::new(&place, false);
    setup.more = WRONG.iter().map(|wrong| options(wrong.options)).collect();
    let postfix = Postfix::start(&place, &setup);
    let desk = Desk::new(&sandbox, &place);
    for (wrong, port) in std::iter::zip(WRONG, &postfix.more) {
        let server = at(*port);
        let port = desk.fails(&server, wrong.args, &desk.password, wrong.exit, wrong.code);
        assert!(
            text(&port["fault"]["said"]).starts_with(wrong.said),
            "{port:#}"
        );
    }
}

#[test]
#[ignore = "needs root, Postfix and faketime: run tests/run"]
fn what_is_wrong_with_encryption_is_said() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let [key, old] = ["old.key", "old.pem"].map(|name| place.path().join(name));
    certificate_at(place.path(), &old, &key, "-100d");
    let certificate = format!(
        "smtpd_tls_cert_file={}\nsmtpd_tls_key_file={}",
        old.display(),
        key.display()
    );
    let mut setup = Setup::new(&place, false);
    let own = [
        &certificate,
        "smtpd_tls_auth_only=no",
        "smtpd_tls_security_level=may",
    ];
    setup.more = own.map(options).to_vec();
    let postfix = Postfix::start(&place, &setup);
    let [expired, clear, only] = [0, 1, 2].map(|i| at(postfix.more[i]));
    let desk = Desk::new(&sandbox, &place);
    let right = desk.password.as_str();
    let send = SEND;

    let stranger = Desk {
        sandbox: &sandbox,
        trusted: old,
        password: right.to_owned(),
    };
    let port = stranger.fails(&expired, send, right, 1, "certificate_expired");
    let cause = text(&port["fault"]["cause"]);
    assert!(cause.contains("expired at 20"), "{port:#}");

    // Passwords in clear: a warning beside what works, and a fault where asked for.
    let (code, test) = desk.json(&["--server", &clear, "--to", TO], right);
    assert_eq!(code, 7, "{test:#}");
    assert_eq!(test["sent"], true);
    assert_eq!(test["ports"][0]["warnings"][0]["code"], "auth_in_clear");
    desk.fails(&clear, &["--without-tls"], "", 7, "auth_in_clear");
    // As it should be: 530 where TLS is wanted for all, 538 where for AUTH alone.
    for server in [at(postfix.submission), only, at_tls(postfix.submissions)] {
        let (code, test) = desk.json(&["--server", &server, "--without-tls"], "");
        assert_eq!(code, 0, "{server} {test:#}");
        assert!(test["ports"][0]["note"].is_string(), "{test:#}");
    }

    // The wrong way to a port.
    let server = at(postfix.submissions);
    desk.fails(&format!("{server}/starttls"), send, right, 1, "wants_tls");
    desk.fails(
        &at_tls(postfix.submission),
        send,
        right,
        1,
        "wants_starttls",
    );
    desk.fails(&at(postfix.mx), send, right, 1, "no_starttls");
    let args = ["--to", TO, "--address", "127.0.0.1"];
    let other = format!("other.test:{}", postfix.submission);
    let port = desk.fails(&other, &args, right, 1, "certificate_other_name");
    assert!(text(&port["fault"]["cause"]).contains(HOST), "{port:#}");
    stranger.fails(
        &at(postfix.submission),
        send,
        right,
        1,
        "certificate_unknown",
    );
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_an_outage_is_no_wrong_password() {
    let sandbox = store();
    let place = Place::new();
    let serve = Serve::start(&sandbox, &place);
    let postfix = Postfix::start(&place, &Setup::new(&place, false));
    let desk = Desk::new(&sandbox, &place);
    let right = desk.password.as_str();
    store_gone(&desk, &postfix);
    drop(serve);
    postfix.reload();
    let args = ["--server", &at(postfix.submission), "--to", TO];
    let (code, test) = desk.json(&args, right);
    let fault = text(&test["ports"][0]["fault"]["code"]).to_owned();
    assert_eq!(code, 75, "{test:#}");
    assert!(
        ["hung_up", "cannot_check"].contains(&fault.as_str()),
        "{test:#}"
    );
}

/// `smtpcred serve` hangs up, and Postfix says 454.
fn store_gone(desk: &Desk, postfix: &Postfix) {
    let [copy, away] =
        ["copy.db", "data/away.db"].map(|name| desk.sandbox.folder.path().join(name));
    sql(desk.sandbox, &format!("VACUUM INTO '{}'", copy.display()));
    std::fs::rename(desk.sandbox.store(), &away).unwrap();
    let server = at(postfix.submission);
    let store = copy.to_str().unwrap();
    let args = ["--to", TO, "--store", store];
    let port = desk.fails(&server, &args, &desk.password, 75, "cannot_check");
    assert!(text(&port["fault"]["said"]).starts_with("454 "), "{port:#}");
    std::fs::rename(&away, desk.sandbox.store()).unwrap();
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn what_exim_says_is_explained() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = exim::Setup::new(&place);
    // Old ones know LOGIN alone.
    let login = setup.authenticators.find("LOGIN:").unwrap();
    setup.authenticators.drain(..login);
    // One that asks for more of some than it offers to all.
    setup.main += "acl_smtp_auth = auth\nacl_smtp_mail = mail\nsmtp_accept_max_per_host = 2\n";
    let weak = place.path().join("weak");
    let acl = "auth:
  deny condition = ${if exists{WEAK}}
    message = 534 5.7.9 Authentication mechanism is too weak
  accept
mail:
  deny sender_domains = asks.test
    message = 530 5.7.0 Authentication required
  accept
";
    setup.acl += &acl.replace("WEAK", weak.to_str().unwrap());
    let exim = Exim::start(&place, &setup);
    let desk = Desk::new(&sandbox, &place);
    let right = desk.password.as_str();
    let server = at(exim.submission);
    let (code, test) = desk.json(&["--server", &server, "--to", TO], right);
    assert_eq!(code, 0, "{test:#}");
    assert!(test.to_string().contains("LOGIN: 235 "), "{test:#}");
    desk.fails(
        &server,
        &["--to", TO],
        "not-the-password-1",
        6,
        "wrong_password",
    );
    sandbox.noted(&[
        "user",
        "set",
        USER,
        "--sender",
        "asks.test",
        "--sender",
        "example.com",
    ]);
    let asks = ["--to", TO, "--from", "shop@asks.test"];
    let port = desk.fails(&server, &asks, right, 1, "sign_in_required");
    assert!(
        text(&port["fault"]["said"]).starts_with("530 5.7.0"),
        "{port:#}"
    );
    // AUTH is unknown there before TLS.
    let (code, test) = desk.json(&["--server", &server, "--without-tls"], "");
    assert_eq!(code, 0, "{test:#}");
    assert!(
        text(&test["ports"][0]["note"]).contains("as it should"),
        "{test:#}"
    );

    std::fs::write(&weak, "").unwrap();
    let port = desk.fails(&server, &["--to", TO], right, 1, "mechanism_refused");
    assert!(
        text(&port["fault"]["said"]).starts_with("534 5.7.9"),
        "{port:#}"
    );
    std::fs::remove_file(&weak).unwrap();

    // Too many at once from one address.
    let held = [(); 2].map(|()| {
        // Those that were there before may not be all gone.
        wait_for("a place", || {
            let client = Smtp::connect(exim.submission, &place.certificate).ok()?;
            (client.greeting.code == 220).then_some(client)
        })
    });
    let port = desk.fails(&server, &["--to", TO], right, 75, "server_closing");
    assert!(text(&port["fault"]["said"]).starts_with("421 "), "{port:#}");
    drop(held);
}

#[test]
#[ignore = "needs root, Postfix and Dovecot: run tests/run"]
fn a_right_password_that_somebody_else_refuses_is_told_from_a_wrong_one() {
    let sandbox = store();
    let place = Place::new();
    // It has another one for the same user.
    let passwords = Passwords::File(format!("{USER}:{{PLAIN}}vague-Otter-61-harbour\n"));
    let _dovecot = Dovecot::start_at(&place, &passwords, place.auth());
    let postfix = Postfix::start(&place, &Setup::without_policy(&place, false));
    let desk = Desk::new(&sandbox, &place);
    let server = at(postfix.submission);
    let port = desk.fails(&server, SEND, &desk.password, 1, "server_asks_elsewhere");
    assert!(text(&port["fault"]["said"]).starts_with("535 "), "{port:#}");
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn encryption_that_is_wanted_late_is_a_warning_all_the_same() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = exim::Setup::new(&place);
    // Offered to all, and refused to those in clear (RFC 4954 §6).
    setup.authenticators = setup
        .authenticators
        .lines()
        .filter(|line| !line.contains("server_advertise_condition"))
        .collect::<Vec<_>>()
        .join("\n");
    setup.main += "acl_smtp_auth = auth\n";
    setup.acl += "auth:
  deny !encrypted = *
    message = 538 5.7.11 Encryption required for requested authentication mechanism
  accept
";
    let exim = Exim::start(&place, &setup);
    let desk = Desk::new(&sandbox, &place);
    let server = at(exim.submission);
    let run = desk.run(&["--server", &server, "--without-tls"], "");
    assert_eq!(run.code, 7, "{run:?}");
    let told = run.stdout;
    assert!(told.contains("538 5.7.11 Encryption required"), "{told}");
    assert!(told.contains("as it should"), "{told}");
    assert!(
        told.contains("before the connection is encrypted"),
        "{told}"
    );
}
