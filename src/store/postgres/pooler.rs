//! Checks whether a connection keeps its server session. If a pooler changes it between
//! transactions (`PgBouncer` with `pool_mode=transaction`), a setting stays in a session that
//! others use next, and a prepared statement may be another program's.
//!
//! A server names its process when a connection starts. A pooler names a number of its own,
//! so a direct connection is recognised at once. For any other, two connections ask
//! alternately: each must have its own process and keep it.

use std::time::Duration;

use super::connection::PgConnection;
use super::pg_error::{PgError, PgResult};

/// In a shared pool, a connection may get the same session again by chance.
const ROUNDS: usize = 3;
/// How long to wait for a second session: the pooler queues it if all are in use.
const QUEUED: Duration = Duration::from_secs(1);
const STILL: Duration = Duration::from_millis(200);

pub const PROCESS: &str = "SELECT pg_backend_pid()";

/// Refuses a pooler that changes sessions. `found` is the server's process ID.
pub fn refuse_changing(
    connection: &mut PgConnection,
    found: &str,
    connect: impl FnOnce() -> PgResult<PgConnection>,
) -> PgResult<()> {
    let own: u32 = found
        .parse()
        .map_err(|_| PgError::NotPostgres("its server reports no process ID".into()))?;
    connection.process = own;
    if !connection.is_pooled() {
        return Ok(());
    }
    let mut other = connect().map_err(unknown)?;
    let mut seen = Processes { own, other: None };
    for _ in 0..ROUNDS {
        let begun = other.slowly(QUEUED, &format!("BEGIN READ ONLY; {PROCESS}"));
        let begun = match begun {
            // All sessions are in use. Ours would be the next to be reassigned, if the
            // pooler reassigned sessions.
            Err(PgError::Lost(_)) if other.is_open() => {
                seen.own_is(&connection.simple(PROCESS)?)?;
                match other.slowly(STILL, PROCESS) {
                    Err(PgError::Lost(_)) if other.is_open() => return Ok(()),
                    begun => begun,
                }
            }
            begun => begun,
        };
        seen.other_is(&begun.map_err(unknown)?)?;
        seen.own_is(&connection.simple(PROCESS)?)?;
        other.simple("ROLLBACK").map_err(unknown)?;
        // A pool that assigns sessions round robin reassigns ours now.
        for _ in 0..2 {
            seen.own_is(&connection.simple(PROCESS)?)?;
        }
    }
    Ok(())
}

/// The process IDs of two connections.
struct Processes {
    own: u32,
    other: Option<u32>,
}

impl Processes {
    fn own_is(&self, said: &[String]) -> PgResult<()> {
        if process(said) == Some(self.own) {
            return Ok(());
        }
        Err(changes())
    }

    fn other_is(&mut self, said: &[String]) -> PgResult<()> {
        let process = process(said).filter(|process| *process != self.own);
        let before = self.other.or(process);
        self.other = process;
        if process.is_some() && before == process {
            return Ok(());
        }
        Err(changes())
    }
}

/// The answer to [`PROCESS`], if it was asked last.
pub fn process(said: &[String]) -> Option<u32> {
    said.last()?.parse().ok()
}

/// Returns the error for a pooler that changes the connection between transactions.
pub fn changes() -> PgError {
    PgError::unfit(
        "a pooler that changes the connection between transactions: pool_mode=session, or \
         connect directly",
        "to set it in PgBouncer for this database alone, add pool_mode=session to its line in the \
         section [databases] of pgbouncer.ini",
    )
}

/// The error for a prepared statement that is missing or already exists.
pub fn exchanged(code: &str) -> PgError {
    if code == "26000" {
        return changes();
    }
    PgError::unfit(
        "a pooler that leaves prepared statements of other programs in a session: \
         server_reset_query=DISCARD ALL, or connect directly",
        "DISCARD ALL is PgBouncer's default with pool_mode=session",
    )
}

/// The error if the second connection cannot be used for the check.
fn unknown(error: PgError) -> PgError {
    // PgBouncer's words for the first transaction with pool_mode=statement.
    const STATEMENTS: &str = "statement pooling mode";
    match error {
        PgError::Sql(no) if no.message.contains(STATEMENTS) => changes(),
        PgError::Lost(reason) if reason.contains(STATEMENTS) => changes(),
        PgError::Lost(reason) => PgError::Lost(format!(
            "its pooler cannot be checked with a second connection: {reason}"
        )),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(process: u32) -> Vec<String> {
        vec![String::new(), process.to_string()]
    }

    #[test]
    fn each_connection_has_a_process_of_its_own_and_keeps_it() {
        let seen = |own: &[u32], other: &[u32]| {
            let mut seen = Processes {
                own: 1,
                other: None,
            };
            own.iter()
                .all(|process| seen.own_is(&said(*process)).is_ok())
                && other
                    .iter()
                    .all(|process| seen.other_is(&said(*process)).is_ok())
        };
        assert!(seen(&[1, 1, 1], &[2, 2, 2]));
        assert!(!seen(&[1, 1, 3], &[2]), "another one");
        assert!(!seen(&[1], &[1]), "the same one");
        assert!(!seen(&[1], &[2, 3]), "another one");
        assert!(!seen(&[1], &[2, 1]), "the same one later");
        assert!(!seen(&[0], &[2]), "no process");
        let none = Processes {
            own: 1,
            other: None,
        };
        assert!(none.own_is(&[]).is_err(), "no answer");
    }
}
