//! Splits a dump in SQL into tokens.

use std::collections::VecDeque;
use std::io::BufRead;

use super::origin::Origin;
use crate::error::Result;
use crate::formats::input::{MAX_ROW, read_error, truncated_error};

#[derive(Debug, PartialEq)]
pub enum Token {
    /// A bare word, in the case of the file.
    Word(String),
    Name(String),
    Text(String),
    Mark(u8),
    TooLong,
}

pub struct Tokens<'a> {
    input: &'a mut dyn BufRead,
    ahead: VecDeque<u8>,
    pub origin: Origin,
}

pub const fn unescaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        other => other,
    }
}

impl<'a> Tokens<'a> {
    pub fn of(input: &'a mut dyn BufRead) -> Self {
        Self {
            input,
            ahead: VecDeque::new(),
            origin: Origin::default(),
        }
    }

    fn peek(&mut self, at: usize) -> Result<Option<u8>> {
        while self.ahead.len() <= at {
            let buffer = self.input.fill_buf().map_err(|e| read_error(&e))?;
            let Some(byte) = buffer.first().copied() else {
                return Ok(None);
            };
            self.input.consume(1);
            self.ahead.push_back(byte);
        }
        Ok(self.ahead.get(at).copied())
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let byte = self.peek(0)?;
        self.ahead.pop_front();
        Ok(byte)
    }

    /// Returns the rest of a line, cut at the longest row, or `None` at the end of the file.
    pub fn line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                None if bytes.is_empty() => return Ok(None),
                None | Some(b'\n') => break,
                Some(byte) if bytes.len() < MAX_ROW => bytes.push(byte),
                Some(_) => {}
            }
        }
        Ok(Some(
            String::from_utf8_lossy(&bytes)
                .trim_end_matches('\r')
                .to_owned(),
        ))
    }

    pub fn next(&mut self) -> Result<Option<Token>> {
        loop {
            let Some(byte) = self.byte()? else {
                return Ok(None);
            };
            match (byte, self.peek(0)?) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => {}
                (b'-', Some(b'-')) | (b'#', _) => {
                    if let Some(line) = self.line()? {
                        self.origin.comment(line.trim_start_matches('-'))?;
                    }
                }
                (b'/', Some(b'*')) => self.block_comment()?,
                (b'\'', _) => {
                    let backslashes = self.origin.backslashes();
                    return self.quoted(b'\'', backslashes, Token::Text).map(Some);
                }
                (b'"', _) => return self.quoted(b'"', false, Token::Name).map(Some),
                (b'`', _) => {
                    self.origin.backquote();
                    return self.quoted(b'`', false, Token::Name).map(Some);
                }
                (b'[', _) if self.origin.has_brackets() => {
                    return self.quoted(b']', false, Token::Name).map(Some);
                }
                (b'$', _) if !self.origin.is_mysql() => {
                    return match self.tag()? {
                        Some(tag) => self.dollar_quoted(&tag).map(Some),
                        None => self.word(byte).map(Some),
                    };
                }
                (b'(' | b')' | b',' | b';' | b'.' | b'=', _) => return Ok(Some(Token::Mark(byte))),
                _ => return self.word(byte).map(Some),
            }
        }
    }

    fn word(&mut self, first: u8) -> Result<Token> {
        let mut bytes = vec![first];
        while let Some(byte) = self.peek(0)? {
            if byte.is_ascii_whitespace()
                || b"(),;'\"`=".contains(&byte)
                || (byte == b'.' && !first.is_ascii_digit())
            {
                break;
            }
            self.byte()?;
            if bytes.len() < MAX_ROW {
                bytes.push(byte);
            }
        }
        // PostgreSQL's texts with backslashes: E'…'.
        if bytes.eq_ignore_ascii_case(b"E") && self.peek(0)? == Some(b'\'') {
            self.byte()?;
            return self.quoted(b'\'', true, Token::Text);
        }
        let word = String::from_utf8_lossy(&bytes).into_owned();
        self.origin.word(&word);
        Ok(Token::Word(word))
    }

    fn block_comment(&mut self) -> Result<()> {
        let mut begin = vec![b'/'];
        begin.extend(self.byte()?);
        let mut last = 0;
        loop {
            let byte = self.byte()?.ok_or_else(truncated_error)?;
            if begin.len() < 64 {
                begin.push(byte);
            }
            if last == b'*' && byte == b'/' {
                break;
            }
            last = byte;
        }
        self.origin.block_comment(&String::from_utf8_lossy(&begin))
    }

    /// Returns the tag of `$tag$` after its first dollar, if it is one. Consumes nothing.
    fn tag(&mut self) -> Result<Option<Vec<u8>>> {
        let mut tag = Vec::new();
        while let Some(byte) = self.peek(tag.len())? {
            match byte {
                b'$' => return Ok(Some(tag)),
                b'0'..=b'9' if tag.is_empty() => break,
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. if tag.len() < 64 => {
                    tag.push(byte);
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Skips a dollar-quoted text of `PostgreSQL`, up to the same tag.
    fn dollar_quoted(&mut self, tag: &[u8]) -> Result<Token> {
        self.ahead.drain(..=tag.len());
        while let Some(byte) = self.byte()? {
            if byte == b'$' && self.tag()?.as_deref() == Some(tag) {
                self.ahead.drain(..=tag.len());
                break;
            }
        }
        // Its content is not needed.
        Ok(Token::Text(String::new()))
    }

    /// Reads a quoted text to its end, even if it is too long to be kept.
    fn quoted(&mut self, quote: u8, backslashes: bool, made: fn(String) -> Token) -> Result<Token> {
        let mut bytes = Vec::new();
        let mut too_long = false;
        while let Some(byte) = self.byte()? {
            let taken = if byte == quote {
                if self.peek(0)? != Some(quote) {
                    break;
                }
                self.byte()?;
                quote
            } else if byte == b'\\' && backslashes {
                match self.byte()? {
                    Some(escaped) => {
                        u8::try_from(unescaped(char::from(escaped))).unwrap_or(escaped)
                    }
                    None => break,
                }
            } else {
                byte
            };
            if bytes.len() < MAX_ROW {
                bytes.push(taken);
            } else {
                too_long = true;
            }
        }
        if too_long {
            return Ok(Token::TooLong);
        }
        Ok(made(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
