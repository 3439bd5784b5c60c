//! Hashes of other systems, taken apart so that a password can be checked.

use ::sha_crypt::Params;
use subtle::ConstantTimeEq as _;
use yescrypt::PasswordVerifier as _;
use zeroize::Zeroizing;

use super::digest::DigestKind;
use crate::model::hash::md5_crypt;
use crate::model::hash::sha_crypt::ShaVariant;

/// A hash that is within the caps.
pub enum Computable<'a> {
    /// A PHC string.
    Argon2(&'a str),
    Other(ForeignHash),
}

/// A hash that Argon2 did not make.
pub enum ForeignHash {
    Bcrypt(String),
    ShaCrypt {
        digest: ShaVariant,
        rounds: Params,
        salt: String,
        tag: Vec<u8>,
    },
    Yescrypt(String),
    Md5Crypt {
        magic: &'static str,
        salt: String,
        tag: Vec<u8>,
    },
    Digest {
        kind: DigestKind,
        tag: Vec<u8>,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        kind: DigestKind,
        rounds: u32,
        tag: Vec<u8>,
        salt: Vec<u8>,
        scram: bool,
    },
    Scrypt {
        params: scrypt::Params,
        tag: Vec<u8>,
        salt: Vec<u8>,
    },
}

impl ForeignHash {
    /// Returns whether the password is the one that was hashed, or `None` if the hash
    /// cannot be computed.
    pub fn verify(&self, password: &[u8]) -> Option<bool> {
        let same = |a: &[u8], b: &[u8]| Some(bool::from(a.ct_eq(b)));
        match self {
            // C ends a password at a NUL, so none of these was made with one.
            Self::Bcrypt(_) | Self::ShaCrypt { .. } | Self::Md5Crypt { .. } | Self::Yescrypt(_)
                if password.contains(&0) =>
            {
                Some(false)
            }
            Self::Bcrypt(hash) => ::bcrypt::verify(password, hash).ok(),
            Self::ShaCrypt {
                digest,
                rounds,
                salt,
                tag,
            } => same(&digest.compute(*rounds, salt.as_bytes(), password), tag),
            Self::Yescrypt(hash) => {
                verified(yescrypt::Yescrypt::default().verify_password(password, hash.as_str()))
            }
            Self::Md5Crypt { magic, salt, tag } => {
                let computed = md5_crypt::compute(magic.as_bytes(), salt.as_bytes(), password);
                same(&computed, tag)
            }
            Self::Digest { kind, tag, salt } => same(&kind.digest(&[password, salt]), tag),
            Self::Pbkdf2 {
                kind,
                rounds,
                tag,
                salt,
                scram,
            } => {
                let mut computed = Zeroizing::new(vec![0; tag.len()]);
                kind.pbkdf2(password, salt, *rounds, &mut computed);
                if *scram {
                    let client = Zeroizing::new(kind.client_key(&computed)?);
                    return same(&kind.digest(&[&client]), tag);
                }
                same(&computed, tag)
            }
            Self::Scrypt { params, tag, salt } => {
                let mut computed = vec![0; tag.len()];
                scrypt::scrypt(password, salt, params, &mut computed).ok()?;
                same(&computed, tag)
            }
        }
    }
}

fn verified(outcome: yescrypt::password_hash::Result<()>) -> Option<bool> {
    match outcome {
        Ok(()) => Some(true),
        Err(yescrypt::password_hash::Error::PasswordInvalid) => Some(false),
        Err(_) => None,
    }
}
