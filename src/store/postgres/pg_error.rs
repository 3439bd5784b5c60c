//! Errors of a connection to a server.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::sqlstate;

/// Why a request failed.
#[derive(Debug)]
pub enum PgError {
    /// The connection is lost.
    Lost(String),
    /// It is not usable yet: the server is starting, or is not a primary.
    NotReady(String),
    /// The server rejected a statement or the connection.
    Sql(Box<SqlError>),
    /// What answers is not PostgreSQL.
    NotPostgres(String),
    /// PostgreSQL, but unfit for a store in this configuration.
    Unfit(Box<Unfit>),
    /// The servers do not agree on one primary.
    SplitBrain(Box<Unfit>),
}

/// An error that the server reported.
#[derive(Debug)]
pub struct SqlError {
    pub state: SqlState,
    pub message: String,
}

/// Why servers are unsuitable, and what to do about it.
#[derive(Debug)]
pub struct Unfit {
    pub reason: String,
    pub cure: String,
}

impl PgError {
    /// Returns the error for a server that is unsuitable.
    pub fn unfit(reason: impl Into<String>, cure: impl Into<String>) -> Self {
        let (reason, cure) = (reason.into(), cure.into());
        Self::Unfit(Box::new(Unfit { reason, cure }))
    }

    /// Returns the error for servers that do not agree on one primary.
    pub fn split(reason: String, cure: &str) -> Self {
        let cure = cure.to_owned();
        Self::SplitBrain(Box::new(Unfit { reason, cure }))
    }
}

/// The result of a request to the server.
pub type PgResult<T> = Result<T, PgError>;

impl From<Error> for PgError {
    fn from(error: Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let refused = SqlError {
                state: said.code().clone(),
                message: sqlstate::said(
                    said.code().code(),
                    said.message(),
                    said.detail(),
                    said.hint(),
                ),
            };
            // 57P01 to 57P03: it is shutting down, has crashed, is starting.
            return if refused.state == SqlState::CANNOT_CONNECT_NOW {
                Self::NotReady(refused.message)
            } else if error.is_closed() || refused.state.code().starts_with("57P0") {
                Self::Lost(refused.message)
            } else {
                Self::Sql(Box::new(refused))
            };
        }
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause {
            let said = deeper.to_string();
            if said.contains("CaUsedAsEndEntity") {
                return Self::Lost(
                    "its certificate is an authority's own (CA:TRUE), which can be no server's: \
                     make one for the server, signed by that"
                        .into(),
                );
            }
            if !reason.contains(&said) {
                reason = format!("{reason}: {said}");
            }
            cause = deeper.source();
        }
        Self::Lost(reason)
    }
}
