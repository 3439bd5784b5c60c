//! Hashes that other systems made, read in Dovecot's `{SCHEME}` form or by the
//! `$id$` of crypt(3) and of passlib. Whatever asks for more than the caps is
//! refused here, before anything is computed. No reason repeats the hash.

mod encoding;
mod read;

use ::sha_crypt::Params;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use yescrypt::PasswordVerifier as _;
use zeroize::Zeroizing;

use self::encoding::{as_text, in_base64, in_hex};
use self::read::read;
use super::{Hash, Scheme, md5_crypt, sha_crypt};

/// What stands where a hash is expected.
pub enum Given {
    Hash(Hash),
    /// The password itself.
    Plain(Zeroizing<String>),
}

/// Why something is no hash to be kept.
pub type Reason = &'static str;

/// In bytes.
const MAX_LENGTH: usize = 512;

const MALFORMED: Reason = "is not what its scheme says it is";
const TOO_MUCH: Reason = "asks for more than the caps allow";
const UNKNOWN: Reason =
    "is of no known scheme: write it as Dovecot does, such as {SHA512-CRYPT}$6$…";
const UNSUPPORTED: Reason = "is of a scheme that is not supported: the user needs a new password";

pub(super) enum Computable<'a> {
    Argon2(&'a str),
    Other(Foreign),
}

pub(super) enum Foreign {
    Bcrypt(String),
    ShaCrypt {
        digest: sha_crypt::Digest,
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
        kind: Kind,
        tag: Vec<u8>,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        kind: Kind,
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

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// A hash as another system has it, with or without its scheme before it.
pub fn given(text: &str) -> Result<Given, Reason> {
    let (scheme, encoding, data) = split(text)?;
    if matches!(scheme.as_str(), "PLAIN" | "CLEAR" | "CLEARTEXT") {
        return Ok(Given::Plain(Zeroizing::new(
            as_text(data, encoding)?.into_owned(),
        )));
    }
    if text.len() > MAX_LENGTH {
        return Err("is too long for a hash");
    }
    let canonical = match scheme.as_str() {
        "" | "CRYPT" | "ARGON2" => {
            let data = as_text(data, encoding)?;
            match name_by_id(&data) {
                Some(name) => format!("{{{name}}}{data}"),
                None if scheme.is_empty() => return Err(UNKNOWN),
                None => return Err(UNSUPPORTED),
            }
        }
        // Dovecot's; or the digest alone, as in RFC 2307.
        "MD5" => match as_text(data, encoding) {
            Ok(text) if text.starts_with("$1$") => format!("{{MD5-CRYPT}}{text}"),
            _ => format!("{{PLAIN-MD5}}{}", in_hex(data, encoding)?),
        },
        "SHA1" => format!("{{SHA}}{}", in_base64(data, encoding, 20)?),
        "SHA" | "SSHA" => format!("{{{scheme}}}{}", in_base64(data, encoding, 20)?),
        "SHA256" | "SSHA256" => format!("{{{scheme}}}{}", in_base64(data, encoding, 32)?),
        "SHA512" | "SSHA512" => format!("{{{scheme}}}{}", in_base64(data, encoding, 64)?),
        "SMD5" => format!("{{{scheme}}}{}", in_base64(data, encoding, 16)?),
        "LDAP-MD5" | "PLAIN-MD5" | "MD5RAW" => format!("{{PLAIN-MD5}}{}", in_hex(data, encoding)?),
        // As OpenLDAP and passlib have it, without its id: `{PBKDF2-SHA256}10000$…`.
        "PBKDF2" | "PBKDF2-SHA1" | "PBKDF2-SHA256" | "PBKDF2-SHA512" => {
            let data = as_text(data, encoding)?;
            let scheme = scheme.trim_end_matches("-SHA1");
            let id = scheme.to_ascii_lowercase();
            if data.starts_with(|c: char| c.is_ascii_digit()) {
                format!("{{{scheme}}}${id}${data}")
            } else {
                format!("{{{scheme}}}{data}")
            }
        }
        "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" | "MD5-CRYPT"
        | "APR1" | "SCRYPT" | "YESCRYPT" | "SCRAM-SHA-1" | "SCRAM-SHA-256" => {
            format!("{{{scheme}}}{}", as_text(data, encoding)?)
        }
        "DES-CRYPT" | "CRAM-MD5" | "DIGEST-MD5" | "HMAC-MD5" | "OTP" | "SKEY" | "RPA"
        | "LANMAN" | "NTLM" | "PLAIN-MD4" | "PLAIN-TRUNC" => return Err(UNSUPPORTED),
        _ => return Err(UNKNOWN),
    };
    match read(&canonical)? {
        Computable::Argon2(phc) if phc.starts_with("$argon2id$") => {
            Ok(Given::Hash(Hash(phc.to_owned())))
        }
        _ => Ok(Given::Hash(Hash(canonical))),
    }
}

pub(super) fn is_canonical(text: &str) -> bool {
    text.len() <= MAX_LENGTH && read(text).is_ok()
}

/// Nothing for a bare PHC string of ours.
pub(super) fn computable(text: &str) -> Option<Result<Computable<'_>, Reason>> {
    text.starts_with('{').then(|| read(text))
}

pub(super) fn scheme(text: &str) -> Option<Scheme> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    Some(match name {
        "BLF-CRYPT" => Scheme::Bcrypt,
        "SHA512-CRYPT" => Scheme::Sha512Crypt,
        "SHA256-CRYPT" => Scheme::Sha256Crypt,
        "MD5-CRYPT" | "APR1" => Scheme::Md5Crypt,
        "SSHA512" => Scheme::Ssha512,
        "SSHA256" => Scheme::Ssha256,
        "SSHA" => Scheme::Ssha,
        "SMD5" => Scheme::Smd5,
        "SHA512" => Scheme::Sha512,
        "SHA256" => Scheme::Sha256,
        "SHA" => Scheme::Sha,
        "PLAIN-MD5" => Scheme::Md5,
        "PBKDF2" | "PBKDF2-SHA256" | "PBKDF2-SHA512" => Scheme::Pbkdf2,
        "SCRYPT" => Scheme::Scrypt,
        "YESCRYPT" => Scheme::Yescrypt,
        "SCRAM-SHA-1" | "SCRAM-SHA-256" => Scheme::Scram,
        _ => return None,
    })
}

/// The scheme in capitals, how the rest is encoded if it says so, the rest.
fn split(text: &str) -> Result<(String, &str, &str), Reason> {
    let Some(rest) = text.strip_prefix('{') else {
        return Ok((String::new(), "", text));
    };
    let (name, data) = rest.split_once('}').ok_or(UNKNOWN)?;
    let (name, encoding) = name.split_once('.').unwrap_or((name, ""));
    let known = encoding.is_empty()
        || ["hex", "b64", "base64"]
            .iter()
            .any(|e| e.eq_ignore_ascii_case(encoding));
    if !known || name.len() > 20 {
        return Err(UNKNOWN);
    }
    Ok((name.to_ascii_uppercase(), encoding, data))
}

fn name_by_id(data: &str) -> Option<&'static str> {
    const IDS: [(&str, &str); 15] = [
        ("$argon2id$", "ARGON2ID"),
        ("$argon2i$", "ARGON2I"),
        ("$2a$", "BLF-CRYPT"),
        ("$2b$", "BLF-CRYPT"),
        ("$2y$", "BLF-CRYPT"),
        ("$6$", "SHA512-CRYPT"),
        ("$5$", "SHA256-CRYPT"),
        ("$1$", "MD5-CRYPT"),
        ("$apr1$", "APR1"),
        ("$y$", "YESCRYPT"),
        ("$7$", "SCRYPT"),
        ("$scrypt$", "SCRYPT"),
        ("$pbkdf2-sha256$", "PBKDF2-SHA256"),
        ("$pbkdf2-sha512$", "PBKDF2-SHA512"),
        ("$pbkdf2$", "PBKDF2"),
    ];
    let found = IDS.into_iter().find(|(id, _)| data.starts_with(id));
    found.map(|(_, name)| name)
}

impl Kind {
    const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
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

    fn pbkdf2(self, password: &[u8], salt: &[u8], rounds: u32, tag: &mut [u8]) {
        match self {
            Self::Md5 => pbkdf2::pbkdf2_hmac::<Md5>(password, salt, rounds, tag),
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, tag),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, tag),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, tag),
        }
    }

    /// Nothing for what SCRAM is not used with.
    fn client_key(self, salted: &[u8]) -> Option<Vec<u8>> {
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

impl Foreign {
    /// Nothing if it cannot be computed.
    pub(super) fn verify(&self, password: &[u8]) -> Option<bool> {
        let same = |a: &[u8], b: &[u8]| Some(bool::from(a.ct_eq(b)));
        match self {
            // None of those who made it took a NUL; C ends there.
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
