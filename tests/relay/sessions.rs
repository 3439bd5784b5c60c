//! An open session ends with the password that it signed in with (promise 3),
//! through Postfix and Exim as `show-server-config` sets them up.

use std::io::ErrorKind;

use crate::support::mail::Place;
use crate::support::mail::smtp::{Reply, Smtp};
use crate::support::serve::{Auth, Policy, Serve, end_soon, exim, postfix, store};
use crate::support::{Sandbox, wait_for};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";

fn reset(sandbox: &Sandbox, more: &[&str]) -> String {
    let reset = ["user", "reset", USER, "--yes", "--quiet"];
    let password = sandbox.noted(&[&reset, more].concat());
    password.trim_end().to_owned()
}

/// What a mail server does with a session whose password stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// 421, and the connection ends.
    HangsUp,
    /// It cannot hang up with a refusal for now.
    Defers,
}

/// The next message is refused.
fn ends(smtp: &mut Smtp, end: End) {
    let mut reply = smtp.mail(USER);
    if reply.code == 250 {
        reply = smtp.rcpt(TO);
    }
    is_end(smtp, end, &reply);
}

fn is_end(smtp: &mut Smtp, end: End, reply: &Reply) {
    let said = &reply.text;
    assert!(said.contains("password of this session"), "{reply:?}");
    if end == End::Defers {
        // In its own way: without our code where it has one.
        assert_eq!(reply.code, 451, "{reply:?}");
        return;
    }
    assert_eq!(reply.code, 421, "{reply:?}");
    assert!(said.contains("4.7.0"), "{reply:?}");
    let next = smtp.try_command("NOOP").map_err(|error| error.kind());
    assert!(
        matches!(
            next,
            Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        ),
        "{next:?}"
    );
}

fn goes_on(smtp: &mut Smtp) {
    let reply = smtp.send_message(USER, TO);
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// All that stops a password, each while a session is open.
fn sessions_end(sandbox: &Sandbox, end: End, connect: &dyn Fn() -> Smtp) {
    let mut password = sandbox.create(USER);
    let open = |password: &str| {
        let mut smtp = connect().signed_in(USER, password);
        goes_on(&mut smtp);
        smtp
    };
    // A reset, between two messages, and within one.
    let mut sessions = [0; 3].map(|_| open(&password));
    let [between, within, late] = &mut sessions;
    assert_eq!([within.mail(USER).code, within.rcpt(TO).code], [250, 250]);
    assert_eq!([late.mail(USER).code, late.rcpt(TO).code], [250, 250]);
    assert_eq!(late.command("DATA").code, 354);
    let old = std::mem::replace(&mut password, reset(sandbox, &[]));
    let mut new = open(&password);
    ends(between, end);
    let reply = within.rcpt("two@elsewhere.test");
    is_end(within, end, &reply);
    let reply = late.command("Subject: late\r\n\r\nlate\r\n.");
    is_end(late, end, &reply);
    goes_on(&mut new);
    assert_eq!(connect().auth_plain(USER, &old, true).code, 535);

    // An overlap, and its end.
    let next = reset(sandbox, &["--overlap", "1h"]);
    let mut newer = open(&next);
    goes_on(&mut new);
    goes_on(&mut newer);
    end_soon(sandbox);
    wait_for("the end of the overlap", || {
        (connect().auth_plain(USER, &password, true).code == 535).then_some(())
    });
    ends(&mut new, end);
    goes_on(&mut newer);
    password = next;

    // Suspended, and resumed before the session says anything: it is as it was.
    sandbox.noted(&["user", "suspend", USER, "--yes"]);
    sandbox.noted(&["user", "resume", USER]);
    goes_on(&mut newer);
    sandbox.noted(&["user", "suspend", USER, "--yes"]);
    ends(&mut newer, end);
    sandbox.noted(&["user", "resume", USER]);

    let mut session = open(&password);
    sandbox.noted(&["user", "set", USER, "--expires-in", "1s"]);
    wait_for("the expiry", || {
        (connect().auth_plain(USER, &password, true).code == 535).then_some(())
    });
    ends(&mut session, end);
    sandbox.noted(&["user", "set", USER, "--expires-in", "none"]);

    // Deleted, and made anew under the same name.
    let mut sessions = [0; 2].map(|_| open(&password));
    sandbox.noted(&["user", "delete", USER, "--yes"]);
    ends(&mut sessions[0], end);
    let password = sandbox.create(USER);
    ends(&mut sessions[1], end);
    goes_on(&mut open(&password));
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p3_sessions_through_postfix_end_with_their_password() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    sessions_end(&sandbox, End::HangsUp, &|| postfix.client());
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn p3_sessions_through_exim_end_with_their_password() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let exim = exim(&sandbox, &place);
    sessions_end(&sandbox, End::Defers, &|| exim.client());
}

/// Twenty process ids for two hundred sessions, as where mail servers in many
/// containers ask one relay: whose password works is never cut off.
#[test]
#[ignore = "needs root: run tests/run"]
fn p3_sessions_that_share_a_process_id_are_not_taken_for_each_other() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let old = sandbox.create(USER);
    let new = reset(&sandbox, &["--overlap", "1h"]);
    // The first five process ids have sessions of the old password alone.
    let sessions: Vec<_> = (0..200)
        .map(|n| (n, n % 20, n % 20 >= 5 && n % 2 == 0))
        .collect();
    let asks = |process: u32, n: u32| {
        let mut policy = Policy::connect(&place.policy()).unwrap();
        let instance = format!("{process:x}.6b007f0a.{n:x}.0");
        let action = policy.ask("RCPT", USER, TO, &instance).unwrap();
        action.expect("an answer")
    };
    let open: Vec<_> = std::thread::scope(|scope| {
        let opened: Vec<_> = sessions
            .iter()
            .map(|(_, process, is_new)| {
                let password = if *is_new { &new } else { &old };
                let socket = place.auth();
                scope.spawn(move || {
                    let mut auth = Auth::connect_as(&socket, 1000 + process).unwrap();
                    let said = auth.plain("127.0.0.1", USER, password).unwrap();
                    assert_eq!(said, Some(true));
                    auth
                })
            })
            .collect();
        opened.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (n, process, _) in &sessions {
        assert_eq!(asks(1000 + process, *n), "DUNNO");
    }
    end_soon(&sandbox);
    wait_for("the end of the overlap", || {
        asks(1000, 0).starts_with("421 4.7.0 ").then_some(())
    });
    for (n, process, _) in &sessions {
        let said = asks(1000 + process, *n);
        // What cannot be told apart goes on.
        let ends = *process < 5 || process % 2 == 1;
        assert_eq!(said.starts_with("421 4.7.0 "), ends, "{process}: {said}");
    }
    // The next clients of the same processes have the new password.
    for (mut auth, (n, process, _)) in open.into_iter().zip(&sessions) {
        assert_eq!(auth.plain("127.0.0.1", USER, &new).unwrap(), Some(true));
        let said = asks(1000 + process, *n);
        assert_eq!(said, "DUNNO", "{process}");
    }
    // A process with no sign-in: as without a process.
    assert_eq!(asks(9999, 0), "DUNNO");
    sandbox.noted(&["user", "suspend", USER, "--yes"]);
    assert!(asks(9999, 0).starts_with("554 5.7.1 "));
    assert!(asks(1000, 0).starts_with("421 4.7.0 "));
}

/// Before MAIL FROM is accepted Postfix does not say which process it is. Who has said
/// it on the same connection, and is it, is known by it.
#[test]
#[ignore = "needs root: run tests/run"]
fn p3_a_session_is_known_by_the_process_that_asks() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let password = sandbox.create(USER);
    let own = std::process::id();
    let mut auth = Auth::connect_as(&place.auth(), own).unwrap();
    let said = auth.plain("127.0.0.1", USER, &password).unwrap();
    assert_eq!(said, Some(true));
    let connect = || Policy::connect(&place.policy()).unwrap();
    let ask = |policy: &mut Policy, state: &str, instance: &str| {
        let action = policy.ask(state, USER, TO, instance).unwrap();
        action.expect("an answer")
    };
    let [mut said, mut silent, mut for_another] = [connect(), connect(), connect()];
    let instance = |process: u32| format!("{process:x}.6b007f0a.1.0");
    assert_eq!(ask(&mut said, "RCPT", &instance(own)), "DUNNO");
    assert_eq!(ask(&mut for_another, "RCPT", &instance(own + 1)), "DUNNO");
    assert_eq!(ask(&mut said, "MAIL", ""), "DUNNO");
    reset(&sandbox, &[]);
    assert!(ask(&mut said, "MAIL", "").starts_with("421 4.7.0 "));
    assert_eq!(ask(&mut silent, "MAIL", ""), "DUNNO");
    assert_eq!(ask(&mut for_another, "MAIL", ""), "DUNNO");
}

/// Postfix's processes serve one client after another: none is taken for the one
/// before.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p3_new_sessions_in_old_processes_go_on() {
    const SESSIONS: usize = 40;
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let mut password = sandbox.create(USER);
    for round in 0..5 {
        let before: Vec<_> = (0..SESSIONS)
            .map(|_| postfix.client().signed_in(USER, &password))
            .collect();
        let stopped = round % 2 == 0;
        let more: &[&str] = if stopped { &[] } else { &["--overlap", "1h"] };
        password = reset(&sandbox, more);
        std::thread::scope(|scope| {
            for (n, mut smtp) in before.into_iter().enumerate() {
                let (postfix, password) = (&postfix, &password);
                scope.spawn(move || {
                    if stopped && n % 2 == 0 {
                        ends(&mut smtp, End::HangsUp);
                    } else if !stopped {
                        goes_on(&mut smtp);
                    }
                    drop(smtp);
                    for _ in 0..2 {
                        goes_on(&mut postfix.client().signed_in(USER, password));
                    }
                });
            }
        });
    }
}

/// What `session list` says of this user: address and messages of each.
fn listed(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let listed = sandbox.json(&["session", "list", "--user", USER]);
    let sessions = listed.as_array().expect("a list").iter();
    let mut all: Vec<_> = sessions
        .map(|one| {
            assert_eq!(one["username"], USER);
            let address = one["address"].as_str().expect("an address").to_owned();
            (address, one["messages"].as_u64().expect("a number"))
        })
        .collect();
    all.sort();
    all
}

/// What was sent with each live password, the oldest first.
fn sent_with(sandbox: &Sandbox) -> Vec<u64> {
    let user = sandbox.json(&["user", "show", USER]);
    let passwords = user["passwords"].as_array().expect("a list").iter();
    passwords
        .map(|one| one["messages"].as_u64().expect("a number"))
        .collect()
}

/// The session has ended, and the client may sign in again.
fn was_ended(smtp: &mut Smtp, end: End) {
    let mut reply = smtp.mail(USER);
    if reply.code == 250 {
        reply = smtp.rcpt(TO);
    }
    assert!(reply.text.contains("This session has ended"), "{reply:?}");
    let code = if end == End::HangsUp { 421 } else { 451 };
    assert_eq!(reply.code, code, "{reply:?}");
}

/// Open sessions are listed with what they have sent, and end when an admin says so.
fn sessions_are_ended_by_hand(
    (sandbox, serve): (&Sandbox, &mut Serve),
    end: End,
    connect: &dyn Fn() -> Smtp,
) {
    let old = sandbox.create(USER);
    assert!(listed(sandbox).is_empty());
    let open = |password: &str| connect().signed_in(USER, password);
    let mut sessions = [0; 2].map(|_| open(&old));
    goes_on(&mut sessions[0]);
    goes_on(&mut sessions[0]);
    goes_on(&mut sessions[1]);
    let here = "127.0.0.1".to_owned();
    assert_eq!(listed(sandbox), [(here.clone(), 1), (here.clone(), 2)]);
    wait_for("what was sent", || {
        (sent_with(sandbox) == [3]).then_some(())
    });

    // Each password by itself in an overlap, also for those who read the list.
    let new = reset(sandbox, &["--overlap", "1h"]);
    let mut newer = open(&new);
    goes_on(&mut newer);
    wait_for("what was sent", || {
        (sent_with(sandbox) == [3, 1]).then_some(())
    });
    let overlap = sandbox.ok(&["user", "list", "--overlap"]);
    assert_eq!(overlap.matches("LAST SENT").count(), 2, "{overlap}");

    // Other networks and passwords are not meant; who begins later neither.
    sandbox.noted(&["session", "end", USER, "--address", "192.0.2.0/24"]);
    goes_on(&mut sessions[1]);
    let ids = sandbox.json(&["user", "show", USER]);
    let old_id = ids["passwords"][0]["id"]
        .as_str()
        .expect("an ID")
        .to_owned();
    let said = sandbox.noted(&["session", "end", "--password-id", &old_id, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["sessions"], 2, "{said}");
    was_ended(&mut sessions[0], end);
    goes_on(&mut newer);
    let mut again = open(&old);
    goes_on(&mut again);
    was_ended(&mut sessions[1], end);

    // An upgrade in between forgets neither the sessions nor their end.
    serve.restart_in_place();
    assert_eq!(listed(sandbox).len(), 2);
    sandbox.noted(&["session", "end", USER]);
    assert!(listed(sandbox).is_empty());
    serve.restart_in_place();
    was_ended(&mut newer, end);
    was_ended(&mut again, end);
    let mut later = open(&new);
    goes_on(&mut later);
    assert_eq!(listed(sandbox), [(here, 1)]);

    // After a crash no one knows the sessions from before: they go on.
    serve.kill();
    serve.start_again();
    assert!(listed(sandbox).is_empty());
    sandbox.noted(&["session", "end", USER]);
    goes_on(&mut later);
    drop(later);
    wait_for("the session to be gone", || {
        listed(sandbox).is_empty().then_some(())
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p11_sessions_through_postfix_are_listed_and_ended() {
    let sandbox = store();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let connect = || postfix.client();
    sessions_are_ended_by_hand((&sandbox, &mut serve), End::HangsUp, &connect);
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn p11_sessions_through_exim_are_listed_and_ended() {
    let sandbox = store();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let exim = exim(&sandbox, &place);
    let connect = || exim.client();
    sessions_are_ended_by_hand((&sandbox, &mut serve), End::Defers, &connect);
}
