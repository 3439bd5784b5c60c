//! Each scheme's own form, taken apart within the caps.

use ::sha_crypt::Params;

use super::encoding::{
    base64, crypt_base64, crypt_letters, crypt_value, hex, number, salt_letters,
};
use super::sha_crypt::Digest;
use super::{Computable, Foreign, Kind, MALFORMED, MAX_LENGTH, Reason, TOO_MUCH};
use crate::model::hash::{Parts, parts};

/// The caps. Each of them is about two seconds of one processor.
const MAX_BCRYPT: u32 = 15;
const MAX_CRYPT_ROUNDS: u32 = 2_000_000;
const MAX_PBKDF2_ROUNDS: u32 = 4_000_000;
/// scrypt and yescrypt, in bytes and in blocks of 128 bytes: 256 MiB.
const MAX_SCRYPT_BLOCKS: u64 = 1 << 21;
const MAX_SCRYPT_WORK: u64 = 1 << 22;
/// What nobody can find by chance.
const MIN_TAG: usize = 16;

/// Reads `{SCHEME}…` as it is stored.
pub(super) fn read(text: &str) -> Result<Computable<'_>, Reason> {
    let (name, data) = text
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .ok_or(MALFORMED)?;
    let foreign = match name {
        "ARGON2ID" | "ARGON2I" => {
            let long_enough = |p: &Parts| p.tag.len() >= MIN_TAG && p.salt.len() >= 8;
            let same = data.starts_with(if name == "ARGON2I" {
                "$argon2i$"
            } else {
                "$argon2id$"
            });
            return match parts(data) {
                Some(parts) if same && long_enough(&parts) => Ok(Computable::Argon2(data)),
                Some(_) => Err(MALFORMED),
                None => {
                    Err("is no Argon2 hash of version 19, or asks for more than the caps allow")
                }
            };
        }
        "BLF-CRYPT" => bcrypt(data)?,
        "SHA512-CRYPT" => sha_crypt(data, "$6$", Digest::Sha512, 86)?,
        "SHA256-CRYPT" => sha_crypt(data, "$5$", Digest::Sha256, 43)?,
        "MD5-CRYPT" => md5_crypt(data, "$1$")?,
        "APR1" => md5_crypt(data, "$apr1$")?,
        "SSHA512" => digest(data, Kind::Sha512, true)?,
        "SSHA256" => digest(data, Kind::Sha256, true)?,
        "SSHA" => digest(data, Kind::Sha1, true)?,
        "SMD5" => digest(data, Kind::Md5, true)?,
        "SHA512" => digest(data, Kind::Sha512, false)?,
        "SHA256" => digest(data, Kind::Sha256, false)?,
        "SHA" => digest(data, Kind::Sha1, false)?,
        "PLAIN-MD5" if data.len() == 32 => Foreign::Digest {
            kind: Kind::Md5,
            tag: hex(data)?,
            salt: Vec::new(),
        },
        "PBKDF2" if data.starts_with("$1$") => pbkdf2_of_dovecot(data)?,
        "PBKDF2" => pbkdf2(data, "$pbkdf2$", Kind::Sha1)?,
        "PBKDF2-SHA256" => pbkdf2(data, "$pbkdf2-sha256$", Kind::Sha256)?,
        "PBKDF2-SHA512" => pbkdf2(data, "$pbkdf2-sha512$", Kind::Sha512)?,
        "SCRYPT" if data.starts_with("$7$") => scrypt_of_crypt(data)?,
        "SCRYPT" => scrypt_of_passlib(data)?,
        "YESCRYPT" => yescrypt(data)?,
        "SCRAM-SHA-1" => scram(data, Kind::Sha1)?,
        "SCRAM-SHA-256" => scram(data, Kind::Sha256)?,
        _ => return Err(MALFORMED),
    };
    Ok(Computable::Other(foreign))
}

fn bcrypt(data: &str) -> Result<Foreign, Reason> {
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
    Ok(Foreign::Bcrypt(data.to_owned()))
}

fn sha_crypt(data: &str, id: &str, digest: Digest, letters: usize) -> Result<Foreign, Reason> {
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
        None => Ok(Foreign::ShaCrypt {
            digest,
            rounds,
            salt,
            tag,
        }),
        Some(_) => Err(MALFORMED),
    }
}

fn md5_crypt(data: &str, magic: &'static str) -> Result<Foreign, Reason> {
    let rest = data.strip_prefix(magic).ok_or(MALFORMED)?;
    let (salt, tag) = rest.split_once('$').ok_or(MALFORMED)?;
    Ok(Foreign::Md5Crypt {
        magic,
        salt: salt_letters(salt, 8)?.to_owned(),
        tag: crypt_letters(tag, 22, 22)?.into(),
    })
}

fn digest(data: &str, kind: Kind, salted: bool) -> Result<Foreign, Reason> {
    let mut tag = base64(data)?;
    if tag.len() < kind.length() || (tag.len() > kind.length()) != salted {
        return Err(MALFORMED);
    }
    let salt = tag.split_off(kind.length());
    Ok(Foreign::Digest { kind, tag, salt })
}

/// `$1$SALT$ROUNDS$HEX`, where the salt is text.
fn pbkdf2_of_dovecot(data: &str) -> Result<Foreign, Reason> {
    let fields: Vec<_> = data.split('$').collect();
    let &["", "1", salt, rounds, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    pbkdf2_of(
        Kind::Sha1,
        rounds,
        salt_letters(salt, MAX_LENGTH)?.into(),
        hex(tag)?,
    )
}

/// `$pbkdf2-sha256$ROUNDS$SALT$TAG`, in base64 with `.` for `+`.
fn pbkdf2(data: &str, id: &str, kind: Kind) -> Result<Foreign, Reason> {
    let rest = data.strip_prefix(id).ok_or(MALFORMED)?;
    let fields: Vec<_> = rest.split('$').collect();
    let &[rounds, salt, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    let bytes = |text: &str| base64(&text.replace('.', "+"));
    pbkdf2_of(kind, rounds, bytes(salt)?, bytes(tag)?)
}

fn pbkdf2_of(kind: Kind, rounds: &str, salt: Vec<u8>, tag: Vec<u8>) -> Result<Foreign, Reason> {
    let rounds = number(rounds, MAX_PBKDF2_ROUNDS)?;
    if rounds == 0 || tag.len() < MIN_TAG || tag.len() > kind.length() {
        return Err(MALFORMED);
    }
    Ok(Foreign::Pbkdf2 {
        kind,
        rounds,
        tag,
        salt,
        scram: false,
    })
}

/// RFC 5802: `ROUNDS,SALT,STORED-KEY,SERVER-KEY`.
fn scram(data: &str, kind: Kind) -> Result<Foreign, Reason> {
    let fields: Vec<_> = data.split(',').collect();
    let &[rounds, salt, tag, _] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    let rounds = number(rounds, MAX_PBKDF2_ROUNDS)?;
    let tag = base64(tag)?;
    if rounds == 0 || tag.len() != kind.length() {
        return Err(MALFORMED);
    }
    Ok(Foreign::Pbkdf2 {
        kind,
        rounds,
        tag,
        salt: base64(salt)?,
        scram: true,
    })
}

fn scrypt_within_caps(n: u64, r: u32, p: u32) -> Result<(), Reason> {
    let blocks = n.checked_mul(r.into()).ok_or(TOO_MUCH)?;
    let work = blocks.checked_mul(p.into()).ok_or(TOO_MUCH)?;
    if blocks > MAX_SCRYPT_BLOCKS || work > MAX_SCRYPT_WORK || p > 16 || r > 256 {
        return Err(TOO_MUCH);
    }
    Ok(())
}

fn scrypt_of(log_n: u32, r: u32, p: u32, salt: Vec<u8>, tag: Vec<u8>) -> Result<Foreign, Reason> {
    let n = 1_u64.checked_shl(log_n).ok_or(TOO_MUCH)?;
    scrypt_within_caps(n, r, p)?;
    let log_n = u8::try_from(log_n).map_err(|_| TOO_MUCH)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| MALFORMED)?;
    if log_n == 0 || !(MIN_TAG..=64).contains(&tag.len()) {
        return Err(MALFORMED);
    }
    Ok(Foreign::Scrypt { params, tag, salt })
}

/// `$scrypt$ln=16,r=8,p=1$SALT$TAG`.
fn scrypt_of_passlib(data: &str) -> Result<Foreign, Reason> {
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
fn scrypt_of_crypt(data: &str) -> Result<Foreign, Reason> {
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

fn yescrypt(data: &str) -> Result<Foreign, Reason> {
    let rest = data.strip_prefix("$y$").ok_or(MALFORMED)?;
    let fields: Vec<_> = rest.split('$').collect();
    let &[params, salt, tag] = fields.as_slice() else {
        return Err(MALFORMED);
    };
    // The flavor that all systems use, N of one letter, r of one or two, and no
    // more: what else there is nobody makes, and it would have to be bounded.
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
    Ok(Foreign::Yescrypt(data.to_owned()))
}
