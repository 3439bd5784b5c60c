//! Recipients, to whom a file is encrypted, and identities, which decrypt it.

use std::fmt;
use std::str::FromStr;

use bech32::Bech32;
use bech32::primitives::decode::CheckedHrpstring;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::model::text::invalid;

const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";
/// The longest line of a file of identities that is read.
const LONGEST: usize = 1000;

/// The public key to which a file is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient(pub(super) [u8; 32]);

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rule =
            "a public key of age, as age1…, which age-keygen prints; not of SSH, nor a plugin's";
        let key = decoded(text, RECIPIENT).map(|key| Self(*key));
        // A secret key is no recipient, and must not be repeated.
        if text.to_lowercase().starts_with(IDENTITY) {
            return Err(Error::Usage(
                "this is a secret key, which does not belong on a command line: name its public key, age1…"
                    .into(),
            ));
        }
        key.ok_or_else(|| invalid("recipient", text, rule))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient")
    }
}

/// A secret key that decrypts files. It never leaves the memory.
#[derive(Clone)]
pub struct Identity(pub(super) Zeroizing<[u8; 32]>);

impl Identity {
    /// Reads the lines of a file as age-keygen writes it. Fails if there is no key in it, or one
    /// of another kind; the error does not repeat it.
    pub fn all_of(text: &str) -> std::result::Result<Vec<Self>, &'static str> {
        let mut found = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = (line.len() < LONGEST)
                .then(|| decoded(line, IDENTITY))
                .flatten();
            found.push(Self(key.ok_or(
                "it has a line that is not a secret key of age (AGE-SECRET-KEY-1…)",
            )?));
        }
        if found.is_empty() {
            return Err("it has no secret key");
        }
        Ok(found)
    }

    /// Returns the public key.
    pub fn recipient(&self) -> Recipient {
        Recipient(x25519(*self.0, X25519_BASEPOINT_BYTES))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

fn decoded(text: &str, kind: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    if !checked.hrp().as_str().eq_ignore_ascii_case(kind) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in key.iter_mut() {
        *byte = bytes.next()?;
    }
    bytes.next().is_none().then_some(key)
}
