//! Base64 in its kinds, and hexadecimal.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use zeroize::Zeroize as _;

use super::reason::{HashReason, MALFORMED, TOO_MUCH};
use crate::model::text::{from_hexadecimal, hexadecimal};

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);

pub fn base64(text: &str) -> Result<Vec<u8>, HashReason> {
    BASE64.decode(text).map_err(|_| MALFORMED)
}

pub fn hex(text: &str) -> Result<Vec<u8>, HashReason> {
    from_hexadecimal(text).ok_or(MALFORMED)
}

/// Decodes data. Dovecot reads data of exactly the length of hexadecimal as that.
fn decoded(data: &str, encoding: &str, tag: usize) -> Result<Vec<u8>, HashReason> {
    let by_length = encoding.is_empty() && data.len() == 2 * tag;
    if encoding.eq_ignore_ascii_case("hex") || by_length && hex(data).is_ok() {
        hex(data)
    } else {
        base64(data)
    }
}

pub fn in_base64(data: &str, encoding: &str, tag: usize) -> Result<String, HashReason> {
    let bytes = decoded(data, encoding, tag)?;
    if bytes.len() < tag {
        return Err(MALFORMED);
    }
    Ok(base64::prelude::BASE64_STANDARD.encode(bytes))
}

pub fn in_hex(data: &str, encoding: &str) -> Result<String, HashReason> {
    let bytes = decoded(data, encoding, 16)?;
    Ok(hexadecimal(&bytes))
}

/// Decodes a hash that is text, and that may be encoded as `{SHA512-CRYPT.B64}` is.
pub fn as_text<'a>(data: &'a str, encoding: &str) -> Result<Cow<'a, str>, HashReason> {
    if encoding.is_empty() {
        return Ok(Cow::Borrowed(data));
    }
    let text = String::from_utf8(decoded(data, encoding, 0)?);
    // Where a password is decoded, no copy of it stays.
    text.map(Cow::Owned).map_err(|error| {
        error.into_bytes().zeroize();
        MALFORMED
    })
}

pub fn number(text: &str, most: u32) -> Result<u32, HashReason> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    match text.parse() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(TOO_MUCH),
    }
}

pub fn crypt_letters(text: &str, least: usize, most: usize) -> Result<&str, HashReason> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    if (least..=most).contains(&text.len()) && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(MALFORMED)
    }
}

/// Checks a salt. Most are letters of crypt(3), but crypt(5) allows any character that does
/// not end a field, and `PostfixAdmin` uses `+`.
pub fn salt_letters(text: &str, most: usize) -> Result<&str, HashReason> {
    let good = |b: u8| b.is_ascii_graphic() && b != b'$' && b != b':';
    if text.len() <= most && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(MALFORMED)
    }
}

/// Returns the value of a letter of crypt(3)'s base64.
pub fn crypt_value(letter: u8) -> Result<u32, HashReason> {
    Ok(match letter {
        b'.' => 0,
        b'/' => 1,
        b'0'..=b'9' => u32::from(letter - b'0') + 2,
        b'A'..=b'Z' => u32::from(letter - b'A') + 12,
        b'a'..=b'z' => u32::from(letter - b'a') + 38,
        _ => return Err(MALFORMED),
    })
}

/// Decodes crypt(3)'s base64: little end first, six bits for each letter.
pub fn crypt_base64(text: &str) -> Result<Vec<u8>, HashReason> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut value = 0;
        for (i, letter) in group.iter().enumerate() {
            value |= crypt_value(*letter)? << (6 * i);
        }
        let whole = group.len() * 6 / 8;
        if whole == 0 || value >> (8 * whole) != 0 {
            return Err(MALFORMED);
        }
        let [a, b, c, _] = value.to_le_bytes();
        bytes.extend_from_slice(&[a, b, c][..whole]);
    }
    Ok(bytes)
}
