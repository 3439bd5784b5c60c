//! The header of an encrypted file: its key, wrapped for each recipient, and a MAC.

use std::io::{BufRead, Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

use super::failure::AgeError;
use super::keys::{Identity, Recipient};
use crate::error::Result as OurResult;
use crate::model::password::Random;

const VERSION: &str = "age-encryption.org/v1";
const STANZA: &str = "-> ";
const X25519: &str = "X25519";
const END: &str = "---";
const INFO: &[u8] = b"age-encryption.org/v1/X25519";
/// In characters: a shorter line ends the body of a stanza.
const COLUMNS: usize = 64;
/// In bytes. Anyone may have made the file.
const LONGEST: u64 = 1 << 20;

/// The key of one file.
pub struct FileKey(Zeroizing<[u8; 16]>);

impl FileKey {
    /// Makes a random one.
    pub fn random(random: Random) -> OurResult<Self> {
        let mut key = Zeroizing::new([0; 16]);
        random(&mut *key)?;
        Ok(Self(key))
    }

    /// Derives the key of the payload.
    pub fn payload(&self, nonce: &[u8]) -> Zeroizing<[u8; 32]> {
        derived(&*self.0, nonce, b"payload")
    }

    /// Returns the MAC of the header.
    fn mac(&self, header: &[u8]) -> Hmac<Sha256> {
        let key = derived(&*self.0, &[], b"header");
        // As long as a block, with zeros, which an HMAC adds to a shorter key.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(&*key);
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&(*block).into());
        mac.update(header);
        mac
    }
}

/// Writes a header, and returns the key.
pub fn write(
    to: &mut dyn Write,
    recipients: &[Recipient],
    random: Random,
) -> Result<FileKey, AgeError> {
    let key = FileKey::random(random)?;
    let mut header = format!("{VERSION}\n");
    for recipient in recipients {
        let mut secret = Zeroizing::new([0; 32]);
        random(&mut *secret)?;
        let share = x25519(*secret, X25519_BASEPOINT_BYTES);
        let wrapping = wrapping_key(&secret, &recipient.0, &share, &recipient.0)
            .ok_or(AgeError::Damaged("a recipient is no usable key"))?;
        let wrapped = cipher(&wrapping)
            .encrypt(&[0; 12].into(), &key.0[..])
            .map_err(|_| AgeError::Damaged("the key cannot be wrapped"))?;
        let [share, wrapped] = [&share[..], &wrapped].map(|bytes| BASE64.encode(bytes));
        // 32 bytes are a single line.
        header.extend([STANZA, X25519, " ", &share, "\n", &wrapped, "\n"]);
    }
    header += END;
    let mac = BASE64.encode(key.mac(header.as_bytes()).finalize().into_bytes());
    header.extend([" ", &mac, "\n"]);
    to.write_all(header.as_bytes())?;
    Ok(key)
}

/// Reads a header, and unwraps the key with one of these identities.
pub fn read(from: &mut dyn BufRead, identities: &[Identity]) -> Result<FileKey, AgeError> {
    let mut header = Vec::new();
    let mut key = None;
    if line(from, &mut header)? != VERSION {
        return Err(AgeError::Damaged(
            "it is not a file of age in this version, or armored",
        ));
    }
    loop {
        let before = header.len();
        let said = line(from, &mut header)?;
        if let Some(mac) = said.strip_prefix(END) {
            let key = key.ok_or(AgeError::OtherKey)?;
            return checked(key, &header[..before + END.len()], mac);
        }
        let Some(stanza) = said.strip_prefix(STANZA) else {
            return Err(AgeError::Damaged("its header is damaged"));
        };
        let body = body(from, &mut header)?;
        if let (None, Some(share)) = (&key, stanza.strip_prefix("X25519 ")) {
            key = identities
                .iter()
                .find_map(|one| unwrapped(one, share, &body));
        }
    }
}

fn checked(key: FileKey, header: &[u8], mac: &str) -> Result<FileKey, AgeError> {
    let mac = mac
        .strip_prefix(' ')
        .and_then(|mac| BASE64.decode(mac).ok());
    let mac = mac.ok_or(AgeError::Damaged("its header is damaged"))?;
    match key.mac(header).verify_slice(&mac) {
        Ok(()) => Ok(key),
        Err(_) => Err(AgeError::Damaged("its header was changed")),
    }
}

fn unwrapped(identity: &Identity, share: &str, body: &str) -> Option<FileKey> {
    let share: [u8; 32] = BASE64.decode(share).ok()?.try_into().ok()?;
    let body = BASE64.decode(body).ok().filter(|body| body.len() == 32)?;
    let own = identity.recipient();
    let wrapping = wrapping_key(&identity.0, &share, &share, &own.0)?;
    let plain = cipher(&wrapping).decrypt(&[0; 12].into(), &body[..]);
    let plain = Zeroizing::new(plain.ok()?);
    let mut key = Zeroizing::new([0; 16]);
    if plain.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&plain);
    Some(FileKey(key))
}

/// Returns nothing for a point that makes every shared secret the same.
fn wrapping_key(
    secret: &[u8; 32],
    point: &[u8; 32],
    share: &[u8; 32],
    recipient: &[u8; 32],
) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(x25519(*secret, *point));
    let salt = [&share[..], &recipient[..]].concat();
    (*shared != [0; 32]).then(|| derived(&*shared, &salt, INFO))
}

fn derived(from: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // It fails only for a longer key.
    let _ = Hkdf::<Sha256>::new(Some(salt), from).expand(info, &mut *key);
    key
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(*key).into())
}

/// Reads a line, and adds it to the header.
fn line(from: &mut dyn BufRead, header: &mut Vec<u8>) -> Result<String, AgeError> {
    let start = header.len();
    let most = LONGEST.saturating_sub(start as u64);
    from.take(most).read_until(b'\n', header)?;
    let read = header
        .get(start..)
        .and_then(|read| read.strip_suffix(b"\n"));
    let read = read.and_then(|read| std::str::from_utf8(read).ok());
    read.map(str::to_owned)
        .ok_or(AgeError::Damaged("its header is damaged"))
}

/// Reads the body of a stanza: full lines, and a shorter one.
fn body(from: &mut dyn BufRead, header: &mut Vec<u8>) -> Result<String, AgeError> {
    let mut body = String::new();
    loop {
        let line = line(from, header)?;
        body += &line;
        match line.len() {
            COLUMNS => {}
            ..COLUMNS => return Ok(body),
            _ => return Err(AgeError::Damaged("its header is damaged")),
        }
    }
}
