//! A store of every earlier version opens, with all that was in it.
//! Long, because every version has something of its own to keep.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use rusqlite::Connection;

use crate::support::{self, Sandbox, postgres};

/// An empty store, with the modes every version has given its files.
fn made_by_an_older_version(sandbox: &Sandbox) -> Connection {
    let folder = sandbox.folder.path().join("data");
    DirBuilder::new().mode(0o700).create(folder).unwrap();
    let store = Connection::open(sandbox.store()).unwrap();
    fs::set_permissions(sandbox.store(), Permissions::from_mode(0o600)).unwrap();
    store
}

#[test]
fn a_store_of_the_first_version_opens() {
    let sandbox = Sandbox::empty();
    let old = made_by_an_older_version(&sandbox);
    old.execute_batch(include_str!("../../src/store/sqlite/0001.sql"))
        .unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 1;
        INSERT INTO domains (name, daily_limit, created_at) VALUES ('example.com', 9, 1800000000);
        INSERT INTO users (username, domain, label, created_at)
            VALUES ('shop@example.com', 'example.com', 'Shop', 1800000000);
        INSERT INTO passwords (username, key_id, hash, created_at) VALUES ('shop@example.com', 'key00001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            1800000000);",
    )
    .unwrap();
    drop(old);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    assert_eq!(sandbox.verify("shop@example.com", "another password"), 6);
    sandbox.noted(&[
        "user",
        "set",
        "shop@example.com",
        "--limit",
        "messages/hour=5",
    ]);
    let user = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(user["label"], "Shop");
    assert_eq!(user["limits"]["messages/hour"], 5);
    assert_eq!(
        sandbox.json(&["domain", "show", "example.com"])["daily_limit"],
        9
    );
}

/// The statements of a migration; `None` beyond the last.
fn migration(version: usize) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sqlite");
    fs::read_to_string(format!("{folder}/{version:04}.sql")).ok()
}

#[test]
fn a_store_of_each_version_gets_the_tables_of_a_new_one() {
    const TABLES: &str = "SELECT type || ' ' || name || ' ' || COALESCE(sql, '')
        FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    let fresh = Sandbox::new().texts(TABLES);
    let versions = (1..).take_while(|version| migration(*version).is_some());
    let versions = versions.count();
    assert!(versions >= 13, "{versions}");
    for version in 1..=versions {
        let sandbox = Sandbox::empty();
        let old = made_by_an_older_version(&sandbox);
        for done in 1..=version {
            old.execute_batch(&migration(done).unwrap()).unwrap();
            if done > 1 {
                continue;
            }
            old.execute_batch(
                "INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
                INSERT INTO users (username, domain, created_at)
                    VALUES ('shop@example.com', 'example.com', 1800000000);
                INSERT INTO passwords (username, key_id, hash, created_at)
                    VALUES ('shop@example.com', 'key00001',
                    '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
                    1800000000);",
            )
            .unwrap();
        }
        old.execute_batch(&format!(
            "PRAGMA application_id = 0x534d5450; PRAGMA user_version = {version};"
        ))
        .unwrap();
        drop(old);
        let user = sandbox.json(&["user", "show", "shop@example.com"]);
        assert_eq!(user["passwords"][0]["id"], "key00001", "{version}");
        assert_eq!(
            sandbox.verify("shop@example.com", "password"),
            0,
            "{version}"
        );
        assert_eq!(sandbox.texts(TABLES), fresh, "{version}");
    }
}

#[test]
fn a_store_of_the_second_version_opens() {
    let sandbox = Sandbox::empty();
    let old = made_by_an_older_version(&sandbox);
    for step in [
        include_str!("../../src/store/sqlite/0001.sql"),
        include_str!("../../src/store/sqlite/0002.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 2;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
        INSERT INTO users (username, domain, on_limit, created_at)
            VALUES ('shop@example.com', 'example.com', 'suspend', 1800000000);
        INSERT INTO passwords (username, key_id, hash, created_at, retires_at) VALUES
            ('shop@example.com', 'key00001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            1750000000, NULL),
            ('shop@example.com', 'key00002',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htl',
            1740000000, 1740000001);
        INSERT INTO last_connections (username, key_id, seen_at, address)
            VALUES ('shop@example.com', 'key00001', 1760000000, '192.0.2.7');
        INSERT INTO limits (owner, kind, most) VALUES ('shop@example.com', 'messages/hour', 7);
        INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
            VALUES ('shop@example.com', 20600, 'example.com', 3, 4, 5, 6);",
    )
    .unwrap();
    drop(old);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    let user = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(user["limits"]["messages/hour"], 7);
    assert_eq!(user["on_limit"], "suspend");
    assert_eq!(user["passwords"][0]["id"], "key00001");
    // What it brings is there, and can be used at once.
    assert_eq!(user["unfinished_rotation"], serde_json::Value::Null);
    let deliver = ["--deliver", "sh -c 'cat > got'", "--overlap", "1h"];
    sandbox.noted(
        &[
            &["user", "rotate", "--due", "--older-than", "1d"],
            &deliver[..],
        ]
        .concat(),
    );
    let got = fs::read_to_string(sandbox.folder.path().join("got")).unwrap();
    assert_eq!(sandbox.verify("shop@example.com", got.trim_end()), 0);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    let version: i64 = Connection::open(sandbox.store())
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert!(version >= 3);
}

#[test]
fn a_store_of_the_third_version_opens() {
    let sandbox = Sandbox::empty();
    let old = made_by_an_older_version(&sandbox);
    for step in [
        include_str!("../../src/store/sqlite/0001.sql"),
        include_str!("../../src/store/sqlite/0002.sql"),
        include_str!("../../src/store/sqlite/0003.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 3;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
        -- A view that was added and is broken now.
        CREATE VIEW mine AS SELECT nope FROM passwords;",
    )
    .unwrap();
    drop(old);
    let opened = sandbox.run(&["domain", "list"]);
    assert_eq!(opened.code, 0, "{}", opened.stderr);
    assert!(opened.stderr.contains("the view mine"), "{}", opened.stderr);
    let store = Connection::open(sandbox.store()).unwrap();
    store.execute_batch("DROP VIEW mine").unwrap();
    drop(store);
    let domain = sandbox.json(&["domain", "show", "example.com"]);
    assert_eq!(domain["verified_at"], serde_json::Value::Null);
    // What it brings can be used at once: a token is made when it is asked for.
    sandbox.noted(&["set-settings", "--require-verified-domains", "yes"]);
    let nobody = [
        "domain",
        "verify",
        "example.com",
        "--resolver",
        "127.0.0.1:1",
    ];
    assert_eq!(sandbox.run(&nobody).code, 75);
    let token: String = Connection::open(sandbox.store())
        .unwrap()
        .query_row("SELECT verification_token FROM domains", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(token.len(), 24);
}

const REFUSED: &str = "INSERT INTO failures (username, address, reason, first_at, last_at, count) VALUES
    ('shop@example.com', '192.0.2.1', 'wrong-password', 100, 200, 3),
    ('typo@example.com', '192.0.2.1', 'unknown-user', 100, 200, 4),
    ('(not a username)', '192.0.2.1', 'unknown-user', 90, 200, 5),
    ('shop@example.com:smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89', '192.0.2.1', 'unknown-user', 100, 210, 6),
    ('smtpc_pq7tq3kyayclvg9esc2p8pcuerer89@example.com', '192.0.2.1', 'unknown-user', 100, 200, 7),
    ('My-Secret.2026@work.example', '192.0.2.2', 'unknown-user', 100, 200, 8)";

/// Nothing is lost but what may be a password.
fn refused_names_are_clean(sandbox: &Sandbox) {
    let failures = sandbox.json(&["audit", "failures"]);
    let mut found: Vec<_> = failures
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().expect("a text").to_owned();
            (
                text("username"),
                text("address"),
                one["count"].as_u64(),
                text("first_at"),
                text("last_at"),
            )
        })
        .collect();
    found.sort();
    let expected = [
        ("(hidden)", "192.0.2.1", 18, "00:01:30", "00:03:30"),
        ("(hidden)", "192.0.2.2", 8, "00:01:40", "00:03:20"),
        ("shop@example.com", "192.0.2.1", 3, "00:01:40", "00:03:20"),
        ("typo@example.com", "192.0.2.1", 4, "00:01:40", "00:03:20"),
    ];
    let expected = expected.map(|(name, address, count, first, last)| {
        let at = |time| format!("1970-01-01T{time}Z");
        (
            name.to_owned(),
            address.to_owned(),
            Some(count),
            at(first),
            at(last),
        )
    });
    assert_eq!(found, expected);
}

#[test]
fn p1_passwords_among_refused_names_are_gone() {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.folder.path().join("data")).unwrap();
    let old = Connection::open(sandbox.store()).unwrap();
    old.execute_batch("PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON")
        .unwrap();
    for step in [
        include_str!("../../src/store/sqlite/0001.sql"),
        include_str!("../../src/store/sqlite/0002.sql"),
        include_str!("../../src/store/sqlite/0003.sql"),
        include_str!("../../src/store/sqlite/0004.sql"),
        include_str!("../../src/store/sqlite/0005.sql"),
        include_str!("../../src/store/sqlite/0006.sql"),
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 6;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
        INSERT INTO users (username, domain, created_at)
            VALUES ('shop@example.com', 'example.com', 1800000000);",
        REFUSED,
    ] {
        old.execute_batch(step).unwrap();
    }
    drop(old);
    fs::set_permissions(sandbox.store(), Permissions::from_mode(0o600)).unwrap();
    refused_names_are_clean(&sandbox);
    // The file is looked through, too, when the sandbox is dropped.
    support::leaks::made("My-Secret.2026@work.example");
}

/// Of an old store nothing says whether a password was generated: it may have been
/// chosen, until there is a new one.
fn old_passwords_may_have_been_chosen(sandbox: &Sandbox) {
    let generated =
        || sandbox.texts("SELECT CAST(generated AS TEXT) FROM passwords WHERE hash IS NOT NULL");
    sandbox.noted(&["store", "migrate"]);
    assert_eq!(generated(), ["0"]);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    assert_eq!(
        generated(),
        ["0"],
        "under a new hash it is the same password"
    );
    sandbox.ok(&["user", "reset", "shop@example.com", "--quiet"]);
    assert_eq!(generated(), ["1"]);
}

const OLD_USER: &str = "
    INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
    INSERT INTO users (username, domain, created_at)
        VALUES ('shop@example.com', 'example.com', 1800000000);
    INSERT INTO passwords (username, key_id, hash, created_at) VALUES ('shop@example.com', 'key00001',
        '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
        1800000000);";

#[test]
fn passwords_of_the_seventh_version_may_have_been_chosen() {
    let sandbox = Sandbox::empty();
    let old = made_by_an_older_version(&sandbox);
    for step in [
        include_str!("../../src/store/sqlite/0001.sql"),
        include_str!("../../src/store/sqlite/0002.sql"),
        include_str!("../../src/store/sqlite/0003.sql"),
        include_str!("../../src/store/sqlite/0004.sql"),
        include_str!("../../src/store/sqlite/0005.sql"),
        include_str!("../../src/store/sqlite/0006.sql"),
        include_str!("../../src/store/sqlite/0007.sql"),
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 7;",
        OLD_USER,
    ] {
        old.execute_batch(step).unwrap();
    }
    drop(old);
    old_passwords_may_have_been_chosen(&sandbox);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn passwords_of_the_third_version_of_a_database_may_have_been_chosen() {
    let server = postgres::Postgres::start();
    let sandbox = server.sandbox();
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    for step in [
        include_str!("../../src/store/postgres/0001.sql"),
        include_str!("../../src/store/postgres/0002.sql"),
        include_str!("../../src/store/postgres/0003.sql"),
        "UPDATE store SET version = 3",
        OLD_USER,
    ] {
        database.sql(step);
    }
    old_passwords_may_have_been_chosen(&sandbox);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p1_passwords_among_refused_names_of_a_database_are_gone() {
    let server = postgres::Postgres::start();
    let sandbox = server.sandbox();
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    database.sql(include_str!("../../src/store/postgres/0001.sql"));
    database.sql("INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000)");
    database.sql(
        "INSERT INTO users (username, domain, created_at)
            VALUES ('shop@example.com', 'example.com', 1800000000)",
    );
    database.sql(REFUSED);
    sandbox.ok(&["store", "migrate"]);
    refused_names_are_clean(&sandbox);
}

/// Usage of 500 users on 60 days each, and 20,000 events, as an earlier version wrote them.
fn with_history(sandbox: &Sandbox) {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    let today = now.as_secs() / 86_400;
    sandbox.sql(&format!(
        "INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
            WITH RECURSIVE u (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM u WHERE i < 499),
                d (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM d WHERE i < 59)
            SELECT 'u' || u.i || '@d' || (u.i % 7) || '.example', {today} - d.i,
                'd' || (u.i % 7) || '.example', u.i + d.i, 1, 1, 1 FROM u CROSS JOIN d"
    ));
    sandbox.sql(
        "INSERT INTO events (at, actor, host, action, domain, username, fields)
            WITH RECURSIVE e (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM e WHERE i < 20000)
            SELECT 1700000000 + i, 'cron', 'relay', 'user.reset', 'example.com',
                'u' || (i % 1000) || '@example.com', '{}' FROM e",
    );
}

/// The events that were there are chained, and where the chain began is known.
fn is_chained(sandbox: &Sandbox) {
    sandbox.is_sound();
    let chain = sandbox.json(&["audit", "verify"]);
    assert_eq!(chain["begun"]["id"], 20_000, "{chain}");
    sandbox.noted(&["domain", "add", "chained.example"]);
    let chain = sandbox.json(&["audit", "verify"]);
    assert_eq!(chain["head"]["id"], 20_001, "{chain}");
    sandbox.sql("UPDATE events SET host = 'x' WHERE id = 777");
    let broken = sandbox.run(&["audit", "verify", "--json"]);
    assert_eq!(broken.code, 7, "{broken:?}");
    assert!(broken.stdout.contains("event 777 "), "{broken:?}");
}

/// Answers that use the sums and the indexes.
fn answers(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    [
        &["usage", "--by", "domain", "--since", "50d"][..],
        &["usage", "--by", "day", "--since", "50d"],
        &["audit", "list", "--user", "u77@example.com"],
        &["audit", "list", "--actor", "cron", "--last", "30"],
    ]
    .map(|args| sandbox.json(args))
    .into()
}

/// Kills a migration repeatedly; each run continues where the last one ended.
fn killed_again_and_again(sandbox: &Sandbox, progress: &str) {
    let at = || sandbox.texts(progress).join(" ");
    let mut expected = None;
    let mut stages = std::collections::BTreeSet::new();
    loop {
        let before = at();
        let mut run = sandbox
            .command(&["store", "migrate"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("it runs");
        let mut ended = None;
        support::wait_for("a piece", || {
            ended = run.try_wait().expect("it can be waited for");
            (ended.is_some() || at() != before).then_some(())
        });
        run.kill().expect("it is ours");
        let ended = ended.or(run.wait().ok());
        let found = answers(sandbox);
        assert_eq!(found[2].as_array().map(Vec::len), Some(20));
        assert_eq!(found[3].as_array().map(Vec::len), Some(30));
        assert_eq!(*expected.get_or_insert_with(|| found.clone()), found);
        stages.insert(at());
        if ended.is_some_and(|status| status.success()) {
            break;
        }
    }
    assert!(stages.len() >= 3, "{stages:?}");
    let differ = sandbox.texts(
        "SELECT 'differs' FROM
            (SELECT domain, day, sum(messages) AS n FROM usage
                WHERE day < (SELECT first_day FROM summing) GROUP BY domain, day) u
            LEFT JOIN usage_by_domain s ON s.domain = u.domain AND s.day = u.day
            WHERE s.messages IS NULL OR s.messages <> u.n",
    );
    assert!(differ.is_empty());
}

#[test]
fn p2_a_migration_with_history_goes_on_after_a_kill() {
    let sandbox = Sandbox::empty();
    let old = made_by_an_older_version(&sandbox);
    for step in [
        include_str!("../../src/store/sqlite/0001.sql"),
        include_str!("../../src/store/sqlite/0002.sql"),
        include_str!("../../src/store/sqlite/0003.sql"),
        include_str!("../../src/store/sqlite/0004.sql"),
        include_str!("../../src/store/sqlite/0005.sql"),
        include_str!("../../src/store/sqlite/0006.sql"),
        include_str!("../../src/store/sqlite/0007.sql"),
        include_str!("../../src/store/sqlite/0008.sql"),
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 8;",
        OLD_USER,
    ] {
        old.execute_batch(step).unwrap();
    }
    drop(old);
    with_history(&sandbox);
    // The tables come first, and all answers are right before they are filled.
    sandbox.ok(&["domain", "list"]);
    killed_again_and_again(
        &sandbox,
        "SELECT first_day || behind || ' ' || (SELECT count(DISTINCT block) FROM event_names)
            FROM summing",
    );
    let blocks = sandbox.texts("SELECT CAST(count(DISTINCT block) AS TEXT) FROM event_names");
    assert_eq!(blocks, ["2"]);
    is_chained(&sandbox);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p2_a_migration_of_a_database_goes_on_after_a_kill() {
    const VALID: &str = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relname LIKE 'events_by_%' AND i.indisvalid";
    let server = postgres::Postgres::start();
    let sandbox = server.sandbox();
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    for step in [
        include_str!("../../src/store/postgres/0001.sql"),
        include_str!("../../src/store/postgres/0002.sql"),
        include_str!("../../src/store/postgres/0003.sql"),
        include_str!("../../src/store/postgres/0004.sql"),
        "UPDATE store SET version = 4",
        OLD_USER,
    ] {
        database.sql(step);
    }
    with_history(&sandbox);
    database.sql(include_str!("../../src/store/postgres/0005.sql"));
    database.sql("UPDATE store SET version = 5");
    killed_again_and_again(&sandbox, "SELECT first_day || behind FROM summing");
    sandbox.ok(&["store", "migrate"]);
    assert_eq!(database.sql(VALID), "4");
    // One index that a kill left unfinished, and one that is missing.
    database.sql("DROP INDEX events_by_domain");
    database.sql(
        "UPDATE pg_index SET indisvalid = false
            WHERE indexrelid = 'smtpcred.events_by_user'::regclass",
    );
    assert_eq!(database.sql(VALID), "2");
    sandbox.ok(&["store", "migrate"]);
    assert_eq!(database.sql(VALID), "4");
    is_chained(&sandbox);
    // The index finds the latest events of a user without sorting.
    database.sql("ANALYZE events");
    let plan = database.sql(
        "EXPLAIN SELECT e.id FROM events e WHERE e.username = 'u77@example.com' AND e.id > 0
            ORDER BY e.id DESC LIMIT 10",
    );
    assert!(
        plan.contains("events_by_user") && !plan.contains("Sort"),
        "{plan}"
    );
}

/// A role that was granted by an older version also covers the new tables.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn roles_have_their_rights_on_new_tables() {
    let server = postgres::Postgres::start();
    let sandbox = server.sandbox();
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    for step in [
        include_str!("../../src/store/postgres/0001.sql"),
        include_str!("../../src/store/postgres/0002.sql"),
        include_str!("../../src/store/postgres/0003.sql"),
        include_str!("../../src/store/postgres/0004.sql"),
        OLD_USER,
        include_str!("../../src/store/postgres/0005.sql"),
        include_str!("../../src/store/postgres/0006.sql"),
        "UPDATE store SET version = 6",
        "CREATE ROLE reads LOGIN",
        "GRANT USAGE ON SCHEMA smtpcred TO reads",
        "GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO reads",
        "CREATE ROLE dovecot LOGIN",
        "GRANT USAGE ON SCHEMA smtpcred TO dovecot",
        "GRANT SELECT ON smtpcred.dovecot_users, smtpcred.dovecot_overlap TO dovecot",
    ] {
        database.sql(step);
    }
    sandbox.noted(&["store", "migrate"]);
    sandbox.noted(&[
        "user",
        "rename",
        "shop@example.com",
        "store@example.com",
        "--overlap",
        "1h",
    ]);
    let name = database.url.rsplit('/').next().expect("a database");
    let name = name.split('?').next().expect("a database");
    let reads = |role, sql: &str| server.try_sql_as(role, name, sql);
    let old = reads("reads", "SELECT old_name FROM smtpcred.old_names");
    assert_eq!(old.expect("it may").trim(), "shop@example.com");
    assert_eq!(
        reads("reads", "SELECT key FROM smtpcred.tags")
            .expect("it may")
            .trim(),
        ""
    );
    assert!(reads("reads", "DELETE FROM smtpcred.old_names").is_err());
    let both = "SELECT username FROM smtpcred.dovecot_users ORDER BY username";
    let both = reads("dovecot", both).expect("it may");
    assert_eq!(
        both.split_whitespace().collect::<Vec<_>>(),
        ["shop@example.com", "store@example.com"]
    );
    assert!(reads("dovecot", "SELECT old_name FROM smtpcred.old_names").is_err());
}
