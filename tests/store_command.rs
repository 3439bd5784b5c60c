//! The store's own care: made, looked at, copied, and what its users may do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use rusqlite::types::Value;

#[path = "support/postgres.rs"]
mod postgres;
mod support;

use postgres::Postgres;
use support::{Run, Sandbox, finished};

type Rows = BTreeMap<String, Vec<Vec<Value>>>;

fn run_at(sandbox: &Sandbox, store: &str, args: &[&str]) -> Run {
    let run = sandbox.command(args).env("SMTPCRED_STORE", store).output();
    finished(run.unwrap())
}

fn ok_at(sandbox: &Sandbox, store: &str, args: &[&str]) -> String {
    let run = run_at(sandbox, store, args);
    assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    run.stdout
}

/// A row in every table, with something in every column.
fn fill(path: &Path) {
    let store = Connection::open(path).unwrap();
    store.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for table in tables(&store) {
        let columns = columns(&store, &table);
        let values: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(i, (name, kind))| match (name.as_str(), kind.as_str()) {
                ("username", _) => Value::Text("ü@a.example".into()),
                ("domain" | "name", _) => Value::Text("a.example".into()),
                ("key_id", _) => Value::Text("key00001".into()),
                ("id", _) => Value::Integer(4711),
                (_, "TEXT") => Value::Text(format!("{table} ' \\ {i}\n")),
                _ => Value::Integer(1_800_000_000_000 + i64::try_from(i).unwrap()),
            })
            .collect();
        let places: Vec<_> = (1..=values.len()).map(|i| format!("?{i}")).collect();
        let sql = format!("INSERT INTO {table} VALUES ({})", places.join(", "));
        store
            .execute(&sql, rusqlite::params_from_iter(values))
            .unwrap();
    }
}

fn tables(store: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut found = store.prepare(sql).unwrap();
    let found = found.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

fn columns(store: &Connection, table: &str) -> Vec<(String, String)> {
    let mut found = store
        .prepare(&format!("PRAGMA table_info({table})"))
        .unwrap();
    let found = found.query_map([], |row| Ok((row.get(1)?, row.get(2)?)));
    found.unwrap().map(Result::unwrap).collect()
}

/// All there is, but for the event of a copy.
fn all(path: &Path) -> Rows {
    let store = Connection::open(path).unwrap();
    let mut rows = Rows::new();
    for table in tables(&store) {
        let width = columns(&store, &table).len();
        let rest = match table.as_str() {
            "events" => "WHERE action <> 'store.copy'",
            _ => "",
        };
        let mut found = store
            .prepare(&format!("SELECT * FROM {table} {rest} ORDER BY 1, 2"))
            .unwrap();
        let found = found
            .query_map([], |row| (0..width).map(|i| row.get(i)).collect())
            .unwrap();
        rows.insert(table, found.map(Result::unwrap).collect());
    }
    rows
}

#[test]
fn a_copy_has_every_row_and_column() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    fill(&sandbox.store());
    let before = all(&sandbox.store());
    assert!(before.values().all(|rows| !rows.is_empty()));
    sandbox.ok(&["store", "copy", "data/smtpcred.db", "copy.db"]);
    assert_eq!(all(&sandbox.folder.path().join("copy.db")), before);
    let again = sandbox.run(&["store", "copy", "data/smtpcred.db", "copy.db"]);
    assert_eq!(again.code, 4, "{}", again.stderr);
    let itself = sandbox.run(&["store", "copy", "copy.db", "copy.db"]);
    assert_eq!(itself.code, 4, "{}", itself.stderr);
    let none = sandbox.run(&["store", "copy", "none.db", "other.db"]);
    assert_eq!(none.code, 75, "{}", none.stderr);
    assert!(!sandbox.folder.path().join("other.db").exists());
}

#[test]
fn roles_are_of_databases() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["store", "grant", "--role", "signin", "--to", "relay"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let events = sandbox.json(&["audit", "list"]);
    assert_eq!(events.as_array().unwrap().len(), 1, "nothing was granted");
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_copy_to_postgresql_and_back_is_the_same() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    fill(&sandbox.store());
    let before = all(&sandbox.store());
    sandbox.ok(&["store", "copy", "data/smtpcred.db", &url]);
    sandbox.ok(&["store", "copy", &url, "back.db"]);
    assert_eq!(all(&sandbox.folder.path().join("back.db")), before);

    // The number of the next event is a new one; and people sign in.
    ok_at(&sandbox, &url, &["domain", "add", "b.example"]);
    let typed = sandbox.folder.path().join("typed");
    fs::write(&typed, password).unwrap();
    let verified = sandbox
        .command(&["verify", "shop@example.com"])
        .env("SMTPCRED_STORE", &url)
        .stdin(fs::File::open(typed).unwrap())
        .output();
    assert_eq!(finished(verified.unwrap()).code, 0);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_store_in_postgresql_is_made_and_looked_at() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let missing = run_at(&sandbox, &url, &["store", "status"]);
    assert_eq!(missing.code, 75);
    assert!(missing.stderr.contains("store init"), "{}", missing.stderr);
    ok_at(&sandbox, &url, &["store", "init"]);
    ok_at(&sandbox, &url, &["store", "init", "--quiet"]);

    // Of another version: nothing is done to it unasked.
    for (version, code, word) in [(0, 1, "store migrate"), (99, 1, "upgrade")] {
        let sql = format!("UPDATE smtpcred.store SET version = {version}");
        server.sql("mail", &sql);
        let run = run_at(&sandbox, &url, &["user", "list"]);
        assert_eq!(run.code, code, "{}", run.stderr);
        assert!(run.stderr.contains(word), "{}", run.stderr);
    }
    let status = run_at(&sandbox, &url, &["store", "status", "--json"]);
    assert_eq!(status.code, 7);
    assert!(
        status.stdout.contains("\"schema\": 99"),
        "{}",
        status.stdout
    );

    // Somebody else's.
    let other = server.database("other");
    server.sql(
        "other",
        "CREATE SCHEMA smtpcred; CREATE TABLE smtpcred.users (x int)",
    );
    let run = run_at(&sandbox, &other, &["domain", "add", "example.com"]);
    assert_ne!(run.code, 0);
    assert_eq!(
        server.sql("other", "SELECT count(*) FROM smtpcred.users"),
        "0"
    );
}

/// From an auditor alone: and it is said, where it matters.
fn hashes_are_hidden_from(role: &str, sandbox: &Sandbox, own: &str) {
    let typed = sandbox.folder.path().join("typed");
    fs::write(&typed, "not its password").unwrap();
    let verified = sandbox
        .command(&["verify", "shop@example.com"])
        .env("SMTPCRED_STORE", own)
        .stdin(fs::File::open(typed).unwrap())
        .output();
    let verified = finished(verified.unwrap());
    let hidden = verified.stderr.contains("may not see the hashes");
    let expected = if role == "auditor" {
        (75, true)
    } else {
        (6, false)
    };
    assert_eq!((verified.code, hidden), expected, "p4: {}", verified.stderr);
    // Nor is there a copy, or an export, that only looks as if they were in it.
    for (command, file) in [
        (&["store", "copy", own, "copy.db"][..], "copy.db"),
        (
            &["user", "export", "--with-hashes", "--output", "out"],
            "out",
        ),
    ] {
        let run = run_at(sandbox, own, command);
        let refused = run.stderr.contains("may not see the hashes");
        let expected = if role == "auditor" { 4 } else { run.code };
        assert_eq!(
            (run.code, refused),
            (expected, role == "auditor"),
            "{role} {command:?}: {}",
            run.stderr
        );
        let path = sandbox.folder.path().join(file);
        let hashes = fs::read(&path).unwrap_or_default();
        let cut = role == "auditor" && hashes.windows(6).any(|found| found == b"argon2");
        assert!(!cut, "{command:?}");
        let _ = fs::remove_file(path);
    }
    let doctor = run_at(sandbox, own, &["doctor", "--json"]);
    assert!(
        !doctor.stdout.contains("denied"),
        "{role}: {}",
        doctor.stdout
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn roles_have_the_least_rights() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    ok_at(&sandbox, &url, &["domain", "add", "example.com"]);
    let create = ["user", "create", "shop@example.com", "--reveal", "raw"];
    let held = sandbox.folder.path().join("held");
    fs::write(&held, ok_at(&sandbox, &url, &create)).unwrap();
    ok_at(&sandbox, &url, &["user", "create", "other@example.com"]);
    let change: [&[&str]; 3] = [
        &["user", "create", "new@example.com", "--quiet"],
        &["user", "reset", "shop@example.com", "--quiet"],
        &["set-settings", "--host", "smtp.example.com"],
    ];
    let look: [&[&str]; 6] = [
        &["user", "list"],
        &["user", "show", "shop@example.com"],
        &["user", "export"],
        &["audit", "list"],
        &["usage"],
        &["usage", "--json"],
    ];
    // Nor has any of them tables of its own, where the database does not allow it.
    server.sql("mail", "REVOKE TEMPORARY ON DATABASE mail FROM PUBLIC");
    for (role, changes) in [("signin", 4), ("auditor", 4), ("operator", 0)] {
        server.sql("mail", &format!("CREATE ROLE {role} LOGIN"));
        let own = server.url_as(role, "mail");
        let before = run_at(&sandbox, &own, &["user", "list"]);
        assert_eq!(before.code, 4, "{}", before.stderr);
        ok_at(
            &sandbox,
            &url,
            &["store", "grant", "--role", role, "--to", role],
        );
        for command in look {
            ok_at(&sandbox, &own, command);
        }
        // For which it has to know whose password that is, and no hash.
        let to = ["--write-file", held.to_str().unwrap(), "--dry-run"];
        let plan = [&["user", "rotate", "other@example.com"], &to[..]].concat();
        let plan = ok_at(&sandbox, &own, &plan);
        assert!(plan.contains("as shop@example.com has"), "{role}: {plan}");
        for command in change {
            let run = run_at(&sandbox, &own, command);
            assert_eq!(run.code, changes, "{role} {command:?}: {}", run.stderr);
            assert!(changes == 0 || run.stdout.is_empty(), "{}", run.stdout);
        }
        run_at(&sandbox, &url, &["user", "resume", "shop@example.com"]);
        // As a relay does with who has met a limit; it brings nobody back.
        let suspended = run_at(&sandbox, &own, &["user", "suspend", "shop@example.com"]);
        assert_eq!(suspended.code == 0, role != "auditor", "{suspended:?}");
        let resumed = run_at(&sandbox, &own, &["user", "resume", "shop@example.com"]);
        let refused = role == "signin";
        assert_eq!(resumed.code, if refused { 4 } else { 0 }, "{resumed:?}");
        hashes_are_hidden_from(role, &sandbox, &own);
        // Whatever the program asks for.
        let sql = |sql: &str| server.try_sql_as(role, "mail", sql);
        let hash = sql("SELECT hash FROM smtpcred.passwords");
        assert_eq!(hash.is_ok(), role != "auditor", "{hash:?}");
        let seen = sql("SELECT hash FROM smtpcred_audit.passwords");
        assert!(role != "auditor" || seen.unwrap().ends_with("p=1"));
        assert!(sql("DELETE FROM smtpcred.events").is_err(), "{role}");
        assert!(sql("UPDATE smtpcred.store SET version = 0").is_err());
        assert!(sql("CREATE TABLE smtpcred.mine (x int)").is_err());
        let take_over = "UPDATE smtpcred.users SET daily_limit = NULL";
        assert_eq!(sql(take_over).is_ok(), role == "operator", "{role}");
    }
    ok_at(
        &sandbox,
        &url,
        &["store", "grant", "--role", "none", "--to", "operator"],
    );
    let taken = run_at(
        &sandbox,
        &server.url_as("operator", "mail"),
        &["user", "list"],
    );
    assert_eq!(taken.code, 4);
    let unknown = run_at(
        &sandbox,
        &url,
        &["store", "grant", "--role", "signin", "--to", "a\"'\\b"],
    );
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
}

/// A certificate authority, and a server's certificate for `localhost`.
fn certificates(folder: &Path) {
    let made = Command::new("sh")
        .current_dir(folder)
        .args(["-ec", "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
            openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
            printf 'subjectAltName=DNS:localhost' > ext
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -extfile ext -out server.pem
            chmod 0600 server.key"])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn tls_and_passwords_are_as_the_url_says() {
    let mut server = Postgres::start();
    certificates(server.folder());
    let port = support::free_port();
    server.listen_with_tls(port);
    server.sql("postgres", "CREATE DATABASE mail");
    server.sql(
        "postgres",
        "CREATE ROLE ana LOGIN SUPERUSER PASSWORD 'pass:word'",
    );
    let sandbox = Sandbox::empty();
    let folder = sandbox.folder.path();
    let passfile = folder.join("passfile");
    fs::write(
        &passfile,
        format!("localhost:{port}:mail:ana:pass\\:word\n127.0.0.1:*:*:*:pass:word\n"),
    )
    .unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    let ca = server.folder().join("ca.pem").display().to_string();
    let pass = passfile.display();
    let at = |host: &str, rest: &str| {
        let url = format!("postgres://ana@{host}:{port}/mail?passfile={pass}&{rest}");
        run_at(&sandbox, &url, &["store", "init", "--quiet"])
    };
    let trusted = format!("sslrootcert={ca}");
    for (host, rest, works) in [
        ("localhost", format!("sslmode=verify-full&{trusted}"), true),
        ("127.0.0.1", format!("sslmode=verify-full&{trusted}"), false),
        ("127.0.0.1", format!("sslmode=verify-ca&{trusted}"), true),
        ("127.0.0.1", format!("sslmode=require&{trusted}"), true),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=system".into(),
            false,
        ),
        ("localhost", "sslmode=require".into(), true),
        ("localhost", String::new(), true),
        // The server wants TLS.
        ("localhost", "sslmode=disable".into(), false),
    ] {
        let run = at(host, &rest);
        let expected = if works { 0 } else { 75 };
        assert_eq!(run.code, expected, "{host} {rest}: {}", run.stderr);
    }
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
        WHERE a.usename = 'ana' AND NOT s.ssl";
    assert_eq!(server.sql("postgres", encrypted), "0");

    // By the environment, too; and wrong ones are told as what they are.
    let url = format!("postgres://localhost:{port}");
    let by_environment = |password: &str| {
        let run = sandbox
            .command(&["user", "list"])
            .env("SMTPCRED_STORE", &url)
            .envs([
                ("PGUSER", "ana"),
                ("PGDATABASE", "mail"),
                ("PGPASSWORD", password),
            ])
            .output();
        finished(run.unwrap())
    };
    assert_eq!(by_environment("pass:word").code, 0);
    let wrong = by_environment("wrong");
    assert_eq!(wrong.code, 75);
    assert!(
        wrong.stderr.contains("password authentication failed"),
        "{}",
        wrong.stderr
    );
    assert!(!wrong.stderr.contains("pass:word"));
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(at("localhost", "").code, 2, "others can read it");
}
