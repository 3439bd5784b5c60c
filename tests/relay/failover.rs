//! Replays the steps of failover tools, and their failures: two servers that accept writes,
//! an old primary that hangs or returns. Clients are deferred at worst, no answer comes from
//! the wrong server, and no acknowledged change is lost.

mod servers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use smtpcred::error::Error;
use smtpcred::model::event::EventStamp;
use smtpcred::store::{Access, Location, Store};

use crate::support::mail::Place;
use crate::support::postgres::Postgres;
use crate::support::serve::{Serve, own};
use crate::support::store_writer::{actor, now};
use crate::support::watched::{USER, Watched, admin, hold, written};
use crate::support::{Run, Sandbox, wait_for};

/// The same store through one server only.
fn by(server: &Postgres, sandbox: &Sandbox) -> Sandbox {
    let mut alone = Sandbox::empty();
    alone.database.clone_from(&sandbox.database);
    if let Some(database) = &mut alone.database {
        let (_, name) = database.connection.split_once("dbname=").expect("a name");
        let name = name.split(' ').next().expect("a name").to_owned();
        database.url = server.url(&name);
        database.connection = format!("{} user=postgres", server.connection(&name));
    }
    alone
}

/// A primary and its standby, without which no commit is acknowledged.
fn pair() -> [Postgres; 2] {
    let primary = Postgres::start();
    // Only processes are killed here, never the machine.
    primary.configure("fsync = off\n");
    primary.reload();
    let standby = primary.synchronous_standby();
    [primary, standby]
}

/// Changes and messages during the events; acknowledged ones must hold in the end.
fn meanwhile(sandbox: &Sandbox, relay: &Watched, events: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let admin = scope.spawn(|| admin(sandbox, &done, "while"));
        let sender = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if !relay.send() {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        // A panic must not leave the others running.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            goes_on(sandbox);
            events();
            goes_on(sandbox);
        }));
        done.store(true, Ordering::Relaxed);
        sender.join().expect("a sender");
        let acknowledged = admin.join().expect("an admin");
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        acknowledged
    });
    hold(sandbox, &acknowledged);
    // At least the messages that passed: the last answers may have been lost.
    let passed = relay.sent.load(Ordering::Relaxed);
    wait_for("the usage", || {
        (written(sandbox) >= passed.into()).then_some(())
    });
}

/// Waits for changes of the admin.
fn goes_on(sandbox: &Sandbox) {
    let events = || sandbox.texts("SELECT CAST(count(*) AS TEXT) FROM events")[0].clone();
    let events = || events().parse::<u32>().expect("a number");
    let before = events();
    wait_for("changes", || (events() >= before + 5).then_some(()));
}

fn is_back(relay: &Watched, what: &str) {
    println!("{what}: back in {:?}", relay.is_back_since(Instant::now()));
}

/// Refused with exit code 75, both names and what to do.
fn is_refused(run: &Run, names: &[String]) {
    assert_eq!(run.code, 75, "{run:?}");
    for word in names
        .iter()
        .map(String::as_str)
        .chain(["fence the old primary", "hint: "])
    {
        assert!(run.stderr.contains(word), "{word}: {run:?}");
    }
    assert_eq!(run.stdout, "");
}

/// Waits until sign-ins are deferred. No right password is wrong meanwhile.
fn defers(relay: &Watched) {
    wait_for("sign-ins to be deferred", || {
        match relay.sign_in(&relay.password).0 {
            Some(right) => {
                assert!(right, "a right password was wrong");
                thread::sleep(Duration::from_millis(20));
                None
            }
            None => Some(()),
        }
    });
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p3_two_primaries_are_no_store() {
    let mut old = Postgres::start();
    old.configure("fsync = off\n");
    old.reload();
    let new = Postgres::standby(&old);
    let sandbox = Postgres::sandbox_on(&[&old, &new]);
    own(&sandbox);
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    new.catches_up_with(&old);
    let small = Sandbox::new();
    std::fs::copy(small.store(), sandbox.folder.path().join("small.db")).unwrap();
    new.promote();
    let url = sandbox.location().into_string().expect("UTF-8");
    let names = [old.name(), new.name()];
    for command in [
        &["user", "reset", USER][..],
        &["user", "list"],
        &["user", "delete", USER, "--yes"],
        &["audit", "list"],
        &["store", "init"],
        &["store", "migrate"],
        &["store", "status"],
        &["store", "maintain"],
        &["store", "grant", "--role", "signin", "--to", "relay1"],
        &["store", "copy", &url, "copy.db"],
        &["store", "copy", "small.db", &url],
        &["user", "rotate", "--due"],
    ] {
        is_refused(&sandbox.run(command), &names);
    }
    let verified = sandbox.run_with_stdin(&["verify", USER], relay.password.as_bytes());
    is_refused(&verified, &names);
    let doctor = sandbox.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let fails = |line: &str| {
        line.contains("\"fail\"") && names.iter().all(|name| line.contains(name.as_str()))
    };
    assert!(doctor.stdout.lines().any(fails), "{doctor:?}");
    defers(&relay);
    // A reset on one of them must not be answered by the other.
    let reset = by(&new, &sandbox).run(&["user", "reset", USER]);
    assert_eq!(reset.code, 0, "{reset:?}");
    for _ in 0..20 {
        assert_eq!(relay.sign_in(&relay.password).0, None);
    }
    assert!(!relay.send());
    for name in &names {
        serve.logs(name);
    }
    old.stop();
    wait_for("the old password to be wrong", || {
        relay
            .sign_in(&relay.password)
            .0
            .map(|right| assert!(!right))
    });
    assert_eq!(relay.sign_in(reset.stdout.trim_end()).0, Some(true));
    assert!(relay.send());
    sandbox.ok(&["user", "list"]);
    drop(serve);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p4_patroni_demotes_promotes_and_rewinds() {
    let [mut one, mut two] = pair();
    let sandbox = Postgres::sandbox_on(&[&one, &two]);
    own(&sandbox);
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    meanwhile(&sandbox, &relay, || {
        // It lost its lease, and stops before another server can get it.
        one.end(Signal::SIGQUIT);
        one.run_demoted();
        relay.is_put_off();
        let listed = sandbox.run(&["user", "list"]);
        assert_eq!(listed.code, 75, "{listed:?}");
        two.promote();
        is_back(&relay, "promoted");
        one.rejoin(&two);
        is_back(&relay, "rewound");
        // And back, as in a switchover.
        one.catches_up_with(&two);
        two.stop();
        defers(&relay);
        one.promote();
        is_back(&relay, "switched over");
        two.rejoin(&one);
        relay.is_well();
    });
    drop(serve);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p4_repmgr_promotes_while_the_old_primary_hangs_and_rejoins_it() {
    let [mut old, new] = pair();
    let sandbox = Postgres::sandbox_on(&[&old, &new]);
    own(&sandbox);
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    meanwhile(&sandbox, &relay, || {
        old.signal_all(Signal::SIGSTOP);
        defers(&relay);
        new.promote();
        is_back(&relay, "promoted");
        // It hangs meanwhile, and delays only one change.
        let password = sandbox.create("created@example.com");
        // It continues as if nothing had happened.
        old.signal_all(Signal::SIGCONT);
        defers(&relay);
        is_refused(
            &sandbox.run(&["user", "reset", USER]),
            &[old.name(), new.name()],
        );
        old.rejoin(&new);
        is_back(&relay, "rejoined");
        assert_eq!(sandbox.verify("created@example.com", &password), 0);
    });
    drop(serve);
}

/// Some tools fence a server by a setting, and its connections stay open.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p3_a_primary_that_becomes_read_only_is_left_at_once() {
    let [old, new] = pair();
    let sandbox = Postgres::sandbox_on(&[&old, &new]);
    own(&sandbox);
    let place = Place::new();
    let relay = Watched::new(&sandbox, &place);
    let serve = Serve::start(&sandbox, &place);
    relay.is_well();
    let location = Location::parse(&sandbox.location()).unwrap();
    let mut open = Store::open_within(&location, Access::Existing, Duration::ZERO).unwrap();
    open.version().unwrap();
    old.sql(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    old.reload();
    defers(&relay);
    let listed = sandbox.run(&["user", "list"]);
    assert_eq!(listed.code, 75, "{listed:?}");
    assert!(
        listed.stderr.contains("nothing can be written"),
        "{listed:?}"
    );
    // Connections that were open before cannot change anything, either.
    let (at, actor) = (now(), actor());
    let changed = open
        .begin(EventStamp { at, actor })
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(changed, Error::StoreUnreachable { .. }),
        "{changed}"
    );
    new.promote();
    is_back(&relay, "promoted");
    // One of them accepts writes.
    let reset = sandbox.run(&["user", "reset", USER, "--quiet"]);
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(relay.sign_in(&relay.password).0, Some(false));
    assert_eq!(relay.sign_in(reset.stdout.trim_end()).0, Some(true));
    drop(serve);
}
