//! Rows and arguments of SQLite.

use std::path::Path;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::errors::translated;
use crate::error::{Error, Result};
use crate::store::engine::{Arg, Row};

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

/// A row, and the store it is from.
pub struct SqliteRow<'a> {
    /// The row.
    pub row: &'a rusqlite::Row<'a>,
    /// The path of the store.
    pub path: &'a Path,
}

impl SqliteRow<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>> {
        self.row
            .get_ref(column)
            .map_err(|e| translated(self.path, &e))
    }

    fn mismatch(&self, column: usize) -> Error {
        self.damaged(&format!("column {column} has a value of the wrong type"))
    }
}

impl Row for SqliteRow<'_> {
    fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            _ => Err(self.mismatch(column)),
        }
    }

    fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(value) => std::str::from_utf8(value)
                .map(Some)
                .map_err(|_| self.mismatch(column)),
            _ => Err(self.mismatch(column)),
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::StoreDamaged {
            store: self.path.into(),
            reason: reason.to_owned(),
        }
    }
}
