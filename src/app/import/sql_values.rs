//! The values of a row in SQL.

use std::mem::take;

use super::format::LONGEST;
use super::sql_tokens::{Token, Tokens};
use crate::error::{Error, Result};

/// More than any table has.
pub const MOST: usize = 1000;

/// As far as it is read.
#[derive(Default)]
struct Value {
    word: Option<String>,
    text: Option<String>,
}

/// Behind the first bracket. Nothing if it is too long; it is read to its end.
pub fn tuple(tokens: &mut Tokens) -> Result<Option<Vec<String>>> {
    let mut values = Vec::new();
    let mut value = Value::default();
    let (mut depth, mut size, mut too_long) = (1_i64, 0, false);
    loop {
        let Some(token) = tokens.next()? else {
            return Err(cut_off());
        };
        match token {
            Token::Mark(b')') if depth == 1 => {
                values.push(value.end());
                break;
            }
            Token::Mark(b')') => depth -= 1,
            Token::Mark(b',') if depth == 1 => values.push(take(&mut value).end()),
            Token::Mark(b';') => return Err(damaged()),
            Token::Mark(_) if depth == 1 && value.text.is_some() => return Err(damaged()),
            // Such as replace('…', '\n', char(10)).
            Token::Mark(b'(') => depth += 1,
            Token::Text(text) | Token::Name(text) => {
                size += text.len();
                if depth == 1 {
                    value.text(text)?;
                } else {
                    value.text = Some(text);
                }
            }
            Token::Word(word) if depth == 1 => {
                size += word.len();
                value.word(word)?;
            }
            Token::TooLong => {
                too_long = true;
                if depth == 1 {
                    value.text(String::new())?;
                }
            }
            Token::Word(_) | Token::Mark(_) => {}
        }
        too_long |= size > LONGEST || values.len() > MOST;
        if too_long {
            values.clear();
            size = 0;
        }
    }
    Ok((!too_long).then_some(values))
}

impl Value {
    /// A word before it that is none of these was part of a text: its quotes are
    /// not where they were seen.
    fn text(&mut self, text: String) -> Result<()> {
        let known = match self.word.take().as_deref() {
            _ if self.text.is_some() => None,
            None | Some("b" | "B" | "n" | "N") => Some(text),
            Some("x" | "X") => of_hex(&text),
            // MySQL says in which character set it is: _binary.
            Some(word) => word.starts_with('_').then_some(text),
        };
        self.text = Some(known.ok_or_else(damaged)?);
        Ok(())
    }

    fn word(&mut self, word: String) -> Result<()> {
        if self.text.is_some() {
            return Err(damaged());
        }
        self.word = Some(word);
        Ok(())
    }

    fn end(self) -> String {
        let Some(word) = self.word.filter(|_| self.text.is_none()) else {
            return self.text.unwrap_or_default();
        };
        if word.eq_ignore_ascii_case("NULL") {
            return String::new();
        }
        word.strip_prefix("0x").and_then(of_hex).unwrap_or(word)
    }
}

fn of_hex(text: &str) -> Option<String> {
    let bytes = super::sasldb::of_hex(text)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub fn cut_off() -> Error {
    Error::Usage("the file is cut off: it ends in the middle of what it says; dump it again".into())
}

fn damaged() -> Error {
    Error::Usage(
        "the file is damaged, or nothing in it says that it is of MySQL: in a row, a text does not end where it seems to; dump it again, with comments"
            .into(),
    )
}
