//! The words of a dump in SQL.

use std::collections::VecDeque;
use std::io::BufRead;

use super::format::{LONGEST, failed};
use crate::error::Result;

#[derive(Debug, PartialEq)]
pub enum Token {
    /// Bare, in capitals as it came; or in the quotes of names.
    Word(String),
    Name(String),
    Text(String),
    Mark(u8),
    TooLong,
}

pub struct Tokens<'a> {
    input: &'a mut dyn BufRead,
    ahead: VecDeque<u8>,
    /// As in `MySQL`, whose dumps have names in backquotes.
    backslashes: bool,
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
            backslashes: false,
        }
    }

    fn peek(&mut self, at: usize) -> Result<Option<u8>> {
        while self.ahead.len() <= at {
            let buffer = self.input.fill_buf().map_err(|e| failed(&e))?;
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

    /// The rest of a line; of a longer one than any row, the beginning.
    pub fn line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                None if bytes.is_empty() => return Ok(None),
                None | Some(b'\n') => break,
                Some(byte) if bytes.len() < LONGEST => bytes.push(byte),
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
                    self.line()?;
                }
                (b'/', Some(b'*')) => {
                    let mut last = 0;
                    while let Some(byte) = self.byte()? {
                        if last == b'*' && byte == b'/' {
                            break;
                        }
                        last = byte;
                    }
                }
                (b'\'', _) => {
                    return self
                        .quoted(b'\'')
                        .map(|t| Some(t.map_or(Token::TooLong, Token::Text)));
                }
                (b'"', _) => {
                    return self
                        .quoted(b'"')
                        .map(|t| Some(t.map_or(Token::TooLong, Token::Name)));
                }
                (b'`', _) => {
                    self.backslashes = true;
                    return self
                        .quoted(b'`')
                        .map(|t| Some(t.map_or(Token::TooLong, Token::Name)));
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
            if bytes.len() < LONGEST {
                bytes.push(byte);
            }
        }
        Ok(Token::Word(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Nothing if it is too long; it is read to its end.
    fn quoted(&mut self, quote: u8) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut too_long = false;
        while let Some(byte) = self.byte()? {
            let taken = if byte == quote {
                if self.peek(0)? != Some(quote) {
                    break;
                }
                self.byte()?;
                quote
            } else if byte == b'\\' && self.backslashes && quote == b'\'' {
                match self.byte()? {
                    Some(escaped) => {
                        u8::try_from(unescaped(char::from(escaped))).unwrap_or(escaped)
                    }
                    None => break,
                }
            } else {
                byte
            };
            if bytes.len() < LONGEST {
                bytes.push(taken);
            } else {
                too_long = true;
            }
        }
        if too_long {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
