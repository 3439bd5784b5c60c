//! Rotations that are ended before their end: by a signal, by `kill -9`, by a
//! reset.

use std::collections::BTreeSet;
use std::thread::available_parallelism;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::rotation::{After, HANGS, Place, USER, WELL, is_dead, spawned};
use crate::support::{self, ended, wait_for, wait_until_caught};

#[test]
fn p2_a_reset_while_it_is_delivered_wins() {
    let place = Place::new();
    let running = place.hanging(&[]);
    let reset = place.sandbox.ok(&["user", "reset", USER, "-q"]);
    place.go();
    let run = ended(running);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (1, "rotated 0, failed 1\n")
    );
    assert!(
        run.stderr.contains("reset meanwhile") && !run.stderr.contains("both"),
        "{run:?}"
    );
    assert!(place.works(reset.trim_end()));
    assert!(!place.works(&place.got()) && !place.works(&place.old));
    assert_eq!(place.sandbox.run(&["report", "--unfinished"]).code, 0);
}

#[test]
fn p2_a_reset_ends_an_unfinished_rotation() {
    let place = Place::new();
    place.is(After::Unfinished, &place.rotate("cat > got; exit 1", &[]));
    let reset = place.sandbox.ok(&["user", "reset", USER, "-q"]);
    assert!(place.works(reset.trim_end()));
    assert!(!place.works(&place.got()) && !place.works(&place.old));
    assert_eq!(place.sandbox.run(&["report", "--unfinished"]).code, 0);
}

#[test]
fn p6_a_signal_lets_those_under_way_come_to_their_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new();
        // More than are begun at the same time.
        let users = (available_parallelism().unwrap().get() + 1) * 4 + 9;
        place
            .sql()
            .execute_batch(&format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
                INSERT INTO users (username, domain, created_at)
                    SELECT format('app%04d@example.com', i), 'example.com', 1750000000 FROM n;
                INSERT INTO passwords (username, password_id, hash, created_at)
                    SELECT u.username, p.password_id, p.hash, 1750000000 FROM passwords p, users u
                    WHERE u.created_at = 1750000000 AND p.username = 'shop@example.com';"
            ))
            .unwrap();
        let script = place.script(&HANGS.replace("got", "$SMTPCRED_USERNAME"));
        let args = ["--older-than", "1d", "--jobs", "1", "--deliver", &script];
        let args = [&["user", "rotate", "--due"], &args[..]].concat();
        let running = spawned(&mut place.sandbox.command(&args));
        place.wait_for_file("pid");
        kill(Pid::from_raw(running.0.id().try_into().unwrap()), signal).unwrap();
        wait_until_caught(&running);
        place.go();
        let run = ended(running);
        assert_eq!(run.code, 130, "{run:?}");
        assert!(run.stdout.starts_with("rotated ") && run.stdout.contains("not started"));
        // What waited for its turn was not begun: nothing of it is left to look at.
        assert_eq!(place.count("rotations"), 0, "{run:?}");
        let report = place.sandbox.run(&["report", "--unfinished"]);
        assert_eq!(report.code, 0, "{report:?}");
        assert!(run.stdout.contains("failed 0"), "{run:?}");
        let begun: BTreeSet<_> = (1..=users)
            .map(|i| format!("app{i:04}@example.com"))
            .filter(|name| place.path(name).exists())
            .collect();
        assert!(!begun.is_empty() && begun.len() < users, "{run:?}");
        let left = format!("not started {}", users - begun.len());
        assert!(run.stdout.contains(&left), "{run:?}");
        let live = place.count("passwords WHERE hash IS NOT NULL") - 1;
        assert_eq!(live, i64::try_from(users + begun.len()).unwrap());
        for name in begun.iter().take(3) {
            let password = std::fs::read_to_string(place.path(name)).unwrap();
            assert_eq!(place.sandbox.verify(name, password.trim_end()), 0, "{name}");
        }
    }
}

#[test]
fn what_was_unfinished_before_a_stopped_run_stays_so() {
    // The other one is delivered first, one delivery at a time.
    let (place, running) = wait_for("the other one to be first", || {
        let place = Place::new();
        place.sandbox.create("crm@example.com");
        place.is(After::Withdrawn, &place.rotate("exit 1", &[]));
        let script = place.script(&format!("echo $SMTPCRED_USERNAME > first; {HANGS}"));
        let args = ["--jobs", "1", "--deliver", &script];
        let args = [&["user", "rotate", "crm@example.com", USER], &args[..]].concat();
        let running = spawned(&mut place.sandbox.command(&args));
        place.wait_for_file("pid");
        if place.wait_for_file("first") == USER {
            place.go();
            ended(running);
            return None;
        }
        Some((place, running))
    });
    kill(
        Pid::from_raw(running.0.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    wait_until_caught(&running);
    place.go();
    let run = ended(running);
    assert_ne!(run.code, 0, "{run:?}");
    let report = place.sandbox.run(&["report", "--unfinished", "--json"]);
    assert_eq!(report.code, 7, "{report:?}");
    assert!(report.stdout.contains(USER), "{report:?}");
    assert!(place.works(&place.old));
    assert_eq!(place.count("rotations"), 1);
}

#[test]
fn p6_killed_while_it_is_delivered_the_delivery_goes_on() {
    let place = Place::new();
    let mut running = place.hanging(&[]);
    let orphan = place.wait_for_file("pid");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert!(!is_dead(&orphan), "it goes on");
    assert_eq!(place.count("rotations WHERE state = 'handing'"), 1);
    assert!(place.works(&place.old));
    place.go();
    wait_for("the end of the delivery", || is_dead(&orphan).then_some(()));
    assert!(place.works(&place.got()));

    // The lock is free; and without a sign-in nobody can tell.
    let run = place.rotate("touch again", &[]);
    place.is(After::Unfinished, &run);
    assert!(!place.path("again").exists());
    assert!(place.works(&place.got()));
    place.signed_in(&place.keys()[1], 0);
    place.is(After::Rotated, &place.rotate("touch again", &[]));
    assert!(!place.path("again").exists() && place.works(&place.got()));
}

#[test]
fn p6_killed_after_the_delivery_the_next_run_finds_out() {
    for arrived in [true, false] {
        let place = Place::new();
        let mut running = place.hanging(&[]);
        let store = place.sql();
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        place.go();
        let orphan = place.wait_for_file("pid");
        wait_for("the end of the delivery", || is_dead(&orphan).then_some(()));
        // It wants to write that down, and cannot.
        support::wait_at_lock(&running.0);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        store.execute_batch("ROLLBACK").unwrap();
        let first = place.got();
        assert!(place.works(&first) && place.works(&place.old));
        place.signed_in(&place.keys()[usize::from(arrived)], 70);
        place.is(
            After::Rotated,
            &place.rotate(WELL, &["--deliver-timeout", "61s"]),
        );
        assert_eq!(place.got() == first, arrived);
        assert_eq!(place.works(&first), arrived);
        assert!(place.works(&place.got()));
    }
}

#[test]
fn p6_killed_before_the_delivery_nobody_has_it() {
    // Between two of its transactions: not each time somebody else comes first.
    let place = wait_for("a run that waits between two transactions", || {
        let place = Place::new();
        let mut command = place.command(WELL, &[]);
        let store = place.sql();
        store.busy_timeout(std::time::Duration::ZERO).unwrap();
        let mut running = spawned(&mut command);
        let found = loop {
            if running.0.try_wait().unwrap().is_some() {
                break false;
            }
            if store.execute_batch("BEGIN IMMEDIATE").is_err() {
                continue;
            }
            let sql = "SELECT COALESCE(max(state), '') FROM rotations";
            let state: String = store.query_row(sql, [], |row| row.get(0)).unwrap();
            if state == "live" {
                break true;
            }
            store.execute_batch("ROLLBACK").unwrap();
        };
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        found.then_some(place)
    });
    assert!(
        !place.path("got").exists(),
        "nobody is told what is not written down"
    );
    let withdrawn = place.keys().remove(1);
    assert!(place.works(&place.old));
    place.is(After::Rotated, &place.rotate(WELL, &[]));
    assert!(place.works(&place.got()));
    assert!(!place.keys().contains(&withdrawn), "nobody has it");
}
