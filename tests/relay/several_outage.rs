//! Whatever happens to PostgreSQL: relays put clients off in time, tell nobody that
//! a right password is wrong, are back within a second of the database, and lose
//! nothing that was acknowledged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::load::{Asked, under_load};
use crate::support::mail::Place;
use crate::support::postgres::Postgres;
use crate::support::serve::{Serve, own};
use crate::support::slow::Slow;
use crate::support::watched::{Watched, admin, hold, written};
use crate::support::{Sandbox, Server, wait_for};

/// What commands say while it is gone, before their patience ends or after.
fn commands_say(sandbox: &Sandbox, word: &str) {
    let began = Instant::now();
    let run = sandbox.run(&["user", "list"]);
    assert_eq!(run.code, 75, "{run:?}");
    assert!(
        run.stderr.contains("error: the store postgres://"),
        "{run:?}"
    );
    assert!(run.stderr.contains(word), "{word}: {run:?}");
    assert!(run.stderr.contains("hint: "), "{run:?}");
    println!(
        "{:?}: {}",
        began.elapsed(),
        run.stderr.lines().next().unwrap_or_default()
    );
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p4_lost_killed_full_and_hung() {
    let mut server = Postgres::start();
    server.configure("max_connections = 15\nsuperuser_reserved_connections = 0\n");
    server.restart();
    let sandbox = server.sandbox();
    own(&sandbox);
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    let soon = relay.soon();
    let mut late = Vec::new();
    let mut check = |what: &str, put_off: Option<Duration>, [signed_in, sent]: [Duration; 2]| {
        println!("{what}: put off in {put_off:?}, back in {signed_in:?} and {sent:?}");
        if signed_in > soon || sent > soon {
            late.push(format!("{what}: {signed_in:?} {sent:?}"));
        }
        relay.has_lost_nothing();
    };
    // Its connections alone.
    for _ in 0..3 {
        relay.is_well();
        server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'smtpcred'",
        );
        check("terminated", None, relay.is_back_since(Instant::now()));
    }
    for (what, signal) in [("SIGQUIT", Signal::SIGQUIT), ("SIGKILL", Signal::SIGKILL)] {
        relay.is_well();
        if signal == Signal::SIGKILL {
            server.kill();
        } else {
            server.end(signal);
        }
        let put_off = relay.is_put_off();
        commands_say(&sandbox, "cannot be reached");
        server.run();
        check(what, Some(put_off), relay.is_back_since(Instant::now()));
    }
    relay.is_well();
    server.signal_all(Signal::SIGSTOP);
    let first = relay.sign_in(&relay.password);
    assert_eq!(first.0, None);
    assert!(first.1 < Duration::from_secs(3), "{first:?}");
    let put_off = relay.is_put_off().max(first.1);
    commands_say(&sandbox, "no answer within");
    server.signal_all(Signal::SIGCONT);
    check(
        "SIGSTOP",
        Some(put_off),
        relay.is_back_since(Instant::now()),
    );

    // Others take all the room there is.
    relay.is_well();
    let mut others = Vec::new();
    serve.signal(Signal::SIGSTOP);
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'smtpcred'",
    );
    wait_for("the server to be full", || {
        others.push(Server(server.idle()));
        let full = server.try_sql("postgres", "SELECT 1").err()?;
        full.contains("too many").then_some(())
    });
    serve.signal(Signal::SIGCONT);
    let put_off = relay.is_put_off();
    commands_say(&sandbox, "too many");
    let back = Instant::now();
    drop(others);
    check("full", Some(put_off), relay.is_back_since(back));
    drop(serve);
    assert!(late.is_empty(), "{late:#?}");
}

/// Its answers take so long that not everybody can be answered.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p4_a_slow_server_puts_off_in_time() {
    let server = Postgres::start();
    let mut sandbox = server.sandbox();
    own(&sandbox);
    let slow = Slow::before(server.folder());
    if let Some(database) = &mut sandbox.database {
        database.url = slow.url(&database.url, server.folder());
    }
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    for delay in [100, 400, 900] {
        slow.delay(Duration::from_millis(delay));
        let [mut right, mut put_off] = [0, 0];
        thread::scope(|scope| {
            let relay = &relay;
            let asked: Vec<_> = (0..40)
                .map(|i| {
                    scope.spawn(move || {
                        let wrong = format!("wrong{i}");
                        let is_right = i % 2 == 0;
                        let password = if is_right { &relay.password } else { &wrong };
                        (is_right, relay.sign_in(password))
                    })
                })
                .collect();
            for asked in asked {
                let (is_right, (said, took)) = asked.join().expect("an answer");
                assert!(took < Duration::from_secs(10), "{took:?}");
                match said {
                    Some(said) => {
                        assert_eq!(said, is_right);
                        right += 1;
                    }
                    None => put_off += 1,
                }
            }
        });
        println!("{delay} ms: {right} answered, {put_off} put off");
        relay.send();
    }
    slow.delay(Duration::ZERO);
    let back = relay.is_back_since(Instant::now());
    println!("back in {back:?}");
    relay.has_lost_nothing();
    drop(serve);
}

#[test]
#[ignore = "needs root, Postfix and PostgreSQL: run tests/run"]
fn p4_the_primary_is_killed_and_its_replica_promoted() {
    let mut primary = Postgres::start();
    let standby = primary.synchronous_standby();
    let sandbox = Postgres::sandbox_on(&[&primary, &standby]);
    own(&sandbox);
    let places = [(); 2].map(|()| Place::new());
    let relays = places.each_ref().map(|place| Serve::start(&sandbox, place));
    let steady = Watched::new(&sandbox, &places[0]);
    let done = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    // The third one with Postfix before it, and clients of all kinds.
    let answers = under_load(&sandbox, |world, _| {
        thread::scope(|scope| {
            for name in ["one", "two"] {
                let (sandbox, done, acknowledged) = (&sandbox, &done, &acknowledged);
                scope.spawn(move || {
                    let all = admin(sandbox, done, name);
                    acknowledged.lock().unwrap().extend(all);
                });
            }
            let sender = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if !steady.send() {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            });
            world.goes_on();
            let soon = steady.soon();
            primary.kill();
            let before = world.count(Asked::RightDirect, 454);
            wait_for("clients to be put off", || {
                (world.count(Asked::RightDirect, 454) > before).then_some(())
            });
            standby.promote();
            let [signed_in, sent] = steady.is_back_since(Instant::now());
            println!("back in {signed_in:?} and {sent:?}, at most {soon:?}");
            assert!(signed_in < soon && sent < soon, "{signed_in:?} {sent:?}");
            world.goes_on();
            done.store(true, Ordering::Relaxed);
            sender.join().expect("a sender");
        });
    });
    println!("{answers:?}");
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 4);
    hold(&sandbox, &acknowledged);
    // At least what passed: the last answers may have been lost.
    let passed = steady.sent.load(Ordering::Relaxed);
    wait_for("the usage", || {
        (written(&sandbox) >= passed.into()).then_some(())
    });
    drop(relays);
}
