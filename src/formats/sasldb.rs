//! Cyrus SASL's `sasldb2`, as `db_dump -p` or `db_dump` prints it: names and properties,
//! with passwords in plain text. The output of `sasldblistusers2` has only the names.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::BufRead;

use super::input::{each_line, truncated_error};
use super::row::{InputRow, ParsedRow, RowProblem, RowSink};
use crate::error::{Error, Result};
use crate::model::text::from_hexadecimal;

/// The users seen so far. Mechanisms such as OTP store secrets of their own, before or
/// after the passwords; users with nothing else are reported at the end.
#[derive(Default)]
struct Users {
    /// Hashes of the names of users with a password.
    with_password: HashSet<u64>,
    hasher: RandomState,
    /// Users without a password, and their rows.
    without: BTreeMap<String, i64>,
    /// How many bytes `without` takes.
    taken: usize,
}

/// How many users with a password are remembered.
const WITH_PASSWORD: usize = 1_000_000;
/// How many bytes users without a password may take.
const WITHOUT: usize = 16 * 1024 * 1024;
/// How many bytes a name takes beside its letters.
const EACH: usize = 64;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 320;

/// Passes the users of a dump to `sink`. Fails if the dump is cut off.
pub fn read(input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    let mut dump = false;
    let mut hex = false;
    let mut data = false;
    let mut ended = false;
    let mut key: Option<Vec<u8>> = None;
    let mut users = Users::default();
    each_line(input, sink, &mut |row, text, sink| {
        if text.starts_with("VERSION=") {
            dump = true;
        }
        if !dump {
            return users.listed(row, text, sink);
        }
        match text {
            "format=bytevalue" => hex = true,
            "HEADER=END" => data = true,
            "DATA=END" => {
                data = false;
                ended = true;
            }
            _ if !data => {}
            _ => {
                let bytes = text
                    .strip_prefix(' ')
                    .and_then(|t| if hex { from_hexadecimal(t) } else { printed(t) });
                let Some(bytes) = bytes else {
                    return sink(ParsedRow::bad(row, "is not as db_dump prints it", ""));
                };
                match key.take() {
                    None => key = Some(bytes),
                    Some(key) => users.record(row, &key, &bytes, sink)?,
                }
            }
        }
        Ok(())
    })?;
    if dump && (data || !ended || key.is_some()) {
        return Err(truncated_error());
    }
    for (username, row) in users.without {
        let reason = "is not a plain-text password, so it cannot be imported";
        sink(ParsedRow::Bad(
            RowProblem::new(row, "hash", reason),
            username,
        ))?;
    }
    Ok(())
}

impl Users {
    /// Reads a line of `sasldblistusers2`: `user@realm: userPassword`.
    fn listed(&mut self, row: i64, text: &str, sink: &mut RowSink) -> Result<()> {
        let is_one = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric());
        match text.split_once(": ") {
            Some((username, "userPassword")) => {
                self.has_password(username);
                sink(user(row, username.to_owned(), None))
            }
            Some((username, property)) if is_one(property) && username.len() <= LONGEST_NAME => {
                self.other(row, username.to_owned())
            }
            _ => sink(ParsedRow::bad(
                row,
                "is neither as db_dump nor as sasldblistusers2 prints it",
                "",
            )),
        }
    }

    fn record(&mut self, row: i64, key: &[u8], value: &[u8], sink: &mut RowSink) -> Result<()> {
        let parts: Vec<_> = key.split(|b| *b == 0).map(std::str::from_utf8).collect();
        let [Ok(name), Ok(realm), Ok(property)] = parts[..] else {
            return sink(ParsedRow::bad(row, "has a key that is none of sasldb", ""));
        };
        let username = format!("{name}@{realm}");
        if username.len() > LONGEST_NAME {
            return sink(ParsedRow::bad(row, "has a name that is too long", ""));
        }
        if property != "userPassword" {
            return self.other(row, username);
        }
        self.has_password(&username);
        sink(match std::str::from_utf8(value) {
            Ok(password) => user(row, username, Some(password)),
            Err(_) => ParsedRow::Bad(RowProblem::new(row, "hash", "is not UTF-8"), username),
        })
    }

    fn has_password(&mut self, username: &str) {
        if self.with_password.len() < WITH_PASSWORD {
            self.with_password.insert(self.hasher.hash_one(username));
        }
        if self.without.remove(username).is_some() {
            self.taken -= EACH + username.len();
        }
    }

    fn other(&mut self, row: i64, username: String) -> Result<()> {
        let known = self
            .with_password
            .contains(&self.hasher.hash_one(username.as_str()));
        if known {
            return Ok(());
        }
        if self.taken >= WITHOUT || self.with_password.len() >= WITH_PASSWORD {
            return Err(Error::Usage(format!(
                "too many users have secrets beside their passwords, up to row {row}: leave those secrets out of the file"
            )));
        }
        if !self.without.contains_key(&username) {
            self.taken += EACH + username.len();
            self.without.insert(username, row);
        }
        Ok(())
    }
}

fn user(row: i64, username: String, password: Option<&str>) -> ParsedRow {
    let mut fields = vec![("username".to_owned(), username)];
    if let Some(password) = password {
        fields.push(("hash".to_owned(), format!("{{PLAIN}}{password}")));
    }
    let text = fields[0].1.clone();
    ParsedRow::Good(InputRow {
        number: row,
        fields,
        text,
    })
}

/// Decodes the printable form, which has `\00` for other bytes and `\\`.
fn printed(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                rest = tail;
            }
            (b'\\', [a, b, tail @ ..]) => {
                bytes.extend(from_hexadecimal(std::str::from_utf8(&[*a, *b]).ok()?)?);
                rest = tail;
            }
            (b'\\', _) => return None,
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Some(bytes)
}
