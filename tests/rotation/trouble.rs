//! Rotation with a clock that is wrong, on a disk that is full, into folders of
//! others: nobody is ever without a password that works and that somebody has (promise 6).

use std::fs::{self, File};
use std::os::unix::fs::{lchown, symlink};

use rusqlite::Connection;

use crate::support::rotation::{After, Place, USER, WELL, spawned};
use crate::support::small::Small;
use crate::support::{PROGRAM, Run, Sandbox, ended, finished};

const DAY: i64 = 86_400;

/// The program under another clock.
fn under(sandbox: &Sandbox, clock: &str, args: &[&str]) -> Run {
    let args = [&["-f", clock, PROGRAM], args].concat();
    finished(sandbox.other_command("faketime", &args).output().unwrap())
}

/// The code of `verify` at this second since 1970.
fn verify_at(place: &Place, second: i64, password: &str) -> i32 {
    let clock = format!("@{}", utc(place, second));
    let file = place.path("asked");
    fs::write(&file, password).unwrap();
    let mut command = place.sandbox.other_command("faketime", &["-f", &clock]);
    command.args([PROGRAM, "verify", USER]).env("TZ", "UTC");
    finished(command.stdin(File::open(file).unwrap()).output().unwrap()).code
}

fn utc(place: &Place, second: i64) -> String {
    let sql = "SELECT datetime(?1, 'unixepoch')";
    place
        .sql()
        .query_row(sql, [second], |row| row.get(0))
        .unwrap()
}

/// When the only password that retires does so, and the time now.
fn retires_at(place: &Place) -> (i64, i64) {
    let sql = "SELECT retires_at, unixepoch() FROM passwords
        WHERE hash IS NOT NULL AND retires_at IS NOT NULL";
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    place.sql().query_row(sql, [], read).unwrap()
}

#[test]
#[ignore = "needs faketime: run tests/run"]
fn p6_a_clock_set_back_does_not_keep_the_old_one_for_years() {
    let place = Place::new();
    let script = place.script(WELL);
    let args = [
        "user",
        "rotate",
        USER,
        "--deliver",
        &script,
        "--overlap",
        "2h",
    ];
    let run = under(&place.sandbox, "+1500d", &args);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(place.works(&place.got()) && place.works(&place.old));
    let (retires, now) = retires_at(&place);
    assert!(retires > now + 1499 * DAY, "the clock was not ahead");
    // The next run, whoever it is about.
    place.sandbox.noted(&["user", "rotate", "--due"]);
    let (retires, now) = retires_at(&place);
    assert!(
        (now + 7100..=now + 7200).contains(&retires),
        "{}",
        retires - now
    );
    assert!(place.works(&place.got()) && place.works(&place.old));
    // Once: it does not begin anew with each run.
    place.sandbox.noted(&["user", "rotate", "--due"]);
    assert_eq!(retires_at(&place).0, retires);
    assert_eq!(verify_at(&place, retires, &place.old), 6);
}

#[test]
#[ignore = "needs faketime: run tests/run"]
fn p6_an_overlap_ends_at_its_second_and_not_before() {
    let place = Place::new();
    place.is(After::Rotated, &place.rotate(WELL, &["--overlap", "1h"]));
    let (retires, now) = retires_at(&place);
    assert!((now + 3500..=now + 3600).contains(&retires));
    assert_eq!(verify_at(&place, retires - 20, &place.old), 0);
    assert_eq!(verify_at(&place, retires, &place.old), 6);
    for second in [retires, retires + 900 * DAY] {
        assert_eq!(verify_at(&place, second, &place.got()), 0);
    }
    // A clock that runs slow for a while ends nothing early, and mends nothing.
    let run = under(&place.sandbox, "-200s", &["user", "rotate", "--due"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(retires_at(&place).0, retires);
    // One that was set far back gives it its hour anew, and no less.
    let run = under(&place.sandbox, "-10d", &["user", "rotate", "--due"]);
    assert_eq!(run.code, 0, "{run:?}");
    let (mended, _) = retires_at(&place);
    assert!(
        (mended - (retires - 10 * DAY)).abs() < 120,
        "{}",
        mended - retires
    );
}

#[test]
#[ignore = "needs faketime: run tests/run"]
fn p6_a_run_killed_under_a_clock_that_ran_ahead_is_taken_up() {
    let place = Place::new();
    let script = place.script("cat > got; kill -9 $PPID; exit 0");
    let args = ["user", "rotate", USER, "--deliver", &script];
    let run = under(&place.sandbox, "+1500d", &args);
    assert_ne!(run.code, 0, "{run:?}");
    assert_eq!(place.keys().len(), 2);
    assert!(place.works(&place.got()) && place.works(&place.old));
    let running = spawned(&mut place.command(WELL, &[]));
    place.is(After::Unfinished, &ended(running));
    place.signed_in(&place.keys()[1], 0);
    place.is(After::Rotated, &place.rotate(WELL, &[]));
    let (retires, now) = retires_at(&place);
    assert!(retires <= now + DAY);
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p6_no_room_for_the_store() {
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let got = home.path().join("got");
    let (mut done, mut full) = (0, 0);
    for free in (0..=160).step_by(8) {
        let sandbox = Sandbox {
            folder: tempfile::tempdir_in(&small.0).unwrap(),
            database: None,
        };
        sandbox.noted(&["domain", "add", "example.com"]);
        let place = Place::in_sandbox(sandbox);
        let deliver = format!("tee {}", got.display());
        small.leave(free);
        let run = place.rotate_to(&["--deliver", &deliver]);
        small.empty();

        let what = format!("with {free} KiB: {}", run.stderr);
        assert!(place.works(&place.old), "{what}");
        let delivered = fs::read_to_string(&got);
        if run.code == 0 {
            done += 1;
            assert_eq!(place.count("rotations"), 0, "{what}");
        } else {
            full += 1;
            assert_eq!(run.code, 75, "{what}");
        }
        // Whoever was given one can use it.
        if let Ok(delivered) = delivered {
            assert!(place.works(delivered.trim_end()), "{what}");
            fs::remove_file(&got).unwrap();
        } else {
            assert_ne!(run.code, 0, "{what}");
            place.mends();
        }
        sound(&place.sandbox);
    }
    assert!(
        done >= 5 && full >= 5,
        "{done} done, {full} full: other levels are needed"
    );
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p6_no_room_for_the_file() {
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let path = small.0.join("env");
    let name = path.to_str().unwrap();
    let text = format!("A=1\nSMTP_PASSWORD=old\n{}\n", "#".repeat(9000));
    fs::write(&path, &text).unwrap();
    // A single free block is seen to be too little only when the file is written.
    for (free, after) in [
        (0, After::Refused),
        (4, After::Withdrawn),
        (8, After::Withdrawn),
    ] {
        let place = Place::new();
        small.leave(free);
        let run = place.rotate_to(&["--write-env", name]);
        place.is(after, &run);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{free}");
        let names = fs::read_dir(&small.0).unwrap().count();
        assert_eq!(names, 2, "nothing is left beside it");
        small.empty();
        place.is(After::Rotated, &place.rotate_to(&["--write-env", name]));
        assert!(!fs::read_to_string(&path).unwrap().contains("=old"));
        fs::write(&path, &text).unwrap();
    }
}

#[test]
#[ignore = "needs root for a file system: run tests/run"]
fn a_file_system_that_does_not_count_its_room_takes_files() {
    let home = tempfile::tempdir().unwrap();
    let uncounted = Small::of(home.path(), "ramfs", "mode=0700");
    let path = uncounted.0.join("pw");
    let place = Place::new();
    let run = place.rotate_to(&["--write-file", path.to_str().unwrap()]);
    place.is(After::Rotated, &run);
    assert!(place.works(fs::read_to_string(&path).unwrap().trim_end()));
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p6_the_disk_fills_up_while_it_is_delivered() {
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let sandbox = Sandbox {
        folder: tempfile::tempdir_in(&small.0).unwrap(),
        database: None,
    };
    sandbox.noted(&["domain", "add", "example.com"]);
    let place = Place::in_sandbox(sandbox);
    let (got, ballast) = (home.path().join("got"), small.0.join("ballast"));
    let fills = format!(
        "cat > {}; cat /dev/zero > {}; exit 0",
        got.display(),
        ballast.display()
    );
    let run = place.rotate(&fills, &[]);
    assert_eq!(run.code, 75, "{run:?}");
    assert!(run.stderr.contains("both passwords work"), "{run:?}");
    let new = fs::read_to_string(&got).unwrap();
    let new = new.trim_end();
    // Even now.
    assert!(place.works(&place.old) && place.works(new));
    small.empty();
    assert!(place.works(&place.old) && place.works(new));
    assert_eq!(place.sandbox.run(&["report", "--unfinished"]).code, 7);
    sound(&place.sandbox);
    place.signed_in(&place.keys()[1], 0);
    place.is(After::Rotated, &place.rotate("exit 1", &[]));
    assert!(place.works(new));
}

fn sound(sandbox: &Sandbox) {
    let answer: String = Connection::open(sandbox.store())
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(answer, "ok");
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p1_a_link_of_another_user_leads_to_nothing_of_root() {
    let place = Place::new();
    let user = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let theirs = place.path("theirs");
    fs::create_dir(&theirs).unwrap();
    let [ours, link] = [place.path("ours"), theirs.join("pw")];
    fs::write(&ours, "ours").unwrap();
    symlink(&ours, &link).unwrap();
    for path in [&theirs, &link] {
        lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    let run = place.rotate_to(&["--write-file", "theirs/pw"]);
    place.is(After::Refused, &run);
    assert_eq!(fs::read_to_string(&ours).unwrap(), "ours");
    // To what is its own it may.
    let own = theirs.join("own");
    fs::write(&own, "old").unwrap();
    fs::remove_file(&link).unwrap();
    symlink("own", &link).unwrap();
    for path in [&own, &link] {
        lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    let run = place.rotate_to(&["--write-file", "theirs/pw"]);
    place.is(After::Rotated, &run);
    assert!(place.works(fs::read_to_string(&own).unwrap().trim_end()));
}
