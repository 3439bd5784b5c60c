//! A database that is lost in the very moment of a commit: was the change made?

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use smtpcred::app::relay::{PendingWrites, Release};
use smtpcred::error::Error;
use smtpcred::model::event::EventStamp;
use smtpcred::model::usage_window::Count;
use smtpcred::store::{Access, Location, Scope, Store};
use tempfile::TempDir;

use crate::support::postgres::Postgres;
use crate::support::store_writer::{actor, now, store_writer};
use crate::support::{Run, Sandbox, finished, wait_for};

/// What becomes of the first COMMIT that comes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is made, and nobody is told.
    Unanswered,
    /// It does not arrive.
    Lost,
    /// It does not arrive, and nothing ever does again.
    LostForGood,
    /// It is made, but the answer is lost, and so is the server.
    UnansweredForGood,
}

impl Fate {
    fn is_made(self) -> bool {
        matches!(self, Self::Unanswered | Self::UnansweredForGood)
    }

    fn is_for_good(self) -> bool {
        matches!(self, Self::LostForGood | Self::UnansweredForGood)
    }
}

/// Relays everything between a client and the server, except one COMMIT. Returns whether
/// that has come.
fn pass_on(folder: &Path, server: &Path, fate: Fate) -> Arc<AtomicBool> {
    let socket = folder.join(".s.PGSQL.5432");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = server.join(".s.PGSQL.5432");
    let met = Arc::new(AtomicBool::new(false));
    let has_come = Arc::clone(&met);
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            if fate.is_for_good() && met.load(Ordering::SeqCst) {
                continue;
            }
            let (server, met) = (UnixStream::connect(&server).unwrap(), Arc::clone(&met));
            thread::spawn(move || connection(client, server, fate, &met));
        }
    });
    has_come
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
            if fate.is_made() {
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
            assert!(run.stderr.contains("not stored and do"), "{}", run.stderr);
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
            assert!(
                run.stderr.contains("may or may not have been made"),
                "{}",
                run.stderr
            );
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
        let messages = |messages| Count {
            messages,
            ..Count::default()
        };
        let stamp = EventStamp {
            at: now(),
            actor: actor(),
        };
        let mut tx = store.begin(stamp).unwrap();
        for owner in Scope::all(&username) {
            tx.count(owner, messages(10), now()).unwrap();
        }
        tx.commit().unwrap();

        let (_folder, url) = on_the_way(&server, fate);
        let mut writer = store_writer(&url);
        let mut pending = PendingWrites::default();
        pending.releases.push(Release {
            username,
            left: messages(3),
            held: Count::default(),
            new_recipients: Vec::new(),
            at: now(),
        });
        let lost = writer.note(pending, &[], &mut Vec::new());
        assert!(matches!(lost, Err(Error::CommitUnknown { .. })), "{lost:?}");
        writer
            .note(PendingWrites::default(), &[], &mut Vec::new())
            .unwrap();
        let counted = "SELECT messages FROM smtpcred.counts
            WHERE owner = 'shop@example.com' AND span = 'day'";
        assert_eq!(server.sql("mail", counted), left);
    }
}

/// The primary cannot be reached any more, and its standby takes over.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_a_lost_commit_is_looked_up_after_a_failover_too() {
    for fate in [Fate::UnansweredForGood, Fate::LostForGood] {
        let primary = Postgres::start();
        let standby = primary.synchronous_standby();
        let sandbox = Sandbox::empty();
        let run = |url: &str, args: &[&str]| {
            let mut command = sandbox.command(args);
            command.env("SMTPCRED_STORE", url);
            command
        };
        let direct = primary.database("mail");
        let added = run(&direct, &["domain", "add", "example.com"]).output();
        assert_eq!(finished(added.unwrap()).code, 0);
        let folder = tempfile::tempdir().unwrap();
        let has_come = pass_on(folder.path(), primary.folder(), fate);
        let hosts = [folder.path(), standby.folder()]
            .map(|folder| folder.display().to_string().replace('/', "%2F"));
        let url = format!("postgres://postgres@{}/mail", hosts.join(","));
        let create = ["user", "create", "shop@example.com", "--output", "password"];
        let creating = run(&url, &create).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the commit", || {
            has_come.load(Ordering::SeqCst).then_some(())
        });
        if fate.is_made() {
            wait_for("the commit", || {
                // The table comes with the same stream.
                let users = standby.try_sql("mail", "SELECT count(*) FROM smtpcred.users");
                (users.as_deref() == Ok("1")).then_some(())
            });
        }
        standby.promote();
        let created = finished(creating.wait_with_output().unwrap());
        let password = sandbox.folder.path().join("password");
        if fate.is_made() {
            assert_eq!(created.code, 0, "{created:?}");
            let verified = run(&standby.url("mail"), &["verify", "shop@example.com"])
                .stdin(fs::File::open(password).unwrap())
                .output();
            assert_eq!(finished(verified.unwrap()).code, 0);
            assert_eq!(count(&standby, "events"), "2", "once");
        } else {
            assert_eq!(created.code, 75, "{created:?}");
            assert!(created.stderr.contains("not stored and do"), "{created:?}");
            assert!(!password.exists(), "withdrawn");
        }
    }
}

/// The next batches continue after it.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn an_import_continues_after_a_commit_without_an_answer() {
    let mut text = String::from("username,hash\n");
    for i in 0..600 {
        let hash = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
        writeln!(text, "app{i}@example.com,{hash}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.csv");
    fs::write(&file, text).unwrap();
    let import = ["user", "import", file.to_str().unwrap(), "--from", "csv"];
    through(Fate::Unanswered, &import, |server, _, run| {
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stderr.contains("created 600,"), "{run:?}");
        assert_eq!(count(server, "users"), "600");
        assert_eq!(count(server, "events"), "601");
    });
    through(Fate::Lost, &import, |server, _, run| {
        assert_eq!(run.code, 75, "{run:?}");
        assert!(run.stderr.contains("nothing was changed"), "{run:?}");
        assert_eq!(count(server, "users"), "0");
    });
}
