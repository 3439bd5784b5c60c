//! Several relays on one PostgreSQL: what is changed on one holds on all, and limits
//! are one limit.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::mail::Place;
use crate::support::pooler::Pooler;
use crate::support::postgres::Postgres;
use crate::support::serve::{Auth, Policy, Serve, own, postfix, settled, sql};
use crate::support::{Sandbox, wait_for};

const USER: &str = "shop@example.com";
const TO: &str = "one@elsewhere.test";
const ADDRESS: &str = "192.0.2.9";
const SESSIONS: usize = 64;

/// Whether the password is right, as this relay says; it must say something.
fn right(place: &Place, password: &str) -> bool {
    let mut auth = Auth::connect(&place.auth()).expect("a greeting");
    let said = auth.plain(ADDRESS, USER, password).expect("an answer");
    said.expect("not hung up")
}

fn status(sandbox: &Sandbox) -> String {
    let user = sandbox.json(&["user", "show", USER]);
    user["status"].as_str().expect("a status").to_owned()
}

#[test]
#[ignore = "needs root, Postfix and PostgreSQL: run tests/run"]
fn p3_what_one_changes_all_refuse_at_the_next_sign_in() {
    let primary = Postgres::start();
    let standby = primary.synchronous_standby();
    let sandbox = Postgres::sandbox_on(&[&primary, &standby]);
    own(&sandbox);
    let places = [(); 3].map(|()| Place::new());
    let _serves = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let postfix = postfix(&sandbox, &places[0]);
    let all = |password: &str| places.each_ref().map(|place| right(place, password));

    let mut password = sandbox.create(USER);
    for change in ["reset", "disallow", "suspend", "expire", "delete"] {
        // Known to each of them, and in its memory.
        for _ in 0..2 {
            assert_eq!(all(&password), [true; 3], "before: {change}");
        }
        assert_eq!(postfix.client().auth_plain(USER, &password, true).code, 235);
        let mut next = None;
        match change {
            "reset" => {
                let said = sandbox.ok(&["user", "reset", USER, "--quiet"]);
                next = Some(said.trim_end().to_owned());
            }
            "disallow" => {
                _ = sandbox.noted(&["user", "allow", USER, "203.0.113.1"]);
                sandbox.ok(&["user", "set", USER, "--addresses", "listed", "--quiet"]);
            }
            "suspend" => _ = sandbox.noted(&["user", "suspend", USER]),
            "expire" => sql(
                &sandbox,
                "UPDATE users SET expires_at = 1800000000 - 200000000",
            ),
            _ => _ = sandbox.noted(&["user", "delete", USER, "--yes"]),
        }
        assert_eq!(all(&password), [false; 3], "after: {change}");
        assert_eq!(postfix.client().auth_plain(USER, &password, true).code, 535);
        match change {
            "disallow" => _ = sandbox.noted(&["user", "set", USER, "--addresses", "any"]),
            "suspend" => _ = sandbox.noted(&["user", "resume", USER]),
            "expire" => sql(&sandbox, "UPDATE users SET expires_at = NULL"),
            _ => {}
        }
        password = next.unwrap_or(password);
    }
}

/// One admin sees and ends the sessions of all relays; each of them answers within a second.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p11_sessions_of_all_relays_end_within_a_second() {
    let database = Postgres::start();
    let sandbox = database.sandbox();
    own(&sandbox);
    let password = sandbox.create(USER);
    let places = [(); 3].map(|()| Place::new());
    let mut serves = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let instance = |process: u32| format!("{process:x}.6b007f0a.1.0");
    let open = || -> Vec<_> {
        let places = (1000..).zip(&places);
        places
            .map(|(process, place)| {
                let mut auth = Auth::connect_as(&place.auth(), process).expect("a greeting");
                let said = auth.plain("127.0.0.1", USER, &password);
                assert_eq!(said.expect("an answer"), Some(true));
                auth
            })
            .collect()
    };
    let said_by = |place: &Place, process: u32| {
        let mut policy = Policy::connect(&place.policy()).expect("it listens");
        let action = policy.ask("RCPT", USER, TO, &instance(process));
        action.expect("an answer").expect("not hung up")
    };
    let listed = || {
        let listed = sandbox.json(&["session", "list"]);
        listed.as_array().expect("a list").len()
    };
    let _open = open();
    assert_eq!(listed(), 3);
    sandbox.noted(&["session", "end", "--domain", "example.com"]);
    for (process, place) in (1000..).zip(&places) {
        let said = said_by(place, process);
        assert!(said.starts_with("421 4.7.0 This session"), "{said}");
    }
    assert_eq!(listed(), 0);
    let _again = open();
    for (process, place) in (1000..).zip(&places) {
        assert_eq!(said_by(place, process), "DUNNO");
    }
    // One that stops is no longer asked; one that hangs is named.
    serves[2].stop();
    assert_eq!(listed(), 2);
    serves[1].signal(Signal::SIGSTOP);
    let said = sandbox.run(&["session", "list", "--json"]);
    serves[1].signal(Signal::SIGCONT);
    assert!(said.stderr.contains("did not answer"), "{}", said.stderr);
}

/// What came of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Yes,
    Over,
}

/// In a session of its own each connection, as Postfix asks.
fn send(policy: &mut Policy, user: &str, instance: &str) -> Sent {
    for state in ["RCPT", "END-OF-MESSAGE"] {
        let action = policy.ask(state, user, TO, instance).expect("an answer");
        match action.expect("not hung up").as_str() {
            "DUNNO" => {}
            action if action.contains("Sending limit") => return Sent::Over,
            action => panic!("{action}"),
        }
    }
    Sent::Yes
}

/// So many sessions on all relays, each until it is told that the limit is reached;
/// how many messages passed on each.
fn race(places: &[Place], users: &[String]) -> Vec<u32> {
    let passed: Vec<_> = places.iter().map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for i in 0..SESSIONS {
            let user = &users[i % users.len()];
            let relay = i % places.len();
            let (place, passed) = (&places[relay], &passed[relay]);
            scope.spawn(move || {
                let mut policy = Policy::connect(&place.policy()).expect("it listens");
                for n in 0.. {
                    let instance = format!("{i}.{n}.{:?}", Instant::now());
                    match send(&mut policy, user, &instance) {
                        Sent::Yes => passed.fetch_add(1, Ordering::Relaxed),
                        Sent::Over => return,
                    };
                }
            });
        }
    });
    passed.into_iter().map(AtomicU32::into_inner).collect()
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p7_limits_hold_exactly_over_three_relays() {
    let primary = Postgres::start();
    let standby = primary.synchronous_standby();
    let sandbox = Postgres::sandbox_on(&[&primary, &standby]);
    own(&sandbox);
    let places = [(); 3].map(|()| Place::new());
    let users: Vec<_> = (0..16).map(|n| format!("shop{n}@example.com")).collect();
    for user in &users {
        sandbox.create(user);
    }
    let _serves = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let mut wrong = Vec::new();
    for (limit, of_user) in [
        (1, false),
        (7, true),
        (20, false),
        (64, true),
        (150, false),
        (400, true),
        (400, false),
        (1500, true),
    ] {
        sql(&sandbox, "DELETE FROM counts; DELETE FROM usage");
        let most = if of_user {
            "none".to_owned()
        } else {
            limit.to_string()
        };
        let all = format!("messages/day={most}");
        sandbox.noted(&["domain", "set", "example.com", "--limit", &all]);
        let most = if of_user {
            limit.to_string()
        } else {
            "none".to_owned()
        };
        let own = format!("messages/day={most}");
        sandbox.noted(&["user", "set", &users[0], "--limit", &own]);
        let racing = if of_user { &users[..1] } else { &users[..] };
        let began = Instant::now();
        let passed = race(&places, racing);
        println!("of {limit}: {passed:?} in {:?}", began.elapsed());
        if passed.iter().sum::<u32>() != limit {
            wrong.push((limit, of_user, passed));
        }
        // What was counted ahead goes back, and what was sent is written down.
        settled(&sandbox);
    }
    assert!(wrong.is_empty(), "of so many, so many were sent: {wrong:?}");
}

/// Who is told that a limit is reached may be suspended for it, or give up: not
/// while another relay may hand back what it has only counted ahead.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p7_what_another_relay_counted_ahead_refuses_nobody() {
    const LIMIT: u32 = 80;
    const COUNTED: &str = "SELECT CAST(COALESCE(sum(messages), 0) AS TEXT) FROM counts
        WHERE owner = 'shop@example.com' AND span = 'day'";
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    sandbox.create(USER);
    let limit = format!("messages/day={LIMIT}");
    sandbox.noted(&[
        "user",
        "set",
        USER,
        "--limit",
        &limit,
        "--on-limit",
        "suspend",
    ]);
    let places = [(); 3].map(|()| Place::new());
    let relays = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let counted = || sandbox.texts(COUNTED)[0].parse::<u32>().expect("a number");
    let [mut one, mut two, mut three] = places
        .each_ref()
        .map(|place| Policy::connect(&place.policy()).expect("it listens"));
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    let mut sent = 0;
    let mut message = |policy: &mut Policy| {
        sent += 1;
        assert_eq!(send(policy, USER, &sent.to_string()), Sent::Yes, "{sent}");
        sent
    };
    // As fast as it goes, until it has counted something ahead; then it cannot hand
    // that back for a while.
    let ahead = wait_for("the first relay to count ahead", || {
        for _ in 0..3 {
            message(&mut one);
        }
        let sent = message(&mut one);
        relays[0].signal(Signal::SIGSTOP);
        let ahead = counted() - sent;
        // Nor must it have stopped within a transaction, which all would wait for.
        let good = ahead > 0 && database.lockers(true) == 0;
        if !good {
            relays[0].signal(Signal::SIGCONT);
        }
        good.then_some(ahead)
    });
    while message(&mut two) < LIMIT - ahead {}
    assert_eq!(counted(), LIMIT, "there is room for none but those");
    thread::scope(|scope| {
        let last = scope.spawn(|| while message(&mut three) < LIMIT {});
        relays[0].signal(Signal::SIGCONT);
        last.join().expect("all of them");
    });
    assert_eq!(status(&sandbox), "active");
    assert_eq!(send(&mut two, USER, "too many"), Sent::Over);
    assert_eq!(status(&sandbox), "suspended");
    let sent: Vec<_> = places
        .iter()
        .map(|place| {
            let mut policy = Policy::connect(&place.policy()).expect("it listens");
            let action = policy.ask("RCPT", USER, TO, "after").expect("an answer");
            action.expect("not hung up")
        })
        .collect();
    assert!(sent.iter().all(|said| said.starts_with("554")), "{sent:?}");
    let written = || sandbox.json(&["usage"])[0]["messages"].as_u64();
    wait_for("the usage", || {
        (written() == Some(LIMIT.into())).then_some(())
    });
}

/// What strangers call themselves is nothing that a database has to take.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn strangers_names_keep_nothing_from_being_written() {
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    let password = sandbox.create(USER);
    let place = Place::new();
    let serve = Serve::start(&sandbox, &place);
    let names = [
        "a\0b@example.com",
        "\0",
        "\u{65e5}\u{672c}@\u{65e5}.jp",
        "a\u{1b}[2J@x",
        "\u{10ffff}@x\\",
        "x'; DROP TABLE users; --@x",
    ];
    thread::scope(|scope| {
        for name in names {
            let place = &place;
            scope.spawn(move || {
                let mut auth = Auth::connect(&place.auth()).expect("a greeting");
                let said = auth.login(ADDRESS, name, "wrong").expect("an answer");
                assert_ne!(said, Some(true), "{name:?}");
            });
        }
    });
    assert!(right(&place, &password));
    let mut policy = Policy::connect(&place.policy()).expect("it listens");
    assert_eq!(send(&mut policy, USER, "1"), Sent::Yes);
    wait_for("the usage and the sign-in", || {
        let usage = sandbox.json(&["usage"]);
        let user = sandbox.json(&["user", "show", USER]);
        let written = usage[0]["messages"] == 1 && !user["last_connection"].is_null();
        written.then_some(())
    });
    drop(serve);
}

/// Prepared statements of several programs have the same names.
#[test]
#[ignore = "needs root, PostgreSQL and PgBouncer: run tests/run"]
fn p4_a_pool_that_begins_to_change_sessions_gives_no_wrong_answers() {
    let server = Postgres::start();
    let mut sandbox = server.sandbox();
    own(&sandbox);
    let password = sandbox.create(USER);
    let pooler = Pooler::start(&server, "pool_mode = session");
    if let Some(database) = &mut sandbox.database {
        let name = database.url.rsplit('/').next().expect("a name").to_owned();
        database.url = pooler.url(&name);
    }
    let places = [(); 2].map(|()| Place::new());
    let relays = places.each_ref().map(|place| Serve::start(&sandbox, place));
    // No answer: the mail server defers its client.
    let answers = || {
        let asked = places.each_ref().map(|place| {
            let mut auth = Auth::connect(&place.auth()).ok()?;
            let right = auth.plain(ADDRESS, USER, &password).ok()??;
            assert!(right, "a right password is refused");
            let mut policy = Policy::connect(&place.policy()).ok()?;
            let action = policy.ask("RCPT", USER, TO, "one").ok()??;
            assert!(!action.starts_with('5'), "{action}");
            Some(())
        });
        asked.iter().all(Option::is_some)
    };
    for _ in 0..20 {
        assert!(answers(), "as long as sessions are kept");
    }
    pooler.configure("pool_mode = transaction");
    wait_for("the relays to notice", || (!answers()).then_some(()));
    for _ in 0..20 {
        answers();
    }
    pooler.configure("pool_mode = session");
    wait_for("the relays to be back", || answers().then_some(()));
    drop(relays);
}
