//! `store backup` and `store verify`: copies of a store in use, whole or not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;

use crate::support::dice::Dice;
use crate::support::postgres::Postgres;
use crate::support::small::Small;
use crate::support::{Sandbox, Server, is_long, wait_for};

fn at(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.folder.path().join(name)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// While it is open, the log of the store stays.
fn reader(sandbox: &Sandbox) -> Connection {
    let reader = Connection::open(sandbox.store()).unwrap();
    reader
        .query_row("SELECT count(*) FROM users", [], |_| Ok(()))
        .unwrap();
    reader
}

fn good(sandbox: &Sandbox, file: &str) -> serde_json::Value {
    let list = sandbox.json(&["store", "verify", file]);
    assert_eq!(list[0]["result"], "good", "{list}");
    list[0].clone()
}

fn bad(sandbox: &Sandbox, file: &str) -> String {
    let run = sandbox.run(&["store", "verify", file, "--json"]);
    assert_eq!(run.code, 7, "{}", run.stderr);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(list[0]["result"], "bad");
    list[0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_is_a_whole_store_in_one_private_file() {
    let sandbox = Sandbox::new();
    // Part of the store is only in its log.
    let _holder = reader(&sandbox);
    let password = sandbox.create("shop@example.com");
    let made = sandbox.json(&["store", "backup", "one.backup"]);
    assert_eq!(made["file"], at(&sandbox, "one.backup").to_str().unwrap());
    let rights = fs::metadata(at(&sandbox, "one.backup"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(rights & 0o7777, 0o600);
    let verified = good(&sandbox, "one.backup");
    assert_eq!(
        (&verified["users"], &verified["at"]),
        (&1.into(), &made["at"])
    );
    assert_eq!(names(sandbox.folder.path()), ["data", "one.backup"]);

    // Never over a file.
    let before = fs::read(at(&sandbox, "one.backup")).unwrap();
    let again = sandbox.run(&["store", "backup", "one.backup"]);
    assert_eq!(again.code, 74, "{}", again.stderr);
    assert_eq!(fs::read(at(&sandbox, "one.backup")).unwrap(), before);

    // The event, and as a store itself.
    assert!(sandbox.noted(&["audit", "list"]).contains("store.backup"));
    fs::copy(at(&sandbox, "one.backup"), at(&sandbox, "copy.db")).unwrap();
    let signs_in = sandbox.run_with_stdin(
        &["--store", "copy.db", "verify", "shop@example.com"],
        password.as_bytes(),
    );
    assert_eq!(signs_in.code, 0, "{}", signs_in.stderr);
}

#[test]
fn stdout_gets_the_same_file() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let output = sandbox
        .command(&["store", "backup", "-"])
        .env("TMPDIR", sandbox.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    fs::write(at(&sandbox, "piped"), output.stdout).unwrap();
    assert_eq!(good(&sandbox, "piped")["users"], 1);
    assert_eq!(names(sandbox.folder.path()), ["data", "piped"]);
}

#[test]
fn a_folder_keeps_the_newest_of_this_store() {
    let sandbox = Sandbox::new();
    let folder = at(&sandbox, "kept");
    fs::create_dir(&folder).unwrap();
    let made = sandbox.json(&["store", "backup", "kept"]);
    let name = Path::new(made["file"].as_str().unwrap())
        .file_name()
        .unwrap();
    let name = name.to_str().unwrap().to_owned();
    let store = &name[..name.len() - "2027-01-15T080000Z.backup".len()];
    let of_other = "smtpcred-00000000-2001-01-01T000000Z.backup".to_owned();
    let by_hand = format!("{store}before-upgrade.backup");
    let old: Vec<_> = (1..=3)
        .map(|day| format!("{store}2001-01-0{day}T000000Z.backup"))
        .collect();
    for other in old.iter().chain([&of_other, &by_hand]) {
        fs::write(folder.join(other), "x").unwrap();
    }
    // A name that was just given is not given twice.
    let newer = wait_for("another second", || {
        let run = sandbox.run(&["store", "backup", "kept", "--keep", "3", "--json"]);
        (run.code == 0).then_some(run.stdout)
    });
    let newer: serde_json::Value = serde_json::from_str(&newer).unwrap();
    assert_eq!(newer["removed"].as_array().unwrap().len(), 2);
    let left = names(&folder);
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(left.contains(&of_other) && left.contains(&by_hand) && left.contains(&old[2]));
    assert!(left.contains(&name));

    // Files of a clock that was ahead do not take the place of the new one, and what a killed run
    // left goes.
    let ahead: Vec<_> = (1..=3)
        .map(|day| format!("{store}2099-01-0{day}T000000Z.backup"))
        .collect();
    for other in &ahead {
        fs::write(folder.join(other), "x").unwrap();
    }
    let unfinished = format!("{store}2001-01-01T000000Z.backup.unfinished");
    let of_another = format!("{of_other}.unfinished");
    for left in [&unfinished, &of_another] {
        fs::write(folder.join(left), "x").unwrap();
    }
    let newest = wait_for("another second", || {
        let run = sandbox.run(&["store", "backup", "kept", "--keep", "3", "--json"]);
        (run.code == 0).then_some(run.stdout)
    });
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    let newest = Path::new(newest["file"].as_str().unwrap()).file_name();
    let newest = newest.unwrap().to_str().unwrap().to_owned();
    let left = names(&folder);
    let mut expected = vec![newest, of_another, of_other, by_hand];
    expected.extend_from_slice(&ahead[1..]);
    expected.sort();
    assert_eq!(left, expected);

    let no_folder = sandbox.run(&["store", "backup", "file", "--keep", "3"]);
    assert_eq!(no_folder.code, 2, "{}", no_folder.stderr);
    let all = sandbox.run(&["store", "verify", "--all", "kept"]);
    assert_eq!(all.code, 7, "the old ones hold nothing: {}", all.stderr);
}

#[test]
fn verify_finds_what_is_no_good_backup() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.create(&format!("{name}@example.com"));
    }
    sandbox.noted(&["store", "backup", "good"]);
    let whole = fs::read(at(&sandbox, "good")).unwrap();
    let write = |bytes: &[u8]| fs::write(at(&sandbox, "other"), bytes).unwrap();

    write(&whole[..whole.len() / 2]);
    assert!(bad(&sandbox, "other").contains("end is missing"));
    write(&[]);
    assert!(bad(&sandbox, "other").contains("empty"));
    write(b"-----BEGIN AGE ENCRYPTED FILE-----\n");
    assert!(bad(&sandbox, "other").contains("age --decrypt"));
    write(b"username,password\n");
    assert!(bad(&sandbox, "other").contains("not an SQLite file"));
    let mut damaged = whole.clone();
    for page in damaged.chunks_mut(4096).skip(1).step_by(2) {
        page.fill(0xee);
    }
    write(&damaged);
    assert!(bad(&sandbox, "other").contains("damaged"));
    // Whole pages, but sign-in cannot use it.
    write(&whole);
    let changed = Connection::open(at(&sandbox, "other")).unwrap();
    changed
        .execute(
            "UPDATE passwords SET hash = 'x' WHERE username = 'b@example.com'",
            [],
        )
        .unwrap();
    drop(changed);
    assert!(bad(&sandbox, "other").contains("b@example.com"));
    write(&whole);
    let newer = Connection::open(at(&sandbox, "other")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    assert!(bad(&sandbox, "other").contains("newer"));
    // A store in use is not a backup.
    let _holder = reader(&sandbox);
    sandbox.create("d@example.com");
    assert!(bad(&sandbox, "data/smtpcred.db").contains("in use"));
    assert_eq!(sandbox.json(&["store", "verify"])[0]["users"], 4);
    let before = names(sandbox.folder.path());
    assert_eq!(before, ["data", "good", "other"], "nothing is left beside");
}

/// Writers that never stop, while backups are made.
fn writers(sandbox: &Sandbox, number: usize) -> Vec<Server> {
    let loop_of = |n: usize| {
        let script = format!(
            "while :; do {} user set w{n}@example.com --label \"$RANDOM\" -q || exit 1; done",
            env!("CARGO_BIN_EXE_smtpcred")
        );
        let child = sandbox
            .other_command("bash", &["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Server(child.unwrap())
    };
    (0..number).map(loop_of).collect()
}

#[test]
fn backups_under_writers_verify() {
    let (number, backups) = if is_long() { (100, 50) } else { (4, 5) };
    let sandbox = Sandbox::new();
    for n in 0..number {
        sandbox.create(&format!("w{n}@example.com"));
    }
    let events = || {
        sandbox
            .texts("SELECT CAST(count(*) AS TEXT) FROM events")
            .concat()
    };
    let mut running = writers(&sandbox, number);
    for n in 0..backups {
        let before = events();
        wait_for("a change", || (events() != before).then_some(()));
        let name = format!("b{n}.backup");
        sandbox.noted(&["store", "backup", &name]);
        assert_eq!(good(&sandbox, &name)["users"], number);
    }
    for writer in &mut running {
        assert!(writer.0.try_wait().unwrap().is_none(), "a writer failed");
    }
}

#[test]
fn a_killed_backup_leaves_a_whole_file_or_none() {
    let runs = if is_long() { 200 } else { 20 };
    let sandbox = Sandbox::new();
    for n in 0..5 {
        sandbox.create(&format!("w{n}@example.com"));
    }
    let mut dice = Dice::new();
    let (mut killed, mut whole) = (0, 0);
    for _ in 0..runs {
        let child = sandbox
            .command(&["store", "backup", "one.backup", "-q"])
            .stderr(Stdio::null())
            .spawn();
        let mut run = Server(child.unwrap());
        std::thread::sleep(Duration::from_micros(dice.below(40_000)));
        let _ = run.0.kill();
        killed += u32::from(run.0.wait().unwrap().code().is_none());
        if at(&sandbox, "one.backup").exists() {
            good(&sandbox, "one.backup");
            fs::remove_file(at(&sandbox, "one.backup")).unwrap();
            whole += 1;
        }
    }
    println!("{killed} killed, {whole} whole");
    sandbox.noted(&["store", "backup", "one.backup"]);
    good(&sandbox, "one.backup");
    assert_eq!(names(sandbox.folder.path()), ["data", "one.backup"]);
    assert_eq!(sandbox.json(&["store", "verify"])[0]["result"], "good");
}

/// As after a kill between the two.
#[test]
fn a_backup_that_still_has_its_temporary_name_is_good_and_stays() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["store", "backup", "one.backup"]);
    let unfinished = at(&sandbox, "two.backup.unfinished");
    fs::hard_link(at(&sandbox, "one.backup"), unfinished).unwrap();
    good(&sandbox, "one.backup");
    sandbox.create("shop@example.com");
    sandbox.noted(&["store", "backup", "two.backup"]);
    assert_eq!(good(&sandbox, "one.backup")["users"], 0);
    assert_eq!(good(&sandbox, "two.backup")["users"], 1);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_database_is_backed_up_into_a_file() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    let password = sandbox.create("shop@example.com");
    sandbox.noted(&["store", "backup", "one.backup"]);
    assert_eq!(good(&sandbox, "one.backup")["users"], 1);
    assert_eq!(names(sandbox.folder.path()), ["one.backup"]);
    let signs_in = sandbox.run_with_stdin(
        &["--store", "one.backup", "verify", "shop@example.com"],
        password.as_bytes(),
    );
    assert_eq!(signs_in.code, 0, "{}", signs_in.stderr);
}

#[test]
#[ignore = "needs root: run tests/run"]
fn a_full_disk_leaves_no_backup() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let small = Small::new(sandbox.folder.path());
    for free in [0, 4, 64, 128, 196] {
        small.leave(free);
        let run = sandbox.run(&["store", "backup", "small/one.backup"]);
        assert_eq!(run.code, 74, "{free}: {}", run.stderr);
        assert_eq!(names(&small.0), ["ballast"], "{free}");
        small.empty();
    }
    assert!(!sandbox.noted(&["audit", "list"]).contains("store.backup"));
    sandbox.noted(&["store", "backup", "small/one.backup"]);
    good(&sandbox, "small/one.backup");
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p14_root_makes_no_backup_where_others_can_exchange_it() {
    let sandbox = Sandbox::new();
    let folder = at(&sandbox, "theirs");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    let run = sandbox.run(&["store", "backup", "theirs/one.backup"]);
    assert_eq!(run.code, 74, "{}", run.stderr);
    assert!(run.stderr.contains("other users"), "{}", run.stderr);
    assert_eq!(names(&folder), [""; 0]);
    // Nor is a file there taken for one that a killed run left.
    std::os::unix::fs::symlink(sandbox.store(), at(&sandbox, "one.backup.unfinished")).unwrap();
    let run = sandbox.run(&["store", "backup", "one.backup"]);
    assert_eq!(run.code, 74, "{}", run.stderr);
    assert_eq!(sandbox.json(&["store", "verify"])[0]["result"], "good");
}
