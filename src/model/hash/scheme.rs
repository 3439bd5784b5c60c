//! The families of hashes, by the names that people use for them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::text::invalid;

/// A family of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Argon2id, Argon2i or Argon2d (RFC 9106).
    Argon2,
    /// scrypt (RFC 7914).
    Scrypt,
    /// yescrypt, of current Linux distributions.
    Yescrypt,
    /// bcrypt, in any of its variants.
    Bcrypt,
    /// PBKDF2 (RFC 8018).
    Pbkdf2,
    /// A stored key of SCRAM (RFC 5802, RFC 7677).
    Scram,
    /// crypt's `$6$`.
    Sha512Crypt,
    /// crypt's `$5$`.
    Sha256Crypt,
    /// crypt's `$1$` and Apache's `$apr1$`.
    Md5Crypt,
    /// SHA-512 with a salt, once.
    Ssha512,
    /// SHA-256 with a salt, once.
    Ssha256,
    /// SHA-1 with a salt, once.
    Ssha,
    /// MD5 with a salt, once.
    Smd5,
    /// SHA-512 without a salt.
    Sha512,
    /// SHA-256 without a salt.
    Sha256,
    /// SHA-1 without a salt.
    Sha,
    /// MD5 without a salt.
    Md5,
    /// The password in clear.
    Plain,
}

impl Scheme {
    /// All families.
    pub const ALL: [Self; 18] = [
        Self::Argon2,
        Self::Scrypt,
        Self::Yescrypt,
        Self::Bcrypt,
        Self::Pbkdf2,
        Self::Scram,
        Self::Sha512Crypt,
        Self::Sha256Crypt,
        Self::Md5Crypt,
        Self::Ssha512,
        Self::Ssha256,
        Self::Ssha,
        Self::Smd5,
        Self::Sha512,
        Self::Sha256,
        Self::Sha,
        Self::Md5,
        Self::Plain,
    ];

    /// Returns the name in settings and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Argon2 => "argon2",
            Self::Scrypt => "scrypt",
            Self::Yescrypt => "yescrypt",
            Self::Bcrypt => "bcrypt",
            Self::Pbkdf2 => "pbkdf2",
            Self::Scram => "scram",
            Self::Sha512Crypt => "sha512-crypt",
            Self::Sha256Crypt => "sha256-crypt",
            Self::Md5Crypt => "md5-crypt",
            Self::Ssha512 => "ssha512",
            Self::Ssha256 => "ssha256",
            Self::Ssha => "ssha",
            Self::Smd5 => "smd5",
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Sha => "sha",
            Self::Md5 => "md5",
            Self::Plain => "plain",
        }
    }

    /// Returns whether the same password has another hash each time.
    pub const fn is_salted(self) -> bool {
        !matches!(
            self,
            Self::Sha512 | Self::Sha256 | Self::Sha | Self::Md5 | Self::Plain
        )
    }

    /// Returns whether it is so fast that passwords can be guessed from a stolen hash.
    pub const fn is_fast(self) -> bool {
        matches!(
            self,
            Self::Md5Crypt
                | Self::Ssha512
                | Self::Ssha256
                | Self::Ssha
                | Self::Smd5
                | Self::Sha512
                | Self::Sha256
                | Self::Sha
                | Self::Md5
                | Self::Scram
        )
    }
}

/// The families that an import accepts; all, unless set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedSchemes(Option<Vec<Scheme>>);

impl AcceptedSchemes {
    /// Returns whether an import accepts this family.
    pub fn accepts(&self, scheme: Scheme) -> bool {
        self.0.as_ref().is_none_or(|some| some.contains(&scheme))
    }
}

impl FromStr for AcceptedSchemes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "all" {
            return Ok(Self(None));
        }
        let schemes = text.split(',').map(|name| {
            let found = Scheme::ALL.into_iter().find(|s| s.name() == name);
            found.ok_or_else(|| {
                let names: Vec<_> = Scheme::ALL.iter().map(|s| s.name()).collect();
                invalid(
                    "list of hashes",
                    text,
                    format!("all, or with commas some of {}", names.join(",")),
                )
            })
        });
        schemes.collect::<Result<_>>().map(|some| Self(Some(some)))
    }
}

impl fmt::Display for AcceptedSchemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("all"),
            Some(some) => {
                let names: Vec<_> = some.iter().map(|s| s.name()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}
