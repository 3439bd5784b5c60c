//! `store restore`: what was stopped since a backup stays stopped, and the store is the former
//! one or the restored one, never half of each.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use rusqlite::Connection;

use crate::support::dice::Dice;
use crate::support::postgres::Postgres;
use crate::support::relay::{self, Client, until};
use crate::support::small::Small;
use crate::support::{Run, Sandbox, Server, is_long, wait_for};

const BACKUP: &str = "one.backup";

fn at(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.folder.path().join(name)
}

fn back_up(sandbox: &Sandbox) {
    sandbox.noted(&["store", "backup", BACKUP]);
}

fn restore(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.run(&[&["store", "restore", BACKUP, "--yes"], more].concat())
}

fn restored(sandbox: &Sandbox, more: &[&str]) -> serde_json::Value {
    let run = restore(sandbox, &[more, &["--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["restored"], true);
    document
}

/// The names of what changes and stays, each with its user or domain.
fn changes(document: &serde_json::Value) -> Vec<String> {
    let changes = document["changes"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    changes
        .map(|change| format!("{} {}", text(&change["change"]), text(&change["name"])))
        .collect()
}

fn usernames(sandbox: &Sandbox) -> Vec<String> {
    let users = sandbox.json(&["user", "list"]);
    let users = users.as_array().unwrap().iter();
    users
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}

fn restores(sandbox: &Sandbox) -> usize {
    let events = sandbox.json(&["audit", "list"]);
    let events = events.as_array().unwrap().iter();
    events
        .filter(|event| event["action"] == "store.restore")
        .count()
}

fn reset(sandbox: &Sandbox, username: &str) -> String {
    // Of a suspended user, it warns.
    let run = sandbox.run(&["user", "reset", username, "--quiet"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout.trim_end().to_owned()
}

/// The store that a restore kept.
fn kept(document: &serde_json::Value) -> PathBuf {
    PathBuf::from(document["kept"].as_str().unwrap())
}

#[test]
fn p3_what_was_stopped_since_stays_stopped() {
    stays_stopped(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p3_what_was_stopped_since_stays_stopped_on_postgresql() {
    stays_stopped(&Postgres::start().sandbox_with_domain());
}

fn stays_stopped(sandbox: &Sandbox) {
    sandbox.noted(&["domain", "add", "other.org"]);
    let [kept_one, was_reset, deleted, suspended, renamed] =
        ["kept", "reset", "deleted", "suspended", "renamed"]
            .map(|name| sandbox.create(&format!("{name}@example.com")));
    let in_other = sandbox.create("shop@other.org");
    sandbox.noted(&["user", "set", "kept@example.com", "--label", "Before"]);
    back_up(sandbox);
    let since = reset(sandbox, "reset@example.com");
    sandbox.noted(&["user", "delete", "deleted@example.com", "--yes"]);
    sandbox.noted(&["user", "suspend", "suspended@example.com"]);
    sandbox.noted(&["user", "rename", "renamed@example.com", "name@example.com"]);
    let set = [
        "--label",
        "After",
        "--sender",
        "a@example.com",
        "--tag",
        "a=b",
    ];
    sandbox.noted(&[&["user", "set", "kept@example.com"], &set[..]].concat());
    let new = sandbox.create("new@example.com");
    sandbox.noted(&["domain", "remove", "other.org", "--with-users", "--yes"]);
    sandbox.noted(&["domain", "add", "new.org"]);

    let dry = sandbox.run(&["store", "restore", BACKUP, "--dry-run"]);
    assert_eq!(dry.code, 8, "{}", dry.stderr);
    let asked = sandbox.run(&["store", "restore", BACKUP]);
    assert_eq!(asked.code, 5, "p8: {}", asked.stderr);
    assert_eq!(sandbox.verify("new@example.com", &new), 0);

    let document = restored(sandbox, &[]);
    assert_eq!(document["stopped_known"], true);
    let said = changes(&document);
    for expected in [
        "domain_back other.org",
        "domain_gone new.org",
        "user_changed kept@example.com",
        "user_gone new@example.com",
        "user_stays_deleted deleted@example.com",
        "user_stays_deleted shop@other.org",
        "user_stays_renamed renamed@example.com",
        "user_stays_suspended suspended@example.com",
        "password_stays_stopped reset@example.com",
        "password_new_stays reset@example.com",
    ] {
        assert!(
            said.iter().any(|said| said == expected),
            "{expected}: {said:?}"
        );
    }
    for (username, password, code) in [
        ("kept@example.com", &kept_one, 0),
        ("reset@example.com", &was_reset, 6),
        ("reset@example.com", &since, 0),
        ("deleted@example.com", &deleted, 3),
        ("suspended@example.com", &suspended, 4),
        ("renamed@example.com", &renamed, 3),
        ("name@example.com", &renamed, 0),
        ("new@example.com", &new, 3),
        ("shop@other.org", &in_other, 3),
    ] {
        assert_eq!(sandbox.verify(username, password), code, "{username}");
    }
    let user = sandbox.json(&["user", "show", "kept@example.com"]);
    assert_eq!(
        (&user["label"], &user["tags"]),
        (&"Before".into(), &serde_json::json!({}))
    );
    assert_eq!(restores(sandbox), 1);
    assert_eq!(sandbox.json(&["store", "verify"])[0]["result"], "good");

    // Once more there is nothing to do, and no event.
    let again = restore(sandbox, &[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stderr.contains("nothing to restore"),
        "{}",
        again.stderr
    );
    assert_eq!(restores(sandbox), 1);

    // The former store is a backup.
    let former = kept(&document);
    assert_eq!(
        fs::metadata(&former).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let verified = sandbox.json(&["store", "verify", former.to_str().unwrap()]);
    assert_eq!(verified[0]["users"], 5);
}

#[test]
fn what_is_named_works_again() {
    named_works_again(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn what_is_named_works_again_on_postgresql() {
    named_works_again(&Postgres::start().sandbox_with_domain());
}

fn named_works_again(sandbox: &Sandbox) {
    sandbox.noted(&["domain", "add", "other.org"]);
    let names = [
        "a@example.com",
        "b@example.com",
        "c@example.com",
        "x@other.org",
    ];
    let old = names.map(|name| sandbox.create(name));
    sandbox.noted(&[
        "user",
        "set",
        names[3],
        "--tag",
        "env=prod",
        "--limit",
        "messages/hour=7",
    ]);
    back_up(sandbox);
    let new = reset(sandbox, names[0]);
    sandbox.noted(&["user", "delete", names[1], "--yes"]);
    sandbox.noted(&["user", "suspend", names[2]]);
    sandbox.noted(&["domain", "remove", "other.org", "--with-users", "--yes"]);
    let kept_user = sandbox.create("kept@example.com");

    let unknown = restore(sandbox, &["--revive", "nobody@example.com"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    let dry = sandbox.run(&["store", "restore", BACKUP, "--dry-run", "--json"]);
    let id: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    let id =
        id["changes"].as_array().unwrap().iter().find(|change| {
            change["change"] == "password_stays_stopped" && change["name"] == names[0]
        });
    let id = id.unwrap()["password_id"].as_str().unwrap().to_owned();
    let revive = [
        "--revive",
        &id,
        "--revive",
        names[2],
        "--revive",
        "other.org",
    ];
    let document = restored(sandbox, &[&revive[..], &["--keep-new-users"]].concat());
    assert!(changes(&document).contains(&"user_new_stays kept@example.com".to_owned()));
    for (username, password, code) in [
        (names[0], &old[0], 0),
        (names[0], &new, 0),
        (names[1], &old[1], 3),
        (names[2], &old[2], 0),
        (names[3], &old[3], 0),
        ("kept@example.com", &kept_user, 0),
    ] {
        assert_eq!(sandbox.verify(username, password), code, "{username}");
    }
    let user = sandbox.json(&["user", "show", names[3]]);
    assert_eq!(
        (&user["tags"]["env"], &user["limits"]["messages/hour"]),
        (&"prod".into(), &7.into())
    );
    assert_eq!(sandbox.json(&["store", "verify"])[0]["result"], "good");
    // The revived one is the one that ends.
    let user = sandbox.json(&["user", "show", names[0]]);
    let of = |wanted: bool| {
        let passwords = user["passwords"].as_array().unwrap().iter();
        let mut found = passwords.filter(|p| (p["id"] == id.as_str()) == wanted);
        found.next().unwrap()["retires_at"].clone()
    };
    assert!(of(true).is_string() && of(false).is_null(), "{user}");
}

/// Nobody knows what was stopped since, and that is said.
#[test]
fn a_missing_or_damaged_store_becomes_the_backup() {
    let sandbox = Sandbox::new();
    let old = sandbox.create("a@example.com");
    back_up(&sandbox);
    let new = reset(&sandbox, "a@example.com");
    let store = sandbox.store();
    for damaged in [true, false] {
        let holder = relay::start(&sandbox, &[], &[]);
        if damaged {
            let mut bytes = fs::read(&store).unwrap();
            let length = bytes.len();
            bytes[4096..length].fill(0x5a);
            fs::write(&store, bytes).unwrap();
        } else {
            for suffix in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{suffix}", store.display()));
            }
        }
        let asked = sandbox.run(&["store", "restore", BACKUP]);
        assert_eq!(asked.code, 5, "{damaged}: {}", asked.stderr);
        assert!(
            asked.stdout.contains("a@example.com: password"),
            "{}",
            asked.stdout
        );
        assert!(
            asked.stderr.contains("it is not known which"),
            "{}",
            asked.stderr
        );
        let dry = sandbox.run(&["store", "restore", BACKUP, "--dry-run"]);
        assert_eq!((dry.code, store.exists()), (8, damaged), "{}", dry.stderr);
        let run = restore(&sandbox, &["--json"]);
        assert_eq!(run.code, 0, "{damaged}: {}", run.stderr);
        let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(document["stopped_known"], false);
        assert_eq!(document["kept"].is_string(), damaged);
        if damaged {
            let bytes = fs::read(kept(&document)).unwrap();
            assert!(bytes.ends_with(&[0x5a; 16]), "the damaged store is kept");
        }
        assert_eq!(sandbox.verify("a@example.com", &old), 0);
        assert_eq!(sandbox.verify("a@example.com", &new), 6);
        assert_eq!(restores(&sandbox), 1);
        assert_eq!(
            fs::metadata(&store).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        until("serve to use the new store", relay::PATIENCE, || {
            let mut client = Client::auth(&sandbox);
            client.sign_in(1, "a@example.com", &old, "192.0.2.1");
            client.line().is_some_and(|line| line.starts_with("OK"))
        });
        drop(holder);
    }
    // An empty one gets everything.
    fs::remove_dir_all(at(&sandbox, "data")).unwrap();
    sandbox.noted(&["store", "init"]);
    assert_eq!(restore(&sandbox, &[]).code, 0);
    assert_eq!(sandbox.verify("a@example.com", &old), 0);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_missing_store_in_a_database_becomes_the_backup() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    let password = sandbox.create("a@example.com");
    back_up(&sandbox);
    // A file fills a database, too.
    let other = server.sandbox();
    fs::copy(at(&sandbox, BACKUP), at(&other, BACKUP)).unwrap();
    fs::set_permissions(at(&other, BACKUP), fs::Permissions::from_mode(0o600)).unwrap();
    let run = restore(&other, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(other.verify("a@example.com", &password), 0);
    assert_eq!(restores(&other), 1);
}

#[test]
fn p3_serve_goes_on_with_what_was_restored() {
    let sandbox = Sandbox::new();
    let old = sandbox.create("a@example.com");
    back_up(&sandbox);
    let gone = sandbox.create("b@example.com");
    let relay = relay::start(&sandbox, &[], &[]);
    let signs_in = |username: &str, password: &str| {
        let mut client = Client::auth(&sandbox);
        client.sign_in(1, username, password, "192.0.2.1");
        client.line().is_some_and(|line| line.starts_with("OK"))
    };
    assert!(signs_in("b@example.com", &gone));
    restored(&sandbox, &[]);
    assert!(!signs_in("b@example.com", &gone));
    assert!(signs_in("a@example.com", &old));
    drop(relay);
}

#[test]
fn what_is_no_backup_of_this_store_is_refused() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("a@example.com");
    back_up(&sandbox);
    reset(&sandbox, "a@example.com");
    let good = fs::read(at(&sandbox, BACKUP)).unwrap();
    let write = |bytes: &[u8]| {
        let _ = fs::remove_file(at(&sandbox, "bad"));
        fs::write(at(&sandbox, "bad"), bytes).unwrap();
    };
    let refused = |code: i32, reason: &str| {
        let before = fs::read(sandbox.store()).unwrap();
        let run = sandbox.run(&["store", "restore", "bad", "--yes"]);
        assert_eq!(run.code, code, "{reason}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
        assert!(fs::read(sandbox.store()).unwrap() == before, "{reason}");
    };
    let missing = sandbox.run(&["store", "restore", "missing", "--yes"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("there is no backup"),
        "{}",
        missing.stderr
    );
    write(b"");
    refused(1, "it is empty");
    write(b"some text");
    refused(1, "not an SQLite file");
    write(b"age-encryption.org/v1\nx");
    refused(1, "encrypted");
    write(&good[..good.len() / 2]);
    refused(1, "its end is missing");
    let mut damaged = good.clone();
    let length = damaged.len();
    damaged[8192..length - 4096].fill(0x5a);
    write(&damaged);
    refused(1, "damaged");
    write(&good);
    let newer = Connection::open(at(&sandbox, "bad")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    refused(1, "newer smtpcred");
    write(&fs::read(sandbox.store()).unwrap());
    let other = Sandbox::empty();
    // Even in the same second.
    other.noted(&["domain", "add", "example.net"]);
    other.noted(&["domain", "add", "example.com"]);
    other.create("a@example.com");
    other.noted(&["store", "backup", BACKUP]);
    write(&fs::read(at(&other, BACKUP)).unwrap());
    refused(4, "another installation");
    let run = sandbox.run(&["store", "restore", "bad", "--yes", "--other-installation"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.verify("a@example.com", &password), 6);
}

#[test]
fn a_backup_of_an_older_version_is_migrated_in_a_copy() {
    let sandbox = Sandbox::new();
    back_up(&sandbox);
    fs::remove_file(at(&sandbox, BACKUP)).unwrap();
    let old = Connection::open(at(&sandbox, BACKUP)).unwrap();
    old.execute_batch(include_str!("../../src/store/sqlite/0001.sql"))
        .unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 1;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
        INSERT INTO users (username, domain, label, created_at)
            VALUES ('shop@example.com', 'example.com', 'Shop', 1800000000);
        INSERT INTO passwords (username, key_id, hash, created_at) VALUES ('shop@example.com',
            'key00001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            1800000000);",
    )
    .unwrap();
    drop(old);
    fs::set_permissions(at(&sandbox, BACKUP), fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(at(&sandbox, BACKUP)).unwrap();
    restored(&sandbox, &["--other-installation"]);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    assert!(fs::read(at(&sandbox, BACKUP)).unwrap() == before);
}

/// Whatever happens to users after a backup, and in which order.
#[test]
fn p3_no_password_that_was_stopped_works_after_a_restore() {
    let mut dice = Dice::new();
    for _ in 0..if is_long() { 40 } else { 2 } {
        History::new(Sandbox::new(), dice.another()).runs();
    }
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p3_no_password_that_was_stopped_works_after_a_restore_on_postgresql() {
    let server = Postgres::start();
    let mut dice = Dice::new();
    for _ in 0..if is_long() { 10 } else { 1 } {
        History::new(server.sandbox_with_domain(), dice.another()).runs();
    }
}

/// The store was put back by hand to an older backup before, so that each of the two knows what
/// the other does not.
#[test]
fn p3_no_password_that_either_store_stopped_works_after_a_restore() {
    let mut dice = Dice::new();
    for _ in 0..if is_long() { 40 } else { 2 } {
        History::new(Sandbox::new(), dice.another()).forks();
    }
}

struct History {
    sandbox: Sandbox,
    dice: Dice,
    /// Every name, with every password that it ever had.
    known: Vec<(String, String)>,
    names: u32,
}

impl History {
    const USERS: u64 = 5;

    fn new(sandbox: Sandbox, dice: Dice) -> Self {
        let mut this = Self {
            sandbox,
            dice,
            known: Vec::new(),
            names: 0,
        };
        for _ in 0..Self::USERS {
            this.create();
        }
        this
    }

    fn create(&mut self) {
        self.names += 1;
        let name = format!("u{}@example.com", self.names);
        self.create_named(name);
    }

    fn create_named(&mut self, name: String) {
        let password = self.sandbox.create(&name);
        self.known.push((name, password));
    }

    /// One thing that happens to some user.
    fn step(&mut self, renames: bool) {
        let names = usernames(&self.sandbox);
        if names.is_empty() {
            return self.create();
        }
        let name = self.dice.choose(&names).clone();
        match self.dice.below(if renames { 9 } else { 8 }) {
            0 | 1 => {
                let password = reset(&self.sandbox, &name);
                self.known.push((name, password));
            }
            2 => {
                let args = ["user", "reset", &name, "--quiet", "--overlap", "1h"];
                let run = self.sandbox.run(&args);
                if run.code == 0 {
                    self.known.push((name, run.stdout.trim_end().to_owned()));
                }
            }
            3 => _ = self.sandbox.noted(&["user", "delete", &name, "--yes"]),
            4 => _ = self.sandbox.run(&["user", "suspend", &name]),
            5 => _ = self.sandbox.run(&["user", "resume", &name]),
            6 => {
                self.sandbox.noted(&["user", "delete", &name, "--yes"]);
                self.create_named(name);
            }
            7 => self.create(),
            _ => {
                self.names += 1;
                let new = format!("u{}@example.com", self.names);
                self.sandbox.noted(&["user", "rename", &name, &new]);
                let had: Vec<_> = self
                    .known
                    .iter()
                    .filter(|(n, _)| *n == name)
                    .cloned()
                    .collect();
                self.known
                    .extend(had.into_iter().map(|(_, password)| (new.clone(), password)));
            }
        }
    }

    fn works(&self) -> Vec<bool> {
        let known = self.known.iter();
        known
            .map(|(name, password)| self.sandbox.verify(name, password) == 0)
            .collect()
    }

    fn runs(mut self) {
        for _ in 0..4 {
            self.step(true);
        }
        let in_backup = self.works();
        back_up(&self.sandbox);
        let of_backup = self.known.len();
        for _ in 0..8 {
            self.step(true);
        }
        let before = self.works();
        let run = restore(&self.sandbox, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let after = self.works();
        for (number, (name, _)) in self.known.iter().enumerate() {
            let came = after[number] && !before[number];
            assert!(
                !came,
                "{name} came back to life: {}{}",
                run.stdout, run.stderr
            );
            // What worked all the time still does.
            let lost = number < of_backup && in_backup[number] && before[number] && !after[number];
            assert!(!lost, "{name} was lost: {}{}", run.stdout, run.stderr);
        }
        self.is_whole(&run);
    }

    fn forks(mut self) {
        let older = at(&self.sandbox, "older.backup");
        self.sandbox.noted(&["store", "backup", "older.backup"]);
        let common = self.known.len();
        for _ in 0..6 {
            self.step(false);
        }
        back_up(&self.sandbox);
        let there = self.works();
        // The documented way of before.
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", self.sandbox.store().display()));
        }
        fs::copy(older, self.sandbox.store()).unwrap();
        for _ in 0..6 {
            self.step(false);
        }
        let here = self.works();
        let run = restore(&self.sandbox, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let after = self.works();
        for number in 0..common {
            let came = after[number] && !(here[number] && there[number]);
            let (name, _) = &self.known[number];
            assert!(
                !came,
                "{name} came back to life: {}{}",
                run.stdout, run.stderr
            );
        }
        self.is_whole(&run);
    }

    fn is_whole(&self, run: &Run) {
        let verified = self.sandbox.json(&["store", "verify"]);
        assert_eq!(verified[0]["result"], "good", "{verified}");
        // Nothing that happened since may be left to restore.
        let nothing = run.stderr.contains("nothing to restore");
        assert_eq!(restores(&self.sandbox), usize::from(!nothing));
    }
}

#[test]
fn p5_a_killed_restore_leaves_the_former_store_or_the_restored_one() {
    killed(&Sandbox::new(), false);
}

#[test]
fn p5_a_killed_restore_of_a_missing_store_leaves_none_or_a_whole_one() {
    killed(&Sandbox::new(), true);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p5_a_killed_restore_leaves_the_former_store_or_the_restored_one_on_postgresql() {
    killed(&Postgres::start().sandbox_with_domain(), false);
}

/// The names of those before, and of those of the backup.
const BEFORE: [&str; 3] = ["a@example.com", "b@example.com", "new@example.com"];

fn killed(sandbox: &Sandbox, missing: bool) {
    let runs = if is_long() { 200 } else { 20 };
    let mut dice = Dice::new();
    for name in &BEFORE[..2] {
        sandbox.create(name);
    }
    back_up(sandbox);
    let [mut done, mut not_done] = [0, 0];
    let mut pace = None;
    for number in 0..runs {
        if missing {
            let _ = fs::remove_dir_all(at(sandbox, "data"));
        } else if !usernames(sandbox).contains(&BEFORE[2].to_owned()) {
            sandbox.create(BEFORE[2]);
        }
        let before = if missing { 0 } else { restores(sandbox) };
        let start = Instant::now();
        let child = sandbox
            .command(&["store", "restore", BACKUP, "--yes", "-q"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut run = Server(child.unwrap());
        if number < 2 {
            // The pace, once it is warm.
            assert!(run.0.wait().unwrap().success());
            pace = Some(start.elapsed());
        } else {
            std::thread::sleep(dice.within(pace.unwrap() * 5 / 4));
            let _ = run.0.kill();
            run.0.wait().unwrap();
        }
        if missing && !sandbox.store().exists() {
            not_done += 1;
            continue;
        }
        sandbox.settle();
        let verified = sandbox.json(&["store", "verify"]);
        assert_eq!(verified[0]["result"], "good", "{verified}");
        let names = usernames(sandbox);
        let made = restores(sandbox) - before;
        if made == 1 {
            assert_eq!(names, BEFORE[..2], "{number}");
            done += 1;
        } else {
            assert_eq!(
                (made, &names[..]),
                (0, &BEFORE.map(str::to_owned)[..]),
                "{number}"
            );
            not_done += 1;
        }
        clear_kept(sandbox);
    }
    println!("{done} restored, {not_done} not");
}

/// The random moments seldom meet this one: all is ready, and nothing is changed yet.
#[test]
fn p5_a_restore_that_is_killed_while_it_waits_changes_nothing() {
    let sandbox = Sandbox::new();
    back_up(&sandbox);
    sandbox.create("new@example.com");
    let (mut running, lock) =
        sandbox.at_lock(&["store", "restore", BACKUP, "--yes"], Stdio::null());
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    drop(lock);
    assert_eq!((restores(&sandbox), usernames(&sandbox).len()), (0, 1));
    assert_eq!(kept_in(&at(&sandbox, "data")), 0);
    assert_eq!(restore(&sandbox, &[]).code, 0);
    assert_eq!((restores(&sandbox), usernames(&sandbox).len()), (1, 0));
}

/// Files of killed runs are whole stores, too, or were not finished.
fn clear_kept(sandbox: &Sandbox) {
    for folder in [sandbox.folder.path().to_owned(), at(sandbox, "data")] {
        let Ok(names) = fs::read_dir(&folder) else {
            continue;
        };
        for name in names {
            let path = name.unwrap().path();
            if path.to_string_lossy().contains(".before-restore-") {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn writers_lose_nothing_while_a_backup_is_restored() {
    let number = if is_long() { 100 } else { 4 };
    let sandbox = Sandbox::new();
    for n in 0..number {
        sandbox.create(&format!("w{n}@example.com"));
    }
    back_up(&sandbox);
    let writer = |n: usize| {
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
    let mut running: Vec<_> = (0..number).map(writer).collect();
    for round in 1..=if is_long() { 10 } else { 3 } {
        let events = || {
            sandbox
                .texts("SELECT CAST(count(*) AS TEXT) FROM events")
                .concat()
        };
        let before = events();
        wait_for("a change", || (events() != before).then_some(()));
        sandbox.create("new@example.com");
        let document = restored(&sandbox, &[]);
        assert_eq!(usernames(&sandbox).len(), number);
        assert_eq!(restores(&sandbox), round);
        // What was kept is exactly what was there: the new user, and a whole store.
        let former = kept(&document);
        let verified = sandbox.json(&["store", "verify", former.to_str().unwrap()]);
        assert_eq!(
            (&verified[0]["result"], &verified[0]["users"]),
            (&"good".into(), &(number + 1).into())
        );
        // Its name has the second.
        fs::remove_file(former).unwrap();
    }
    for writer in &mut running {
        assert!(writer.0.try_wait().unwrap().is_none(), "a writer failed");
    }
}

#[test]
#[ignore = "needs root: run tests/run"]
fn a_full_disk_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.create("a@example.com");
    let small = Small::new(sandbox.folder.path());
    let store = small.0.join("data/smtpcred.db");
    let on_small = |args: &[&str]| {
        let path = store.to_str().unwrap();
        sandbox.run(&[&["--store", path], args].concat())
    };
    let added = on_small(&["domain", "add", "example.com", "--quiet"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    let path = at(&sandbox, BACKUP);
    let made = on_small(&["store", "backup", path.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let added = on_small(&["domain", "add", "example.org", "--quiet"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    for free in [0, 4, 64, 128, 196] {
        small.leave(free);
        let run = on_small(&["store", "restore", BACKUP, "--yes"]);
        assert!(
            [74, 75].contains(&run.code),
            "{free}: {} {}",
            run.code,
            run.stderr
        );
        assert_eq!(kept_in(store.parent().unwrap()), 0, "{free}");
        small.empty();
        let domains = on_small(&["domain", "list", "--format", "csv", "--quiet"]);
        assert!(domains.stdout.contains("example.org"), "{free}");
    }
    let run = on_small(&["store", "restore", BACKUP, "--yes"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(kept_in(store.parent().unwrap()), 1);
}

fn kept_in(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("before-restore")).count()
}

/// Who can write a backup could sign in as anyone.
#[test]
#[ignore = "needs root: run tests/run"]
fn p14_root_restores_no_backup_that_others_can_write() {
    use std::os::unix::fs::chown;
    const NOBODY: u32 = 65534;
    let sandbox = Sandbox::new();
    sandbox.create("a@example.com");
    back_up(&sandbox);
    sandbox.create("b@example.com");
    let folder = at(&sandbox, "theirs");
    fs::create_dir(&folder).unwrap();
    fs::copy(at(&sandbox, BACKUP), folder.join(BACKUP)).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let theirs = ["store", "restore", "theirs/one.backup", "--yes"];
    let run = sandbox.run(&theirs);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("another user can write it"),
        "{}",
        run.stderr
    );
    chown(at(&sandbox, BACKUP), Some(NOBODY), None).unwrap();
    assert_eq!(restore(&sandbox, &[]).code, 1);
    // The owner of the store may, and gets what root makes beside it.
    for path in [at(&sandbox, "data"), sandbox.store()] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = sandbox.run(&[&theirs[..], &["--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let found = fs::metadata(kept(&document)).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), NOBODY);
    assert_eq!(usernames(&sandbox), ["a@example.com"]);
}

/// A pair of keys that age-keygen made.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const SECRET: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const OTHER: &str = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";

#[test]
fn an_encrypted_backup_is_verified_and_restored_with_its_key() {
    encrypted(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn an_encrypted_backup_is_verified_and_restored_with_its_key_on_postgresql() {
    encrypted(&Postgres::start().sandbox_with_domain());
}

fn encrypted(sandbox: &Sandbox) {
    let old = sandbox.create("a@example.com");
    fs::write(at(sandbox, "key"), format!("# a comment\n{SECRET}\n")).unwrap();
    fs::write(at(sandbox, "other"), OTHER).unwrap();
    sandbox.noted(&["store", "backup", BACKUP, "--encrypt-to", RECIPIENT]);
    let sealed = fs::read(at(sandbox, BACKUP)).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    let has = |part: &[u8]| sealed.windows(part.len()).any(|found| found == part);
    assert!(!has(b"SQLite") && !has(b"example.com") && !has(b"argon2id"));
    assert_eq!(
        fs::metadata(at(sandbox, BACKUP))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o600
    );
    let verified = |more: &[&str]| {
        let run = sandbox.run(&[&["store", "verify", BACKUP, "--json"], more].concat());
        let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        (run.code, list[0]["result"].as_str().unwrap().to_owned())
    };
    assert_eq!(verified(&[]), (7, "unchecked".into()));
    assert_eq!(verified(&["--identity", "other"]), (7, "bad".into()));
    assert_eq!(
        verified(&["--identity", "other", "--identity", "key"]),
        (0, "good".into())
    );

    let new = sandbox.create("b@example.com");
    for identity in [
        &[][..],
        &["--identity", "other"],
        &["--identity", "missing"],
    ] {
        let run = restore(sandbox, identity);
        assert!([1, 2].contains(&run.code), "{}", run.stderr);
        assert!(run.stderr.contains("identity"), "{}", run.stderr);
    }
    fs::write(at(sandbox, "cut"), &sealed[..sealed.len() / 2]).unwrap();
    let cut = ["store", "restore", "cut", "--yes", "--identity", "key"];
    let run = sandbox.run(&cut);
    assert!(
        run.code == 1 && run.stderr.contains("damaged"),
        "{}",
        run.stderr
    );
    assert_eq!(sandbox.verify("b@example.com", &new), 0);
    restored(sandbox, &["--identity", "key"]);
    assert_eq!(sandbox.verify("a@example.com", &old), 0);
    assert_eq!(sandbox.verify("b@example.com", &new), 3);

    // A secret key is not repeated, and in a folder both kinds are of one series.
    let run = sandbox.run(&["store", "backup", "x", "--encrypt-to", SECRET]);
    assert!(
        run.code == 2 && !run.stderr.contains("GFPYY"),
        "{}",
        run.stderr
    );
    fs::create_dir(at(sandbox, "folder")).unwrap();
    let in_folder = |more: &[&str]| {
        let args = [&["store", "backup", "folder", "--keep", "1", "-q"], more].concat();
        wait_for("another second", || {
            (sandbox.run(&args).code == 0).then_some(())
        });
        let names = fs::read_dir(at(sandbox, "folder")).unwrap();
        let names: Vec<_> = names.map(|name| name.unwrap().path()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        names[0].extension().unwrap().to_owned()
    };
    assert_eq!(in_folder(&["--encrypt-to", RECIPIENT]), "age");
    assert_eq!(in_folder(&[]), "backup");
    assert_eq!(in_folder(&["--encrypt-to", RECIPIENT]), "age");
    let all = sandbox.json(&["store", "verify", "--all", "folder"]);
    assert_eq!(all[1]["result"], "unchecked");
}
