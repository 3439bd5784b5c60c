//! Hashes as other systems have them: in Dovecot's `{SCHEME}` form, or with the `$id$` of
//! crypt(3) and of passlib.

use zeroize::Zeroizing;

use super::Hash;
use super::foreign::{
    Computable, HashReason, MAX_LENGTH, StoredScheme, TOO_LONG, UNKNOWN, UNSUPPORTED, as_text,
};

/// What stands where a hash is expected.
pub enum Given {
    /// A hash within the caps, in the form in which it is stored.
    Hash(Hash),
    /// The password itself.
    Plain(Zeroizing<String>),
}

/// Known schemes whose hashes are not accepted: broken, or of no use for PLAIN and LOGIN.
const REFUSED: [&str; 11] = [
    "DES-CRYPT",
    "CRAM-MD5",
    "DIGEST-MD5",
    "HMAC-MD5",
    "OTP",
    "SKEY",
    "RPA",
    "LANMAN",
    "NTLM",
    "PLAIN-MD4",
    "PLAIN-TRUNC",
];

/// Prefix or replacement of the hash of a locked account: `!` on Linux, `*LOCKED*` on
/// FreeBSD, `*LK*` on Solaris, `*` if there never was a password.
const LOCKS: [&str; 4] = ["*LOCKED*", "*LK*", "!", "*"];

/// Strips the lock of a locked account: returns the scheme and the rest, or `None` where
/// there is no lock. A plain-text password may begin with such a character.
pub fn unlocked(text: &str) -> Option<String> {
    let (scheme, rest) = match text.find('}') {
        Some(end) if text.starts_with('{') => text.split_at(end + 1),
        _ => ("", text),
    };
    if matches!(split(text), Ok((name, _, _)) if is_plain(&name)) {
        return None;
    }
    let mut left = rest;
    while let Some(behind) = LOCKS.iter().find_map(|lock| left.strip_prefix(lock)) {
        left = behind;
    }
    match left {
        "" if left != rest => Some(String::new()),
        _ if left != rest => Some(format!("{scheme}{left}")),
        _ => None,
    }
}

fn is_plain(scheme: &str) -> bool {
    matches!(scheme, "PLAIN" | "CLEAR" | "CLEARTEXT")
}

/// Reads a hash of another system, with or without its scheme before it. Fails with the
/// reason why it is refused.
pub fn given(text: &str) -> Result<Given, HashReason> {
    let (name, encoding, data) = split(text)?;
    if is_plain(&name) {
        let password = as_text(data, encoding)?.into_owned();
        return Ok(Given::Plain(Zeroizing::new(password)));
    }
    if text.len() > MAX_LENGTH {
        return Err(TOO_LONG);
    }
    let by_id = |data: &str| StoredScheme::of(data);
    let (scheme, data) = match name.as_str() {
        "" | "CRYPT" | "ARGON2" => {
            let data = as_text(data, encoding)?;
            let unknown = if name.is_empty() {
                UNKNOWN
            } else {
                UNSUPPORTED
            };
            (by_id(&data).ok_or(unknown)?, data)
        }
        _ if REFUSED.contains(&name.as_str()) => return Err(UNSUPPORTED),
        _ => {
            let named = StoredScheme::named(&name).ok_or(UNKNOWN)?;
            // Dovecot's MD5 is MD5-CRYPT; that of RFC 2307 is the digest alone.
            match as_text(data, encoding) {
                Ok(text) if name == "MD5" && text.starts_with("$1$") => {
                    (by_id(&text).ok_or(UNKNOWN)?, text)
                }
                _ => (named, named.stored_form(data, encoding)?),
            }
        }
    };
    match scheme.parse(&data)? {
        Computable::Argon2(phc) if phc.starts_with("$argon2id$") => {
            Ok(Given::Hash(Hash(phc.to_owned())))
        }
        _ => Ok(Given::Hash(Hash(format!("{{{}}}{data}", scheme.name)))),
    }
}

/// Splits a text into the scheme in capitals, the encoding of the rest if it is named,
/// and the rest.
fn split(text: &str) -> Result<(String, &str, &str), HashReason> {
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
