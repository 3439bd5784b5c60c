//! Argon2id (RFC 9106) as PHC strings, with bounds on what is ever computed.
//! Hashes that other systems made are kept under Dovecot's `{SCHEME}` until the
//! next good sign-in: [`foreign`].

mod foreign;
mod md5_crypt;
mod scheme;
mod sha_crypt;
mod weak;

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::password::Random;
use super::text::invalid;
use crate::error::{Error, Result};

pub use foreign::{Given, given};
pub use scheme::{Accepted, Scheme};

/// What one hash costs. Memory in KiB, passes, lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub m: u32,
    pub t: u32,
    pub p: u32,
}

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

/// OWASP's minimum for Argon2id, and the pairs of m and t it calls equal.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
const OWASP: [(u32, u32); 5] = [
    (47_104, 1),
    (19_456, 2),
    (12_288, 3),
    (9_216, 4),
    (7_168, 5),
];
/// Above these a stored hash is refused before it is computed: one bad row
/// must not take the machine's memory. 1 GiB, 16 passes, 16 lanes.
const CAP: Cost = Cost {
    m: 1 << 20,
    t: 16,
    p: 16,
};
/// In bytes, as RFC 9106 §3.1 recommends.
const SALT: usize = 16;
const TAG: usize = 32;

impl Default for Cost {
    fn default() -> Self {
        Self {
            m: 19_456,
            t: 2,
            p: 1,
        }
    }
}

impl Cost {
    const fn within_caps(self) -> bool {
        // RFC 9106 §3.1: at least 8 KiB per lane.
        self.m <= CAP.m
            && self.t <= CAP.t
            && self.p <= CAP.p
            && self.t >= 1
            && self.p >= 1
            && self.m >= 8 * self.p
    }

    fn reaches_owasp(self) -> bool {
        OWASP.iter().any(|(m, t)| self.m >= *m && self.t >= *t)
    }
}

impl FromStr for Cost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |rule: &str| invalid("Argon2 setting", text, rule);
        let mut numbers = [None; 3];
        for part in text.split(',') {
            let slot = match part.split_at_checked(2) {
                Some(("m=", n)) => Some((0, n)),
                Some(("t=", n)) => Some((1, n)),
                Some(("p=", n)) => Some((2, n)),
                _ => None,
            };
            let number = slot.and_then(|(i, n)| n.parse::<u32>().ok().map(|n| (i, n)));
            match number {
                Some((i, n)) if numbers[i].is_none() => numbers[i] = Some(n),
                _ => return Err(invalid("three numbers, such as m=19456,t=2,p=1")),
            }
        }
        let [Some(m), Some(t), Some(p)] = numbers else {
            return Err(invalid(
                "all of m (KiB), t (passes) and p (lanes), such as m=19456,t=2,p=1",
            ));
        };
        let cost = Self { m, t, p };
        if !cost.within_caps() {
            return Err(invalid("at most m=1048576 (1 GiB), t=16, p=16"));
        }
        if !cost.reaches_owasp() {
            return Err(invalid(
                "below OWASP's minimum; the least is m=47104,t=1 or m=19456,t=2 or m=12288,t=3 or m=9216,t=4 or m=7168,t=5",
            ));
        }
        Ok(cost)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.m, self.t, self.p)
    }
}

/// A PHC string taken apart, within the caps.
struct Parts {
    algorithm: Algorithm,
    cost: Cost,
    salt: Salt,
    tag: Output,
}

impl Hash {
    /// From the store. Nothing if it is no hash we know or asks for too much.
    pub fn stored(text: &str) -> Option<Self> {
        let known = if text.starts_with('{') {
            foreign::is_canonical(text)
        } else {
            parts(text).is_some()
        };
        known.then(|| Self(text.to_owned()))
    }

    pub fn scheme(&self) -> Scheme {
        Self::scheme_of(&self.0)
    }

    /// Of what is known to be one.
    pub fn scheme_of(text: &str) -> Scheme {
        foreign::scheme(text).unwrap_or(Scheme::Argon2)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

fn parts(text: &str) -> Option<Parts> {
    let phc = PasswordHash::new(text).ok()?;
    let algorithm = match phc.algorithm.as_str() {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        _ => return None,
    };
    let cost = Cost {
        m: phc.params.get_decimal("m")?,
        t: phc.params.get_decimal("t")?,
        p: phc.params.get_decimal("p")?,
    };
    let version_good = phc.version == Some(Version::V0x13.into());
    (version_good && cost.within_caps()).then_some(Parts {
        algorithm,
        cost,
        salt: phc.salt?,
        tag: phc.hash?,
    })
}

impl Hasher {
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

    /// Whether the password is the one that was hashed.
    pub fn verify(&mut self, password: &[u8], hash: &Hash) -> Result<bool> {
        let unreadable = || Error::System("a stored hash cannot be read".into());
        let phc = match foreign::computable(&hash.0) {
            None => hash.0.as_str(),
            Some(Ok(foreign::Computable::Argon2(phc))) => phc,
            Some(Ok(foreign::Computable::Other(foreign))) => {
                return foreign.verify(password).ok_or_else(unreadable);
            }
            Some(Err(_)) => return Err(unreadable()),
        };
        let parts = parts(phc).ok_or_else(unreadable)?;
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

    /// Takes as long as a verification, and answers nothing: for users that do
    /// not exist (promise 9).
    pub fn pretend(&mut self, password: &[u8], cost: Cost) -> Result<()> {
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

    #[test]
    fn settings_start_at_owasps_minimum() {
        for good in ["m=19456,t=2,p=1", "p=4,m=65536,t=3", "m=7168,t=5,p=1"] {
            assert!(good.parse::<Cost>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "m=19456",
            "m=19456,t=2",
            "m=19455,t=2,p=1",
            "m=8,t=1,p=1",
            "m=2000000,t=2,p=1",
            "m=19456,t=2,p=1,x=1",
            "m=19456,t=2,p=1,p=2",
            "m=-1,t=2,p=1",
            "m=é,t=2,p=1",
            "19456,2,1",
        ] {
            assert!(bad.parse::<Cost>().is_err(), "{bad}");
        }
    }
}
