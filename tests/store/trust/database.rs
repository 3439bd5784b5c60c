//! What the roles of a database may do past the program, and to whom a password goes.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::support::postgres::Postgres;
use crate::support::{Run, Sandbox, finished};

const USER: &str = "shop@example.com";
/// Of "password".
const HASH: &str =
    "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk";

pub fn run_at(sandbox: &Sandbox, store: &str, args: &[&str], stdin: &str) -> Run {
    let typed = sandbox.folder.path().join("typed");
    std::fs::write(&typed, stdin).unwrap();
    let mut command = sandbox.command(args);
    command.env("SMTPCRED_STORE", store);
    command.stdin(std::fs::File::open(typed).unwrap());
    finished(command.output().unwrap())
}

/// A database with a user whose password is "password", and the roles.
fn with_roles(server: &Postgres) -> (Sandbox, String) {
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let ok = |args: &[&str]| {
        let run = run_at(&sandbox, &url, args, "");
        assert_eq!(run.code, 0, "{run:?}");
    };
    ok(&["user", "create", USER, "--add-domain", "-q"]);
    for role in ["signin", "operator"] {
        server.sql("mail", &format!("CREATE ROLE {role} LOGIN"));
        ok(&["store", "grant", "--role", role, "--to", role]);
    }
    (sandbox, url)
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p3_signin_changes_no_password_but_to_make_it_stronger() {
    let server = Postgres::start();
    let (sandbox, _) = with_roles(&server);
    let owner = |sql: &str| server.sql("mail", sql);
    let signin = |sql: &str| server.try_sql_as("signin", "mail", sql);
    let set = |what: &str| format!("UPDATE smtpcred.passwords SET {what}");
    let now = "CAST(extract(epoch FROM now()) AS BIGINT)";
    let dearer = HASH.replace("m=1024", "m=4096");
    let fresh = || {
        owner(&set(&format!(
            "hash = '{HASH}', retires_at = {now} + 1000, retire_unused = NULL, retire_latest = NULL"
        )));
    };
    for refused in [
        "hash = NULL".to_owned(),
        format!("hash = '{}'", HASH.replace("Htk", "Htl")),
        format!("hash = '{}'", HASH.replace("m=1024", "m=512")),
        format!("hash = '{}'", dearer.replace("argon2id", "argon2i")),
        format!("hash = '{dearer} '"),
        "hash = '{PLAIN}password'".to_owned(),
        "retires_at = NULL".to_owned(),
        "retires_at = retires_at + 1".to_owned(),
        "retire_latest = 9999999999".to_owned(),
        format!("hash = '{dearer}', retires_at = NULL"),
    ] {
        fresh();
        let said = signin(&set(&refused)).unwrap_err();
        assert!(said.contains("permission denied"), "{refused}: {said}");
    }
    // What was stopped stays stopped.
    owner(&set("hash = NULL"));
    assert!(signin(&set(&format!("hash = '{dearer}'"))).is_err());
    for allowed in [
        format!("hash = '{dearer}'"),
        "retires_at = retires_at - 1".to_owned(),
    ] {
        fresh();
        signin(&set(&allowed)).unwrap();
    }
    // What has retired may be erased.
    owner(&set(&format!("hash = '{HASH}', retires_at = {now} - 10")));
    signin(&set("hash = NULL")).unwrap();
    // One that is kept while it is used, as long as was said.
    owner(&set(&format!(
        "hash = '{HASH}', retires_at = {now} + 100, retire_unused = 3600, retire_latest = {now} + 5000"
    )));
    signin(&set(&format!("retires_at = {now} + 3600"))).unwrap();
    for refused in ["+ 4500", "+ 6000"] {
        assert!(signin(&set(&format!("retires_at = {now} {refused}"))).is_err());
    }
    // Functions of one's own are not asked.
    fresh();
    let shadow = format!(
        "CREATE FUNCTION pg_temp.has_table_privilege(name, text, text) RETURNS boolean
            LANGUAGE sql AS 'SELECT true'; SET search_path = pg_temp, pg_catalog, smtpcred; {}",
        set("hash = '{PLAIN}x'")
    );
    assert!(signin(&shadow).is_err());

    // The program makes it stronger, as that role.
    owner(&set(&format!("hash = '{HASH}', retires_at = NULL")));
    let own = server.url_as("signin", "mail");
    let verified = run_at(&sandbox, &own, &["verify", USER], "password");
    assert_eq!(verified.code, 0, "{verified:?}");
    let hash = owner("SELECT hash FROM smtpcred.passwords");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,"), "{hash}");
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p5_an_event_names_who_logged_in() {
    let server = Postgres::start();
    let (sandbox, url) = with_roles(&server);
    for role in ["signin", "operator"] {
        let forged = "INSERT INTO smtpcred.events (id, at, actor, run_as, host, action, fields)
            VALUES (4711, 1, 'ana', 'root', 'relay', 'user.delete', '{}')";
        server.try_sql_as(role, "mail", forged).unwrap();
        let newest =
            "SELECT actor, run_as, id = 4711 FROM smtpcred.events ORDER BY id DESC LIMIT 1";
        assert_eq!(server.sql("mail", newest), format!("{role}|ana as root|f"));
        let own = server.url_as(role, "mail");
        let run = run_at(&sandbox, &own, &["user", "suspend", USER], "");
        assert_eq!(run.code, 0, "{run:?}");
        let actor = "SELECT actor FROM smtpcred.events ORDER BY id DESC LIMIT 1";
        assert_eq!(server.sql("mail", actor), role);
        let run = run_at(&sandbox, &url, &["user", "resume", USER], "");
        assert_eq!(run.code, 0, "{run:?}");
        assert_ne!(server.sql("mail", actor), role, "the owner's own word");
    }
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn what_acts_on_the_tables_is_named() {
    let server = Postgres::start();
    let (sandbox, url) = with_roles(&server);
    let doctor = || run_at(&sandbox, &url, &["doctor", "--json"], "").stdout;
    assert!(!doctor().contains("the trigger"));
    server.sql(
        "mail",
        "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER undo BEFORE UPDATE ON smtpcred.users FOR EACH ROW EXECUTE FUNCTION undo();
        CREATE RULE hide AS ON INSERT TO smtpcred.events DO INSTEAD NOTHING",
    );
    let said = doctor();
    assert!(
        said.contains("the rule hide on events, the trigger undo on users"),
        "{said}"
    );
    server.sql(
        "mail",
        "ALTER TABLE smtpcred.passwords DISABLE TRIGGER only_strengthen",
    );
    let said = doctor();
    assert!(
        said.contains("without the trigger only_strengthen on passwords"),
        "{said}"
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_store_of_the_first_version_in_postgresql_is_migrated() {
    let server = Postgres::start();
    let url = server.database("mail");
    server.sql("mail", include_str!("../../../src/store/postgres/0001.sql"));
    server.sql(
        "mail",
        &format!(
            "INSERT INTO smtpcred.domains (name, created_at) VALUES ('example.com', 1800000000);
            INSERT INTO smtpcred.users (username, domain, label, created_at)
                VALUES ('{USER}', 'example.com', 'Shop', 1800000000);
            INSERT INTO smtpcred.passwords (username, key_id, hash, created_at)
                VALUES ('{USER}', 'key00001', '{HASH}', 1800000000)"
        ),
    );
    let sandbox = Sandbox::empty();
    let old = run_at(&sandbox, &url, &["user", "list"], "");
    assert_eq!(old.code, 1);
    assert!(old.stderr.contains("store migrate"), "{old:?}");
    let migrated = run_at(&sandbox, &url, &["store", "migrate"], "");
    assert_eq!(migrated.code, 0, "{migrated:?}");
    let verified = run_at(&sandbox, &url, &["verify", USER], "password");
    assert_eq!(verified.code, 0, "{verified:?}");
    let listed = run_at(&sandbox, &url, &["user", "list"], "");
    assert!(listed.stdout.contains("Shop"), "{listed:?}");
}

const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";

/// Takes the place of a database that is down, and asks for the password like this;
/// returns what the program said to it.
fn asked(asking: &'static [u8], parameters: &str) -> (Run, Vec<u8>) {
    const TLS: &[u8] = b"\x04\xd2\x16\x2f";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        let mut hear = |client: &mut std::net::TcpStream, said: &mut Vec<u8>| {
            let read = client.read(&mut buffer).unwrap_or(0);
            said.extend_from_slice(&buffer[..read]);
            read
        };
        hear(&mut client, &mut said);
        if said.get(4..8) == Some(TLS) {
            client.write_all(b"N").unwrap();
            hear(&mut client, &mut said);
        }
        client.write_all(asking).unwrap();
        hear(&mut client, &mut said);
        said
    });
    let sandbox = Sandbox::empty();
    let mut command = sandbox.command(&["user", "list"]);
    command.env(
        "SMTPCRED_STORE",
        format!("postgres://ana@127.0.0.1:{port}/mail?{parameters}"),
    );
    command.env("PGPASSWORD", "not for everybody");
    let run = finished(command.output().unwrap());
    (run, server.join().unwrap())
}

#[test]
fn p1_whoever_listens_in_place_of_the_database_gets_no_password() {
    let holds = |said: &[u8], what: &[u8]| said.windows(what.len()).any(|found| found == what);
    for parameters in ["", "sslmode=disable"] {
        for (asking, says) in [(CLEAR, "in clear text"), (MD5, "as MD5")] {
            let (run, said) = asked(asking, parameters);
            assert_eq!((run.code, run.stdout.as_str()), (75, ""), "{run:?}");
            assert!(run.stderr.contains(says), "{run:?}");
            assert!(!holds(&said, b"not for everybody"), "{said:?}");
            assert!(!holds(&said, b"md5"), "{said:?}");
        }
    }
    let (_, said) = asked(CLEAR, "require_auth=password");
    assert!(holds(&said, b"not for everybody"));
    let (run, said) = asked(CLEAR, "require_auth=scram-sha-256");
    assert!(
        run.stderr.contains("require_auth does not allow"),
        "{run:?}"
    );
    assert!(!holds(&said, b"not for everybody"));
}
