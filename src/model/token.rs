//! Tokens of OAuth that sign users in: signed JWTs (RFC 7515, RFC 9068). Pure: the keys of the
//! issuer and the time are given.

mod claims;
mod fault;
mod json;
mod keys;
#[cfg(test)]
mod tests;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

pub use self::claims::{TokenRules, VerifiedToken};
pub use self::fault::TokenFault;
pub use self::keys::{KeySet, MAX_KEY_SET};
use super::time::Time;

/// In bytes. Mail servers pass on at most 12 KB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// What would bring a key along or change the meaning of the rest (RFC 7515, section 4.1,
/// RFC 7797, RFC 7516).
const REFUSED_HEADERS: [&str; 7] = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"];

/// A token whose signature was not verified. Only its issuer may be looked at, to find the keys.
pub struct UnverifiedToken<'a> {
    /// The header and the claims as they were signed.
    signed: &'a [u8],
    signature: Vec<u8>,
    algorithm: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token in its compact form.
    pub fn parse(token: &'a [u8]) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFault::Malformed("the token is longer than 16 KB"));
        }
        let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(TokenFault::Malformed("the token has not three parts"));
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let signature = decode(signature)?;
        let header = read(header)?;
        let (algorithm, key_id) = check_header(&header)?;
        Ok(Self {
            signed,
            signature,
            algorithm,
            key_id,
            claims: read(claims)?,
        })
    }

    /// Returns the issuer that the token names.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Verifies it with the keys of the issuer, and what it says.
    pub fn verify(
        &self,
        keys: &KeySet,
        rules: &TokenRules,
        now: Time,
    ) -> Result<VerifiedToken, TokenFault> {
        let key_id = self.key_id.as_deref();
        let Some(key) = keys.find(key_id, &self.algorithm) else {
            return Err(if keys.has(key_id) {
                TokenFault::Header("no key of the issuer is for the algorithm of the token")
            } else {
                TokenFault::UnknownKey
            });
        };
        if !key.verifies(self.signed, &self.signature) {
            return Err(TokenFault::Signature);
        }
        rules.verify(&self.claims, now)
    }
}

/// Strict: no padding, no line feed, and no other spelling of the same bytes.
fn decode(part: &[u8]) -> Result<Vec<u8>, TokenFault> {
    if part.is_empty() {
        return Err(TokenFault::Malformed("a part of the token is empty"));
    }
    let decoded = BASE64URL_NOPAD.decode(part);
    decoded.map_err(|_| TokenFault::Malformed("a part of the token is not base64url"))
}

fn read(part: &[u8]) -> Result<Map<String, Value>, TokenFault> {
    let object = json::object(&decode(part)?);
    object.ok_or(TokenFault::Malformed(
        "a part of the token is not valid JSON",
    ))
}

/// Returns the algorithm that the token claims, and the ID of its key.
fn check_header(header: &Map<String, Value>) -> Result<(String, Option<String>), TokenFault> {
    if REFUSED_HEADERS
        .iter()
        .any(|name| header.contains_key(*name))
    {
        return Err(TokenFault::Header(
            "the header of the token is not supported",
        ));
    }
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let kind = text("typ").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if !["at+jwt", "jwt"].contains(&kind) {
        return Err(TokenFault::Header("the token is not an access token"));
    }
    let Some(algorithm) = text("alg") else {
        return Err(TokenFault::Header("the token has no algorithm"));
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= keys::MAX_KEY_ID => Some(id.clone()),
        Some(_) => return Err(TokenFault::Header("the key ID of the token is not valid")),
    };
    Ok((algorithm.to_owned(), key_id))
}
