//! The columns of files of users: one set for `user create`, `user import` and `user export`.

use crate::formats::row::Columns;
use crate::model::transfer::EXPORTED;

/// Columns that say the same otherwise.
const OTHERS: [&str; 4] = ["suspended", "domain", "name", "expires_in"];

/// All columns: the exported ones and the others.
pub const COLUMNS: [&str; EXPORTED.len() + OTHERS.len()] = {
    let mut all = [""; EXPORTED.len() + OTHERS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < EXPORTED.len() {
            EXPORTED[i]
        } else {
            OTHERS[i - EXPORTED.len()]
        };
        i += 1;
    }
    all
};

/// What an import needs.
pub const OF_IMPORT: Columns = Columns {
    known: &COLUMNS,
    needed: &["username", "name"],
};

/// What new users need: a label suffices for a username.
pub const OF_NEW_USERS: Columns = Columns {
    known: &COLUMNS,
    needed: &["username", "name", "label"],
};

/// Columns that only an import can bring, and why new users cannot have them.
pub const OF_IMPORT_ALONE: [(&str, &str); 4] = [
    ("hash", PASSWORD),
    ("old_hash", PASSWORD),
    ("suspended", SUSPENDED),
    ("suspended_at", SUSPENDED),
];
const PASSWORD: &str = "is for `user import`: a new user gets a new password";
const SUSPENDED: &str = "is for `user import`: a new user can sign in";
