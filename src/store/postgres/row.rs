//! Rows of PostgreSQL.

use tokio_postgres::types::Type;

use crate::error::{Error, Result};
use crate::model::store_location::Location;
use crate::store::engine::Row;

/// A row of an answer, and the store that errors name.
pub struct PostgresRow<'a> {
    pub row: &'a tokio_postgres::Row,
    pub store: &'a Location,
}

impl PostgresRow<'_> {
    fn mismatch(&self, column: usize) -> Error {
        self.damaged(&format!("column {column} has a value of the wrong type"))
    }
}

impl Row for PostgresRow<'_> {
    fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        let found = match self.row.columns().get(column) {
            // What a literal or a CASE of literals is.
            Some(kind) if *kind.type_() == Type::INT4 => self
                .row
                .try_get::<_, Option<i32>>(column)
                .map(|value| value.map(i64::from)),
            _ => self.row.try_get(column),
        };
        found.map_err(|_| self.mismatch(column))
    }

    fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        self.row.try_get(column).map_err(|_| self.mismatch(column))
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::StoreDamaged {
            store: self.store.into(),
            reason: reason.to_owned(),
        }
    }
}
