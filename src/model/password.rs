//! Passwords: how one is generated, recognised and chosen.
//!
//! A generated one is `smtpc_`, 24 characters of base57 (139.99 bits) and 6
//! more that are the CRC-32 of the 24: secret scanners find it by
//! `\bsmtpc_[2-9A-HJ-NP-Za-km-z]{30}\b`, a typo shows without a look at the store,
//! and no shell, URL or configuration file needs it quoted.

use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::{Zeroize, Zeroizing};

use super::text;
use crate::error::{Error, Result};

/// Fills a buffer from the operating system's random source.
pub type Random = fn(&mut [u8]) -> Result<()>;

/// No 0 O 1 I l, which people mix up.
const BASE57: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PREFIX: &str = "smtpc_";
const BODY: usize = 24;
const CHECKSUM: usize = 6;
/// For devices that cut long passwords: 20 of base57 are 116.7 bits.
const SHORT: usize = 20;
/// In bytes. NIST SP 800-63B asks for 8; this one stands on the internet.
pub(super) const MIN_CHOSEN: usize = 12;
/// In bytes. Postfix cuts an AUTH line at 2048, and clients cut much sooner.
const MAX_CHOSEN: usize = 256;

/// A password in clear. Wiped when dropped, never printed by accident.
pub struct Password {
    text: Zeroizing<String>,
    generated: bool,
}

/// The form of a generated password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A prefix, 24 random characters and a checksum.
    #[default]
    Full,
    /// 20 random characters.
    Short,
}

/// The name of a password in lists and logs, which tells nothing about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PasswordId(Box<str>);

impl Password {
    /// Generates a password. Fails if `random` does.
    pub fn generate(form: Form, random: Random) -> Result<Self> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + BODY + CHECKSUM));
        match form {
            Form::Short => push_random(&mut text, SHORT, random)?,
            Form::Full => {
                text.push_str(PREFIX);
                push_random(&mut text, BODY, random)?;
                let check = crc32fast::hash(&text.as_bytes()[PREFIX.len()..]);
                push_base57(&mut text, u64::from(check), CHECKSUM);
            }
        }
        Ok(Self {
            text,
            generated: true,
        })
    }

    /// Checks the form of a password chosen by a person or a script. Whether it is
    /// easy to guess is checked in [`super::weak`].
    pub fn chosen(mut bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        let refused = |reason: &str| Err(Error::WeakPassword(reason.to_owned()));
        let text = match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                error.into_bytes().zeroize();
                return refused("it is not UTF-8 text");
            }
        };
        if text.len() < MIN_CHOSEN {
            return refused("it is shorter than 12 characters");
        }
        if text.len() > MAX_CHOSEN {
            return refused("it is longer than 256 bytes, which mail clients cut off");
        }
        if !text.chars().all(text::is_printable) {
            return refused("it has control or invisible characters");
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return refused("it begins or ends with a space");
        }
        Ok(Self {
            text,
            generated: false,
        })
    }

    /// Returns the password in clear.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns whether it was generated here.
    pub const fn is_generated(&self) -> bool {
        self.generated
    }

    /// Returns its ID. That of a generated one is a hash of it, so that an old or a
    /// leaked one is recognised after its hash is gone: 47 bits of a hash tell nothing
    /// about 117 random ones. They would about a chosen one, whose ID is random.
    pub fn password_id(&self, random: Random) -> Result<PasswordId> {
        if self.generated {
            return Ok(PasswordId::of_generated(self.text.as_bytes()));
        }
        PasswordId::random(random)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl PasswordId {
    const LENGTH: usize = 8;

    /// Makes the ID of a chosen password: random, so that it tells nothing about it.
    pub fn random(random: Random) -> Result<Self> {
        let mut id = String::with_capacity(Self::LENGTH);
        push_random(&mut id, Self::LENGTH, random)?;
        Ok(Self(id.into()))
    }

    /// Returns whether a text has the form of an ID.
    pub fn is_well_formed(text: &str) -> bool {
        text.len() == Self::LENGTH && text.bytes().all(|b| BASE57.contains(&b))
    }

    /// Reads a stored ID, without checking it.
    pub fn stored(id: String) -> Self {
        Self(id.into())
    }

    /// Returns the ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_generated(password: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-11-20 password key id");
        hasher.update(password);
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        hasher.zeroize();
        let mut id = String::with_capacity(Self::LENGTH);
        push_base57(&mut id, u64::from_le_bytes(bytes), Self::LENGTH);
        Self(id.into())
    }
}

impl fmt::Display for PasswordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A generated password of the full form that lies somewhere. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundPassword(Zeroizing<[u8; PREFIX.len() + BODY + CHECKSUM]>);

impl FoundPassword {
    /// What it begins with.
    pub const PREFIX: &str = PREFIX;
    /// How much follows, in characters.
    pub const REST: usize = BODY + CHECKSUM;

    /// Reads what follows the prefix. Returns `None` if the checksum is wrong, or if too
    /// little follows.
    pub fn after_prefix(mut rest: impl Iterator<Item = u8>) -> Option<Self> {
        let mut text = Zeroizing::new([0; PREFIX.len() + BODY + CHECKSUM]);
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for byte in &mut text[PREFIX.len()..] {
            *byte = rest.next().filter(|next| BASE57.contains(next))?;
        }
        let found = classify(&*text);
        matches!(found, PasswordKind::Generated(_)).then_some(Self(text))
    }

    /// Returns its ID.
    pub fn password_id(&self) -> PasswordId {
        PasswordId::of_generated(&*self.0)
    }

    /// Returns the password in clear.
    pub fn expose(&self) -> &[u8] {
        &*self.0
    }
}

impl Hash for FoundPassword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0[..].hash(state);
    }
}

impl fmt::Debug for FoundPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FoundPassword(…)")
    }
}

/// What the form of a tried password shows, without the store.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordKind {
    /// In the form of a generated one, with a right checksum.
    Generated(PasswordId),
    /// Begins like a generated one, but was mistyped or cut off.
    Mistyped,
    /// Anything else.
    Chosen,
}

/// Returns the kind of a tried password. Any 20 characters of the alphabet count as a
/// generated one of the short form.
pub fn classify(tried: &[u8]) -> PasswordKind {
    let Some(rest) = tried.strip_prefix(PREFIX.as_bytes()) else {
        let short = tried.len() == SHORT && tried.iter().all(|b| BASE57.contains(b));
        return if short {
            PasswordKind::Generated(PasswordId::of_generated(tried))
        } else {
            PasswordKind::Chosen
        };
    };
    if rest.len() != BODY + CHECKSUM {
        return PasswordKind::Mistyped;
    }
    let (body, check) = rest.split_at(BODY);
    let mut expected = String::with_capacity(CHECKSUM);
    push_base57(&mut expected, u64::from(crc32fast::hash(body)), CHECKSUM);
    if expected.as_bytes() == check {
        PasswordKind::Generated(PasswordId::of_generated(tried))
    } else {
        PasswordKind::Mistyped
    }
}

/// Returns where in a word text in the form of a generated password begins, in any
/// case.
pub fn generated_form_in(word: &str) -> Option<usize> {
    let folded = Zeroizing::new(word.to_ascii_lowercase());
    let mut begins = folded.match_indices(PREFIX).map(|(at, _)| at);
    begins.find(|at| {
        let rest = folded.as_bytes()[at + PREFIX.len()..].iter();
        rest.take_while(|b| b.is_ascii_alphanumeric()).count() >= BODY + CHECKSUM
    })
}

/// Returns the IDs of the generated passwords in a text. The short form, which has no
/// prefix, is only found if it is the whole text.
pub fn password_ids_in(text: &[u8]) -> impl Iterator<Item = PasswordId> {
    let whole = text.trim_ascii();
    let words = whole.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let words = words.filter(move |word| word.starts_with(PREFIX.as_bytes()) && *word != whole);
    std::iter::once(whole)
        .chain(words)
        .filter_map(|word| match classify(word) {
            PasswordKind::Generated(password_id) => Some(password_id),
            PasswordKind::Mistyped | PasswordKind::Chosen => None,
        })
}

/// Returns the random end of a generated username: easy to read out, hard to mistake.
/// Fails if `random` does.
pub fn short_name(length: usize, random: Random) -> Result<String> {
    let mut name = String::with_capacity(length);
    push_random(&mut name, length, random)?;
    name.make_ascii_lowercase();
    // Lower-casing brings back one that looks like a 1.
    Ok(name.replace('l', "k"))
}

/// Returns the token that a domain publishes in its DNS: not secret, but impossible to
/// guess. Fails if `random` does.
pub fn verification_token(random: Random) -> Result<String> {
    const LENGTH: usize = 24;
    let mut token = String::with_capacity(LENGTH);
    push_random(&mut token, LENGTH, random)?;
    Ok(token)
}

fn push_random(text: &mut String, count: usize, random: Random) -> Result<()> {
    // The largest multiple of 57 in a byte: above it some characters would
    // come more often than others.
    const FAIR: u8 = 228;
    let mut left = count;
    let mut bytes = Zeroizing::new([0; 32]);
    while left > 0 {
        random(&mut *bytes)?;
        for byte in bytes.iter().filter(|b| **b < FAIR).take(left) {
            text.push(char::from(BASE57[usize::from(byte % 57)]));
            left -= 1;
        }
    }
    Ok(())
}

fn push_base57(text: &mut String, mut value: u64, digits: usize) {
    for _ in 0..digits {
        // The remainder is below 57, so it fits and is in the table.
        text.push(char::from(BASE57[(value % 57) as usize]));
        value /= 57;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands for a source that can fail"
    )]
    fn counting(bytes: &mut [u8]) -> Result<()> {
        for (i, byte) in (0..).zip(bytes.iter_mut()) {
            *byte = i * 7;
        }
        Ok(())
    }

    fn generated(form: Form) -> Password {
        Password::generate(form, counting).unwrap()
    }

    #[test]
    fn generated_passwords_have_the_published_form() {
        let full = generated(Form::Full);
        let body = full.expose().strip_prefix("smtpc_").unwrap();
        assert_eq!(body.len(), 30);
        assert!(body.bytes().all(|b| BASE57.contains(&b)));
        assert_eq!(generated(Form::Short).expose().len(), 20);
    }

    #[test]
    fn a_typo_shows_by_the_checksum() {
        let text = generated(Form::Full).expose().to_owned();
        let password_id = generated(Form::Full).password_id(counting).unwrap();
        assert_eq!(
            classify(text.as_bytes()),
            PasswordKind::Generated(password_id)
        );
        for at in 6..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(classify(&typo), PasswordKind::Mistyped, "at {at}");
        }
        assert_eq!(classify(&text.as_bytes()[..35]), PasswordKind::Mistyped);
        assert_eq!(classify(b"correct horse"), PasswordKind::Chosen);
    }

    #[test]
    fn every_character_is_equally_likely() {
        // All 256 values of a byte: each of the 57 must come exactly 4 times.
        let fair = (0..=255u8).filter(|b| *b < 228).fold([0; 57], |mut n, b| {
            n[usize::from(b % 57)] += 1;
            n
        });
        assert!(fair.iter().all(|n| *n == 4));
    }

    #[test]
    fn p1_nothing_prints_a_password() {
        let password = generated(Form::Full);
        assert!(!format!("{password:?}").contains(&password.expose()[6..]));
    }

    #[test]
    fn chosen_passwords_are_checked() {
        let chosen = |text: &str| Password::chosen(Zeroizing::new(text.into()));
        assert!(chosen("vague-Otter-61-harbour").is_ok());
        assert!(chosen("überraschend nass im Mai").is_ok());
        for bad in ["", "short", "tab\tin the password", " leading space here"] {
            assert!(chosen(bad).is_err(), "{bad:?}");
        }
        assert!(chosen(&"aB3$x".repeat(60)).is_err());
        assert!(Password::chosen(Zeroizing::new(vec![0xff; 20])).is_err());
    }
}
