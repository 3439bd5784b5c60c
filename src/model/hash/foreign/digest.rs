//! The digests that foreign hashes are made of.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DigestKind {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl DigestKind {
    /// Returns the length of a digest, in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Returns the digest of the parts, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            for part in parts {
                digest.update(part);
            }
            digest.finalize().to_vec()
        }
        match self {
            Self::Md5 => of::<Md5>(parts),
            Self::Sha1 => of::<Sha1>(parts),
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }

    /// Fills `tag` with the key that PBKDF2 derives.
    pub fn pbkdf2(self, password: &[u8], salt: &[u8], rounds: u32, tag: &mut [u8]) {
        match self {
            Self::Md5 => pbkdf2::pbkdf2_hmac::<Md5>(password, salt, rounds, tag),
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, tag),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, tag),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, tag),
        }
    }

    /// Returns the client key of RFC 5802, or `None` for a digest that SCRAM does not use.
    pub fn client_key(self, salted: &[u8]) -> Option<Vec<u8>> {
        const NAME: &[u8] = b"Client Key";
        match self {
            Self::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(salted).ok()?;
                Some(mac.chain_update(NAME).finalize().into_bytes().to_vec())
            }
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(salted).ok()?;
                Some(mac.chain_update(NAME).finalize().into_bytes().to_vec())
            }
            Self::Md5 | Self::Sha512 => None,
        }
    }
}
