//! The format in which a relay's memory is carried over to the program that replaces it: numbers
//! in little-endian order, and at the end a hash of everything before it. Both sides work with
//! one small buffer, which is wiped.

use std::io::{self, Read, Write};

use zeroize::{Zeroize as _, Zeroizing};

/// Changes whenever the format changes, and with every change of how its digests are computed; see
/// [`super::CarriedOver`].
pub const FORMAT: u32 = 4;

const MAGIC: [u8; 8] = *b"smtpcred";
const BUFFER: usize = 64 * 1024;
const HASH: usize = 32;
/// The most bytes of a text. No name in the store is longer.
const LONGEST: u16 = 4096;

/// Writes what is carried over.
pub struct CarryOverWriter<'a> {
    to: &'a mut dyn Write,
    buffer: Zeroizing<Vec<u8>>,
    hash: blake3::Hasher,
    /// How many bytes may still be written.
    room: u64,
}

/// Reads what was carried over.
pub struct CarryOverReader<'a> {
    from: &'a mut dyn Read,
    buffer: Zeroizing<Vec<u8>>,
    /// Where the unread part of the buffer begins.
    at: usize,
    /// How far the buffer was hashed.
    hashed: usize,
    hash: blake3::Hasher,
}

impl<'a> CarryOverWriter<'a> {
    /// Begins. [`has_room`](Self::has_room) keeps the whole below about `most` bytes.
    pub fn begin(to: &'a mut dyn Write, most: u64) -> io::Result<Self> {
        let mut writer = Self {
            to,
            buffer: Zeroizing::new(Vec::with_capacity(BUFFER)),
            hash: blake3::Hasher::new(),
            room: most,
        };
        writer.bytes(&MAGIC)?;
        writer.u32(FORMAT)?;
        Ok(writer)
    }

    /// Returns whether this many records of this size may follow.
    pub fn has_room(&self, records: usize, size: usize) -> bool {
        (records as u64).saturating_mul(size as u64) <= self.room
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Never more than its capacity: a vector that grows leaves a copy behind.
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        self.room = self.room.saturating_sub(bytes.len() as u64);
        Ok(())
    }

    pub fn u8(&mut self, number: u8) -> io::Result<()> {
        self.bytes(&[number])
    }

    pub fn u32(&mut self, number: u32) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn u64(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn i64(&mut self, number: i64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn u128(&mut self, number: u128) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    /// Writes a text, such as a name.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let length = u16::try_from(text.len())
            .ok()
            .filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| damaged("a text is too long"))?;
        self.bytes(&length.to_le_bytes())?;
        self.bytes(text.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the hash at the end.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.to.write_all(self.hash.finalize().as_bytes())
    }
}

impl<'a> CarryOverReader<'a> {
    /// Reads the beginning. An error means that it was written by another program.
    pub fn begin(from: &'a mut dyn Read) -> io::Result<Self> {
        let mut reader = Self {
            from,
            buffer: Zeroizing::new(Vec::with_capacity(BUFFER)),
            at: 0,
            hashed: 0,
            hash: blake3::Hasher::new(),
        };
        if reader.array::<8>()? != MAGIC {
            return Err(damaged("it is of another program"));
        }
        if reader.u32()? != FORMAT {
            return Err(damaged("it has another format"));
        }
        Ok(reader)
    }

    pub fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        if self.buffer.len() - self.at < N {
            self.fill(N)?;
        }
        let end = self.at + N;
        let mut array = [0; N];
        array.copy_from_slice(&self.buffer[self.at..end]);
        self.at = end;
        Ok(array)
    }

    pub fn u8(&mut self) -> io::Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> io::Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn u128(&mut self) -> io::Result<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self) -> io::Result<String> {
        let length = u16::from_le_bytes(self.array()?);
        if length > LONGEST {
            return Err(damaged("a text is too long"));
        }
        let bytes = (0..length).map(|_| self.u8()).collect::<io::Result<_>>()?;
        String::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8"))
    }

    /// Reads until the buffer has `least` bytes that were not read yet.
    fn fill(&mut self, least: usize) -> io::Result<()> {
        self.hash_read();
        let left = self.buffer.len() - self.at;
        self.buffer.copy_within(self.at.., 0);
        (self.at, self.hashed) = (0, 0);
        let mut filled = left;
        self.buffer.resize(BUFFER, 0);
        while filled < least {
            match self.from.read(&mut self.buffer[filled..]) {
                Ok(0) => return Err(damaged("it is cut off")),
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.buffer[filled..].zeroize();
        self.buffer.truncate(filled);
        Ok(())
    }

    fn hash_read(&mut self) {
        self.hash.update(&self.buffer[self.hashed..self.at]);
        self.hashed = self.at;
    }

    /// Checks the hash and that nothing follows. Without this, nothing that was read counts.
    pub fn end(mut self) -> io::Result<()> {
        self.hash_read();
        let expected = self.hash.finalize();
        let is_intact = blake3::Hash::from_bytes(self.array::<HASH>()?) == expected;
        let is_last = self.at == self.buffer.len() && self.from.read(&mut [0])? == 0;
        if is_intact && is_last {
            Ok(())
        } else {
            Err(damaged("it is damaged"))
        }
    }
}

/// Returns the error for what does not have the right format.
pub fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: u64 = 20_000;

    fn written() -> Vec<u8> {
        let mut to = Vec::new();
        let mut writer = CarryOverWriter::begin(&mut to, u64::MAX).unwrap();
        for n in 0..RECORDS {
            writer.u64(n).unwrap();
            writer.u8(7).unwrap();
        }
        writer.end().unwrap();
        to
    }

    fn read(mut bytes: &[u8]) -> io::Result<()> {
        let mut reader = CarryOverReader::begin(&mut bytes)?;
        for n in 0..RECORDS {
            assert_eq!((reader.u64()?, reader.u8()?), (n, 7));
        }
        reader.end()
    }

    #[test]
    fn what_is_written_is_read_and_anything_else_is_not() {
        let whole = written();
        read(&whole).unwrap();
        let says = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert_eq!(says(b""), "it is cut off");
        assert_eq!(says(&whole[..whole.len() - 1]), "it is cut off");
        assert_eq!(says(&[whole.as_slice(), b"x"].concat()), "it is damaged");
        for (at, why) in [
            (0, "it is of another program"),
            (8, "it has another format"),
            (whole.len() - 1, "it is damaged"),
        ] {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert_eq!(says(&other), why);
        }
    }

    #[test]
    fn room_is_what_is_left() {
        let mut to = Vec::new();
        let mut writer = CarryOverWriter::begin(&mut to, 30).unwrap();
        assert!(writer.has_room(2, 9) && !writer.has_room(3, 9));
        writer.u64(1).unwrap();
        assert!(writer.has_room(1, 9) && !writer.has_room(2, 9));
        assert!(!writer.has_room(usize::MAX, 9));
    }
}
