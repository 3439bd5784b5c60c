//! Checks a new connection before anything is set on it: other programs may use an unfit
//! session afterwards.

use super::connection::PgConnection;
use super::pg_error::{PgError, PgResult};
use super::pooler;

/// The first version with `pg_current_snapshot`.
const FIRST: u32 = 130_000;

/// Checks a standby, too: it may become the primary. `connect` opens another connection
/// to the same server.
pub fn examine(
    connection: &mut PgConnection,
    connect: impl FnOnce() -> PgResult<PgConnection>,
) -> PgResult<()> {
    const LOOK: &str = "SELECT version() || ' ' || current_setting('server_version_num');
        SELECT pg_backend_pid(); SELECT getdatabaseencoding();
        SELECT CASE WHEN pg_is_in_recovery() THEN 'standby'
            WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only' END";
    let said = match connection.simple(LOOK) {
        // The server may know only some of these functions.
        Err(PgError::Sql(refused)) => {
            let version = connection.simple("SELECT version()")?;
            server(version.first().map_or("", String::as_str), false)?;
            return Err(PgError::Sql(refused));
        }
        said => said?,
    };
    let [version, process, encoding, state] = &said[..] else {
        return Err(PgError::NotPostgres(
            "its server does not answer every query".into(),
        ));
    };
    server(version, true)?;
    pooler::refuse_changing(connection, process, connect)?;
    if encoding != "UTF8" {
        return Err(PgError::unfit(
            format!("its database has the encoding {encoding}, but a store needs UTF8"),
            "create another with: createdb -E UTF8 -T template0 NAME; copy the data there with \
             pg_dump and psql",
        ));
    }
    if state == "read-only" {
        return Err(read_only(connection)?);
    }
    Ok(())
}

/// Refuses other servers that speak PostgreSQL's protocol: their locks may not lock.
fn server(version: &str, with_number: bool) -> PgResult<()> {
    let number = version.rsplit(' ').next().and_then(|n| n.parse().ok());
    let recent = number.is_some_and(|number: u32| number >= FIRST);
    if version.starts_with("PostgreSQL ") && !version.contains("-YB-") && (recent || !with_number) {
        return Ok(());
    }
    let name = version.split(',').next().unwrap_or_default();
    Err(PgError::NotPostgres(format!(
        "its server is {name}; a store needs PostgreSQL itself, 13 or later"
    )))
}

/// The error for a primary on which a setting keeps this database user from writing.
fn read_only(connection: &mut PgConnection) -> PgResult<PgError> {
    const SOURCE: &str = "SELECT source FROM pg_catalog.pg_settings
        WHERE name = 'default_transaction_read_only'";
    const OBJECTS: &str = "SELECT format('ROLE %I', session_user);
        SELECT format('DATABASE %I', current_database());
        SELECT format('ROLE %I IN DATABASE %I', session_user, current_database())";
    let source = connection.simple(SOURCE)?.pop().unwrap_or_default();
    let mut objects = connection.simple(OBJECTS)?.into_iter();
    let object = match source.as_str() {
        "user" => objects.next(),
        "database" => objects.nth(1),
        "database user" => objects.nth(2),
        "global" => Some("ROLE ALL".into()),
        _ => None,
    };
    let cure = match (object, source.as_str()) {
        // The user who types it may have the same setting.
        (Some(object), _) => {
            format!(
                "in psql: BEGIN READ WRITE; ALTER {object} RESET default_transaction_read_only; COMMIT"
            )
        }
        (None, "client") => "remove it from PGOPTIONS and from the URL's options".into(),
        (None, "session") => {
            "the pooler left it in the session: set server_reset_query=DISCARD ALL".into()
        }
        // Some tools fence a server like this while another one takes over.
        (None, _) => {
            return Ok(PgError::NotReady(
                "its default_transaction_read_only is on: nothing can be written until \
                 ALTER SYSTEM SET default_transaction_read_only = off; SELECT pg_reload_conf()"
                    .into(),
            ));
        }
    };
    Ok(PgError::unfit(
        "default_transaction_read_only is on for this database user",
        cure,
    ))
}
