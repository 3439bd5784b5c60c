//! Reads the values of a row in SQL.

use std::mem::take;

use super::tokens::{Token, Tokens};
use crate::error::{Error, Result};
use crate::formats::input::{MAX_ROW, truncated_error};
use crate::model::text::from_hexadecimal;

/// How many columns a table may have.
pub const MAX_COLUMNS: usize = 1000;

/// A value, as far as it is read.
#[derive(Default)]
struct Value {
    word: Option<String>,
    text: Option<String>,
}

/// Reads the values after an opening bracket. Returns `None` for a row that is too long.
pub fn tuple(tokens: &mut Tokens) -> Result<Option<Vec<String>>> {
    let mut values = Vec::new();
    let mut value = Value::default();
    let (mut depth, mut size, mut too_long) = (1_i64, 0, false);
    loop {
        let Some(token) = tokens.next()? else {
            return Err(truncated_error());
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
        too_long |= size > MAX_ROW || values.len() > MAX_COLUMNS;
        if too_long {
            values.clear();
            size = 0;
        }
    }
    Ok((!too_long).then_some(values))
}

impl Value {
    /// Adds a text. Fails after any other word: then the quotes are not where they seem to
    /// be.
    fn text(&mut self, text: String) -> Result<()> {
        let known = match self.word.take().as_deref() {
            _ if self.text.is_some() => None,
            None | Some("b" | "B" | "n" | "N") => Some(text),
            Some("x" | "X") => of_hex(&text),
            // MySQL names the character set: _binary.
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
    let bytes = from_hexadecimal(text)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn damaged() -> Error {
    Error::Usage(
        "the file is damaged, or nothing in it says that it is of MySQL: in a row, a text does not end where it seems to; dump it again, with comments"
            .into(),
    )
}
