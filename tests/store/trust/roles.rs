//! What each role may do with alerts, addresses and sessions past the program, and that it suffices.

use std::net::IpAddr;

use smtpcred::app::relay::PendingWrites;
use smtpcred::model::event::EventStamp;
use smtpcred::store::{Access, AlertClaim, Location, Store};

use super::database::run_at;
use crate::support::Sandbox;
use crate::support::postgres::Postgres;
use crate::support::store_writer::{actor, now, store_writer};

const USER: &str = "shop@example.com";
const ROLES: [&str; 3] = ["signin", "operator", "auditor"];

/// Grants each role to a database user of its name.
fn grant(sandbox: &Sandbox, url: &str) {
    for role in ROLES {
        let args = ["store", "grant", "--role", role, "--to", role];
        let run = run_at(sandbox, url, &args, "");
        assert_eq!(run.code, 0, "{run:?}");
    }
}

fn started() -> (Postgres, Sandbox, String) {
    let server = Postgres::start();
    for role in ROLES {
        server.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
    }
    let url = server.database("mail");
    let sandbox = Sandbox::empty();
    let create = ["user", "create", USER, "--add-domain", "-q"];
    let run = run_at(&sandbox, &url, &create, "");
    assert_eq!(run.code, 0, "{run:?}");
    grant(&sandbox, &url);
    (server, sandbox, url)
}

/// A change, and whether signin may make it. An operator may make all, an auditor none.
const CHANGES: &[(&str, bool)] = &[
    (
        "INSERT INTO alerts (at, last_at, kind, matter, text, more) VALUES (1, 1, 'leak', 'm', 't', 0)",
        true,
    ),
    ("UPDATE alerts SET more = more + 1, last_at = 2", true),
    ("UPDATE alerts SET acked_at = 1", false),
    ("UPDATE alerts SET acked_by = 'ana'", false),
    ("UPDATE alerts SET at = 1", false),
    ("UPDATE alerts SET matter = 'm', text = 't'", false),
    ("DELETE FROM alerts", false),
    (
        "INSERT INTO alert_deliveries (alert, way, tries) SELECT id, 'exec other', 0 FROM alerts",
        true,
    ),
    (
        "UPDATE alert_deliveries SET tries = 1, next_at = NULL, sent_at = 1, reason = 'r'",
        true,
    ),
    ("UPDATE alert_deliveries SET way = 'exec other'", false),
    ("DELETE FROM alert_deliveries", false),
    (
        "INSERT INTO allowed_addresses VALUES ('x', '192.0.2.0/24', 1, 1)",
        true,
    ),
    ("UPDATE allowed_addresses SET owner = 'x'", false),
    ("DELETE FROM allowed_addresses", false),
    ("INSERT INTO address_rules VALUES ('x')", false),
    ("UPDATE address_rules SET addresses = NULL", false),
    ("DELETE FROM address_rules", false),
    ("UPDATE seen_addresses SET sign_ins = 2", true),
    ("DELETE FROM seen_addresses", true),
    ("INSERT INTO session_ends (at) VALUES (1)", false),
    ("DELETE FROM session_ends", false),
    ("INSERT INTO session_requests (at) VALUES (1)", false),
    ("DELETE FROM session_requests", false),
    ("INSERT INTO session_reports VALUES ('r', 1, 1, 'h')", true),
    ("DELETE FROM session_reports", true),
    ("DELETE FROM sessions", true),
    (
        "UPDATE old_names SET until = until - 1, renamed_at = renamed_at - 1",
        true,
    ),
    ("UPDATE old_names SET until = until + 1", false),
    ("UPDATE old_names SET username = username", false),
    ("DELETE FROM old_names", false),
];

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p11_a_relay_cannot_hide_an_alert() {
    let (server, _sandbox, _) = started();
    server.sql(
        "mail",
        "INSERT INTO smtpcred.alerts (at, last_at, kind, matter, text, more)
            VALUES (1, 1, 'leak', 'm', 't', 0);
        INSERT INTO smtpcred.old_names (old_name, username, renamed_at, until)
            SELECT 'old@example.com', username, 5, 9 FROM smtpcred.users",
    );
    for (change, signin) in CHANGES {
        for (role, may) in [("signin", *signin), ("operator", true), ("auditor", false)] {
            let sql = format!("SET search_path = smtpcred; BEGIN; {change}; ROLLBACK");
            let done = server.try_sql_as(role, "mail", &sql);
            match done {
                Ok(_) => assert!(may, "{role} did: {change}"),
                Err(said) => {
                    assert!(!may && said.contains("permission denied"), "{role}: {said}");
                }
            }
        }
    }
    for table in [
        "address_rules",
        "allowed_addresses",
        "seen_addresses",
        "alerts",
        "alert_deliveries",
        "session_ends",
        "session_requests",
        "session_reports",
        "sessions",
    ] {
        for role in ROLES {
            let count = format!("SELECT count(*) FROM smtpcred.{table}");
            server.try_sql_as(role, "mail", &count).unwrap();
        }
    }
}

/// The rights of the roles, a line each.
fn rights(server: &Postgres, database: &str) -> String {
    server.sql(
        database,
        "SELECT table_name, '', grantee, privilege_type FROM information_schema.table_privileges
            WHERE table_schema LIKE 'smtpcred%' AND grantee <> 'postgres'
        UNION SELECT table_name, column_name, grantee, privilege_type
            FROM information_schema.column_privileges
            WHERE table_schema LIKE 'smtpcred%' AND grantee <> 'postgres' ORDER BY 1, 2, 3, 4",
    )
}

/// What a role was granted before there were alerts.
const BEFORE: &str = "
    GRANT USAGE ON SCHEMA smtpcred TO signin, operator, auditor;
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO signin, auditor;
    GRANT INSERT ON smtpcred.events TO signin;
    GRANT INSERT, UPDATE, DELETE ON smtpcred.last_connections, smtpcred.counts, smtpcred.recipients,
        smtpcred.usage, smtpcred.usage_by_domain, smtpcred.summing, smtpcred.failures,
        smtpcred.limits_near TO signin;
    GRANT UPDATE (hash, retires_at, retiring_since, retire_latest) ON smtpcred.passwords TO signin;
    GRANT UPDATE (expiry_told, suspended_at) ON smtpcred.users TO signin;
    GRANT UPDATE (settles_at, began_at) ON smtpcred.rotations TO signin;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA smtpcred TO operator;
    REVOKE INSERT, UPDATE, DELETE ON smtpcred.store FROM operator;
    REVOKE UPDATE, DELETE ON smtpcred.events FROM operator;
    REVOKE SELECT ON smtpcred.passwords, smtpcred.dovecot_users, smtpcred.dovecot_overlap FROM auditor";

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_migration_grants_what_a_grant_does() {
    let (server, sandbox, _) = started();
    let url = server.database("old");
    for step in [
        include_str!("../../../src/store/postgres/0001.sql"),
        include_str!("../../../src/store/postgres/0002.sql"),
        include_str!("../../../src/store/postgres/0003.sql"),
        include_str!("../../../src/store/postgres/0004.sql"),
        include_str!("../../../src/store/postgres/0005.sql"),
        include_str!("../../../src/store/postgres/0006.sql"),
        include_str!("../../../src/store/postgres/0007.sql"),
        include_str!("../../../src/store/postgres/0008.sql"),
        include_str!("../../../src/store/postgres/0009.sql"),
        "UPDATE smtpcred.store SET version = 9",
        BEFORE,
    ] {
        server.sql("old", step);
    }
    let run = run_at(&sandbox, &url, &["store", "migrate"], "");
    assert_eq!(run.code, 0, "{run:?}");
    let new = |all: &str| {
        let tables = ["address", "alert", "session", "old_names"];
        let lines = all
            .lines()
            .filter(|line| tables.iter().any(|part| line.contains(part)));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (migrated, granted) = (rights(&server, "old"), rights(&server, "mail"));
    assert!(new(&granted).len() > 50, "{granted}");
    assert_eq!(new(&migrated), new(&granted));
    for role in ROLES {
        let none = ["store", "grant", "--role", "none", "--to", role];
        let run = run_at(&sandbox, &url, &none, "");
        assert_eq!(run.code, 0, "{run:?}");
    }
    assert_eq!(rights(&server, "old"), "");
}

/// `serve` runs as signin: it raises, sends and counts again, and keeps what it may not delete.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn what_signin_has_suffices_for_serve() {
    let (server, sandbox, url) = started();
    let owner = |sql: &str| server.sql("mail", sql);
    let ok = |url: &str, args: &[&str]| {
        let run = run_at(&sandbox, url, args, "");
        assert_eq!(run.code, 0, "{run:?}");
        run
    };
    ok(&url, &["set-settings", "--alert-exec", "true", "-q"]);
    owner(
        "INSERT INTO smtpcred.alerts (at, last_at, kind, matter, text, more)
            VALUES (1, 1, 'leak', 'm', 't', 0)",
    );
    let mut writer = store_writer(&server.url_as("signin", "mail"));
    let address: Option<IpAddr> = "192.0.2.1".parse().ok();
    for _ in 0..2 {
        let mut pending = PendingWrites::default();
        pending.refused_address(USER.parse().unwrap(), address, now());
        writer.note(pending, &[], &mut Vec::new()).unwrap();
    }
    let told = "SELECT kind || ' ' || more FROM smtpcred.alerts ORDER BY id";
    assert_eq!(owner(told), "leak 0\nrefused-address 1");
    let claim = AlertClaim {
        way: "exec true".into(),
        first: 1,
        last: 99,
        until: now().plus("1m".parse().unwrap()),
    };
    let location = Location::parse(server.url_as("signin", "mail").as_ref()).unwrap();
    let mut store = Store::open(&location, Access::Existing).unwrap();
    let stamp = EventStamp {
        at: now(),
        actor: actor(),
    };
    let mut tx = store.begin(stamp).unwrap();
    tx.claim_alerts(&claim).unwrap();
    tx.alerts_not_sent(&claim, "no", now(), 9).unwrap();
    tx.claim_alerts(&claim).unwrap();
    tx.alerts_sent(&claim, false).unwrap();
    tx.commit().unwrap();
    let sent = "SELECT tries FROM smtpcred.alert_deliveries WHERE sent_at IS NOT NULL";
    assert_eq!(owner(sent), "2");
    // The other one is of long ago, and only an operator deletes it.
    let operator = server.url_as("operator", "mail");
    // Only the owner of the tables collects statistics.
    let maintained = run_at(&sandbox, &operator, &["store", "maintain"], "");
    assert_eq!(maintained.code, 7, "{maintained:?}");
    assert_eq!(owner(told), "refused-address 1");
    ok(&operator, &["alert", "ack", "--all"]);
    // Who may only read sees the sessions as they were last reported.
    let now = "CAST(extract(epoch FROM now()) AS BIGINT)";
    owner(&format!(
        "INSERT INTO smtpcred.session_reports VALUES ('1-a', 0, {now}, 'mx1');
        INSERT INTO smtpcred.sessions SELECT '1-a', 0, username, password_id, NULL, {now}, {now}, 1, 1
            FROM smtpcred.passwords"
    ));
    let auditor = server.url_as("auditor", "mail");
    let listed = ok(&auditor, &["session", "list", "--json"]);
    assert!(listed.stdout.contains(USER), "{listed:?}");
}
