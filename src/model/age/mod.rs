//! Encrypts files for public keys, in the format of age: <https://age-encryption.org/v1>.
//!
//! Only keys of the kind X25519. The crate of that name brings 89 others, for translations,
//! plugins and keys of SSH; this needs four, of the family that is here already.

mod failure;
mod header;
mod keys;

use std::io::{self, BufRead, Read, Write};

use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use zeroize::{Zeroize as _, Zeroizing};

pub use failure::AgeError;
pub use header::FileKey;
pub use keys::{Identity, Recipient};

use crate::model::password::Random;

/// How much is encrypted at once.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const NONCE: usize = 16;

/// Encrypts everything to these recipients. Returns the key, to read it again.
pub fn encrypt(
    from: &mut dyn Read,
    to: &mut dyn Write,
    recipients: &[Recipient],
    random: Random,
) -> Result<FileKey, AgeError> {
    let key = header::write(to, recipients, random)?;
    let mut nonce = [0; NONCE];
    random(&mut nonce)?;
    to.write_all(&nonce)?;
    let mut chunks = Chunks::new(&key, &nonce);
    // Only the one behind the last tells which was the last.
    let mut chunk = full(from, CHUNK)?;
    loop {
        let next = if chunk.len() == CHUNK {
            full(from, CHUNK)?
        } else {
            Zeroizing::new(Vec::new())
        };
        let last = next.is_empty();
        let nonce = chunks.nonce(last);
        let sealed = chunks.cipher.encrypt(&nonce.into(), &chunk[..]);
        to.write_all(&sealed.map_err(|_| AgeError::Damaged("it cannot be encrypted"))?)?;
        if last {
            return Ok(key);
        }
        chunk = next;
    }
}

/// Decrypts everything with one of these identities. What is written before an error is whole,
/// but not all.
pub fn decrypt(
    from: &mut dyn BufRead,
    to: &mut dyn Write,
    identities: &[Identity],
) -> Result<(), AgeError> {
    let key = header::read(from, identities)?;
    payload(from, to, &key)
}

/// Reads a file that was encrypted with this key, and compares nothing else.
pub fn read_again(from: &mut dyn BufRead, key: &FileKey) -> Result<(), AgeError> {
    let mut line = Vec::new();
    while !line.starts_with(b"---") {
        line.clear();
        if from.take(1 << 20).read_until(b'\n', &mut line)? == 0 {
            return Err(AgeError::Damaged("its header is damaged"));
        }
    }
    payload(from, &mut io::sink(), key)
}

fn payload(from: &mut dyn Read, to: &mut dyn Write, key: &FileKey) -> Result<(), AgeError> {
    let mut nonce = [0; NONCE];
    from.read_exact(&mut nonce).map_err(ended)?;
    let mut chunks = Chunks::new(key, &nonce);
    let mut sealed = full(from, CHUNK + TAG)?;
    let mut first = true;
    loop {
        let next = if sealed.len() == CHUNK + TAG {
            full(from, CHUNK + TAG)?
        } else {
            Zeroizing::new(Vec::new())
        };
        let last = next.is_empty();
        let nonce = chunks.nonce(last);
        let opened = chunks.cipher.decrypt(&nonce.into(), &sealed[..]);
        let mut opened =
            opened.map_err(|_| AgeError::Damaged("its end is missing, or it was changed"))?;
        if opened.is_empty() && !first {
            return Err(AgeError::Damaged("its end was changed"));
        }
        to.write_all(&opened)?;
        opened.zeroize();
        if last {
            return Ok(());
        }
        (sealed, first) = (next, false);
    }
}

/// The cipher of the payload, and how many chunks it has had.
struct Chunks {
    cipher: ChaCha20Poly1305,
    number: u64,
}

impl Chunks {
    fn new(key: &FileKey, nonce: &[u8]) -> Self {
        let key = key.payload(nonce);
        Self {
            cipher: ChaCha20Poly1305::new(&(*key).into()),
            number: 0,
        }
    }

    /// Returns the nonce of the next chunk: its number in 11 bytes, and whether it is the last.
    fn nonce(&mut self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        nonce
    }
}

/// Reads so many bytes, or fewer at the end.
fn full(from: &mut dyn Read, size: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut read = Zeroizing::new(Vec::with_capacity(size));
    from.take(size as u64).read_to_end(&mut read)?;
    Ok(read)
}

fn ended(error: io::Error) -> AgeError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => AgeError::Damaged("its end is missing"),
        _ => AgeError::Io(error),
    }
}

#[cfg(test)]
mod tests;
