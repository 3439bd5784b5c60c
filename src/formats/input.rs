//! What the readers share: byte order marks, lines, and how long a row may be.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::row::{ParsedRow, RowSink};
use crate::error::{Error, Result};

/// How long a row may be, in bytes: longer than any real one.
pub const MAX_ROW: usize = 256 * 1024;

/// Strips a UTF-8 byte order mark. Refuses UTF-16, which spreadsheets also write.
pub fn strip_bom<'a>(input: &'a mut dyn BufRead) -> Result<Box<dyn BufRead + 'a>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    const LOOKED_AT: usize = 4;
    let begins = input.fill_buf().map_err(|e| read_error(&e))?;
    if begins.len() >= LOOKED_AT {
        reject_utf16(begins)?;
        if begins.starts_with(MARK) {
            input.consume(MARK.len());
        }
        return Ok(Box::new(input));
    }
    // A pipe may bring its bytes one by one.
    let mut begin = Vec::new();
    let read = Read::take(&mut *input, LOOKED_AT as u64).read_to_end(&mut begin);
    read.map_err(|e| read_error(&e))?;
    reject_utf16(&begin)?;
    if begin.starts_with(MARK) {
        begin.drain(..MARK.len());
    }
    Ok(Box::new(io::Cursor::new(begin).chain(input)))
}

/// Recognises UTF-16 by its byte order mark or by the zero bytes between letters.
fn reject_utf16(begins: &[u8]) -> Result<()> {
    let zeros = |text: &[u8]| text.iter().all(|byte| *byte == 0);
    let is_utf16 = match begins {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] => !zeros(&[*a, *b]),
        _ => false,
    };
    if is_utf16 {
        return Err(Error::Usage(
            "the file is UTF-16: save it as UTF-8 (spreadsheets call this \"CSV UTF-8\")".into(),
        ));
    }
    Ok(())
}

/// The reason for a row that is not UTF-8, such as one with an umlaut in Windows-1252.
pub const NOT_UTF8: &str = "is not UTF-8 (perhaps Windows-1252): save it as UTF-8";

/// Makes the error for a file that cannot be read.
pub fn read_error(error: &io::Error) -> Error {
    Error::Usage(format!("the file cannot be read: {error}"))
}

/// Calls `line` for each line that is not empty, with its number and without its end.
/// Lines that are too long or not UTF-8 are passed to `sink` as bad rows.
pub fn each_line(
    input: &mut dyn BufRead,
    sink: &mut RowSink,
    line: &mut dyn FnMut(i64, &str, &mut RowSink) -> Result<()>,
) -> Result<()> {
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = u64::try_from(MAX_ROW).unwrap_or(u64::MAX);
        let read = Read::take(&mut *input, most).read_until(b'\n', &mut bytes);
        if read.map_err(|e| read_error(&e))? == 0 {
            return Ok(());
        }
        number += 1;
        if bytes.len() >= MAX_ROW && !bytes.ends_with(b"\n") {
            sink(ParsedRow::bad(number, "is too long", ""))?;
            skip_line(input)?;
            continue;
        }
        while bytes.ends_with(b"\n") || bytes.ends_with(b"\r") {
            bytes.pop();
        }
        match std::str::from_utf8(&bytes) {
            Ok("") => {}
            Ok(text) => line(number, text, sink)?,
            Err(_) => sink(ParsedRow::bad(number, NOT_UTF8, ""))?,
        }
    }
}

fn skip_line(input: &mut dyn BufRead) -> Result<()> {
    loop {
        let buffer = input.fill_buf().map_err(|e| read_error(&e))?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// A reader that fails where one row is too long. Its user marks where rows end.
pub struct RowReader<'a> {
    input: &'a mut dyn BufRead,
    left: Rc<Cell<usize>>,
}

impl<'a> RowReader<'a> {
    /// Also returns how many bytes are left for a row, to be set to [`Self::FULL`] after
    /// each one.
    pub fn new(input: &'a mut dyn BufRead) -> (Self, Rc<Cell<usize>>) {
        let left = Rc::new(Cell::new(Self::FULL));
        let limited = Self {
            input,
            left: Rc::clone(&left),
        };
        (limited, left)
    }

    /// How many bytes are left at the start of a row.
    pub const FULL: usize = 2 * MAX_ROW;
}

impl Read for RowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("a row is too long"));
        }
        let most = buffer.len().min(left);
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(left - read);
        Ok(read)
    }
}

/// Makes the error for a file that ends in the middle of a statement or record.
pub fn truncated_error() -> Error {
    Error::Usage(
        "the file is cut off: it ends in the middle of a statement or record; dump it again".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_left_out_however_it_arrives() {
        for (given, left) in [
            ("\u{feff}a", "a"),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            ("\u{fefe}a", "\u{fefe}a"),
            ("a\u{feff}", "a\u{feff}"),
            ("\u{feff}", ""),
            ("", ""),
            ("ab", "ab"),
            ("\u{feff}abcdef", "abcdef"),
            ("a\0b", "a\0b"),
        ] {
            for at_once in [1, 2, 3, 100] {
                let mut input = io::BufReader::with_capacity(at_once, given.as_bytes());
                let mut text = String::new();
                let mut read = strip_bom(&mut input).unwrap();
                read.read_to_string(&mut text).unwrap();
                assert_eq!(text, left, "{at_once} at once");
            }
        }
    }

    #[test]
    fn utf16_is_named_however_it_arrives() {
        for given in [
            &b"\xff\xfea\0b\0c\0"[..],
            b"\xfe\xff\0a\0b\0c",
            b"a\0b\0c\0",
            b"\0a\0b\0c",
            b"\xff\xfe",
        ] {
            for at_once in [1, 2, 3, 100] {
                let mut input = io::BufReader::with_capacity(at_once, given);
                let error = strip_bom(&mut input).err().unwrap().to_string();
                assert!(error.contains("save it as UTF-8"), "{given:?}: {error}");
            }
        }
    }
}
