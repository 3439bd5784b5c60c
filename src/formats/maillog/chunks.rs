//! Long lines of Exim in syslog: it cuts them into `[1/5] …` to `[5/5] …`, and only the
//! first has the id. What the others begin with, a stranger may have written.

use std::collections::HashMap;

use super::header::{Record, digits};

/// Lines that are longer are cut.
const LONGEST: usize = 64 * 1024;
/// Lines that are begun at the same time, at most.
const MOST: usize = 256;

/// Joins the pieces of each process.
#[derive(Default)]
pub struct ChunkJoiner {
    begun: HashMap<(Vec<u8>, u32), Begun>,
}

struct Begun {
    next: u32,
    text: Vec<u8>,
}

/// What a record is for the joiner.
pub enum Chunk {
    /// A line of its own.
    Whole,
    /// A piece of a line that is not complete, or of none.
    Part,
    /// The last piece: the joined line.
    Joined(Vec<u8>),
}

impl ChunkJoiner {
    /// Takes a record of Exim.
    pub fn join(&mut self, record: &Record<'_>) -> Chunk {
        let Some((number, total, is_one_line, text)) = piece(record.text) else {
            return Chunk::Whole;
        };
        let key = (record.host.to_vec(), record.pid);
        if number == 1 {
            if self.begun.len() >= MOST {
                self.begun.clear();
            }
            let text = text.to_vec();
            self.begun.insert(key, Begun { next: 2, text });
            return Chunk::Part;
        }
        let Some(begun) = self.begun.get_mut(&key) else {
            return Chunk::Part;
        };
        if begun.next != number {
            self.begun.remove(&key);
            return Chunk::Part;
        }
        begun.next += 1;
        if !is_one_line {
            begun.text.push(b'\n');
        }
        let room = LONGEST.saturating_sub(begun.text.len()).min(text.len());
        begun.text.extend_from_slice(&text[..room]);
        if number < total {
            return Chunk::Part;
        }
        match self.begun.remove(&key) {
            Some(begun) => Chunk::Joined(begun.text),
            None => Chunk::Part,
        }
    }
}

/// `[2/5] text`, or `[2\5] text` if a line feed was there.
fn piece(text: &[u8]) -> Option<(u32, u32, bool, &[u8])> {
    let rest = text.strip_prefix(b"[")?;
    let close = rest.iter().take(12).position(|byte| *byte == b']')?;
    let inner = &rest[..close];
    let slash = inner.iter().position(|b| matches!(b, b'/' | b'\\'))?;
    let (number, total) = (digits(&inner[..slash])?, digits(&inner[slash + 1..])?);
    let text = rest[close + 1..].strip_prefix(b" ")?;
    ((1..=total).contains(&number) && total > 1).then_some((
        number,
        total,
        inner[slash] == b'/',
        text,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::log_time::LogTime;

    fn join(lines: &[(u32, &str)]) -> Vec<String> {
        let mut joiner = ChunkJoiner::default();
        let mut found = Vec::new();
        for (pid, text) in lines {
            let record = Record {
                at: LogTime::default(),
                host: b"mail",
                program: b"exim",
                pid: *pid,
                text: text.as_bytes(),
            };
            match joiner.join(&record) {
                Chunk::Whole => found.push((*text).to_owned()),
                Chunk::Part => {}
                Chunk::Joined(text) => found.push(String::from_utf8(text).unwrap()),
            }
        }
        found
    }

    #[test]
    fn pieces_of_processes_are_kept_apart() {
        assert_eq!(
            join(&[
                (1, "[1/3] a "),
                (2, "[1/2] x"),
                (1, "[2/3] b"),
                (3, "whole"),
                (2, "[2/2] 1xXtOM-0001Kj-1T => forged"),
                (1, "[3/3] c"),
            ]),
            ["whole", "x1xXtOM-0001Kj-1T => forged", "a bc"]
        );
    }

    #[test]
    fn pieces_without_a_beginning_are_nothing() {
        assert_eq!(join(&[(1, "[2/3] b"), (1, "[3/3] c")]), [""; 0]);
        assert_eq!(join(&[(1, "[1/3] a"), (1, "[3/3] c")]), [""; 0]);
        assert_eq!(
            join(&[(1, "[9601] text"), (1, "[0/2] text")]),
            ["[9601] text", "[0/2] text"]
        );
    }
}
