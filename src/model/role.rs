//! What a database user may do with a store.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A set of rights in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `serve`: signs users in and counts what they send; creates no users.
    Signin,
    /// Everything but the tables themselves.
    Operator,
    /// Reads, without the hashes.
    Auditor,
    /// `messages follow`: keeps what users sent, and sees of the store only their names.
    Messages,
    /// Nothing.
    None,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Signin,
        Self::Operator,
        Self::Auditor,
        Self::Messages,
        Self::None,
    ];

    /// Returns the name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signin => "signin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Messages => "messages",
            Self::None => "none",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| {
            Error::Usage("a role is signin, operator, auditor, messages or none".into())
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
