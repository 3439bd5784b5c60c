//! Searches bytes of any length, piece by piece. Pieces overlap, so that no password is cut.

use std::io::{self, ErrorKind, Read};

use memchr::memchr_iter;
use zeroize::Zeroizing;

use crate::model::password::FoundPassword;
use crate::model::password_search::{LONGEST, PasswordSearch};

/// A piece, in bytes.
const PIECE: usize = 256 * 1024;
/// What has a zero byte so early is binary, as for grep and Git.
const BEGINNING: usize = 8 * 1024;

/// A password in something that is read.
#[derive(Debug)]
pub struct Hit {
    /// The line, from 1 on; `None` in binary files.
    pub line: Option<u64>,
    /// The password.
    pub password: FoundPassword,
}

/// Searches one input after the other in the same memory, which is wiped at the end.
pub struct ContentSearch<'a> {
    search: &'a PasswordSearch,
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer is filled.
    filled: usize,
    /// There is no more than what is in the buffer.
    at_end: bool,
    /// Why it ended early. What was read before is searched first.
    failed: Option<io::Error>,
}

impl<'a> ContentSearch<'a> {
    /// Takes its memory.
    pub fn new(search: &'a PasswordSearch) -> Self {
        Self {
            search,
            buffer: Zeroizing::new(vec![0; PIECE]),
            filled: 0,
            at_end: false,
            failed: None,
        }
    }

    /// Begins with an input, and returns its first piece.
    pub fn begin(&mut self, input: &mut dyn Read) -> io::Result<&[u8]> {
        self.filled = 0;
        self.at_end = false;
        self.failed = None;
        self.fill(input);
        if self.filled == 0
            && let Some(error) = self.failed.take()
        {
            return Err(error);
        }
        Ok(&self.buffer[..self.filled])
    }

    /// Searches an input from its beginning to its end.
    pub fn search(&mut self, input: &mut dyn Read, each: &mut dyn FnMut(Hit)) -> io::Result<()> {
        self.begin(input)?;
        self.go_on(input, each)
    }

    /// Searches what [`Self::begin`] began with.
    pub fn go_on(&mut self, input: &mut dyn Read, each: &mut dyn FnMut(Hit)) -> io::Result<()> {
        let is_text = is_text(&self.buffer[..self.filled.min(BEGINNING)]);
        let mut line = 1;
        loop {
            let end = if self.at_end {
                self.filled
            } else {
                self.filled - LONGEST
            };
            let piece = &self.buffer[..self.filled];
            let mut counted = 0;
            self.search.each(piece, end, &mut |found| {
                line += lines(&piece[counted..found.at]);
                counted = found.at;
                each(Hit {
                    line: (is_text || found.wide).then_some(line),
                    password: found.password,
                });
            });
            if self.at_end {
                return self.failed.take().map_or(Ok(()), Err);
            }
            line += lines(&piece[counted..end]);
            self.buffer.copy_within(end..self.filled, 0);
            self.filled -= end;
            self.fill(input);
        }
    }

    /// Reads until the buffer is full or the input ends.
    fn fill(&mut self, input: &mut dyn Read) {
        while self.filled < self.buffer.len() {
            match input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    self.at_end = true;
                    return;
                }
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.at_end = true;
                    self.failed = Some(error);
                    return;
                }
            }
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

fn is_text(beginning: &[u8]) -> bool {
    const BYTE_ORDER_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
    let is_marked = BYTE_ORDER_MARKS
        .iter()
        .any(|mark| beginning.starts_with(mark));
    is_marked || memchr::memchr(0, beginning).is_none()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;
    use crate::files::holes::WithoutHoles;

    const PASSWORD: &str = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";

    fn hits(input: &mut dyn Read) -> Vec<Option<u64>> {
        let search = PasswordSearch::default();
        let mut hits = Vec::new();
        let mut content = ContentSearch::new(&search);
        content
            .search(input, &mut |hit| hits.push(hit.line))
            .unwrap();
        hits
    }

    #[test]
    fn a_password_at_the_edge_of_a_piece_is_found_once() {
        // Before, at and after the edges of the first two pieces and their overlap.
        let edges = [PIECE, PIECE - LONGEST, 2 * PIECE - LONGEST];
        let near = edges.map(|edge| [edge - 36, edge - 35, edge - 6, edge - 1, edge, edge + 1]);
        for at in near.into_iter().flatten() {
            let mut text = vec![b'x'; at];
            text[100] = b'\n';
            text[at - 1] = b'\n';
            text.extend(PASSWORD.as_bytes());
            text.extend([b'\n'; 700]);
            assert_eq!(hits(&mut &*text), [Some(3)], "{at}");
        }
    }

    #[test]
    fn holes_are_not_read() {
        let mut file = tempfile::tempfile().unwrap();
        for at in [0, 1 << 30, 50 << 30] {
            file.seek(io::SeekFrom::Start(at)).unwrap();
            file.write_all(PASSWORD.as_bytes()).unwrap();
        }
        file.set_len(60 << 30).unwrap();
        file.rewind().unwrap();
        let mut without = WithoutHoles::of(&file).unwrap().expect("holes");
        assert_eq!(hits(&mut without), [None; 3]);
        let mut whole = tempfile::tempfile().unwrap();
        whole.write_all(&[b'x'; 9000]).unwrap();
        whole.sync_all().unwrap();
        assert!(WithoutHoles::of(&whole).unwrap().is_none());
    }

    #[test]
    fn lines_are_those_of_text() {
        let text = PASSWORD;
        assert_eq!(
            hits(&mut format!("a\nb {text}\n{text}").as_bytes()),
            [Some(2), Some(3)]
        );
        assert_eq!(hits(&mut format!("\0\n{text}").as_bytes()), [None]);
        let wide: Vec<u8> = format!("a\n{text}")
            .bytes()
            .flat_map(|byte| [byte, 0])
            .collect();
        assert_eq!(hits(&mut &*wide), [Some(2)]);
    }
}
