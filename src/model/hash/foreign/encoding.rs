//! Base64 in its kinds, and hexadecimal.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use zeroize::Zeroize as _;

use super::{MALFORMED, Reason};
use crate::model::text::hexadecimal;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);

pub(super) fn base64(text: &str) -> Result<Vec<u8>, Reason> {
    BASE64.decode(text).map_err(|_| MALFORMED)
}

pub(super) fn hex(text: &str) -> Result<Vec<u8>, Reason> {
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [a, b] => Some(digit(*a)? << 4 | digit(*b)?),
        _ => None,
    });
    bytes.collect::<Option<_>>().ok_or(MALFORMED)
}

/// Dovecot takes what has exactly the length of hexadecimal for that.
fn decoded(data: &str, encoding: &str, tag: usize) -> Result<Vec<u8>, Reason> {
    let by_length = encoding.is_empty() && data.len() == 2 * tag;
    if encoding.eq_ignore_ascii_case("hex") || by_length && hex(data).is_ok() {
        hex(data)
    } else {
        base64(data)
    }
}

pub(super) fn in_base64(data: &str, encoding: &str, tag: usize) -> Result<String, Reason> {
    let bytes = decoded(data, encoding, tag)?;
    if bytes.len() < tag {
        return Err(MALFORMED);
    }
    Ok(base64::prelude::BASE64_STANDARD.encode(bytes))
}

pub(super) fn in_hex(data: &str, encoding: &str) -> Result<String, Reason> {
    let bytes = decoded(data, encoding, 16)?;
    Ok(hexadecimal(&bytes))
}

/// What is text by itself, and may be encoded nevertheless: `{SHA512-CRYPT.B64}`.
pub(super) fn as_text<'a>(data: &'a str, encoding: &str) -> Result<Cow<'a, str>, Reason> {
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

pub(super) fn number(text: &str, most: u32) -> Result<u32, Reason> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    match text.parse() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(super::TOO_MUCH),
    }
}

pub(super) fn crypt_letters(text: &str, least: usize, most: usize) -> Result<&str, Reason> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    if (least..=most).contains(&text.len()) && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(MALFORMED)
    }
}

/// Salts are most often letters of crypt(3), but crypt(5) allows what does not end
/// a field, and `PostfixAdmin` makes `+`.
pub(super) fn salt_letters(text: &str, most: usize) -> Result<&str, Reason> {
    let good = |b: u8| b.is_ascii_graphic() && b != b'$' && b != b':';
    if text.len() <= most && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(MALFORMED)
    }
}

/// The value of a letter of crypt(3)'s base64.
pub(super) fn crypt_value(letter: u8) -> Result<u32, Reason> {
    Ok(match letter {
        b'.' => 0,
        b'/' => 1,
        b'0'..=b'9' => u32::from(letter - b'0') + 2,
        b'A'..=b'Z' => u32::from(letter - b'A') + 12,
        b'a'..=b'z' => u32::from(letter - b'a') + 38,
        _ => return Err(MALFORMED),
    })
}

/// Little end first, six bits a letter.
pub(super) fn crypt_base64(text: &str) -> Result<Vec<u8>, Reason> {
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
