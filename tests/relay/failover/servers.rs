//! Servers with one name or several, distant servers, and silent ones.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use smtpcred::error::Error;
use smtpcred::model::event::EventStamp;
use smtpcred::store::{Access, Location, Store};

use super::{is_refused, pair};
use crate::support::postgres::Postgres;
use crate::support::slow::Slow;
use crate::support::store_writer::{actor, now};
use crate::support::{PROGRAM, Run, Sandbox, finished, free_port, wait_for};

/// Runs a command while a name resolves to these addresses.
fn with_name(sandbox: &Sandbox, url: &str, addresses: &[&str], args: &[&str]) -> Run {
    let lines = addresses
        .iter()
        .map(|address| format!("{address} db.test\n"));
    with_file(sandbox, url, ["hosts", &lines.collect::<String>()], args)
}

/// Runs a command with another file in /etc.
fn with_file(sandbox: &Sandbox, url: &str, [name, text]: [&str; 2], args: &[&str]) -> Run {
    let script = format!("mount --bind {name} /etc/{name} && exec \"$0\" \"$@\"");
    std::fs::write(sandbox.folder.path().join(name), text).unwrap();
    let alone = ["--mount", "sh", "-c", &script, PROGRAM, "--store", url];
    let output = sandbox
        .other_command("unshare", &[&alone[..], args].concat())
        .output();
    finished(output.expect("unshare runs"))
}

/// A round-robin name: each address is asked.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn a_name_stands_for_all_of_its_addresses() {
    let mut one = Postgres::start();
    let sandbox = one.sandbox();
    let [mut two, mut three] = [(); 2].map(|()| Postgres::standby(&one));
    let name = sandbox.location().into_string().expect("UTF-8");
    let (_, name) = name.rsplit_once('/').expect("a name");
    let port = free_port();
    for (server, address) in [
        (&mut two, "127.0.0.3"),
        (&mut three, "127.0.0.4"),
        (&mut one, "127.0.0.2"),
    ] {
        server.listen_at(address, port);
    }
    let url = format!("postgres://postgres@db.test:{port}/{name}?sslmode=disable");
    let addresses = ["127.0.0.4", "127.0.0.3", "127.0.0.2"];
    let by_name = |args: &[&str]| with_name(&sandbox, &url, &addresses, args);
    // The primary is the last one.
    let made = by_name(&["domain", "add", "example.com"]);
    assert_eq!(made.code, 0, "{made:?}");
    two.promote();
    let names = [2, 3].map(|n| format!("db.test:{port} (127.0.0.{n}) (timeline {})", n - 1));
    let refused = by_name(&["user", "create", "shop@example.com"]);
    is_refused(&refused, &names);
    assert!(!refused.stderr.contains("127.0.0.4"), "{refused:?}");
    // A server under two addresses is one.
    let url = format!("postgres://postgres@127.0.0.2:{port},localhost:{port}/{name}");
    one.listen_at("127.0.0.1, 127.0.0.2", port);
    let made = sandbox.run(&[
        "user",
        "create",
        "shop@example.com",
        "--store",
        &url,
        "--quiet",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    // Not a standby of it, although it has a database of this name.
    let other = Postgres::start();
    other.database(name);
    let both = one.name().replace('/', "%2F") + "," + &other.name().replace('/', "%2F");
    let url = format!("postgres://postgres@{both}/{name}");
    let listed = sandbox.run(&["user", "list", "--store", &url]);
    assert_eq!(listed.code, 75, "{listed:?}");
    assert!(
        listed.stderr.contains("belong to different clusters"),
        "{listed:?}"
    );
}

/// A name server may be down with the machine of the other database server.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn a_name_that_does_not_resolve_delays_no_command_for_long() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    let url = sandbox.location().into_string().expect("UTF-8");
    let mute = std::net::UdpSocket::bind("127.0.0.97:53").unwrap();
    let address = mute.local_addr().unwrap().ip();
    let resolver = format!("nameserver {address}\n");
    for place in [",other.test:5432/store", "other.test:5432,"] {
        let both = match place.strip_suffix(',') {
            Some(first) => url.replacen('@', &format!("@{first},"), 1),
            None => url.replacen("/store", place, 1),
        };
        let began = Instant::now();
        let listed = with_file(
            &sandbox,
            &both,
            ["resolv.conf", &resolver],
            &["domain", "list"],
        );
        assert_eq!(listed.code, 0, "{listed:?}");
        // The resolver's first retry comes after 5 s.
        assert!(began.elapsed() < Duration::from_secs(5), "{both}");
    }
}

/// Each change takes as many round trips with a URL of several servers as with one.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_far_server_is_asked_beside_each_change_and_not_for_it() {
    let [one, two] = pair();
    let sandbox = one.sandbox_with_domain();
    let name = sandbox.location().into_string().expect("UTF-8");
    let (_, name) = name.rsplit_once('/').expect("a name");
    let [near, far] = [Slow::before(one.folder()), Slow::before(two.folder())];
    let url = near.url(&one.url(name), one.folder());
    let both = near.url(&Postgres::url_of(&[&one, &two], name), one.folder());
    let both = far.url(&both, two.folder());
    let open = |url: &str| {
        let location = Location::parse(url.as_ref()).unwrap();
        Store::open(&location, Access::Existing).unwrap()
    };
    let changes = |store: &mut Store| {
        near.round_trips();
        far.round_trips();
        for _ in 0..20 {
            let (at, actor) = (now(), actor());
            drop(store.begin(EventStamp { at, actor }).unwrap());
        }
        [near.round_trips(), far.round_trips()]
    };
    // BEGIN with the lock, and ROLLBACK.
    assert_eq!(changes(&mut open(&url)), [40, 0]);
    for delay in [5, 50, 500] {
        far.delay(Duration::from_millis(delay));
        let began = Instant::now();
        let mut store = open(&both);
        let opened = began.elapsed();
        let [own, others] = changes(&mut store);
        println!("{delay} ms: opened in {opened:?}, {others} round trips to the other");
        assert_eq!(own, 40);
        assert!(others < 20, "{others}");
    }
    // A second primary is found even there, although not at once.
    two.promote();
    let mut store = open(&both);
    wait_for("the second primary", || {
        let (at, actor) = (now(), actor());
        let refused = store.begin(EventStamp { at, actor }).map(|_| ()).err()?;
        assert!(matches!(refused, Error::StoreNotUnique { .. }), "{refused}");
        Some(())
    });
}

/// A silent server is reported, and delays no command for long.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p4_servers_that_hang_are_not_waited_for() {
    let [one, two] = pair();
    let sandbox = Postgres::sandbox_on(&[&one, &two]);
    one.configure("synchronous_standby_names = ''\n");
    one.reload();
    // It rejects us.
    std::fs::write(two.data().join("pg_hba.conf"), "local all all reject\n").unwrap();
    two.signal(Signal::SIGHUP);
    wait_for("it to refuse", || two.try_sql("postgres", "SELECT 1").err());
    sandbox.noted(&["domain", "add", "example.org"]);
    let doctor = sandbox.run(&["doctor", "--json"]);
    let refuses = |line: &str| line.contains("\"warn\"") && line.contains("rejects connection");
    assert!(doctor.stdout.lines().any(refuses), "{doctor:?}");
    two.signal_all(Signal::SIGSTOP);
    // Accepts connections, and stays silent.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = sandbox.location().into_string().expect("UTF-8");
    let mute = format!(",{}/", mute.local_addr().unwrap());
    let url = url.replacen("/store", &format!("{mute}store"), 1);
    for args in [
        &["domain", "add", "example.com"][..],
        &["user", "create", "shop@example.com"],
    ] {
        let run = sandbox.run(&[&["--store", &url], args].concat());
        assert_eq!(run.code, 0, "{run:?}");
    }
    let doctor = sandbox.run(&["doctor", "--json", "--store", &url]);
    let hidden = |line: &&str| line.contains("goes unnoticed") && line.contains("does not answer");
    let count = doctor.stdout.lines().filter(hidden).count();
    assert_eq!(count, 2, "{doctor:?}");
    assert!(
        doctor.stdout.contains(": primary, timeline 1"),
        "{doctor:?}"
    );
}

/// While others deliver passwords, the session that has the lock of a run does nothing.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p6_the_lock_of_a_run_outlives_the_limit_of_idle_sessions() {
    let server = Postgres::start();
    server.configure("idle_session_timeout = '300ms'\n");
    server.reload();
    let sandbox = server.sandbox_with_domain();
    let url = sandbox.location().into_string().expect("UTF-8");
    let open = || {
        let location = Location::parse(url.as_ref()).unwrap();
        Store::open(&location, Access::Existing).unwrap()
    };
    let lock = open().lock_rotation().unwrap();
    // Another session that began later is ended.
    let mut other = server.idle();
    wait_for("the limit", || {
        let log = server.log();
        let ended = log.contains("due to idle-session timeout");
        ended.then_some(())
    });
    assert!(matches!(
        open().lock_rotation().map(|_| ()),
        Err(Error::RotationRunning)
    ));
    drop(lock);
    other.kill().unwrap();
    other.wait().unwrap();
}
