//! Sign-ins that were refused, and why: for the admin and the log, never for
//! whoever tried.

use std::str::FromStr;

use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    UnknownUser,
    WrongPassword,
    /// A generated password that was mistyped or cut off.
    Mistyped,
    /// One this user had before.
    OldPassword,
    Suspended,
    Expired,
    /// In clear, over a connection that is not encrypted.
    NoTls,
    Malformed,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::UnknownUser,
        Self::WrongPassword,
        Self::Mistyped,
        Self::OldPassword,
        Self::Suspended,
        Self::Expired,
        Self::NoTls,
        Self::Malformed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Mistyped => "mistyped",
            Self::OldPassword => "old-password",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::NoTls => "no-tls",
            Self::Malformed => "malformed",
        }
    }

    /// Whether it is a guess, as far as anybody can tell: what a forgotten
    /// client sends again and again is none.
    pub const fn is_guess(self) -> bool {
        matches!(
            self,
            Self::UnknownUser | Self::WrongPassword | Self::Mistyped
        )
    }
}

impl FromStr for Reason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.name() == text)
            .ok_or_else(|| invalid("reason", text, "one of those this version knows"))
    }
}

/// Refused sign-ins of one user from one address for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// As it came, cut to a bound, or nothing where it may be a password.
    pub username: String,
    pub address: String,
    pub reason: Reason,
    pub first_at: Time,
    pub last_at: Time,
    pub count: i64,
}
