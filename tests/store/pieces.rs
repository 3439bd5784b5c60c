//! Work on many users is written in batches: others write in between, and if it ends early,
//! the same command does the rest.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use crate::support::postgres::Postgres;
use crate::support::{Run, Sandbox, Server, ended, wait_for};

const SHA: &str = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
const IMPORT: [&str; 5] = ["user", "import", "users.csv", "--from", "csv"];

/// Writes a file of users, by name.
fn file(sandbox: &Sandbox, users: usize) {
    let mut text = "username,hash\n".to_owned();
    for i in 0..users {
        writeln!(text, "app{i:05}@example.com,{SHA}").unwrap();
    }
    fs::write(sandbox.folder.path().join("users.csv"), text).unwrap();
}

/// Returns the number that the query finds.
fn number(sandbox: &Sandbox, query: &str) -> usize {
    let query = format!("SELECT CAST(({query}) AS TEXT)");
    sandbox.texts(&query).remove(0).parse().unwrap()
}

fn users(sandbox: &Sandbox) -> usize {
    number(sandbox, "SELECT count(*) FROM users")
}

fn events(sandbox: &Sandbox, action: &str) -> usize {
    number(
        sandbox,
        &format!("SELECT count(*) FROM events WHERE action = '{action}'"),
    )
}

/// Makes the store refuse the second of them while the first exists.
fn refuse(sandbox: &Sandbox, column: &str, users: [&str; 2]) {
    let [first, second] = users;
    sandbox.sql(&format!(
        "CREATE UNIQUE INDEX refused ON users ({column}) WHERE username = '{first}@example.com'
            OR username = '{second}@example.com'"
    ));
}

fn said(run: &Run, what: &str) {
    assert!(run.stderr.contains(what), "{what}: {run:?}");
}

/// An admin's index refuses it, which a file may not have.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_refused_row_keeps_those_before_it() {
    let server = Postgres::start();
    let sandbox = &server.sandbox_with_domain();
    file(sandbox, 1000);
    refuse(sandbox, "domain", ["app00699", "app00700"]);
    let run = sandbox.run(&IMPORT);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("is refused by the store"), "{run:?}");
    assert!(
        run.stdout.contains("app00700") || run.stdout.contains("702"),
        "{run:?}"
    );
    said(&run, "users imported: 700, not yet: 300");
    assert!(!run.stderr.contains("nothing was changed"), "{run:?}");
    assert_eq!((users(sandbox), events(sandbox, "user.import")), (700, 700));

    // The others can be imported without it.
    let aside = [&IMPORT[..], &["--skip-bad", "bad.csv"]].concat();
    let run = sandbox.run(&aside);
    assert_eq!(run.code, 0, "{run:?}");
    said(&run, "created 299, updated 0, unchanged 700, skipped 1");
    sandbox.sql("DROP INDEX refused");
    let run = sandbox.run(&IMPORT);
    assert_eq!(run.code, 0, "{run:?}");
    said(&run, "created 1, updated 0, unchanged 999");
    assert_eq!(
        (users(sandbox), events(sandbox, "user.import")),
        (1000, 1000)
    );
}

fn importing(sandbox: &Sandbox) -> Server {
    let child = sandbox
        .command(&IMPORT)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Server(child.unwrap())
}

fn killed_and_interrupted(sandbox: &Sandbox) {
    const ALL: usize = 10_000;
    file(sandbox, ALL);
    let mut running = importing(sandbox);
    wait_for("the first piece", || (users(sandbox) > 0).then_some(()));
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    sandbox.settle();
    let some = users(sandbox);
    assert!(some < ALL, "it was not killed in the middle");
    assert_eq!(events(sandbox, "user.import"), some);
    sandbox.is_sound();

    // Others write in the middle of it.
    let running = importing(sandbox);
    wait_for("another piece", || (users(sandbox) > some).then_some(()));
    sandbox.noted(&["domain", "add", "other.example"]);
    let pid = nix::unistd::Pid::from_raw(running.0.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let run = ended(running);
    assert_eq!(run.code, 130, "{run:?}");
    said(&run, "interrupted; users imported: ");
    let more = users(sandbox);
    assert!(more < ALL, "it had ended");
    said(&run, &format!("not yet: {}", ALL - more));
    assert_eq!(events(sandbox, "user.import"), more);

    let run = sandbox.run(&IMPORT);
    assert_eq!(run.code, 0, "{run:?}");
    said(
        &run,
        &format!("created {}, updated 0, unchanged {more}", ALL - more),
    );
    assert_eq!((users(sandbox), events(sandbox, "user.import")), (ALL, ALL));
}

#[test]
fn a_killed_import_goes_on() {
    killed_and_interrupted(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_killed_import_goes_on_on_postgresql() {
    let server = Postgres::start();
    killed_and_interrupted(&server.sandbox_with_domain());
}

/// A user created after the confirmation stays, even one with the name of a deleted user.
#[test]
fn only_the_confirmed_users_are_deleted() {
    let sandbox = Sandbox::new();
    for name in ["old", "again"] {
        sandbox.create(&format!("{name}@example.com"));
    }
    file(&sandbox, 1);
    let prune = [&IMPORT[..], &["--prune", "--yes"]].concat();
    let (running, store) = sandbox.at_lock(&prune, Stdio::piped());
    store
        .execute_batch(
            "INSERT INTO users (username, domain, created_at)
                SELECT 'new@example.com', domain, created_at FROM users LIMIT 1;
             UPDATE users SET created_at = created_at + 1 WHERE username = 'again@example.com';
             COMMIT",
        )
        .unwrap();
    drop(store);
    let run = ended(running);
    assert_eq!(run.code, 0, "{run:?}");
    said(&run, "created 1, updated 0, unchanged 0, deleted 1");
    let left = sandbox.texts("SELECT username FROM users ORDER BY username");
    assert_eq!(
        left,
        [
            "again@example.com",
            "app00000@example.com",
            "new@example.com"
        ]
    );
}

#[test]
fn a_domain_goes_with_its_last_users() {
    let sandbox = Sandbox::new();
    file(&sandbox, 1200);
    sandbox.noted(&IMPORT);
    sandbox.sql("CREATE TABLE refused (username TEXT REFERENCES users)");
    sandbox.sql("INSERT INTO refused VALUES ('app00700@example.com')");
    let remove = ["domain", "remove", "example.com", "--with-users", "--yes"];
    let run = sandbox.run(&remove);
    assert_eq!(run.code, 4, "{run:?}");
    said(&run, "users deleted: 500, not yet: 700");
    assert_eq!(
        (users(&sandbox), events(&sandbox, "user.delete")),
        (700, 500)
    );
    sandbox.sql("DROP TABLE refused");
    sandbox.noted(&remove);
    assert_eq!(
        (users(&sandbox), events(&sandbox, "user.delete")),
        (0, 1200)
    );
    assert_eq!(events(&sandbox, "domain.remove"), 1);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn one_refused_change_of_a_plan_is_named() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    file(&sandbox, 300);
    sandbox.noted(&IMPORT);
    let mut plan = "[domains.\"example.com\"]\n".to_owned();
    for i in 0..300 {
        writeln!(plan, "[users.\"app{i:05}@example.com\"]\nlabel = \"Shop\"").unwrap();
    }
    fs::write(sandbox.folder.path().join("plan.toml"), plan).unwrap();
    refuse(&sandbox, "label", ["app00149", "app00150"]);
    let run = sandbox.run(&["apply", "plan.toml", "--yes"]);
    assert_ne!(run.code, 0, "{run:?}");
    let labelled = "SELECT count(*) FROM users WHERE label = 'Shop'";
    assert_eq!(number(&sandbox, labelled), 150);
    sandbox.sql("DROP INDEX refused");
    let run = sandbox.run(&["apply", "plan.toml", "--yes"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(number(&sandbox, labelled), 300);
    assert_eq!(events(&sandbox, "user.set"), 300, "one for each change");
}
