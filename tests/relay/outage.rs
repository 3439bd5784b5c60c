//! Whatever happens to the store or to `smtpcred serve`: clients sign in or
//! are put off, nobody is told that a right password is wrong, and all is well
//! again afterwards (promise 4).

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::support::load::{Answers, Asked, USER, under_load};
use crate::support::mail::Place;
use crate::support::mail::exim::{self, Exim};
use crate::support::serve::{Auth, Serve, own, store};
use crate::support::{Sandbox, nobody, serve, wait_for};

/// For an outage to be felt.
const MOMENT: Duration = Duration::from_millis(1500);

/// Nobody was hung up on, except where the answer is that.
fn all_answered(answers: &Answers) {
    let dropped = answers.keys().find(|(_, code)| *code == 0);
    assert_eq!(dropped, None, "{answers:?}");
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_the_store_is_locked() {
    let answers = under_load(&store(), |world, _| {
        let other = Connection::open(world.sandbox.store()).unwrap();
        other.busy_timeout(Duration::from_secs(10)).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let before = world.count(Asked::RightDirect, 235);
        thread::sleep(MOMENT);
        assert!(
            world.count(Asked::RightDirect, 235) > before,
            "readers do not wait"
        );
        other.execute_batch("ROLLBACK").unwrap();
        world.goes_on();
        // Longer than anybody waits.
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        wait_for("messages to be put off", || {
            (world.count(Asked::SendDirect, 451) > 0).then_some(())
        });
        other.execute_batch("ROLLBACK").unwrap();
    });
    all_answered(&answers);
}

/// Nobody gets the store for himself alone while serve has it open; before that
/// serve waits.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_the_store_is_locked_for_good() {
    const ALONE: &str = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE";
    under_load(&store(), |world, serve| {
        let other = Connection::open(world.sandbox.store()).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        assert!(other.execute_batch(ALONE).is_err());
        drop(other);
        world.goes_on();
        serve.kill();
        let other = Connection::open(world.sandbox.store()).unwrap();
        other.execute_batch(ALONE).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve.start_again());
            thread::sleep(MOMENT);
            drop(other);
        });
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_the_store_is_moved_away_and_replaced() {
    let answers = under_load(&store(), |world, serve| {
        let folder = world.sandbox.store().parent().unwrap().to_owned();
        let aside = folder.with_file_name("aside");
        let felt = |what: &str| {
            let before = world.count(Asked::SendDirect, 451);
            wait_for(what, || {
                (world.count(Asked::SendDirect, 451) > before + 5).then_some(())
            });
        };
        fs::rename(&folder, &aside).unwrap();
        felt("the missing store");
        fs::create_dir(&folder).unwrap();
        fs::write(world.sandbox.store(), "x".repeat(100_000)).unwrap();
        nobody::give_to_nobody(&folder);
        nobody::give_to_nobody(&world.sandbox.store());
        felt("the garbage");
        fs::write(world.sandbox.store(), "").unwrap();
        felt("the empty file");
        fs::remove_dir_all(&folder).unwrap();
        fs::rename(&aside, &folder).unwrap();
        world.goes_on();
        serve.logs("the store can be read again");

        // By that name it would have a log of its own.
        let second = folder.with_file_name("second.db");
        fs::hard_link(world.sandbox.store(), &second).unwrap();
        felt("the second name");
        serve.logs("2 names (hard links)");
        fs::remove_file(&second).unwrap();
        world.goes_on();
    });
    all_answered(&answers);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_the_disk_is_full() {
    let home = Sandbox::empty();
    let small = Small::new(home.store().parent().unwrap());
    own(&home);
    let answers = under_load(&home, |world, serve| {
        small.fill();
        wait_for("messages to be put off", || {
            (world.count(Asked::SendDirect, 451) > 5).then_some(())
        });
        let before = world.count(Asked::Right, 235);
        wait_for("sign-ins all the same", || {
            (world.count(Asked::Right, 235) > before + 20).then_some(())
        });
        small.empty();
        world.goes_on();
        serve.logs("writing to the store works again");
    });
    all_answered(&answers);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_restarted_in_place() {
    let answers = under_load(&store(), |world, serve| {
        for _ in 0..4 {
            let pid = serve.pid();
            serve.restart_in_place();
            assert_eq!(serve.pid(), pid);
            world.goes_on();
        }
    });
    all_answered(&answers);
}

/// A mail server that is broken off before it has said who it is takes that for
/// the end of signing in, and Postfix then does without for a minute.
#[test]
#[ignore = "needs root for a user of its own: run tests/run"]
fn p4_a_restart_breaks_off_no_handshake() {
    const RESTARTS: usize = 60;
    let sandbox = store();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let connect = || {
            while !done.load(Ordering::Relaxed) {
                let connected = Auth::connect(&place.auth()).map(drop);
                if connected.is_err() {
                    done.store(true, Ordering::Relaxed);
                }
                connected.expect("a greeting");
                thread::sleep(Duration::from_millis(1));
            }
        };
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(connect)).collect();
        for _ in 0..RESTARTS {
            if !done.load(Ordering::Relaxed) {
                serve.restart_in_place();
            }
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every handshake");
        }
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_stopped_or_killed_and_started_again() {
    under_load(&store(), |world, serve| {
        for signal in [
            Signal::SIGTERM,
            Signal::SIGKILL,
            Signal::SIGTERM,
            Signal::SIGKILL,
        ] {
            if signal == Signal::SIGKILL {
                serve.kill();
            } else {
                serve.stop();
            }
            thread::sleep(Duration::from_millis(300));
            serve.start_again();
            world.goes_on();
        }
    });
}

/// Exim says so in its own way; the same sessions go on afterwards.
#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn p4_exim_puts_clients_off() {
    const TO: &str = "one@elsewhere.test";
    let sandbox = store();
    let password = sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--daily-limit", "1000"]);
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    let command = "show-server-config";
    let shown = [command, "exim", "--auth", &auth, "--policy", &policy];
    let exim = Exim::start(&place, &exim::Setup::shipped(&sandbox.ok(&shown)));
    let mut inside = exim.client();
    assert_eq!(inside.auth_plain(USER, &password, true).code, 235);
    let mut outside = exim.client();

    serve.stop();
    assert_eq!(inside.send_message(USER, TO).code, 451);
    // Its process cannot connect to a socket any more once it could not: errno 9.
    drop(inside);
    assert_eq!(outside.auth_plain(USER, &password, true).code, 435);
    assert_eq!(outside.auth_login(USER, &password, false).code, 435);
    serve.start_again();
    assert_eq!(outside.auth_login(USER, &password, false).code, 235);
    assert_eq!(outside.send_message(USER, TO).code, 250);

    let other = Connection::open(sandbox.store()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(exim.client().auth_plain(USER, &password, true).code, 235);
    assert_eq!(outside.send_message(USER, TO).code, 451);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(outside.send_message(USER, TO).code, 250);
}

/// Its -wal and -shm stay while serve has the store open: whoever else has it
/// open, and closes it, is not the last (SQLite's own tools, a backup, Dovecot).
#[test]
#[ignore = "needs root for a user of its own: run tests/run"]
fn p3_others_open_and_close_the_store() {
    const NOW: &str = "unixepoch()";
    let sandbox = store();
    let password = sandbox.create(USER);
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let right = || {
        let mut auth = Auth::connect(&place.auth()).unwrap();
        auth.plain("192.0.2.9", USER, &password).unwrap()
    };
    let beside = |suffix: &str| {
        let name = sandbox.store().display().to_string() + suffix;
        PathBuf::from(name).exists()
    };
    let mut suspended = 0;
    for restart in [false, true] {
        if restart {
            serve.restart_in_place();
        }
        for (set, expected) in [(NOW, false), ("NULL", true), (NOW, false), ("NULL", true)] {
            serve::sql(&sandbox, &format!("UPDATE users SET suspended_at = {set}"));
            assert!(
                beside("-wal") && beside("-shm"),
                "they were taken from serve"
            );
            assert_eq!(right(), Some(expected));
            suspended += u32::from(!expected);
            wait_for("the refusals to be written down", || {
                let failures = sandbox.json(&["audit", "failures"]);
                let count = failures[0]["count"].as_u64().unwrap_or(0);
                (count == u64::from(suspended)).then_some(())
            });
        }
    }
    serve.stop();
    let intact = Connection::open(sandbox.store()).unwrap();
    let answer: String = intact
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(answer, "ok");
}

/// A file system of its own, with room for a store and no more.
struct Small(PathBuf);

impl Small {
    fn new(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"])
            .arg(path)
            .status();
        assert!(mount.unwrap().success(), "mount");
        chown(path, Some(65534), Some(65534)).unwrap();
        Self(path.to_owned())
    }

    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        while ballast.write(&[0; 1024]).is_ok_and(|n| n == 1024) {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Nothing to be done about it in a test that fails already.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
