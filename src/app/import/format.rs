//! The files other systems have, to rows of named fields. Nothing is checked
//! here but that a row is one.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::str::FromStr;

use super::check::OF_IMPORT;
use crate::error::{Error, Result};
use crate::model::text::invalid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
    DovecotPasswd,
    PostfixAdmin,
    Htpasswd,
    Maddy,
    DockerMailserver,
    Sasldb,
    MailgunJson,
}

/// A row: its number from 1 on, its fields, and itself as it stood.
pub struct Raw {
    pub row: i64,
    pub fields: Vec<(String, String)>,
    pub text: String,
}

/// Why a row is not taken. The reason never has a value of the row in it: it may
/// be a password.
#[derive(Debug)]
pub struct Problem {
    pub row: i64,
    pub column: String,
    pub reason: String,
}

pub enum Read1 {
    Row(Raw),
    /// With the row as far as it was read.
    Bad(Problem, String),
}

/// Those of our own CSV and JSON.
#[derive(Clone, Copy)]
pub struct Columns {
    pub known: &'static [&'static str],
    /// One of these at least.
    pub needed: &'static [&'static str],
}

pub type Each<'a> = dyn FnMut(Read1) -> Result<()> + 'a;

/// In bytes: longer than any row of anybody.
pub const LONGEST: usize = 256 * 1024;

impl Format {
    pub const ALL: [Self; 9] = [
        Self::Csv,
        Self::Json,
        Self::DovecotPasswd,
        Self::PostfixAdmin,
        Self::Htpasswd,
        Self::Maddy,
        Self::DockerMailserver,
        Self::Sasldb,
        Self::MailgunJson,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::DovecotPasswd => "dovecot-passwd",
            Self::PostfixAdmin => "postfixadmin",
            Self::Htpasswd => "htpasswd",
            Self::Maddy => "maddy",
            Self::DockerMailserver => "docker-mailserver",
            Self::Sasldb => "sasldb",
            Self::MailgunJson => "mailgun-json",
        }
    }

    /// Reads all rows, in constant memory.
    pub fn read(self, input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
        let input = &mut *without_mark(input)?;
        match self {
            Self::Csv => super::csv::read(OF_IMPORT, input, each),
            Self::Json | Self::MailgunJson => super::json::read(OF_IMPORT, input, each),
            Self::DovecotPasswd | Self::Htpasswd | Self::DockerMailserver => {
                super::lines::read(self, input, each)
            }
            Self::PostfixAdmin => super::sql::read("mailbox", input, each),
            Self::Maddy => super::sql::read("passwords", input, each),
            Self::Sasldb => super::sasldb::read(input, each),
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name);
                invalid("format", text, names.join(", "))
            })
    }
}

impl Problem {
    pub fn new(row: i64, column: &str, reason: impl Into<String>) -> Self {
        Self {
            row,
            column: column.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Read1 {
    pub fn bad(row: i64, reason: &str, text: &str) -> Self {
        Self::Bad(Problem::new(row, "", reason), text.to_owned())
    }
}

/// Without what Windows puts before a text.
pub fn without_mark<'a>(input: &'a mut dyn BufRead) -> Result<Box<dyn BufRead + 'a>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let begins = input.fill_buf().map_err(|e| failed(&e))?;
    if begins.starts_with(MARK) {
        input.consume(MARK.len());
        return Ok(Box::new(input));
    }
    if begins.is_empty() || !MARK.starts_with(begins) {
        return Ok(Box::new(input));
    }
    // A pipe may bring its bytes one by one.
    let mut begin = Vec::new();
    let most = MARK.len() as u64;
    let read = Read::take(&mut *input, most).read_to_end(&mut begin);
    read.map_err(|e| failed(&e))?;
    if begin == MARK {
        begin.clear();
    }
    Ok(Box::new(io::Cursor::new(begin).chain(input)))
}

pub fn failed(error: &io::Error) -> Error {
    Error::Usage(format!("the file cannot be read: {error}"))
}

/// Lines without their ends, the empty ones left out; too long ones are bad.
pub fn lines(
    input: &mut dyn BufRead,
    each: &mut Each,
    line: &mut dyn FnMut(i64, &str, &mut Each) -> Result<()>,
) -> Result<()> {
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = Read::take(&mut *input, most).read_until(b'\n', &mut bytes);
        if read.map_err(|e| failed(&e))? == 0 {
            return Ok(());
        }
        number += 1;
        if bytes.len() >= LONGEST && !bytes.ends_with(b"\n") {
            each(Read1::bad(number, "is too long", ""))?;
            skip_line(input)?;
            continue;
        }
        while bytes.ends_with(b"\n") || bytes.ends_with(b"\r") {
            bytes.pop();
        }
        match std::str::from_utf8(&bytes) {
            Ok("") => {}
            Ok(text) => line(number, text, each)?,
            Err(_) => each(Read1::bad(number, "is no UTF-8", ""))?,
        }
    }
}

fn skip_line(input: &mut dyn BufRead) -> Result<()> {
    loop {
        let buffer = input.fill_buf().map_err(|e| failed(&e))?;
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

/// Fails where one row takes too much: whoever reads rows says where they end.
pub struct Limited<'a> {
    input: &'a mut dyn BufRead,
    left: Rc<Cell<usize>>,
}

impl<'a> Limited<'a> {
    /// Beside it, what to set to [`Self::FULL`] after each row.
    pub fn new(input: &'a mut dyn BufRead) -> (Self, Rc<Cell<usize>>) {
        let left = Rc::new(Cell::new(Self::FULL));
        let limited = Self {
            input,
            left: Rc::clone(&left),
        };
        (limited, left)
    }

    pub const FULL: usize = 2 * LONGEST;
}

impl Read for Limited<'_> {
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
        ] {
            for at_once in [1, 2, 3, 100] {
                let mut input = io::BufReader::with_capacity(at_once, given.as_bytes());
                let mut text = String::new();
                let mut read = without_mark(&mut input).unwrap();
                read.read_to_string(&mut text).unwrap();
                assert_eq!(text, left, "{at_once} at once");
            }
        }
    }
}
