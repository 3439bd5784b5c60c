//! A database that is lost in the very moment of a commit: was the change made?

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

#[path = "support/keeper.rs"]
mod keeper;
#[path = "support/postgres.rs"]
mod postgres;
mod support;

use keeper::{actor, keeper, now};
use postgres::Postgres;
use smtpcred::app::relay::{Found, Returned};
use smtpcred::error::Error;
use smtpcred::model::event::Stamp;
use smtpcred::model::tally::Amount;
use smtpcred::store::{Access, Location, Owner, Store};
use support::{Run, Sandbox, finished};
use tempfile::TempDir;

/// What becomes of the first COMMIT that comes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is made, and nobody is told.
    Unanswered,
    /// It does not arrive.
    Lost,
    /// It does not arrive, and nothing ever does again.
    LostForGood,
}

/// Passes everything on between a client and the server, but for one COMMIT.
fn pass_on(folder: &Path, server: &Path, fate: Fate) {
    let socket = folder.join(".s.PGSQL.5432");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = server.join(".s.PGSQL.5432");
    let met = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            if fate == Fate::LostForGood && met.load(Ordering::SeqCst) {
                continue;
            }
            let (server, met) = (UnixStream::connect(&server).unwrap(), Arc::clone(&met));
            thread::spawn(move || connection(client, server, fate, &met));
        }
    });
}

fn connection(mut client: UnixStream, mut server: UnixStream, fate: Fate, met: &AtomicBool) {
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let cut = Arc::new(AtomicBool::new(false));
    let silent = Arc::clone(&cut);
    let answers = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        let commit = buffer[..n].windows(7).any(|word| word == b"COMMIT\0");
        if commit && !met.swap(true, Ordering::SeqCst) {
            cut.store(true, Ordering::SeqCst);
            if fate == Fate::Unanswered {
                // And the end of it, so that the server has done it before we go.
                server.write_all(&buffer[..n]).unwrap();
                server.write_all(b"X\0\0\0\x04").unwrap();
                answers.join().unwrap();
            }
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
        if server.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Runs a command that meets its fate; says what came of it.
fn through(fate: Fate, args: &[&str], ask: impl Fn(&Postgres, &Sandbox, Run)) {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let direct = |args: &[&str]| {
        let run = sandbox.command(args).env("SMTPCRED_STORE", &url).output();
        finished(run.unwrap())
    };
    assert_eq!(direct(&["domain", "add", "example.com"]).code, 0);
    let (_folder, url) = on_the_way(&server, fate);
    let run = sandbox.command(args).env("SMTPCRED_STORE", url).output();
    ask(&server, &sandbox, finished(run.unwrap()));
}

/// The same database, where a commit meets its fate.
fn on_the_way(server: &Postgres, fate: Fate) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    pass_on(folder.path(), server.folder(), fate);
    let place = folder.path().display().to_string().replace('/', "%2F");
    (folder, format!("postgres://postgres@{place}/mail"))
}

fn count(server: &Postgres, table: &str) -> String {
    server.sql("mail", &format!("SELECT count(*) FROM smtpcred.{table}"))
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_a_commit_that_was_made_unseen_is_found_out() {
    through(
        Fate::Unanswered,
        &["user", "create", "shop@example.com", "--quiet"],
        |server, sandbox, run| {
            assert_eq!((run.code, run.stderr.as_str()), (0, ""));
            let typed = sandbox.folder.path().join("typed");
            fs::write(&typed, &run.stdout).unwrap();
            let verified = sandbox
                .command(&["verify", "shop@example.com"])
                .env("SMTPCRED_STORE", server.url("mail"))
                .stdin(fs::File::open(typed).unwrap())
                .output();
            assert_eq!(finished(verified.unwrap()).code, 0);
            assert_eq!(count(server, "events"), "2", "once");
        },
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_a_commit_that_did_not_arrive_is_said_to_have_failed() {
    through(
        Fate::Lost,
        &["user", "create", "shop@example.com", "--output", "password"],
        |server, sandbox, run| {
            assert_eq!(run.code, 75, "{}", run.stderr);
            assert!(run.stderr.contains("NOT stored"), "{}", run.stderr);
            assert_eq!(count(server, "users"), "0");
            assert!(
                !sandbox.folder.path().join("password").exists(),
                "withdrawn"
            );
        },
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_where_nobody_can_tell_the_password_is_kept() {
    through(
        Fate::LostForGood,
        &["user", "create", "shop@example.com", "--output", "password"],
        |_, sandbox, run| {
            assert_eq!(run.code, 75, "{}", run.stderr);
            assert!(run.stderr.contains("not known"), "{}", run.stderr);
            assert!(
                sandbox.folder.path().join("password").exists(),
                "it may be valid"
            );
        },
    );
}

/// What a relay hands back of its counts is taken off once, or not at all.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p7_what_is_handed_back_is_never_taken_off_twice() {
    for (fate, left) in [(Fate::Unanswered, "7"), (Fate::Lost, "10")] {
        let server = Postgres::start();
        let sandbox = Sandbox::empty();
        let create = [
            "user",
            "create",
            "shop@example.com",
            "--add-domain",
            "--quiet",
        ];
        let direct = server.database("mail");
        let run = sandbox
            .command(&create)
            .env("SMTPCRED_STORE", &direct)
            .output();
        assert_eq!(finished(run.unwrap()).code, 0);
        let location = Location::parse(direct.as_ref()).unwrap();
        let mut store = Store::open(&location, Access::Existing).unwrap();
        let username = "shop@example.com".parse().unwrap();
        let messages = |messages| Amount {
            messages,
            ..Amount::default()
        };
        let stamp = Stamp {
            at: now(),
            actor: actor(),
        };
        let mut tx = store.begin(stamp).unwrap();
        for owner in Owner::all(&username) {
            tx.count(owner, messages(10), now()).unwrap();
        }
        tx.commit().unwrap();

        let (_folder, url) = on_the_way(&server, fate);
        let mut keeper = keeper(&url);
        let mut found = Found::default();
        found.returned.push(Returned {
            username,
            left: messages(3),
            held: Amount::default(),
            at: now(),
        });
        let lost = keeper.note(found, &[], &mut Vec::new());
        assert!(matches!(lost, Err(Error::CommitUnknown { .. })), "{lost:?}");
        keeper.note(Found::default(), &[], &mut Vec::new()).unwrap();
        let counted = "SELECT messages FROM smtpcred.counts
            WHERE owner = 'shop@example.com' AND span = 'day'";
        assert_eq!(server.sql("mail", counted), left);
    }
}
