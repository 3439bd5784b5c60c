//! Translates errors of the database into errors of the store.

use tokio_postgres::error::SqlState;

use super::connection::PgConnection;
use super::pg_error::{PgError, SqlError, Unfit};
use super::{Postgres, pooler, sqlstate};
use crate::error::{Error, Place};
use sqlstate::Meaning;

impl Postgres {
    /// Returns the error for a server that cannot be reached.
    pub(super) fn lost(&self, reason: &str) -> Error {
        Error::StoreUnreachable {
            store: (&self.store).into(),
            reason: reason.to_owned(),
        }
    }

    /// Translates an error of the server into an error of the store.
    pub(super) fn translated(&mut self, error: PgError) -> Error {
        let store = Place::from(&self.store);
        let refused = match error {
            PgError::Lost(reason) | PgError::NotReady(reason) => {
                self.connection = None;
                return Error::StoreUnreachable { store, reason };
            }
            PgError::NotPostgres(reason) => return Error::StoreForeign { store, reason },
            PgError::SplitBrain(split) => {
                // The next call looks for the primary again.
                self.connection = None;
                let Unfit { reason, cure } = *split;
                return Error::StoreNotUnique {
                    store,
                    reason,
                    cure,
                };
            }
            PgError::Unfit(unfit) => {
                // The next call checks a new connection again.
                self.connection = None;
                let Unfit { reason, cure } = *unfit;
                return Error::StoreUnfit {
                    store,
                    reason,
                    cure,
                };
            }
            PgError::Sql(refused) => *refused,
        };
        let SqlError {
            state,
            message: reason,
        } = refused;
        let pooled = self
            .connection
            .as_ref()
            .is_some_and(PgConnection::is_pooled);
        match sqlstate::meaning(state.code()) {
            // The statement writes to the view that hides the hashes.
            _ if self.hashes_hidden && state == SqlState::FEATURE_NOT_SUPPORTED => {
                Error::StoreForbidden {
                    store,
                    reason,
                    cure: None,
                }
            }
            Meaning::Busy => Error::StoreBusy(store),
            Meaning::Full => Error::StoreFull(store),
            Meaning::Forbidden => Error::StoreForbidden {
                store,
                reason,
                cure: None,
            },
            Meaning::Missing => Error::StoreMissing(store),
            Meaning::Ruled => Error::StoreRefused { store, reason },
            Meaning::Damaged => Error::StoreDamaged { store, reason },
            Meaning::Unreachable => Error::StoreUnreachable { store, reason },
            Meaning::Exchanged if pooled => self.translated(pooler::exchanged(state.code())),
            Meaning::Exchanged | Meaning::Passes => Error::StoreFailed {
                store,
                said: reason,
                passes: true,
            },
            Meaning::Fails => Error::StoreFailed {
                store,
                said: reason,
                passes: false,
            },
        }
    }
}

/// Lists the statements that an admin of the database has to run, if any are needed.
pub fn statements(said: &[String]) -> Option<String> {
    let mut needed: Vec<&str> = Vec::new();
    for statement in said.iter().map(String::as_str) {
        if !statement.is_empty() && !needed.contains(&statement) {
            needed.push(statement);
        }
    }
    (!needed.is_empty()).then(|| {
        format!(
            "an admin of the database gives the right with: {}",
            needed.join("; ")
        )
    })
}
