//! The schemes that are stored, in one table: their names, how a hash shows that it is
//! of one, how it is written down, and what parses it.

use std::borrow::Cow;

use self::Parser::{Argon2, Foreign};
use self::SchemeForm::{Base64, Hex, Text, WithId};
use super::computable::{Computable, ForeignHash};
use super::digest::DigestKind::{Md5, Sha1, Sha256, Sha512};
use super::encoding::{as_text, in_base64, in_hex};
use super::parse::{
    argon2, bcrypt, digest, md5_crypt, pbkdf2, pbkdf2_of_sha1, plain_md5, scram, scrypt, sha_crypt,
    yescrypt,
};
use super::reason::HashReason;
use crate::model::hash::Scheme;
use crate::model::hash::sha_crypt::ShaVariant;

/// A scheme that is stored under its own name.
pub struct StoredScheme {
    /// The name in braces, as it is stored.
    pub name: &'static str,
    /// Other names of it in files.
    aliases: &'static [&'static str],
    /// The beginnings of its hashes that have no name in braces.
    ids: &'static [&'static str],
    /// The family that an admin knows it by.
    pub family: Scheme,
    form: SchemeForm,
    parser: Parser,
}

/// How a hash is written down.
enum SchemeForm {
    /// Unchanged.
    Text,
    /// Unchanged, but the id is added where `OpenLDAP` and passlib leave it out.
    WithId(&'static str),
    /// In base64, of at least this many bytes.
    Base64(usize),
    /// In hexadecimal.
    Hex,
}

enum Parser {
    /// A PHC string that begins with this.
    Argon2(&'static str),
    Foreign(fn(&str) -> Result<ForeignHash, HashReason>),
}

const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    ids: &'static [&'static str],
    family: Scheme,
    form: SchemeForm,
    parser: Parser,
) -> StoredScheme {
    StoredScheme {
        name,
        aliases,
        ids,
        family,
        form,
        parser,
    }
}

#[rustfmt::skip]
static SCHEMES: [StoredScheme; 22] = [
    row("ARGON2ID", &[], &["$argon2id$"], Scheme::Argon2, Text, Argon2("$argon2id$")),
    row("ARGON2I", &[], &["$argon2i$"], Scheme::Argon2, Text, Argon2("$argon2i$")),
    row("BLF-CRYPT", &[], &["$2a$", "$2b$", "$2y$"], Scheme::Bcrypt, Text, Foreign(bcrypt)),
    row("SHA512-CRYPT", &[], &["$6$"], Scheme::Sha512Crypt, Text,
        Foreign(|data| sha_crypt(data, "$6$", ShaVariant::Sha512, 86))),
    row("SHA256-CRYPT", &[], &["$5$"], Scheme::Sha256Crypt, Text,
        Foreign(|data| sha_crypt(data, "$5$", ShaVariant::Sha256, 43))),
    row("MD5-CRYPT", &[], &["$1$"], Scheme::Md5Crypt, Text, Foreign(|data| md5_crypt(data, "$1$"))),
    row("APR1", &[], &["$apr1$"], Scheme::Md5Crypt, Text, Foreign(|data| md5_crypt(data, "$apr1$"))),
    row("YESCRYPT", &[], &["$y$"], Scheme::Yescrypt, Text, Foreign(yescrypt)),
    row("SCRYPT", &[], &["$7$", "$scrypt$"], Scheme::Scrypt, Text, Foreign(scrypt)),
    row("PBKDF2", &["PBKDF2-SHA1"], &["$pbkdf2$"], Scheme::Pbkdf2, WithId("$pbkdf2$"),
        Foreign(pbkdf2_of_sha1)),
    row("PBKDF2-SHA256", &[], &["$pbkdf2-sha256$"], Scheme::Pbkdf2, WithId("$pbkdf2-sha256$"),
        Foreign(|data| pbkdf2(data, "$pbkdf2-sha256$", Sha256))),
    row("PBKDF2-SHA512", &[], &["$pbkdf2-sha512$"], Scheme::Pbkdf2, WithId("$pbkdf2-sha512$"),
        Foreign(|data| pbkdf2(data, "$pbkdf2-sha512$", Sha512))),
    row("SCRAM-SHA-1", &[], &[], Scheme::Scram, Text, Foreign(|data| scram(data, Sha1))),
    row("SCRAM-SHA-256", &[], &[], Scheme::Scram, Text, Foreign(|data| scram(data, Sha256))),
    row("SSHA512", &[], &[], Scheme::Ssha512, Base64(64), Foreign(|data| digest(data, Sha512, true))),
    row("SSHA256", &[], &[], Scheme::Ssha256, Base64(32), Foreign(|data| digest(data, Sha256, true))),
    row("SSHA", &[], &[], Scheme::Ssha, Base64(20), Foreign(|data| digest(data, Sha1, true))),
    row("SMD5", &[], &[], Scheme::Smd5, Base64(16), Foreign(|data| digest(data, Md5, true))),
    row("SHA512", &[], &[], Scheme::Sha512, Base64(64), Foreign(|data| digest(data, Sha512, false))),
    row("SHA256", &[], &[], Scheme::Sha256, Base64(32), Foreign(|data| digest(data, Sha256, false))),
    row("SHA", &["SHA1"], &[], Scheme::Sha, Base64(20), Foreign(|data| digest(data, Sha1, false))),
    // Dovecot's MD5 is MD5-CRYPT; that of RFC 2307 is the digest alone.
    row("PLAIN-MD5", &["LDAP-MD5", "MD5RAW", "MD5"], &[], Scheme::Md5, Hex, Foreign(plain_md5)),
];

impl StoredScheme {
    /// Finds a scheme by any of its names, in capitals.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCHEMES
            .iter()
            .find(|scheme| scheme.name == name || scheme.aliases.contains(&name))
    }

    /// Finds the scheme of a hash that stands without a name.
    pub fn of(data: &str) -> Option<&'static Self> {
        let is_of = |scheme: &&Self| scheme.ids.iter().any(|id| data.starts_with(id));
        SCHEMES.iter().find(is_of)
    }

    /// Finds the scheme of what is stored as `{NAME}DATA`; returns the data, too.
    pub fn of_stored(text: &str) -> Option<(&'static Self, &str)> {
        let (name, data) = text.strip_prefix('{')?.split_once('}')?;
        let scheme = SCHEMES.iter().find(|scheme| scheme.name == name)?;
        Some((scheme, data))
    }

    /// Writes data that is in the given encoding as it is stored, without the name.
    pub fn stored_form<'a>(
        &self,
        data: &'a str,
        encoding: &str,
    ) -> Result<Cow<'a, str>, HashReason> {
        match self.form {
            Text => as_text(data, encoding),
            WithId(id) => {
                let data = as_text(data, encoding)?;
                if data.starts_with(|c: char| c.is_ascii_digit()) {
                    Ok(format!("{id}{data}").into())
                } else {
                    Ok(data)
                }
            }
            Base64(length) => in_base64(data, encoding, length).map(Into::into),
            Hex => in_hex(data, encoding).map(Into::into),
        }
    }

    /// Parses data as it is stored.
    pub fn parse<'a>(&self, data: &'a str) -> Result<Computable<'a>, HashReason> {
        match self.parser {
            Argon2(id) => argon2(data, id).map(|()| Computable::Argon2(data)),
            Foreign(parser) => parser(data).map(Computable::Other),
        }
    }
}
