//! Hashes of passwords: Argon2id (RFC 9106) as PHC strings. Hashes that other systems made
//! are kept under Dovecot's `{SCHEME}` until the next good sign-in: [`foreign`].

mod cost;
mod foreign;
mod given;
mod md5_crypt;
mod phc;
mod scheme;
mod sha_crypt;
mod weak;

use std::fmt;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use self::foreign::{Computable, StoredScheme};
use super::password::Random;
use crate::error::{Error, Result};

pub use cost::Cost;
pub use foreign::HashReason;
pub use given::{Given, given, unlocked};
pub use scheme::{AcceptedSchemes, Scheme};

/// A stored hash that was read and is within the caps: a PHC string of ours, or
/// `{SCHEME}` and what another system made.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(String);

/// Computes hashes, keeping its memory between them: getting 19 MiB from the
/// system costs nearly as much as the hash.
#[derive(Default)]
pub struct Hasher {
    memory: Vec<Block>,
}

/// In bytes, as RFC 9106 §3.1 recommends.
const SALT: usize = 16;
const TAG: usize = 32;

impl Hash {
    /// Reads a hash from the store. Returns `None` if its scheme is unknown or it is
    /// beyond the caps.
    pub fn stored(text: &str) -> Option<Self> {
        let known = if text.starts_with('{') {
            text.len() <= foreign::MAX_LENGTH
                && StoredScheme::of_stored(text).is_some_and(|(s, data)| s.parse(data).is_ok())
        } else {
            phc::parse(text).is_some()
        };
        known.then(|| Self(text.to_owned()))
    }

    /// Returns the scheme of the hash.
    pub fn scheme(&self) -> Scheme {
        Self::scheme_of(&self.0)
    }

    /// Returns the scheme of a text that is known to be a hash.
    pub fn scheme_of(text: &str) -> Scheme {
        StoredScheme::of_stored(text).map_or(Scheme::Argon2, |(scheme, _)| scheme.family)
    }

    /// Returns the hash as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl Hasher {
    /// Hashes a password with Argon2id and a new salt.
    pub fn hash(&mut self, password: &[u8], cost: Cost, random: Random) -> Result<Hash> {
        let mut salt = [0; SALT];
        random(&mut salt)?;
        let mut tag = [0; TAG];
        self.compute(Algorithm::Argon2id, cost, password, &salt, &mut tag)
            .map_err(system)?;
        let params = Params::new(cost.m, cost.t, cost.p, None).map_err(system)?;
        let phc = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(system)?,
            salt: Some(Salt::new(&salt).map_err(system)?),
            hash: Some(Output::new(&tag).map_err(system)?),
        };
        Ok(Hash(phc.to_string()))
    }

    /// Returns whether the password is the one that was hashed.
    pub fn verify(&mut self, password: &[u8], hash: &Hash) -> Result<bool> {
        let unreadable = || Error::System("a stored hash cannot be read".into());
        let phc = if hash.0.starts_with('{') {
            let (scheme, data) = StoredScheme::of_stored(&hash.0).ok_or_else(unreadable)?;
            match scheme.parse(data).map_err(|_| unreadable())? {
                Computable::Argon2(phc) => phc,
                Computable::Other(foreign) => {
                    return foreign.verify(password).ok_or_else(unreadable);
                }
            }
        } else {
            &hash.0
        };
        let parts = phc::parse(phc).ok_or_else(unreadable)?;
        let mut tag = vec![0; parts.tag.len()];
        self.compute(
            parts.algorithm,
            parts.cost,
            password,
            parts.salt.as_ref(),
            &mut tag,
        )
        .map_err(system)?;
        Ok(tag.ct_eq(parts.tag.as_bytes()).into())
    }

    /// Computes a hash and drops it, to take as long as a verification: for users that do
    /// not exist (promise 9).
    pub fn dummy_hash(&mut self, password: &[u8], cost: Cost) -> Result<()> {
        self.compute(
            Algorithm::Argon2id,
            cost,
            password,
            &[0; SALT],
            &mut [0; TAG],
        )
        .map_err(system)
    }

    fn compute(
        &mut self,
        algorithm: Algorithm,
        cost: Cost,
        password: &[u8],
        salt: &[u8],
        tag: &mut [u8],
    ) -> argon2::Result<()> {
        let params = Params::new(cost.m, cost.t, cost.p, Some(tag.len()))?;
        let blocks = params.block_count();
        if self.memory.len() < blocks {
            // Dropped first, so that the old and the new are never held at once.
            self.memory = Vec::new();
            self.memory.resize(blocks, Block::default());
        }
        Argon2::new(algorithm, Version::V0x13, params).hash_password_into_with_memory(
            password,
            salt,
            tag,
            &mut self.memory[..blocks],
        )
    }
}

fn system(error: impl fmt::Display) -> Error {
    Error::System(format!("Argon2 cannot be computed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { m: 8, t: 1, p: 1 };

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands for a source that can fail"
    )]
    fn zeros(bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }

    #[test]
    fn rfc_9106_shape_and_round_trip() {
        let mut hasher = Hasher::default();
        let hash = hasher.hash(b"right", CHEAP, zeros).unwrap();
        assert!(
            hash.as_str().starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{}",
            hash.as_str()
        );
        assert!(hasher.verify(b"right", &hash).unwrap());
        assert!(!hasher.verify(b"wrong", &hash).unwrap());
    }

    #[test]
    fn agrees_with_the_reference_implementation() {
        // printf password | argon2 somesalt -id -t 2 -k 1024 -p 1 -l 32 -e
        let known = Hash::stored(
            "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk",
        )
        .unwrap();
        assert!(Hasher::default().verify(b"password", &known).unwrap());
        assert!(!Hasher::default().verify(b"Password", &known).unwrap());
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_never_computed() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let hash = |head: &str| Hash::stored(&format!("{head}{tail}"));
        assert!(hash("$argon2id$v=19$m=1048576,t=16,p=16").is_some());
        for bad in [
            "$argon2id$v=19$m=1048577,t=2,p=1",
            "$argon2id$v=19$m=19456,t=17,p=1",
            "$argon2id$v=19$m=19456,t=2,p=17",
            "$argon2id$v=19$m=4294967295,t=2,p=1",
            "$argon2id$v=16$m=19456,t=2,p=1",
            "$argon2id$m=19456,t=2,p=1",
            "$argon2d$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=19456,t=0,p=1",
            "$argon2id$v=19$m=7,t=2,p=1",
            "$2y$10",
            "",
        ] {
            assert!(hash(bad).is_none(), "{bad}");
        }
    }
}
