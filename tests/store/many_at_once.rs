//! Many processes at once lose nothing, and none is told that the store is
//! locked (promise 10).

use std::collections::BTreeSet;
use std::io::{PipeReader, PipeWriter, pipe};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::postgres::Postgres;
use crate::support::{PROGRAM, Run, Sandbox, Server, ended};

/// A hundred processes are enough: the crowds come one after the other, also
/// where one failed.
fn alone() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processes that start together, when the gate is dropped; killed with it if
/// the test fails.
struct Crowd {
    gate: (PipeReader, PipeWriter),
    members: Vec<Server>,
}

impl Crowd {
    fn new() -> Self {
        Self {
            gate: pipe().unwrap(),
            members: Vec::new(),
        }
    }

    /// Waits at the gate: a shell that reads, and becomes the program at the
    /// end of its input.
    fn add(&mut self, sandbox: &Sandbox, args: &[&str]) {
        let script = "read -r _; exec \"$0\" \"$@\"";
        let mut command = sandbox.other_command("sh", &[&["-c", script, PROGRAM], args].concat());
        command.stdin(Stdio::from(self.gate.0.try_clone().unwrap()));
        self.members.push(Server(piped(&mut command)));
    }

    /// Opens the gate, and waits for all.
    fn runs(self) -> Vec<Run> {
        drop(self.gate);
        self.members.into_iter().map(ended).collect()
    }
}

fn piped(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn succeeded(runs: &[Run]) {
    for run in runs {
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(!run.stderr.contains("locked"), "{}", run.stderr);
    }
}

fn count(sandbox: &Sandbox, action: &str) -> usize {
    let events = sandbox.json(&["audit", "list"]);
    let events = events.as_array().unwrap();
    events.iter().filter(|e| e["action"] == action).count()
}

fn usernames(sandbox: &Sandbox) -> BTreeSet<String> {
    let users = sandbox.json(&["user", "list"]);
    let names = users.as_array().unwrap().iter();
    names
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn p10_a_hundred_processes_create_a_hundred_users() {
    let _alone = alone();
    a_hundred_create(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_a_hundred_processes_create_a_hundred_users_on_postgresql() {
    let _alone = alone();
    a_hundred_create(&Postgres::start().sandbox_with_domain());
}

fn a_hundred_create(sandbox: &Sandbox) {
    const PROCESSES: usize = 100;
    let names: Vec<_> = (0..PROCESSES)
        .map(|i| format!("app{i:02}@example.com"))
        .collect();
    let mut crowd = Crowd::new();
    for name in &names {
        crowd.add(sandbox, &["user", "create", name, "--quiet"]);
    }
    let runs = crowd.runs();
    succeeded(&runs);
    sandbox.is_sound();
    assert_eq!(usernames(sandbox), names.iter().cloned().collect());
    assert_eq!(count(sandbox, "user.create"), PROCESSES);
    for (name, run) in names.iter().zip(&runs) {
        assert_eq!(run.stderr, "");
        assert_eq!(sandbox.verify(name, run.stdout.trim_end()), 0, "{name}");
    }
}

/// More than the server lets in at a time.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_a_hundred_processes_share_twenty_connections() {
    let _alone = alone();
    let mut server = Postgres::start();
    server.configure("max_connections = 20\n");
    server.restart();
    a_hundred_create(&server.sandbox_with_domain());
    let full = server.log().contains("too many clients");
    assert!(
        full || server.log().contains("remaining connection slots"),
        "{}",
        server.log()
    );
}

#[test]
fn p10_one_of_twenty_gets_a_name_that_all_want() {
    let _alone = alone();
    one_of_twenty(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_one_of_twenty_gets_a_name_that_all_want_on_postgresql() {
    let _alone = alone();
    one_of_twenty(&Postgres::start().sandbox_with_domain());
}

fn one_of_twenty(sandbox: &Sandbox) {
    // All of them have seen that the name is free, and made a password, before
    // the first can take it.
    let mut lock = sandbox.lock();
    let args = ["user", "create", "shop@example.com", "--json"];
    let rivals: Vec<_> = (0..20)
        .map(|_| Server(piped(&mut sandbox.command(&args))))
        .collect();
    sandbox.wait_at_lock(rivals.iter().map(|rival| &rival.0));
    lock.release();

    let runs: Vec<_> = rivals.into_iter().map(ended).collect();
    let (won, lost): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.code == 0);
    assert_eq!((won.len(), lost.len()), (1, 19));
    for run in lost {
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{}", run.stderr);
        assert!(run.stderr.contains("\"user_exists\""), "{}", run.stderr);
    }
    let credential: serde_json::Value = serde_json::from_str(&won[0].stdout).unwrap();
    let password = credential["password"].as_str().unwrap();
    assert_eq!(sandbox.verify("shop@example.com", password), 0);
    assert_eq!(count(sandbox, "user.create"), 1);
}

#[test]
fn p10_fifty_processes_make_the_store() {
    let _alone = alone();
    fifty_make_the_store(&Sandbox::empty);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_fifty_processes_make_the_store_on_postgresql() {
    let _alone = alone();
    let server = Postgres::start();
    fifty_make_the_store(&|| server.sandbox());
}

fn fifty_make_the_store(empty: &dyn Fn() -> Sandbox) {
    const PROCESSES: usize = 50;
    // The race is for the first moments of the file: more than one try.
    for _ in 0..3 {
        let sandbox = empty();
        let mut crowd = Crowd::new();
        for i in 0..PROCESSES {
            let name = format!("app{i}@example.com");
            crowd.add(&sandbox, &["user", "create", &name, "--add-domain", "-q"]);
        }
        let runs = crowd.runs();
        succeeded(&runs);
        assert_eq!(usernames(&sandbox).len(), PROCESSES);
        assert_eq!(count(&sandbox, "user.create"), PROCESSES);
        assert_eq!(count(&sandbox, "domain.add"), 1);
        let domains = sandbox.json(&["domain", "list"]);
        assert_eq!(domains.as_array().unwrap().len(), 1);
        for (i, run) in runs.iter().enumerate().step_by(10) {
            let name = format!("app{i}@example.com");
            assert_eq!(sandbox.verify(&name, run.stdout.trim_end()), 0, "{name}");
        }
    }
}

#[test]
fn p10_changing_and_reading_do_not_lock_each_other_out() {
    let _alone = alone();
    changing_and_reading(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_changing_and_reading_do_not_lock_each_other_out_on_postgresql() {
    let _alone = alone();
    changing_and_reading(&Postgres::start().sandbox_with_domain());
}

fn changing_and_reading(sandbox: &Sandbox) {
    const OF_EACH: usize = 12;
    let steady = sandbox.create("steady@example.com");
    sandbox.create("reset@example.com");
    let mut crowd = Crowd::new();
    for i in 0..OF_EACH {
        let name = format!("app{i}@example.com");
        crowd.add(sandbox, &["user", "reset", "reset@example.com", "-q"]);
        crowd.add(sandbox, &["user", "create", &name, "-q"]);
        crowd.add(sandbox, &["user", "list", "--json"]);
        crowd.add(sandbox, &["audit", "list", "--json"]);
        let limit = (i + 1).to_string();
        let set = ["domain", "set", "example.com", "--daily-limit", &limit];
        crowd.add(sandbox, &set);
    }
    // These read their password from stdin, so they cannot wait at the gate;
    // there are enough of them to overlap with the rest.
    let verified = std::thread::scope(|scope| {
        let verifier =
            scope.spawn(|| [(); OF_EACH].map(|()| sandbox.verify("steady@example.com", &steady)));
        let runs = crowd.runs();
        succeeded(&runs);
        for lists in runs.chunks(5).flat_map(|chunk| &chunk[2..4]) {
            let rows: serde_json::Value = serde_json::from_str(&lists.stdout).unwrap();
            assert!(rows.is_array());
        }
        // Each reset stopped the password before it: one of them is left.
        let live = runs
            .chunks(5)
            .filter(|chunk| sandbox.verify("reset@example.com", chunk[0].stdout.trim_end()) == 0)
            .count();
        assert_eq!(live, 1);
        verifier.join().unwrap()
    });
    assert_eq!(verified, [0; OF_EACH]);
    assert_eq!(usernames(sandbox).len(), 2 + OF_EACH);
    assert_eq!(count(sandbox, "user.reset"), OF_EACH);
    assert_eq!(count(sandbox, "domain.set"), OF_EACH);
}

#[test]
fn p10_many_right_passwords_upgrade_their_hash_once() {
    let _alone = alone();
    upgrade_once(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_many_right_passwords_upgrade_their_hash_once_on_postgresql() {
    let _alone = alone();
    upgrade_once(&Postgres::start().sandbox_with_domain());
}

fn upgrade_once(sandbox: &Sandbox) {
    let password = sandbox.create("shop@example.com");
    sandbox.noted(&["set-settings", "--argon2", "m=19456,t=3,p=1"]);
    let codes = std::thread::scope(|scope| {
        let verify = || sandbox.verify("shop@example.com", &password);
        let threads = [(); 10].map(|()| scope.spawn(verify));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(codes, [0; 10]);
    assert_eq!(count(sandbox, "password.rehash"), 1);
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
}

#[test]
fn p13_twenty_writers_leave_one_chain() {
    let _alone = alone();
    twenty_write(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p13_twenty_writers_leave_one_chain_on_postgresql() {
    let _alone = alone();
    twenty_write(&Postgres::start().sandbox_with_domain());
}

fn twenty_write(sandbox: &Sandbox) {
    sandbox.create("shop@example.com");
    let head = sandbox.ok(&["audit", "head"]);
    let mut crowd = Crowd::new();
    for i in 0..20 {
        let name = format!("app{i}@example.com");
        let limit = (i + 1).to_string();
        match i % 4 {
            0 => crowd.add(sandbox, &["user", "create", &name, "--quiet"]),
            1 => crowd.add(
                sandbox,
                &["domain", "add", &format!("d{i}.example"), "--quiet"],
            ),
            2 => crowd.add(
                sandbox,
                &[
                    "user",
                    "set",
                    "shop@example.com",
                    "--daily-limit",
                    &limit,
                    "--quiet",
                ],
            ),
            _ => crowd.add(sandbox, &["user", "reset", "shop@example.com", "--quiet"]),
        }
    }
    succeeded(&crowd.runs());
    sandbox.is_sound();
    let verified = sandbox.json(&["audit", "verify", "--head", &head]);
    let before: i64 = head.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(verified["head"]["id"], before + 20);
}
