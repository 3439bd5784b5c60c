//! What is wrong with a token.

use std::fmt;

/// Why a token signs no user in. Nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is not a token, or was cut.
    Malformed(&'static str),
    /// Its header asks for what is not supported.
    Header(&'static str),
    /// The issuer has no key with this ID: its keys may have changed.
    UnknownKey,
    /// The key did not sign it.
    Signature,
    /// It is for another purpose, or says something that is not valid.
    Claim(&'static str),
    /// It has expired.
    Expired,
    /// It is not valid yet.
    Early,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) | Self::Header(what) | Self::Claim(what) => what,
            Self::UnknownKey => "the issuer has no key with the ID in the token",
            Self::Signature => "the signature is wrong",
            Self::Expired => "the token has expired",
            Self::Early => "the token is not valid yet",
        })
    }
}
