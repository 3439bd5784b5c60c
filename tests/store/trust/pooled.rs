//! Poolers may change the server session after each transaction.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use super::database::run_at;
use crate::support::Sandbox;
use crate::support::pooler::Pooler;
use crate::support::postgres::Postgres;

const SAYS: &str = "a pooler that changes the connection between transactions: \
                    pool_mode=session, or connect directly";

/// Checks that other programs find no settings in the pool afterwards.
fn nothing_is_left(pooler: &Pooler) {
    for (setting, usual) in [
        ("default_transaction_read_only", "off"),
        ("search_path", "\"$user\", public"),
        ("lock_timeout", "0"),
        ("jit", "on"),
    ] {
        let found = pooler.sql("mail", &format!("SHOW {setting}"));
        assert_eq!(found, usual, "{setting}");
    }
}

#[test]
#[ignore = "needs PostgreSQL and PgBouncer: run tests/run"]
fn a_pool_that_changes_sessions_is_refused_before_anything_is_set() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let made = run_at(&sandbox, &url, &["domain", "add", "example.com"], "");
    assert_eq!(made.code, 0, "{made:?}");
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\nmin_pool_size = 5",
        "pool_mode = transaction\nmin_pool_size = 5\nserver_round_robin = 1",
        "pool_mode = statement",
        "pool_mode = statement\nmin_pool_size = 5\nserver_round_robin = 1",
    ] {
        let pooler = Pooler::start(&server, settings);
        // The pool has more than one session.
        let mut busy: Vec<_> = (0..3)
            .map(|_| {
                let mut psql = pooler.psql("mail");
                psql.args(["-c", "SELECT pg_sleep(0.05)"])
                    .stdout(Stdio::null());
                psql.spawn().unwrap()
            })
            .collect();
        for child in &mut busy {
            child.wait().unwrap();
        }
        let url = pooler.url("mail");
        for command in [
            &["user", "list"][..],
            &["domain", "add", "b.example"],
            &["store", "init"],
            &["doctor"],
        ] {
            let run = run_at(&sandbox, &url, command, "");
            let expected = if command == ["doctor"] { 1 } else { 75 };
            assert_eq!(run.code, expected, "{settings}: {run:?}");
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains(SAYS), "{settings}: {run:?}");
        }
        nothing_is_left(&pooler);
    }
}

#[test]
#[ignore = "needs PostgreSQL and PgBouncer: run tests/run"]
fn a_pool_that_keeps_sessions_is_used() {
    let server = Postgres::start();
    server.database("mail");
    let sandbox = Sandbox::empty();
    for (number, settings) in ["", "default_pool_size = 2", "server_round_robin = 1"]
        .iter()
        .enumerate()
    {
        let pooler = Pooler::start(&server, &format!("pool_mode = session\n{settings}"));
        let url = pooler.url("mail");
        let user = format!("shop{number}@example.com");
        let created = run_at(
            &sandbox,
            &url,
            &["user", "create", &user, "--add-domain"],
            "",
        );
        assert_eq!(created.code, 0, "{settings}: {created:?}");
        let verified = run_at(&sandbox, &url, &["verify", &user], created.stdout.trim());
        assert_eq!(verified.code, 0, "{settings}: {verified:?}");
        for command in [&["user", "list"][..], &["user", "suspend", &user]] {
            let run = run_at(&sandbox, &url, command, "");
            assert_eq!(run.code, 0, "{settings}: {run:?}");
        }
        nothing_is_left(&pooler);
    }
}

/// A standby may become the primary later.
#[test]
#[ignore = "needs PostgreSQL and PgBouncer: run tests/run"]
fn a_pool_of_a_standby_is_left_unchanged() {
    let server = Postgres::start();
    server.database("mail");
    let standby = Postgres::standby(&server);
    let pooler = Pooler::start(&standby, "pool_mode = transaction");
    let run = run_at(
        &Sandbox::empty(),
        &pooler.url("mail"),
        &["user", "list"],
        "",
    );
    assert_eq!(run.code, 75, "{run:?}");
    nothing_is_left(&pooler);
}

/// The second session is never granted: the pool has one, and this program has it.
#[test]
#[ignore = "needs PostgreSQL and PgBouncer: run tests/run"]
fn a_pool_of_a_single_session_is_used() {
    let server = Postgres::start();
    server.database("mail");
    let sandbox = Sandbox::empty();
    let pooler = Pooler::start(&server, "pool_mode = session\ndefault_pool_size = 1");
    let url = pooler.url("mail");
    let made = run_at(&sandbox, &url, &["domain", "add", "example.com"], "");
    assert_eq!(made.code, 0, "{made:?}");
}

/// Forwards only the first connection to the pooler.
fn only_the_first(pooler: &Pooler, hangs: bool) -> u16 {
    fn pass(mut from: TcpStream, mut to: TcpStream) {
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if to.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = ("127.0.0.1", pooler.port);
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(behind).unwrap();
        pass(client.try_clone().unwrap(), server.try_clone().unwrap());
        pass(server, client);
        let mut kept = Vec::new();
        for client in listener.incoming().flatten() {
            if hangs {
                kept.push(client);
            }
        }
    });
    port
}

#[test]
#[ignore = "needs PostgreSQL and PgBouncer: run tests/run"]
fn a_pooler_that_cannot_be_checked_is_not_used() {
    let server = Postgres::start();
    server.database("mail");
    let sandbox = Sandbox::empty();
    for mode in ["session", "transaction"] {
        let pooler = Pooler::start(&server, &format!("pool_mode = {mode}"));
        for hangs in [false, true] {
            let port = only_the_first(&pooler, hangs);
            let url = format!("postgres://postgres@127.0.0.1:{port}/mail");
            let run = run_at(&sandbox, &url, &["store", "init"], "");
            assert_eq!(run.code, 75, "{mode}: {run:?}");
            assert!(run.stderr.contains("cannot be checked"), "{run:?}");
        }
        nothing_is_left(&pooler);
    }
    assert_eq!(server.sql("mail", "SELECT to_regnamespace('smtpcred')"), "");
}
