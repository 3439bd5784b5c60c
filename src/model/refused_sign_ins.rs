//! Refused sign-ins and their reasons: for the admin and the log, never for the client.

use std::str::FromStr;

use super::stranger::WrittenName;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// Why a sign-in was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// No such user exists.
    UnknownUser,
    /// The password is none of the user's.
    WrongPassword,
    /// A generated password that was mistyped or cut off.
    Mistyped,
    /// One this user had before.
    OldPassword,
    /// The user is suspended.
    Suspended,
    /// The user has expired.
    Expired,
    /// The password is right, and the address of the client is not allowed.
    AddressNotAllowed,
    /// In clear, over a connection that is not encrypted.
    NoTls,
    /// The response is not valid SASL.
    Malformed,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::UnknownUser,
        Self::WrongPassword,
        Self::Mistyped,
        Self::OldPassword,
        Self::Suspended,
        Self::Expired,
        Self::AddressNotAllowed,
        Self::NoTls,
        Self::Malformed,
    ];

    /// Returns the name in output and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Mistyped => "mistyped",
            Self::OldPassword => "old-password",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::AddressNotAllowed => "address-not-allowed",
            Self::NoTls => "no-tls",
            Self::Malformed => "malformed",
        }
    }

    /// Returns whether it is a guess, as far as one can tell: what a forgotten
    /// client sends again and again is none.
    pub const fn is_guess(self) -> bool {
        matches!(
            self,
            Self::UnknownUser | Self::WrongPassword | Self::Mistyped
        )
    }
}

impl FromStr for RefusalReason {
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
pub struct RefusedSignIns {
    /// The name that was given, as it may be written.
    pub username: WrittenName,
    /// The address of the client, or `unknown`.
    pub address: String,
    /// Why they were refused.
    pub reason: RefusalReason,
    /// When the first was refused.
    pub first_at: Time,
    /// When the last was refused.
    pub last_at: Time,
    /// How many were refused.
    pub count: i64,
}
