//! Cyrus SASL's `sasldb2`, as `db_dump -p` or `db_dump` prints it: names and
//! properties, with the passwords as they are. What `sasldblistusers2` prints has
//! the names alone.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::BufRead;

use super::format::{Each, Problem, Raw, Read1, lines};
use super::sql_values::cut_off;
use crate::error::{Error, Result};

/// Mechanisms such as OTP have secrets of their own beside the passwords, in any
/// order: users that have nothing else are told of at the end.
#[derive(Default)]
struct Users {
    /// Hashes of names, as there may be many.
    with_password: HashSet<u64>,
    hasher: RandomState,
    /// In which row.
    without: BTreeMap<String, i64>,
    /// Which takes so many bytes.
    taken: usize,
}

/// More would be too much to remember.
const WITH_PASSWORD: usize = 1_000_000;
/// In bytes.
const WITHOUT: usize = 20 * 1024 * 1024;
/// What a name takes beside its letters.
const EACH: usize = 64;
/// Longer than any name.
const LONGEST_NAME: usize = 320;

pub fn read(input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
    let mut dump = false;
    let mut hex = false;
    let mut data = false;
    let mut ended = false;
    let mut key: Option<Vec<u8>> = None;
    let mut users = Users::default();
    lines(input, each, &mut |row, text, each| {
        if text.starts_with("VERSION=") {
            dump = true;
        }
        if !dump {
            return users.listed(row, text, each);
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
                    .and_then(|t| if hex { of_hex(t) } else { printed(t) });
                let Some(bytes) = bytes else {
                    return each(Read1::bad(row, "is not as db_dump prints it", ""));
                };
                match key.take() {
                    None => key = Some(bytes),
                    Some(key) => users.record(row, &key, &bytes, each)?,
                }
            }
        }
        Ok(())
    })?;
    if dump && (data || !ended || key.is_some()) {
        return Err(cut_off());
    }
    for (username, row) in users.without {
        let reason = "is no plain password, so it cannot be used";
        each(Read1::Bad(Problem::new(row, "hash", reason), username))?;
    }
    Ok(())
}

impl Users {
    /// `user@realm: userPassword`
    fn listed(&mut self, row: i64, text: &str, each: &mut Each) -> Result<()> {
        let is_one = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric());
        match text.split_once(": ") {
            Some((username, "userPassword")) => {
                self.has_password(username);
                each(user(row, username.to_owned(), None))
            }
            Some((username, property)) if is_one(property) && username.len() <= LONGEST_NAME => {
                self.other(row, username.to_owned())
            }
            _ => each(Read1::bad(
                row,
                "is neither as db_dump nor as sasldblistusers2 prints it",
                "",
            )),
        }
    }

    fn record(&mut self, row: i64, key: &[u8], value: &[u8], each: &mut Each) -> Result<()> {
        let parts: Vec<_> = key.split(|b| *b == 0).map(std::str::from_utf8).collect();
        let [Ok(name), Ok(realm), Ok(property)] = parts[..] else {
            return each(Read1::bad(row, "has a key that is none of sasldb", ""));
        };
        let username = format!("{name}@{realm}");
        if username.len() > LONGEST_NAME {
            return each(Read1::bad(row, "has a name that is too long", ""));
        }
        if property != "userPassword" {
            return self.other(row, username);
        }
        self.has_password(&username);
        each(match std::str::from_utf8(value) {
            Ok(password) => user(row, username, Some(password)),
            Err(_) => Read1::Bad(Problem::new(row, "hash", "is no UTF-8"), username),
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

fn user(row: i64, username: String, password: Option<&str>) -> Read1 {
    let mut fields = vec![("username".to_owned(), username)];
    if let Some(password) = password {
        fields.push(("hash".to_owned(), format!("{{PLAIN}}{password}")));
    }
    let text = fields[0].1.clone();
    Read1::Row(Raw { row, fields, text })
}

pub fn of_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// With `\00` for what cannot be printed, and `\\`.
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
                bytes.extend(of_hex(std::str::from_utf8(&[*a, *b]).ok()?)?);
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
