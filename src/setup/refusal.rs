//! Why setup changes nothing.

use crate::error::Error;

/// Returns the error for what setup has found and does not change, and what to do about it.
pub fn refused(reason: impl Into<String>, cure: impl Into<String>) -> Error {
    Error::SetupRefused {
        reason: reason.into(),
        cure: cure.into(),
    }
}
