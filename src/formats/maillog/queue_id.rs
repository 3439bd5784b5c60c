//! The names that mail servers give to messages in their queue.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Exim's since 4.97, the longest.
const LONGEST: usize = 23;

/// The id of a message in the queue of Postfix (short or long) or Exim (16 or 23 characters).
/// Postfix uses short ones again: only with the time of its start is it one message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueId {
    length: u8,
    bytes: [u8; LONGEST],
}

impl QueueId {
    /// An id of Postfix: microseconds and inode in upper-case hexadecimal digits, or with
    /// `enable_long_queue_ids` in base 52, with a `z` between.
    pub fn of_postfix(text: &[u8]) -> Option<Self> {
        let is_short = || {
            (6..=21).contains(&text.len())
                && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
        };
        let is_long = || {
            (12..=LONGEST).contains(&text.len())
                && text.iter().all(|b| is_base_52(*b))
                && text[10..].contains(&b'z')
        };
        (is_short() || is_long()).then(|| Self::from_bytes(text))
    }

    /// An id of Exim: `1xXtOM-0001Kj-1T`, or since 4.97 `1tA2bC-00000000abc-0123`.
    pub fn of_exim(text: &[u8]) -> Option<Self> {
        let dashes = match text.len() {
            16 => [6, 13],
            LONGEST => [6, 18],
            _ => return None,
        };
        let fits = |(at, byte): (usize, &u8)| {
            if dashes.contains(&at) {
                *byte == b'-'
            } else {
                byte.is_ascii_alphanumeric()
            }
        };
        text.iter()
            .enumerate()
            .all(fits)
            .then(|| Self::from_bytes(text))
    }

    fn from_bytes(text: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..text.len()].copy_from_slice(text);
        Self {
            // At most LONGEST, as both callers checked.
            length: u8::try_from(text.len()).unwrap_or(0),
            bytes,
        }
    }

    /// The id as the log has it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or("")
    }
}

impl Hash for QueueId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let words = self.bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.for_each(|word| state.write_u64(word));
    }
}

/// A map by id. Servers make up the ids, not strangers, so a fast hash is safe.
pub type QueueIdMap<T> = HashMap<QueueId, T, BuildHasherDefault<QueueIdHasher>>;

/// Hashes ids only.
#[derive(Default)]
pub struct QueueIdHasher(u64);

impl Hasher for QueueIdHasher {
    fn finish(&self) -> u64 {
        // The map uses the lowest and the highest bits.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// The digits of long ids: no vowels.
fn is_base_52(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        && !matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u')
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_recognised() {
        for id in [
            "6A6769CC1A1",
            "094369CC9AC",
            "4jdBSf09v8z1VQgl",
            "4jdBSg1PMJz1VRLf",
        ] {
            assert_eq!(QueueId::of_postfix(id.as_bytes()).unwrap().as_str(), id);
        }
        for id in ["1xXtOM-0001Kj-1T", "1tA2bC-00000000abc-0123"] {
            assert_eq!(QueueId::of_exim(id.as_bytes()).unwrap().as_str(), id);
        }
        for no in [
            "",
            "warning",
            "NOQUEUE",
            "statistics",
            "4jdBSf09v81VQgl",
            "12345",
            "6a6769cc1a1",
        ] {
            assert_eq!(QueueId::of_postfix(no.as_bytes()), None, "{no}");
            assert_eq!(QueueId::of_exim(no.as_bytes()), None, "{no}");
        }
        assert_eq!(QueueId::of_exim(b"1xXtOM-0001Kj_1T"), None);
    }
}
