//! Stores that somebody added to, or made for us.

use rusqlite::Connection;

use crate::support::{Sandbox, finished};

const USER: &str = "shop@example.com";
const ENDLESS: &str = "AS WITH RECURSIVE n(name, value) AS
    (SELECT 'a', 'b' UNION ALL SELECT name, value FROM n) SELECT name, value FROM n";

fn sql(sandbox: &Sandbox, sql: &str) {
    Connection::open(sandbox.store())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[test]
fn p5_triggers_and_views_that_were_added_are_not_run() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    sql(
        &sandbox,
        &format!(
            "CREATE TRIGGER undo AFTER UPDATE OF suspended_at ON users BEGIN
                UPDATE users SET suspended_at = NULL WHERE username = NEW.username; END;
            CREATE TRIGGER hide AFTER INSERT ON events BEGIN
                DELETE FROM events WHERE id = NEW.id; END;
            CREATE VIEW mine {ENDLESS}; CREATE TABLE other (x);"
        ),
    );
    let run = sandbox.run(&["user", "suspend", USER]);
    assert_eq!(run.code, 0, "{run:?}");
    let named = "the store has the table other, the trigger hide, the trigger undo, \
                 the view mine, which smtpcred did not create and does not run";
    assert!(run.stderr.contains(named), "{run:?}");
    let verified = sandbox.run_with_stdin(&["verify", USER], password.as_bytes());
    assert_ne!(verified.code, 0, "{verified:?}");
    let events = sandbox.run(&["audit", "list", "--json"]);
    assert!(events.stdout.contains("user.suspend"), "{events:?}");
    let doctor = sandbox.run(&["doctor", "--json"]);
    assert!(doctor.stdout.contains("the trigger undo"), "{doctor:?}");
}

#[test]
fn p4_a_store_that_is_not_as_it_was_made_is_refused() {
    for (change, says) in [
        (
            format!("DROP TABLE settings; CREATE VIEW settings {ENDLESS}"),
            "its table settings is missing",
        ),
        (
            "CREATE UNIQUE INDEX one ON events (action)".into(),
            "the index one on its table events",
        ),
        (
            "DROP VIEW dovecot_users; CREATE VIEW dovecot_users AS SELECT 'a' AS username, \
             'b' AS password"
                .into(),
            "its view dovecot_users is not as smtpcred created it",
        ),
        (
            "ALTER TABLE users ADD COLUMN more TEXT CHECK (more IS NULL)".into(),
            "its table users is not as smtpcred created it",
        ),
        (
            "DROP INDEX users_by_domain".into(),
            "its index users_by_domain is missing",
        ),
    ] {
        let sandbox = Sandbox::new();
        let password = sandbox.create(USER);
        sql(&sandbox, &change);
        for args in [
            &["show-settings", "--json"][..],
            &["user", "list", "--json"],
        ] {
            let run = sandbox.run(args);
            assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
            assert!(run.stderr.contains("store_damaged"), "{run:?}");
            assert!(run.stderr.contains(says), "{run:?}");
        }
        let verified = sandbox.run_with_stdin(&["verify", USER], password.as_bytes());
        assert_eq!(verified.code, 75, "{verified:?}");
        let doctor = sandbox.run(&["doctor", "--json"]);
        assert!(doctor.stdout.contains(says), "{doctor:?}");
    }
}

#[test]
fn names_that_are_none_are_not_completed() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    sql(
        &sandbox,
        "INSERT INTO domains (name, created_at) VALUES ('$(touch x).com', 1), ('-x', 1);
        INSERT INTO users (username, domain, created_at) VALUES
            ('$(touch x)@example.com', 'example.com', 1), ('a&b@example.com', 'example.com', 1),
            ('a b@example.com', 'example.com', 1), ('`x`@example.com', 'example.com', 1),
            ('x\u{1b}[2J@example.com', 'example.com', 1), ('--yes', 'example.com', 1);",
    );
    for (noun, names) in [("user", USER), ("domain", "example.com")] {
        let mut command = sandbox.command(&["--", "smtpcred", noun, "show", ""]);
        let run = finished(command.env("COMPLETE", "fish").output().unwrap());
        let offered = run.stdout.lines().filter(|line| !line.starts_with("--"));
        assert_eq!(offered.collect::<Vec<_>>(), [names], "{run:?}");
    }
}
