//! SQLite's errors.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, Place};

/// Translates an error of SQLite. The statements are known to be right, so an SQL error
/// means that the file was changed.
pub fn translated(path: &Path, error: &rusqlite::Error) -> Error {
    let path = Place::from(path);
    let reason = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return Error::StoreDamaged {
            store: path,
            reason,
        };
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::StoreBusy(path),
        ErrorCode::DiskFull => Error::StoreFull(path),
        ErrorCode::ConstraintViolation => Error::StoreRefused {
            store: path,
            reason,
        },
        // The index of the write-ahead log could not grow.
        ErrorCode::SystemIoFailure
            if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
        {
            Error::StoreFull(path)
        }
        ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::SystemIoFailure
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OperationInterrupted
        | ErrorCode::OutOfMemory => Error::StoreUnreachable {
            store: path,
            reason,
        },
        _ => Error::StoreDamaged {
            store: path,
            reason,
        },
    }
}

/// Returns the error for a store that the system cannot read.
pub fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::StoreUnreachable {
        store: path.into(),
        reason: error.to_string(),
    }
}

/// Returns the error for a file that smtpcred did not create.
pub fn foreign(path: &Path, reason: &str) -> Error {
    Error::StoreForeign {
        store: path.into(),
        reason: reason.to_owned(),
    }
}

/// Returns the error for a file whose content is not as it was written.
pub fn damaged(path: &Path, reason: &str) -> Error {
    Error::StoreDamaged {
        store: path.into(),
        reason: reason.to_owned(),
    }
}

/// Returns the error for a store that a newer program created.
pub fn too_new(path: &Path, found: i64, known: i64) -> Error {
    Error::StoreTooNew {
        store: path.into(),
        found,
        known,
    }
}
