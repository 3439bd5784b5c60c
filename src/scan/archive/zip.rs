//! The entries of a zip file, from its beginning on.

use std::io::{self, BufRead};

const ENTRY: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
/// The list of entries and its end.
const LISTS: [[u8; 4]; 4] = [
    *b"PK\x01\x02",
    *b"PK\x05\x06",
    *b"PK\x06\x06",
    *b"PK\x06\x07",
];
/// The size is in a longer field.
const LONG: u32 = u32::MAX;
const LONG_SIZES: u16 = 1;

/// An entry, whose bytes follow.
pub struct ZipEntry {
    /// Its name.
    pub name: String,
    /// How many bytes follow; `None` if only their end tells.
    pub size: Option<u64>,
    /// What has to be done with them.
    pub packing: ZipPacking,
    /// Sizes and a checksum follow after them.
    pub has_descriptor: bool,
}

/// How an entry is packed.
pub enum ZipPacking {
    /// Not at all.
    Stored,
    /// With deflate.
    Deflated,
    /// In another way, described for people.
    Other(&'static str),
}

impl ZipEntry {
    /// Reads the next entry. Returns `None` after the last one.
    pub fn next(input: &mut dyn BufRead) -> io::Result<Option<Self>> {
        let mut signature = [0; 4];
        // A file that is cut off here has no list of its entries, but all of them.
        if input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        input.read_exact(&mut signature)?;
        if LISTS.contains(&signature) {
            return Ok(None);
        }
        if signature != ENTRY {
            return Err(io::Error::other("the zip file is damaged"));
        }
        let mut fields = [0; 26];
        input.read_exact(&mut fields)?;
        let short = |at: usize| u16::from_le_bytes([fields[at], fields[at + 1]]);
        let long = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        let flags = short(2);
        let packing = match short(4) {
            _ if flags & 1 != 0 => ZipPacking::Other("it is encrypted"),
            0 => ZipPacking::Stored,
            8 => ZipPacking::Deflated,
            _ => ZipPacking::Other("it is packed in a way that scan cannot read"),
        };
        let has_descriptor = flags & 8 != 0;
        let name = bytes(input, short(22))?;
        let extra = bytes(input, short(24))?;
        let size = match long(14) {
            LONG => long_size(&extra),
            0 if has_descriptor => None,
            size => Some(u64::from(size)),
        };
        Ok(Some(Self {
            name: String::from_utf8_lossy(&name).into_owned(),
            size,
            packing,
            has_descriptor,
        }))
    }
}

/// Skips what follows an entry whose sizes were unknown when it was begun.
pub fn skip_descriptor(input: &mut dyn BufRead) -> io::Result<()> {
    let mut first = [0; 4];
    input.read_exact(&mut first)?;
    // The signature is optional. Then a checksum and two sizes, of four bytes or of eight.
    let mut rest = [0; 12];
    let rest = if first == DESCRIPTOR {
        &mut rest[..]
    } else {
        &mut rest[..8]
    };
    input.read_exact(rest)?;
    let next = input.fill_buf()?;
    if !next.is_empty() && !next.starts_with(&b"PK"[..next.len().min(2)]) {
        input.read_exact(&mut [0; 8])?;
    }
    Ok(())
}

fn bytes(input: &mut dyn BufRead, length: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(length)];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The packed size follows the unpacked one.
fn long_size(mut extra: &[u8]) -> Option<u64> {
    while let Some(([a, b, c, d], rest)) = extra.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*c, *d]));
        let field = rest.get(..length)?;
        if u16::from_le_bytes([*a, *b]) == LONG_SIZES {
            let size = field.get(8..16)?;
            return size.try_into().map(u64::from_le_bytes).ok();
        }
        extra = &rest[length..];
    }
    None
}
