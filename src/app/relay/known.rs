//! What sign-ins leave in memory: users as they were read, good passwords as
//! keyed hashes, wrong ones by what they were tried against.

use zeroize::Zeroizing;

use super::recent::Recent;
use super::sign_in::Digest;
use super::throttle::Throttle;
use crate::model::password::KeyId;
use crate::model::refusal::Reason;
use crate::model::time::Time;

/// What sign-ins leave in memory.
pub(super) struct SignIns {
    pub users: Recent<Box<str>, Known>,
    pub wrong: Recent<Digest, Reason>,
    pub throttle: Throttle,
    /// Never leaves memory: without it what is remembered tells nothing.
    pub secret: Digest,
}

/// A user as it was read.
pub(super) struct Known {
    pub epoch: u64,
    pub expires_at: Option<Time>,
    pub suspended: bool,
    pub keys: Box<[KnownKey]>,
}

pub(super) struct KnownKey {
    pub id: KeyId,
    /// Of the stored hash.
    pub digest: Half,
    pub retires_at: Option<Time>,
    /// Of the right password, once it was seen.
    pub proof: Option<Half>,
}

/// Of a digest: nobody guesses 128 bits, and each user takes two.
pub(super) type Half = [u8; 16];

/// How many users are remembered.
const USERS: usize = 100_000;
/// How many wrong passwords.
const WRONG: usize = 40_000;

impl SignIns {
    pub fn new(secret: Digest) -> Self {
        Self {
            users: Recent::new(USERS),
            wrong: Recent::new(WRONG),
            throttle: Throttle::new(),
            secret,
        }
    }

    /// Names somebody without keeping the name.
    pub fn who(&self, name: &str) -> u64 {
        let digest = keyed(&self.secret, b'u', &[name.as_bytes()]);
        u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }
}

/// A hash under a secret key, bound to what it is for.
pub(super) fn keyed(secret: &Digest, purpose: u8, parts: &[&[u8]]) -> Digest {
    const USUAL: usize = 512;
    // Each with its length, so that no two lists of parts are alike.
    let length: usize = 1 + parts.iter().map(|part| 8 + part.len()).sum::<usize>();
    if length > USUAL {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(&[purpose]);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        return hasher.finalize().into();
    }
    // In one piece it takes half as long.
    let mut whole = Zeroizing::new([0; USUAL]);
    whole[0] = purpose;
    let mut at = 1;
    for part in parts {
        whole[at..at + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
        whole[at + 8..at + 8 + part.len()].copy_from_slice(part);
        at += 8 + part.len();
    }
    blake3::keyed_hash(secret, &whole[..length]).into()
}

/// What a right password is remembered as.
pub(super) fn proof(secret: &Digest, name: &str, stored: &Half, password: &[u8]) -> Half {
    half(&keyed(secret, b'p', &[name.as_bytes(), stored, password]))
}

pub(super) fn half(digest: &Digest) -> Half {
    std::array::from_fn(|i| digest[i])
}

impl Known {
    pub fn live(&mut self, now: Time) -> impl Iterator<Item = &mut KnownKey> {
        self.keys
            .iter_mut()
            .filter(move |key| key.retires_at.is_none_or(|at| now < at))
    }
}

#[cfg(test)]
mod tests {
    use super::keyed;

    #[test]
    fn both_ways_of_hashing_agree_and_lists_differ() {
        let secret = [7; 32];
        let long = [b'x'; 600];
        // The same bytes, hashed piece by piece.
        let mut hasher = blake3::Hasher::new_keyed(&secret);
        hasher
            .update(b"p")
            .update(&3u64.to_le_bytes())
            .update(b"abc");
        let by_pieces: [u8; 32] = hasher.finalize().into();
        assert_eq!(keyed(&secret, b'p', &[b"abc"]), by_pieces);
        assert_ne!(keyed(&secret, b'p', &[b"a", b"bc"]), by_pieces);
        assert_ne!(keyed(&secret, b'a', &[b"abc"]), by_pieces);
        assert_ne!(keyed(&[8; 32], b'p', &[b"abc"]), by_pieces);
        assert_ne!(
            keyed(&secret, b'p', &[&long]),
            keyed(&secret, b'p', &[&long[1..]])
        );
    }
}
