//! Limits hold however many send at the same time (promise 7), through Postfix
//! and on the policy socket itself.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::mail::Place;
use crate::support::mail::postfix::Postfix;
use crate::support::serve::{Policy, Serve, postfix, settled, sql, store};
use crate::support::{Sandbox, mail, serve, wait_for};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";
const SESSIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of sending one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Yes,
    /// Over the limit.
    No,
    /// Put off because nobody knows.
    Unknown,
}

/// So many sessions through Postfix and so many on the socket, each until it is
/// told that the limit is reached; how many messages got through, and how many
/// were put off for another reason. The socket alone would be done at once: there
/// it takes a `pause` before each message.
fn race(postfix: &Postfix, place: &Place, users: &[(String, String)], pause: Duration) -> [u32; 2] {
    let counts = [const { AtomicU32::new(0) }; 2];
    let began = Instant::now();
    let until_refused = |send: &mut dyn FnMut() -> Sent| loop {
        // Where serve is gone, nobody is ever refused.
        assert!(began.elapsed() < PATIENCE, "the limit was not reached");
        match send() {
            Sent::Yes => counts[0].fetch_add(1, Ordering::Relaxed),
            Sent::Unknown => counts[1].fetch_add(1, Ordering::Relaxed),
            Sent::No => return,
        };
    };
    thread::scope(|scope| {
        for i in 0..SESSIONS {
            let (user, password) = &users[i % users.len()];
            scope.spawn(move || {
                let mut smtp = None;
                until_refused(&mut || {
                    let sent = through(postfix, &mut smtp, user, password);
                    if sent == Sent::Unknown {
                        smtp = None;
                    }
                    sent
                });
            });
            scope.spawn(move || {
                let mut policy = None;
                let mut n = 0;
                until_refused(&mut || {
                    n += 1;
                    thread::sleep(pause);
                    direct(place, &mut policy, user, &format!("{i}.{n}"))
                });
            });
        }
    });
    counts.map(AtomicU32::into_inner)
}

fn through(
    postfix: &Postfix,
    session: &mut Option<mail::smtp::Smtp>,
    user: &str,
    password: &str,
) -> Sent {
    let mut send = || -> std::io::Result<Sent> {
        if session.is_none() {
            let mut smtp = postfix.try_client()?;
            let reply = smtp.try_auth_plain(user, password, true)?;
            if reply.code == 454 {
                return Ok(Sent::Unknown);
            }
            assert_eq!(reply.code, 235, "{reply:?}");
            *session = Some(smtp);
        }
        let smtp = session.as_mut().expect("just made");
        let reply = smtp.try_send_message(user, TO)?;
        Ok(match reply.code {
            250 => Sent::Yes,
            450 | 554 if reply.text.contains("Sending limit") => Sent::No,
            // Postfix's own words where the policy server does not answer.
            450 | 451 => Sent::Unknown,
            _ => panic!("{reply:?}"),
        })
    };
    // Postfix hangs up where a new process of its own finds no serve.
    send().unwrap_or(Sent::Unknown)
}

fn direct(place: &Place, connection: &mut Option<Policy>, user: &str, instance: &str) -> Sent {
    let mut ask = || -> std::io::Result<Sent> {
        if connection.is_none() {
            *connection = Some(Policy::connect(&place.policy())?);
        }
        let policy = connection.as_mut().expect("just made");
        for state in ["RCPT", "END-OF-MESSAGE"] {
            match policy.ask(state, user, TO, instance)?.as_deref() {
                Some("DUNNO") => {}
                Some(action) if action.contains("Sending limit") => return Ok(Sent::No),
                Some(action) => panic!("{action}"),
                None => return Ok(Sent::Unknown),
            }
        }
        Ok(Sent::Yes)
    };
    let sent = ask().unwrap_or(Sent::Unknown);
    if sent == Sent::Unknown {
        *connection = None;
        thread::sleep(Duration::from_millis(5));
    }
    sent
}

fn users(sandbox: &Sandbox, count: usize) -> Vec<(String, String)> {
    let name = |n| format!("shop{n}@example.com");
    (0..count)
        .map(|n| (name(n), sandbox.create(&name(n))))
        .collect()
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p7_a_users_limit_holds_exactly() {
    let sandbox = store();
    let users = users(&sandbox, 1);
    sandbox.noted(&["user", "set", &users[0].0, "--daily-limit", "300"]);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    assert_eq!(race(&postfix, &place, &users, Duration::ZERO), [300, 0]);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p7_a_domains_limit_holds_exactly() {
    let sandbox = store();
    let users = users(&sandbox, 8);
    sandbox.noted(&[
        "domain",
        "set",
        "example.com",
        "--limit",
        "messages/hour=300",
    ]);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    assert_eq!(race(&postfix, &place, &users, Duration::ZERO), [300, 0]);
}

/// Small limits, many users, nothing but the socket: as much at the same time
/// as can be.
#[test]
#[ignore = "needs root: run tests/run"]
fn p7_limits_hold_exactly_in_every_round() {
    let sandbox = store();
    let place = Place::new();
    let users = users(&sandbox, 16);
    let _serve = Serve::start(&sandbox, &place);
    let mut wrong = Vec::new();
    for limit in [1, 7, 20, 64, 150, 400, 64, 150, 400] {
        sql(&sandbox, "DELETE FROM counts; DELETE FROM usage");
        let limit_arg = format!("messages/day={limit}");
        sandbox.noted(&["domain", "set", "example.com", "--limit", &limit_arg]);
        let sent = AtomicU32::new(0);
        thread::scope(|scope| {
            for i in 0..2 * SESSIONS {
                let user = users[i % users.len()].0.as_str();
                let (sent, place) = (&sent, &place);
                scope.spawn(move || {
                    let mut policy = None;
                    let mut n = 0;
                    loop {
                        n += 1;
                        let instance = format!("{limit}.{i}.{n}.{:?}", Instant::now());
                        match direct(place, &mut policy, user, &instance) {
                            Sent::Yes => sent.fetch_add(1, Ordering::Relaxed),
                            Sent::No => return,
                            Sent::Unknown => panic!("no answer"),
                        };
                    }
                });
            }
        });
        let sent = sent.into_inner();
        if sent != limit {
            wrong.push((limit, sent));
        }
        // What was counted ahead goes back before the next round.
        settled(&sandbox);
    }
    assert!(wrong.is_empty(), "of so many, so many were sent: {wrong:?}");
}

/// Restarted in place, and killed and started again, all the time.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p7_never_more_than_allowed_across_restarts() {
    const LIMIT: u32 = 4000;
    for signal in [Signal::SIGUSR2, Signal::SIGKILL] {
        let sandbox = store();
        let users = users(&sandbox, 4);
        sandbox.noted(&[
            "domain",
            "set",
            "example.com",
            "--limit",
            "messages/day=4000",
        ]);
        let place = Place::new();
        let mut serve = Serve::start(&sandbox, &place);
        let postfix = postfix(&sandbox, &place);
        let done = AtomicBool::new(false);
        let [sent, _] = thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let counts = race(&postfix, &place, &users, Duration::from_millis(20));
                done.store(true, Ordering::Relaxed);
                counts
            });
            let mut restarts = 0;
            while !done.load(Ordering::Relaxed) && restarts < 5 {
                thread::sleep(Duration::from_millis(300));
                if signal == Signal::SIGKILL {
                    serve.kill();
                    serve.start_again();
                } else {
                    serve.restart_in_place();
                }
                restarts += 1;
            }
            assert!(restarts > 1, "it was over too soon");
            sending.join().unwrap()
        });
        // What was counted and not answered, or counted ahead and lost.
        let lost = if signal == Signal::SIGKILL {
            5 * (64 * 4 + 64)
        } else {
            64
        };
        assert!(sent <= LIMIT, "{signal}: {sent}");
        assert!(sent + lost >= LIMIT, "{signal}: {sent}");
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn what_becomes_of_a_message_over_a_limit() {
    for action in ["defer", "reject", "suspend", "delete"] {
        let sandbox = store();
        let password = sandbox.create(USER);
        let set = [
            "user",
            "set",
            USER,
            "--limit",
            "recipients/hour=2",
            "--on-limit",
            action,
        ];
        sandbox.noted(&set);
        let place = Place::new();
        let serve = Serve::start(&sandbox, &place);
        let postfix = postfix(&sandbox, &place);
        let mut smtp = postfix.client();
        assert_eq!(smtp.auth_plain(USER, &password, true).code, 235);
        assert_eq!(
            [
                smtp.send_message(USER, TO).code,
                smtp.send_message(USER, TO).code
            ],
            [250, 250]
        );
        let code = if action == "defer" { 450 } else { 554 };
        let over = smtp.send_message(USER, TO);
        assert_eq!(over.code, code, "{action}: {over:?}");
        assert!(over.text.contains("2 recipients an hour"), "{over:?}");
        if matches!(action, "suspend" | "delete") {
            // Its session ends.
            assert_eq!([smtp.mail(USER).code, smtp.rcpt(TO).code], [250, 421]);
        } else {
            let again = smtp.send_message(USER, TO);
            assert_eq!(again.code, code, "{action}: {again:?}");
        }
        let show = sandbox.run(&["user", "show", USER, "--json"]);
        let signs_in = postfix.client().auth_plain(USER, &password, true).code;
        match action {
            "suspend" => {
                assert!(show.stdout.contains(r#""status": "suspended""#), "{show:?}");
                assert_eq!(signs_in, 535);
                let events = sandbox.ok(&["audit", "list", "--user", USER]);
                assert!(events.contains("suspend"), "{events}");
            }
            "delete" => {
                assert_eq!((show.code, signs_in), (3, 535), "{show:?}");
            }
            _ => {
                assert!(show.stdout.contains(r#""status": "active""#), "{show:?}");
                assert_eq!(signs_in, 235);
                serve::age_counts(&sandbox, 3600 + 120);
                assert_eq!(smtp.send_message(USER, TO).code, 250);
            }
        }
        serve.logs("limit");
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn new_recipients_are_limited_and_known_ones_are_not() {
    let sandbox = store();
    let password = sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--limit", "new-recipients/day=20"]);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let mut smtp = postfix.client();
    assert_eq!(smtp.auth_plain(USER, &password, true).code, 235);
    let to = |n: u32| format!("r{n}@elsewhere.test");
    for n in 0..10 {
        for _ in 0..2 {
            let reply = smtp.send_message(USER, &to(n));
            assert_eq!(reply.code, 250, "{reply:?}");
        }
    }
    // Those of messages that are never sent do not count.
    for n in 50..60 {
        assert_eq!([smtp.mail(USER).code, smtp.rcpt(&to(n)).code], [250, 250]);
        assert_eq!(smtp.command("RSET").code, 250);
    }
    // The other ten, by many at once, each sending three.
    let accepted = AtomicU32::new(0);
    thread::scope(|scope| {
        for i in 0..SESSIONS {
            let (accepted, place) = (&accepted, &place);
            scope.spawn(move || {
                let mut policy = Policy::connect(&place.policy()).unwrap();
                for j in 0..3 {
                    let to = format!("s{i}.{j}@elsewhere.test");
                    let instance = format!("{i}.{j}");
                    let mut ask = |state| policy.ask(state, USER, &to, &instance).unwrap();
                    let action = match ask("RCPT") {
                        Some(said) if said == "DUNNO" => ask("END-OF-MESSAGE"),
                        refused => refused,
                    };
                    match action.as_deref() {
                        Some("DUNNO") => accepted.fetch_add(1, Ordering::Relaxed),
                        Some(action) => {
                            assert!(action.starts_with("450 4.7.1 Sending limit"), "{action}");
                            0
                        }
                        None => panic!("no answer"),
                    };
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), 10);
    let refused = smtp.send_message(USER, &to(99));
    assert_eq!(refused.code, 450, "{refused:?}");
    assert!(
        refused.text.contains("20 new recipients a day"),
        "{refused:?}"
    );
    assert_eq!(smtp.send_message(USER, &to(3)).code, 250);
    serve::age_counts(&sandbox, 86_400 + 900);
    assert_eq!(smtp.send_message(USER, &to(99)).code, 250);
    wait_for("the usage", || {
        (sandbox.json(&["usage"])[0]["messages"] == 32).then_some(())
    });
}
