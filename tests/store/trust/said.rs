//! Errors of PostgreSQL are reported in its words, with the remedy.

use super::database::run_at;
use crate::support::postgres::Postgres;
use crate::support::{Run, Sandbox, finished};

const USER: &str = "shop@example.com";

/// Checks a failure, which is one line for the admin.
fn failed(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "{word}: {run:?}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p4_errors_of_the_database_are_reported_correctly() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let created = run_at(
        &sandbox,
        &url,
        &["user", "create", USER, "--add-domain"],
        "",
    );
    assert_eq!(created.code, 0, "{created:?}");
    server.sql(
        "mail",
        "CREATE TABLE state (code text);
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
            RAISE EXCEPTION USING ERRCODE = (SELECT code FROM public.state),
                MESSAGE = ''no luck'', DETAIL = E''a\\nb'', HINT = ''look there''; END';
        CREATE TRIGGER fail BEFORE UPDATE ON smtpcred.users FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let backup = "restore the store from a backup";
    for (state, code, name) in [
        ("22P05", 1, "store_failed"),
        ("42883", 1, "store_failed"),
        ("23505", 4, "store_refused"),
        ("P0001", 4, "store_refused"),
        ("42501", 4, "store_forbidden"),
        ("40001", 75, "store_failed"),
        ("25006", 75, "store_failed"),
        ("53200", 75, "store_failed"),
        ("53100", 75, "store_full"),
        ("55P03", 75, "store_busy"),
        ("XX000", 75, "store_failed"),
        ("XX001", 1, "store_damaged"),
    ] {
        server.sql(
            "mail",
            &format!("DELETE FROM state; INSERT INTO state VALUES ('{state}')"),
        );
        let run = run_at(&sandbox, &url, &["user", "suspend", USER, "--json"], "");
        failed(&run, code, &[name]);
        let told = !["store_full", "store_busy"].contains(&name);
        assert_eq!(
            run.stderr.contains("no luck; a b; look there"),
            told,
            "{state}: {run:?}"
        );
        assert_eq!(
            run.stderr.contains(backup),
            name == "store_damaged",
            "{state}: {run:?}"
        );
    }
    // A failed query is no answer about a password.
    server.sql(
        "mail",
        "ALTER TABLE smtpcred.users RENAME COLUMN expires_at TO ends_at",
    );
    let typed = created.stdout.trim();
    for password in [typed, "wrong"] {
        let run = run_at(&sandbox, &url, &["verify", USER], password);
        failed(&run, 75, &["the database says"]);
        assert!(!run.stderr.contains(backup), "{run:?}");
    }
}

/// It is refused before anything is set or created.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_database_in_another_encoding_is_refused() {
    let server = Postgres::start();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let sandbox = server.sandbox_encoded(encoding);
        let url = sandbox.location();
        let url = url.to_str().unwrap();
        let file = Sandbox::new();
        let source = file.store();
        let says = [encoding, "needs UTF8", "createdb -E UTF8 -T template0 NAME"];
        for command in [
            &["store", "init"][..],
            &["store", "copy", source.to_str().unwrap(), url],
            &["domain", "add", "example.com"],
            &["user", "list"],
            &["store", "status"],
        ] {
            failed(&run_at(&sandbox, url, command, ""), 75, &says);
        }
        let doctor = run_at(&sandbox, url, &["doctor"], "");
        let refused = format!("the store {url} is refused");
        let said = |line: &str| line.starts_with("FAIL  store ") && line.contains(&refused);
        assert!(doctor.stdout.lines().any(said), "{doctor:?}");
        assert!(says.iter().all(|word| doctor.stdout.contains(word)));
        let name = encoding.to_lowercase();
        assert_eq!(server.sql(&name, "SELECT to_regnamespace('smtpcred')"), "");
    }
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_read_only_setting_is_reported_with_its_remedy() {
    let server = Postgres::start();
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let run = |args: &[&str]| run_at(&sandbox, &url, args, "");
    assert_eq!(run(&["domain", "add", "example.com"]).code, 0);
    let on = |object: &str| {
        server.sql(
            "mail",
            &format!("ALTER {object} SET default_transaction_read_only = on"),
        );
    };
    for object in [
        "ROLE postgres",
        "DATABASE mail",
        "ROLE postgres IN DATABASE mail",
        "ROLE ALL",
    ] {
        on(object);
        let cure =
            format!("BEGIN READ WRITE; ALTER {object} RESET default_transaction_read_only; COMMIT");
        for command in [&["user", "list"][..], &["domain", "add", "b.example"]] {
            let refused = run(command);
            failed(&refused, 75, &["for this database user", &cure]);
            assert!(!refused.stderr.contains("primary"), "{refused:?}");
        }
        // Follows the hint.
        server.sql(
            "mail",
            &format!("SET default_transaction_read_only = off; {cure}"),
        );
        assert_eq!(run(&["user", "list"]).code, 0, "{object}");
    }
    server.configure("default_transaction_read_only = on\n");
    server.reload();
    let cure = "ALTER SYSTEM SET default_transaction_read_only = off";
    failed(&run(&["user", "list"]), 75, &[cure]);
    server.sql("mail", cure);
    server.reload();
    assert_eq!(run(&["user", "list"]).code, 0);
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_service_names_the_database_as_for_psql() {
    let server = Postgres::start();
    server.database("mail");
    let sandbox = Sandbox::empty();
    let services = sandbox.folder.path().join("services");
    let text = format!(
        "[mail]\nhost={}\nport=5432\nuser=postgres\ndbname=mail\n",
        server.folder().display()
    );
    std::fs::write(&services, text).unwrap();
    let at = |url: &str, variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&["domain", "add", "example.com", "--json"]);
        command.env("SMTPCRED_STORE", url);
        command.env("PGSERVICEFILE", &services);
        command.envs(variables.iter().copied());
        finished(command.output().unwrap())
    };
    let added = at(
        "postgres://?target_session_attrs=primary",
        &[("PGSERVICE", "mail")],
    );
    assert_eq!(added.code, 0, "{added:?}");
    failed(&at("postgres://?service=mail", &[]), 4, &["domain_exists"]);
    failed(
        &at("postgres://?service=none", &[]),
        2,
        &["none", "pg_service.conf"],
    );
    let standby = at("postgres://?service=mail&target_session_attrs=standby", &[]);
    failed(&standby, 2, &["target_session_attrs=primary"]);
    let peer = at("postgres://?service=mail", &[("PGREQUIREPEER", "postgres")]);
    failed(&peer, 2, &["PGREQUIREPEER is not supported"]);
}
