//! Keyed hashes: what is remembered and compared instead of names and passwords.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use zeroize::Zeroizing;

/// A keyed hash, for example of a user, its stored hashes and the password tried.
pub type Digest = [u8; 32];

/// Half of a digest: 128 bits cannot be guessed.
pub type HalfDigest = [u8; 16];

/// A hash under a secret key, bound to what it is for.
pub fn keyed(secret: &Digest, purpose: u8, parts: &[&[u8]]) -> Digest {
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

/// Hashes names and addresses to numbers that strangers cannot predict. Unlike that of
/// [`RandomState`], its key can be carried over to another program.
#[derive(Clone)]
pub struct KeyedHashes(Zeroizing<Digest>);

impl KeyedHashes {
    /// Returns a new key.
    pub fn random() -> Self {
        let random = RandomState::new();
        let mut key = Zeroizing::new(Digest::default());
        for (n, part) in key.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&random.hash_one(n).to_le_bytes());
        }
        Self(key)
    }

    pub const fn with_key(key: Zeroizing<Digest>) -> Self {
        Self(key)
    }

    pub fn key(&self) -> &Digest {
        &self.0
    }

    /// Hashes these parts, of which `kind` says what they are. Their bytes decide alone: what is
    /// carried over may come from another compiler, and `Hash` may differ there.
    pub fn of(&self, kind: u8, parts: &[&[u8]]) -> u64 {
        let digest = keyed(&self.0, kind, parts);
        u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }
}

/// Returns the bytes that stand for an address, in whatever form it is written.
pub fn octets(address: Option<IpAddr>) -> [u8; 17] {
    let mut octets = [0; 17];
    let address = address.map(|address| match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    });
    if let Some(address) = address {
        octets[0] = 1;
        octets[1..].copy_from_slice(&address.octets());
    }
    octets
}

/// What a right password is remembered as.
pub fn proof(secret: &Digest, name: &str, stored: &HalfDigest, password: &[u8]) -> HalfDigest {
    half(&keyed(secret, b'p', &[name.as_bytes(), stored, password]))
}

/// Returns half the digest of a stored hash.
pub fn digest_of(stored: &str) -> HalfDigest {
    half(blake3::hash(stored.as_bytes()).as_bytes())
}

fn half(digest: &Digest) -> HalfDigest {
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{KeyedHashes, keyed, octets};

    /// A change here is a change of the format in which sessions are carried over.
    #[test]
    fn what_is_carried_over_is_the_same_in_every_build() {
        let hashes = KeyedHashes::with_key(Zeroizing::new([7; 32]));
        let v4 = octets(Some("192.0.2.1".parse().unwrap()));
        assert_eq!(v4, octets(Some("::ffff:192.0.2.1".parse().unwrap())));
        assert_ne!(octets(None), octets(Some("::".parse().unwrap())));
        let found = [
            hashes.of(b'u', &[b"shop@example.com"]),
            hashes.of(b'a', &[&v4]),
        ];
        assert_eq!(found, [588_691_760_916_121_567, 7_884_803_333_555_303_186]);
    }

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
