//! Parsers of each scheme's own form. Each refuses what is beyond the caps.

use ::sha_crypt::Params;

use super::computable::ForeignHash;
use super::digest::DigestKind;
use super::encoding::{
    base64, crypt_base64, crypt_letters, crypt_value, hex, number, salt_letters,
};
use super::reason::{HashReason, MALFORMED, MAX_LENGTH, TOO_MUCH};
use crate::model::hash::phc;
use crate::model::hash::sha_crypt::ShaVariant;

/// The caps. Each of them is about two seconds of one processor.
const MAX_BCRYPT: u32 = 15;
const MAX_CRYPT_ROUNDS: u32 = 2_000_000;
const MAX_PBKDF2_ROUNDS: u32 = 4_000_000;
/// scrypt and yescrypt, in bytes and in blocks of 128 bytes: 256 MiB.
const MAX_SCRYPT_BLOCKS: u64 = 1 << 21;
const MAX_SCRYPT_WORK: u64 = 1 << 22;
/// The shortest tag that cannot be found by chance, in bytes.
const MIN_TAG: usize = 16;

/// Checks a PHC string of Argon2 that begins with `id`.
pub fn argon2(data: &str, id: &str) -> Result<(), HashReason> {
    let Some(parts) = phc::parse(data) else {
        return Err(
            "is not an Argon2 hash of version 19, or exceeds the cost limits: see `user import --help`",
        );
    };
    let long_enough = parts.tag.len() >= MIN_TAG && parts.salt.len() >= 8;
    if data.starts_with(id) && long_enough {
        Ok(())
    } else {
        Err(MALFORMED)
    }
}

pub fn bcrypt(data: &str) -> Result<ForeignHash, HashReason> {
    let rest = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|id| data.strip_prefix(id));
    let (cost, tail) = rest.and_then(|r| r.split_once('$')).ok_or(MALFORMED)?;
    crypt_letters(tail, 53, 53)?;
    if cost.len() != 2 || number(cost, MAX_BCRYPT)? < 4 {
        return Err(MALFORMED);
    }
    // Read as its crate reads it: the last letter of each part has spare bits.
    data.parse::<::bcrypt::HashParts>().map_err(|_| MALFORMED)?;
    Ok(ForeignHash::Bcrypt(data.to_owned()))
}

pub fn sha_crypt(
    data: &str,
    id: &str,
    digest: ShaVariant,
    letters: usize,
) -> Result<ForeignHash, HashReason> {
    let mut fields = data.strip_prefix(id).ok_or(MALFORMED)?.split('$');
    let mut next = fields.next();
    let mut rounds = Params::RECOMMENDED;
    if let Some(given) = next.and_then(|field| field.strip_prefix("rounds=")) {
        rounds = Params::new(number(given, MAX_CRYPT_ROUNDS)?).map_err(|_| MALFORMED)?;
        next = fields.next();
    }
    let salt = salt_letters(next.ok_or(MALFORMED)?, 16)?.to_owned();
    let tag = crypt_base64(crypt_letters(
        fields.next().ok_or(MALFORMED)?,
        letters,
        letters,
    )?)?;
    match fields.next() {
        None => Ok(ForeignHash::ShaCrypt {
            digest,
            rounds,
            salt,
            tag,
        }),
        Some(_) => Err(MALFORMED),
    }
}

pub fn md5_crypt(data: &str, magic: &'static str) -> Result<ForeignHash, HashReason> {
    let rest = data.strip_prefix(magic).ok_or(MALFORMED)?;
    let (salt, tag) = rest.split_once('$').ok_or(MALFORMED)?;
    Ok(ForeignHash::Md5Crypt {
        magic,
        salt: salt_letters(salt, 8)?.to_owned(),
        tag: crypt_letters(tag, 22, 22)?.into(),
    })
}

pub fn digest(data: &str, kind: DigestKind, salted: bool) -> Result<ForeignHash, HashReason> {
    let mut tag = base64(data)?;
    if tag.len() < kind.length() || (tag.len() > kind.length()) != salted {
        return Err(MALFORMED);
    }
    let salt = tag.split_off(kind.length());
    Ok(ForeignHash::Digest { kind, tag, salt })
}

/// `$1$SALT$ROUNDS$HEX`, where the salt is text.
fn pbkdf2_of_dovecot(data: &str) -> Result<ForeignHash, HashReason> {
    let fields: Vec<_> = data.split('$').collect();
    let &["", "1", salt, rounds, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    pbkdf2_of(
        DigestKind::Sha1,
        rounds,
        salt_letters(salt, MAX_LENGTH)?.into(),
        hex(tag)?,
    )
}

/// `$pbkdf2-sha256$ROUNDS$SALT$TAG`, in base64 with `.` for `+`.
pub fn pbkdf2(data: &str, id: &str, kind: DigestKind) -> Result<ForeignHash, HashReason> {
    let rest = data.strip_prefix(id).ok_or(MALFORMED)?;
    let fields: Vec<_> = rest.split('$').collect();
    let &[rounds, salt, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    let bytes = |text: &str| base64(&text.replace('.', "+"));
    pbkdf2_of(kind, rounds, bytes(salt)?, bytes(tag)?)
}

fn pbkdf2_of(
    kind: DigestKind,
    rounds: &str,
    salt: Vec<u8>,
    tag: Vec<u8>,
) -> Result<ForeignHash, HashReason> {
    let rounds = number(rounds, MAX_PBKDF2_ROUNDS)?;
    if rounds == 0 || tag.len() < MIN_TAG || tag.len() > kind.length() {
        return Err(MALFORMED);
    }
    Ok(ForeignHash::Pbkdf2 {
        kind,
        rounds,
        tag,
        salt,
        scram: false,
    })
}

/// RFC 5802: `ROUNDS,SALT,STORED-KEY,SERVER-KEY`.
pub fn scram(data: &str, kind: DigestKind) -> Result<ForeignHash, HashReason> {
    let fields: Vec<_> = data.split(',').collect();
    let &[rounds, salt, tag, _] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    let rounds = number(rounds, MAX_PBKDF2_ROUNDS)?;
    let tag = base64(tag)?;
    if rounds == 0 || tag.len() != kind.length() {
        return Err(MALFORMED);
    }
    Ok(ForeignHash::Pbkdf2 {
        kind,
        rounds,
        tag,
        salt: base64(salt)?,
        scram: true,
    })
}

fn scrypt_within_caps(n: u64, r: u32, p: u32) -> Result<(), HashReason> {
    let blocks = n.checked_mul(r.into()).ok_or(TOO_MUCH)?;
    let work = blocks.checked_mul(p.into()).ok_or(TOO_MUCH)?;
    if blocks > MAX_SCRYPT_BLOCKS || work > MAX_SCRYPT_WORK || p > 16 || r > 256 {
        return Err(TOO_MUCH);
    }
    Ok(())
}

fn scrypt_of(
    log_n: u32,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    tag: Vec<u8>,
) -> Result<ForeignHash, HashReason> {
    let n = 1_u64.checked_shl(log_n).ok_or(TOO_MUCH)?;
    scrypt_within_caps(n, r, p)?;
    let log_n = u8::try_from(log_n).map_err(|_| TOO_MUCH)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| MALFORMED)?;
    if log_n == 0 || !(MIN_TAG..=64).contains(&tag.len()) {
        return Err(MALFORMED);
    }
    Ok(ForeignHash::Scrypt { params, tag, salt })
}

/// `$scrypt$ln=16,r=8,p=1$SALT$TAG`.
fn scrypt_of_passlib(data: &str) -> Result<ForeignHash, HashReason> {
    let rest = data.strip_prefix("$scrypt$").ok_or(MALFORMED)?;
    let fields: Vec<_> = rest.split('$').collect();
    let &[params, salt, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    let numbers: Vec<_> = params.split(',').collect();
    let &[ln, r, p] = numbers.as_slice() else {
        return Err(MALFORMED);
    };
    let value =
        |text: &str, name: &str| number(text.strip_prefix(name).ok_or(MALFORMED)?, u32::MAX);
    let (ln, r, p) = (value(ln, "ln=")?, value(r, "r=")?, value(p, "p=")?);
    scrypt_of(ln, r, p, base64(salt)?, base64(tag)?)
}

/// `$7$`, a letter for log2 N, five each for r and p, the salt, `$`, the tag.
fn scrypt_of_crypt(data: &str) -> Result<ForeignHash, HashReason> {
    let rest = data.strip_prefix("$7$").ok_or(MALFORMED)?;
    let (settings, tag) = rest.split_once('$').ok_or(MALFORMED)?;
    crypt_letters(settings, 11, 97)?;
    let (params, salt) = settings.split_at(11);
    let mut values = [0_u32; 11];
    for (value, letter) in values.iter_mut().zip(params.bytes()) {
        *value = crypt_value(letter)?;
    }
    let five = |v: &[u32]| v.iter().rev().fold(0_u32, |all, six| all << 6 | six);
    scrypt_of(
        values[0],
        five(&values[1..6]),
        five(&values[6..]),
        salt.into(),
        crypt_base64(tag)?,
    )
}

pub fn yescrypt(data: &str) -> Result<ForeignHash, HashReason> {
    let rest = data.strip_prefix("$y$").ok_or(MALFORMED)?;
    let fields: Vec<_> = rest.split('$').collect();
    let &[params, salt, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    // The flavor that all systems use: N of one letter, r of one or two, nothing else.
    // Other flavors do not occur, and each would need a cap of its own.
    crypt_letters(params, 3, 4)?;
    let mut values = [0_u32; 4];
    for (value, letter) in values.iter_mut().zip(params.bytes()) {
        *value = crypt_value(letter)?;
    }
    let short = params.len() == 3 && values[2] < 48;
    let long = params.len() == 4 && (48..56).contains(&values[2]);
    if !params.starts_with('j') || values[1] >= 48 || !(short || long) {
        return Err(TOO_MUCH);
    }
    let read: ::yescrypt::Params = params.parse().map_err(|_| MALFORMED)?;
    scrypt_within_caps(read.n(), read.r(), read.p())?;
    crypt_letters(salt, 1, 86)?;
    crypt_base64(crypt_letters(tag, 43, 43)?)?;
    if crypt_base64(salt)?.len() > 64 {
        return Err(MALFORMED);
    }
    Ok(ForeignHash::Yescrypt(data.to_owned()))
}

/// A digest of MD5 in 32 hexadecimal digits.
pub fn plain_md5(data: &str) -> Result<ForeignHash, HashReason> {
    if data.len() != 2 * DigestKind::Md5.length() {
        return Err(MALFORMED);
    }
    Ok(ForeignHash::Digest {
        kind: DigestKind::Md5,
        tag: hex(data)?,
        salt: Vec::new(),
    })
}

/// Dovecot's form of PBKDF2, or passlib's.
pub fn pbkdf2_of_sha1(data: &str) -> Result<ForeignHash, HashReason> {
    if data.starts_with("$1$") {
        pbkdf2_of_dovecot(data)
    } else {
        pbkdf2(data, "$pbkdf2$", DigestKind::Sha1)
    }
}

/// The form of crypt(3), or passlib's.
pub fn scrypt(data: &str) -> Result<ForeignHash, HashReason> {
    if data.starts_with("$7$") {
        scrypt_of_crypt(data)
    } else {
        scrypt_of_passlib(data)
    }
}
