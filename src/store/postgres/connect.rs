//! Connects to one server.

use std::time::Duration;

use super::conn_url::DatabaseServer;
use super::connection::PgConnection;
use super::instance::Instance;
use super::pg_error::PgResult;
use super::session;
use super::tls::TlsFiles;

/// How long to wait for a server.
#[derive(Clone, Copy)]
pub struct Timeouts {
    /// For an answer, before the server counts as lost.
    pub answer: Duration,
    /// For locks of others, and for a server that has no connection left.
    pub patience: Duration,
}

/// The longest time for a connection attempt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, and asks the server for its state.
pub fn open(
    server: &DatabaseServer,
    tls: &TlsFiles,
    timeouts: Timeouts,
) -> PgResult<(PgConnection, Instance)> {
    // The search path keeps other tables with the names of ours away. A commit is on disk.
    // A session that hangs in a change loses the lock; one that holds the lock of a run of
    // rotations may stay idle. Older servers lack some limits. Compiling a statement for 500
    // rows takes longer than running it.
    const SETTINGS: &str = "SET search_path = smtpcred, pg_temp;
        SET default_transaction_isolation = 'read committed';
        SET idle_in_transaction_session_timeout = '60s';
        SET statement_timeout = 0; SET jit = off;
        SELECT set_config(name, '0', false)
            FROM (VALUES ('idle_session_timeout'), ('transaction_timeout')) AS limits (name)
            WHERE current_setting(name, true) IS NOT NULL;
        SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
        SET tcp_keepalives_count = 3;
        SELECT set_config('synchronous_commit',
            CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, false)";
    let connect = || PgConnection::connect(server, tls, timeouts.answer.min(CONNECT_TIMEOUT));
    let mut connection = connect()?;
    session::examine(&mut connection, connect)?;
    // 0 would be no limit.
    let lock = timeouts.patience.as_millis().max(1);
    connection.simple(&format!(
        "{SETTINGS}; SET lock_timeout = {lock}; RESET default_transaction_read_only"
    ))?;
    let instance = Instance::of(&mut connection)?;
    Ok((connection, instance))
}

/// Does the same over an open connection, if there is one.
pub fn ask(
    connection: Option<PgConnection>,
    server: &DatabaseServer,
    tls: &TlsFiles,
    timeouts: Timeouts,
) -> PgResult<(PgConnection, Instance)> {
    if let Some(mut connection) = connection
        && let Ok(instance) = Instance::of(&mut connection)
    {
        return Ok((connection, instance));
    }
    open(server, tls, timeouts)
}
