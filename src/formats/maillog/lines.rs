//! Lines out of whatever pieces a log is read in.

use memchr::{memchr, memchr_iter};

/// A longer line keeps only its beginning, which has all fields of Postfix and Exim. The
/// journal may hold this much for one entry.
pub const LONGEST: usize = 1 << 20;

/// Splits a log into lines. The last line is given only when its end has arrived: half a
/// line could say something else than the whole.
#[derive(Default)]
pub struct LineSplitter {
    begun: Vec<u8>,
    /// Bytes of the lines given so far, with their ends.
    consumed: u64,
    /// Bytes of the begun line that were not kept.
    skipped: u64,
}

impl LineSplitter {
    /// Gives each line that these bytes complete, without its end.
    pub fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        if !self.begun.is_empty() || self.skipped > 0 {
            let Some(end) = memchr(b'\n', bytes) else {
                self.keep(bytes);
                return;
            };
            self.keep(&bytes[..end]);
            self.consumed += self.begun.len() as u64 + self.skipped + 1;
            self.skipped = 0;
            sink(line(&self.begun));
            self.begun.clear();
            bytes = &bytes[end + 1..];
        }
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let whole = &bytes[start..end];
            sink(line(&whole[..whole.len().min(LONGEST)]));
            start = end + 1;
        }
        self.consumed += start as u64;
        self.keep(&bytes[start..]);
    }

    /// How many bytes belong to the lines given so far: where reading can resume.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Forgets a begun line: the file was cut off or another one begins.
    pub fn reset(&mut self) {
        self.begun.clear();
        self.skipped = 0;
        self.consumed = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(&bytes[..room]);
        self.skipped += (bytes.len() - room) as u64;
    }
}

/// Without what a program leaves before the line when its file was cut off under it, and
/// without the CR of a file that went through Windows.
fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match bytes.first() {
        Some(0) => {
            let start = bytes.iter().position(|byte| *byte != 0);
            &bytes[start.unwrap_or(bytes.len())..]
        }
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| lines.push(line.to_vec()));
        }
        lines
    }

    #[test]
    fn lines_are_the_same_in_any_pieces() {
        let text = b"one\n\ntwo\r\n\0\0three\nbegun";
        let whole = split(&[text]);
        assert_eq!(whole, [&b"one"[..], b"", b"two", b"three"]);
        for a in 0..text.len() {
            for b in a..text.len() {
                assert_eq!(split(&[&text[..a], &text[a..b], &text[b..]]), whole);
            }
        }
    }

    #[test]
    fn a_long_line_keeps_its_beginning_and_is_counted() {
        let mut text = vec![b'x'; LONGEST + 100];
        text.push(b'\n');
        for size in [text.len(), 4096, 1 << 20] {
            let mut splitter = LineSplitter::default();
            let mut lines = Vec::new();
            for piece in text.chunks(size) {
                splitter.push(piece, |line| lines.push(line.len()));
            }
            splitter.push(b"next\n", |line| lines.push(line.len()));
            assert_eq!(lines, [LONGEST, 4]);
            assert_eq!(splitter.consumed(), text.len() as u64 + 5);
        }
    }
}
