//! The public keys of an issuer (JWKS, RFC 7517). The algorithm belongs to the key: a token
//! cannot choose another one.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::{Map, Value};

use super::json::object;

/// In bytes.
pub const MAX_KEY_SET: usize = 64 * 1024;
/// How many keys, also those for other purposes.
const MAX_KEYS: usize = 64;
/// In bytes.
pub(super) const MAX_KEY_ID: usize = 256;

/// What only the owner of a key knows. `k` is the secret of an HMAC.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The keys of an issuer that can verify tokens.
#[derive(Debug)]
pub struct KeySet(Vec<VerifyingKey>);

#[derive(Debug)]
pub(super) struct VerifyingKey {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// RS256.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// ES256: the point, uncompressed.
    P256([u8; 65]),
    /// `EdDSA`.
    Ed25519([u8; 32]),
}

impl KeySet {
    /// Parses a JWKS. Keys for other purposes and of other kinds are left out. The error says
    /// what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        if text.len() > MAX_KEY_SET {
            return Err("it is longer than 64 KB");
        }
        let set = object(text).ok_or("it is not valid JSON, or a name occurs twice")?;
        let Some(Value::Array(list)) = set.get("keys") else {
            return Err("it has no list \"keys\"");
        };
        if list.len() > MAX_KEYS {
            return Err("it has more than 64 keys");
        }
        let mut keys = Vec::new();
        for key in list {
            let Value::Object(key) = key else {
                return Err("a key is not an object");
            };
            let Some(key) = VerifyingKey::read(key)? else {
                continue;
            };
            if keys.iter().any(|other| key.is_confused_with(other)) {
                return Err("two keys have the same ID");
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err("it has no public key for RS256, ES256 or EdDSA");
        }
        Ok(Self(keys))
    }

    /// Returns how many keys can verify tokens.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the key of a token. A token without an ID of a key has one only if there is no
    /// choice.
    pub(super) fn find(&self, id: Option<&str>, algorithm: &str) -> Option<&VerifyingKey> {
        let mut found = self.0.iter().filter(|key| match id {
            Some(id) => key.id.as_deref() == Some(id) && key.signs_as(algorithm),
            None => key.signs_as(algorithm),
        });
        let key = found.next()?;
        found.next().is_none().then_some(key)
    }

    /// Returns whether there is a key with this ID, whatever its algorithm.
    pub(super) fn has(&self, id: Option<&str>) -> bool {
        id.is_none() || self.0.iter().any(|key| key.id.as_deref() == id)
    }
}

impl VerifyingKey {
    /// Reads a key; `None` if it is not for verifying tokens here.
    fn read(key: &Map<String, Value>) -> Result<Option<Self>, &'static str> {
        if PRIVATE.iter().any(|name| key.contains_key(*name)) {
            return Err("it contains a private key: replace that key, it is no longer secret");
        }
        let purpose = match (key.get("use"), key.get("key_ops")) {
            (Some(Value::String(purpose)), _) if purpose != "sig" => false,
            (_, Some(Value::Array(operations))) => operations.iter().any(|one| one == "verify"),
            (None | Some(Value::String(_)), None) => true,
            _ => return Err("the use of a key is not valid"),
        };
        if !purpose {
            return Ok(None);
        }
        let id = match key.get("kid") {
            None => None,
            Some(Value::String(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Some(id.clone()),
            Some(_) => return Err("the ID of a key is not valid"),
        };
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let material = match (text("kty"), text("crv")) {
            (Some("RSA"), None) => Material::rsa(key)?,
            (Some("EC"), Some("P-256")) => Material::p256(key)?,
            (Some("OKP"), Some("Ed25519")) => Material::Ed25519(exactly(key, "x")?),
            _ => return Ok(None),
        };
        let key_of = Self { id, material };
        match key.get("alg") {
            None => Ok(Some(key_of)),
            Some(Value::String(algorithm)) => Ok(key_of.signs_as(algorithm).then_some(key_of)),
            Some(_) => Err("the algorithm of a key is not valid"),
        }
    }

    fn is_confused_with(&self, other: &Self) -> bool {
        self.id.is_some()
            && self.id == other.id
            && self.material.algorithms() == other.material.algorithms()
    }

    fn signs_as(&self, algorithm: &str) -> bool {
        self.material.algorithms().contains(&algorithm)
    }

    /// Returns whether this key signed the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

impl Material {
    /// Returns the names of the algorithm in a header.
    const fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Rsa { .. } => &["RS256"],
            Self::P256(_) => &["ES256"],
            // The second is its newer name (RFC 9864).
            Self::Ed25519(_) => &["EdDSA", "Ed25519"],
        }
    }

    fn rsa(key: &Map<String, Value>) -> Result<Self, &'static str> {
        let [modulus, exponent] = [number(key, "n")?, number(key, "e")?];
        if !(256..=1024).contains(&modulus.len()) {
            return Err("an RSA key has fewer than 2048 or more than 8192 bits");
        }
        // 3 and other small ones have broken implementations elsewhere.
        if !(3..=4).contains(&exponent.len()) || exponent.last().is_none_or(|last| last % 2 == 0) {
            return Err("the exponent of an RSA key is not one that is in use");
        }
        Ok(Self::Rsa { modulus, exponent })
    }

    fn p256(key: &Map<String, Value>) -> Result<Self, &'static str> {
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&exactly::<32>(key, "x")?);
        point[33..].copy_from_slice(&exactly::<32>(key, "y")?);
        Ok(Self::P256(point))
    }
}

fn bytes(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = key.get(name).and_then(Value::as_str);
    text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
        .ok_or("a part of a key is missing or not base64url")
}

/// Some libraries write a zero before numbers that would look negative.
fn number(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let mut number = bytes(key, name)?;
    if number.len() > 1 && number[0] == 0 {
        number.remove(0);
    }
    Ok(number)
}

fn exactly<const N: usize>(key: &Map<String, Value>, name: &str) -> Result<[u8; N], &'static str> {
    let bytes = bytes(key, name)?;
    bytes
        .try_into()
        .map_err(|_| "a part of a key has another length")
}
