//! `store …`: creating, checking and copying a store, and the rights of its users.
//! Long, because it tests all of the `store` commands on both engines.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::postgres::Postgres;
use crate::support::{self, Run, Sandbox, finished};

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

/// What they hold is derived from other tables, or is of running relays.
const DERIVED: [&str; 7] = [
    "event_names",
    "session_reports",
    "session_requests",
    "sessions",
    "summing",
    "totals",
    "usage_by_domain",
];

/// A row in every table that is not derived, with something in every column.
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
                ("holder", _) => Value::Text("ana".into()),
                ("password_id", _) => Value::Text("key00001".into()),
                ("hash", _) => Value::Text("0123456789abcdef".repeat(4)),
                ("id" | "alert" | "event", _) => Value::Integer(4711),
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
    let found = found.map(|name| name.unwrap());
    found
        .filter(|name: &String| !DERIVED.contains(&name.as_str()))
        .collect()
}

/// The days that no pass adds up later are in the sums.
fn is_added_up(path: &Path) {
    const SQL: &str = "SELECT count(*), (SELECT count(*) FROM usage JOIN usage_by_domain AS sums
        USING (domain, day, messages, recipients, bytes, refusals)) FROM usage";
    let store = Connection::open(path).unwrap();
    let counts = store.query_one(SQL, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(counts.unwrap(), (1, 1));
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
            // It is about that event.
            "event_marks" => "WHERE mark <> 'head'",
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
    sandbox.noted(&["store", "copy", "data/smtpcred.db", "copy.db"]);
    let copy = sandbox.folder.path().join("copy.db");
    assert_eq!(all(&copy), before);
    is_added_up(&copy);
    let again = sandbox.run(&["store", "copy", "data/smtpcred.db", "copy.db"]);
    assert_eq!(again.code, 4, "{}", again.stderr);
    let itself = sandbox.run(&["store", "copy", "copy.db", "copy.db"]);
    assert_eq!(itself.code, 4, "{}", itself.stderr);
    let none = sandbox.run(&["store", "copy", "none.db", "other.db"]);
    assert_eq!(none.code, 75, "{}", none.stderr);
    assert!(!sandbox.folder.path().join("other.db").exists());
}

/// By each command that makes passwords: those that nobody chose.
fn generated_passwords_are_known(sandbox: &Sandbox) {
    let folder = |name: &str| {
        fs::create_dir(sandbox.folder.path().join(name)).unwrap();
    };
    let write = |name: &str, text: &str| {
        fs::write(sandbox.folder.path().join(name), text).unwrap();
    };
    let chosen = b"vague-Otter-61-harbour";
    let of = |username: &str| {
        let sql = format!(
            "SELECT CAST(generated AS TEXT) FROM passwords
                WHERE username = '{username}' AND hash IS NOT NULL ORDER BY generated"
        );
        sandbox.texts(&sql).concat()
    };
    let stdin = |args: &[&str]| {
        let run = sandbox.run_with_stdin(args, chosen);
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    };
    sandbox.ok(&["user", "create", "made@example.com", "-q"]);
    sandbox.ok(&[
        "user",
        "create",
        "short@example.com",
        "--short-password",
        "-q",
    ]);
    stdin(&[
        "user",
        "create",
        "chosen@example.com",
        "--password-stdin",
        "-q",
    ]);
    for (username, made) in [("made", "1"), ("short", "1"), ("chosen", "0")] {
        assert_eq!(of(&format!("{username}@example.com")), made, "{username}");
    }

    let made = "made@example.com";
    stdin(&[
        "user",
        "reset",
        made,
        "--password-stdin",
        "--overlap",
        "1h",
        "-q",
    ]);
    assert_eq!(of(made), "01");
    sandbox.ok(&["user", "reset", made, "-q"]);
    assert_eq!(of(made), "1");

    folder("rotated");
    let to = ["--write-file", "rotated/{username}", "--overlap", "1h"];
    sandbox.noted(&[&["user", "rotate", "chosen@example.com"], &to[..]].concat());
    assert_eq!(of("chosen@example.com"), "01");

    folder("bulk");
    write("bulk.csv", "username\nbulk@example.com\n");
    sandbox.noted(&[
        "user",
        "create",
        "--from",
        "bulk.csv",
        "--output-dir",
        "bulk",
    ]);
    assert_eq!(of("bulk@example.com"), "1");

    folder("applied");
    write("plan.toml", "[users.\"applied@example.com\"]\n");
    sandbox.noted(&["apply", "plan.toml", "--output-dir", "applied"]);
    assert_eq!(of("applied@example.com"), "1");

    folder("imported");
    let hash = "{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
    write(
        "import.csv",
        &format!("username,hash\nnew@example.com,\nold@example.com,{hash}\n"),
    );
    let import = ["user", "import", "import.csv", "--from", "csv"];
    sandbox.noted(&[&import[..], &["--output-dir", "imported"]].concat());
    assert_eq!(
        (of("new@example.com"), of("old@example.com")),
        ("1".into(), "0".into())
    );
}

#[test]
fn generated_passwords_are_known_by_all_that_makes_them() {
    generated_passwords_are_known(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn generated_passwords_are_known_in_postgresql() {
    generated_passwords_are_known(&Postgres::start().sandbox_with_domain());
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
    sandbox.noted(&["store", "copy", "data/smtpcred.db", &url]);
    sandbox.noted(&["store", "copy", &url, "back.db"]);
    let back = sandbox.folder.path().join("back.db");
    assert_eq!(all(&back), before);
    is_added_up(&back);

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

fn only_the_owner_creates_indexes(sandbox: &Sandbox, server: &Postgres, url: &str) {
    // A migration was killed before it had created its indexes.
    server.sql("mail", "DROP INDEX smtpcred.events_by_user");
    let operator = server.url_as("operator", "mail");
    let maintained = run_at(sandbox, &operator, &["store", "maintain"]);
    assert_eq!(maintained.code, 7, "{maintained:?}");
    for said in ["missing: events_by_user", "not collected"] {
        assert!(maintained.stdout.contains(said), "{maintained:?}");
    }
    let examined = run_at(sandbox, &operator, &["doctor"]);
    assert!(
        examined
            .stdout
            .contains("missing or unfinished: events_by_user"),
        "{examined:?}"
    );
    let migrated = run_at(sandbox, &operator, &["store", "migrate"]);
    assert_eq!(migrated.code, 4, "{migrated:?}");
    let owner = "the owner of the tables creates the index with: smtpcred store migrate";
    assert!(migrated.stderr.contains(owner), "{migrated:?}");
    ok_at(sandbox, url, &["store", "migrate"]);
    server.sql("mail", "SELECT 'smtpcred.events_by_user'::regclass");
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
    let change: [&[&str]; 4] = [
        &["user", "create", "new@example.com", "--quiet"],
        &["user", "reset", "shop@example.com", "--quiet"],
        &["set-settings", "--host", "smtp.example.com"],
        &["user", "import", "import.csv", "--from", "csv"],
    ];
    let rows =
        "username,hash\nimported@example.com,{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/\n";
    fs::write(sandbox.folder.path().join("import.csv"), rows).unwrap();
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
        assert!(
            plan.contains("the password of shop@example.com"),
            "{role}: {plan}"
        );
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
        if role == "signin" {
            // Who cannot raise an alert still learns what was found.
            server.sql("mail", "REVOKE INSERT ON smtpcred.alerts FROM signin");
            let run = run_at(&sandbox, &own, &["scan", held.to_str().unwrap()]);
            assert!(run.stdout.contains("shop@example.com"), "{run:?}");
            assert_eq!((run.code, &*run.stderr), (7, ""), "{run:?}");
        }
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
    only_the_owner_creates_indexes(&sandbox, &server, &url);
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
    // In clear text it goes to nobody who has not proven who it is.
    let rules = "local all all trust\nhost all all 127.0.0.1/32 password\n";
    fs::write(server.data().join("pg_hba.conf"), rules).unwrap();
    server.reload();
    for (rest, works) in [
        ("sslmode=disable".into(), false),
        ("sslmode=require".into(), false),
        (format!("sslmode=verify-full&{trusted}"), true),
        ("sslmode=disable&require_auth=password".into(), true),
    ] {
        let run = at("localhost", &rest);
        let expected = if works { 0 } else { 75 };
        assert_eq!(run.code, expected, "{rest}: {}", run.stderr);
        assert_eq!(run.stderr.contains("in clear text"), !works, "{rest}");
    }
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(at("localhost", "").code, 2, "others can read it");
}

/// An admin of the database creates them for a user without the right to.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn existing_schemas_are_used() {
    let server = Postgres::start();
    let sandbox = Sandbox::empty();
    server.sql("postgres", "CREATE ROLE app LOGIN");
    server.sql("postgres", "CREATE ROLE relay LOGIN");
    let grant = ["store", "grant", "--role", "signin", "--to", "relay"];
    for (name, made, cures) in [
        (
            "\"M-1\"",
            "",
            &["GRANT CREATE ON DATABASE \"M-1\" TO app"][..],
        ),
        (
            "m2",
            "CREATE SCHEMA smtpcred; CREATE SCHEMA smtpcred_audit",
            &[
                "ALTER SCHEMA smtpcred OWNER TO app",
                "ALTER SCHEMA smtpcred_audit OWNER TO app",
            ],
        ),
        (
            "m3",
            "CREATE SCHEMA smtpcred AUTHORIZATION app; CREATE SCHEMA smtpcred_audit",
            &["ALTER SCHEMA smtpcred_audit OWNER TO app"],
        ),
        (
            "m4",
            "CREATE SCHEMA smtpcred AUTHORIZATION app",
            &["GRANT CREATE ON DATABASE m4 TO app"],
        ),
        (
            "m5",
            "CREATE SCHEMA smtpcred AUTHORIZATION app;
                CREATE SCHEMA smtpcred_audit AUTHORIZATION app",
            &[],
        ),
    ] {
        server.database(name);
        let name = name.trim_matches('"');
        server.sql(name, &format!("SELECT; {made}"));
        let url = server.url_as("app", name);
        if !cures.is_empty() {
            let refused = run_at(&sandbox, &url, &["store", "init"]);
            assert_eq!(refused.code, 4, "{made}: {}", refused.stderr);
            let said = format!("with: {}\n", cures.join("; "));
            assert!(refused.stderr.contains(&said), "{made}: {}", refused.stderr);
            server.sql(name, &cures.join("; "));
        }
        ok_at(&sandbox, &url, &["store", "init"]);
        ok_at(&sandbox, &url, &["domain", "add", "example.com"]);
        ok_at(&sandbox, &url, &grant);
    }
    // Rights on the schemas are enough for everything except granting them.
    server.database("mail");
    server.sql(
        "mail",
        "CREATE SCHEMA smtpcred; CREATE SCHEMA smtpcred_audit;
        GRANT ALL ON SCHEMA smtpcred, smtpcred_audit TO app",
    );
    let own = server.url_as("app", "mail");
    ok_at(&sandbox, &own, &["store", "init"]);
    let refused = run_at(&sandbox, &own, &grant);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let cure = "ALTER SCHEMA smtpcred OWNER TO app; ALTER SCHEMA smtpcred_audit OWNER TO app";
    assert!(refused.stderr.contains(cure), "{}", refused.stderr);
    server.sql("mail", cure);
    ok_at(&sandbox, &own, &grant);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_missing_auditors_schema_is_reported_and_created_again() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    ok_at(&sandbox, &url, &["domain", "add", "example.com"]);
    server.sql("mail", "CREATE ROLE auditor LOGIN");
    let grant = ["store", "grant", "--role", "auditor", "--to", "auditor"];
    ok_at(&sandbox, &url, &grant);
    let view = "SELECT pg_get_viewdef('smtpcred_audit.passwords')";
    let before = server.sql("mail", view);
    for (drop, says) in [
        (
            "DROP SCHEMA smtpcred_audit CASCADE",
            "without the schema smtpcred_audit",
        ),
        (
            "DROP VIEW smtpcred_audit.passwords",
            "without the view smtpcred_audit.passwords",
        ),
    ] {
        server.sql("mail", drop);
        let doctor = run_at(&sandbox, &url, &["doctor"]);
        assert!(doctor.stdout.contains(says), "{}", doctor.stdout);
        assert!(doctor.stdout.contains("store migrate"), "{}", doctor.stdout);
        let refused = run_at(&sandbox, &url, &grant);
        assert_eq!(refused.code, 75, "{}", refused.stderr);
        let cure = "smtpcred store migrate";
        assert!(refused.stderr.contains(cure), "{}", refused.stderr);
        ok_at(&sandbox, &url, &["store", "migrate"]);
        // The same as the migrations create.
        assert_eq!(server.sql("mail", view), before);
        ok_at(&sandbox, &url, &grant);
        let own = server.url_as("auditor", "mail");
        ok_at(&sandbox, &own, &["user", "list"]);
        let doctor = run_at(&sandbox, &url, &["doctor"]);
        assert!(!doctor.stdout.contains("without"), "{}", doctor.stdout);
    }
}
