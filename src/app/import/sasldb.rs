//! Cyrus SASL's `sasldb2`, as `db_dump -p` or `db_dump` prints it: names and
//! properties, with the passwords as they are. What `sasldblistusers2` prints has
//! the names alone.

use std::io::BufRead;

use super::format::{Each, Problem, Raw, Read1, lines};
use crate::error::Result;

pub fn read(input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
    let mut dump = false;
    let mut hex = false;
    let mut data = false;
    let mut key: Option<Vec<u8>> = None;
    lines(input, each, &mut |row, text, each| {
        if text.starts_with("VERSION=") {
            dump = true;
        }
        if !dump {
            return each(listed(row, text));
        }
        match text {
            "format=bytevalue" => hex = true,
            "HEADER=END" => data = true,
            "DATA=END" => data = false,
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
                    Some(key) => each(record(row, &key, &bytes))?,
                }
            }
        }
        Ok(())
    })
}

/// `user@realm: userPassword`
fn listed(row: i64, text: &str) -> Read1 {
    match text.split_once(": ") {
        Some((username, "userPassword")) => user(row, username.to_owned(), None),
        _ => Read1::bad(
            row,
            "is neither as db_dump nor as sasldblistusers2 prints it",
            "",
        ),
    }
}

fn record(row: i64, key: &[u8], value: &[u8]) -> Read1 {
    let parts: Vec<_> = key.split(|b| *b == 0).map(std::str::from_utf8).collect();
    let [Ok(name), Ok(realm), Ok(property)] = parts[..] else {
        return Read1::bad(row, "has a key that is none of sasldb", "");
    };
    if property != "userPassword" {
        let reason = "is no plain password, so it cannot be used";
        return Read1::Bad(Problem::new(row, "hash", reason), format!("{name}@{realm}"));
    }
    match std::str::from_utf8(value) {
        Ok(password) => user(row, format!("{name}@{realm}"), Some(password)),
        Err(_) => Read1::Bad(
            Problem::new(row, "hash", "is no UTF-8"),
            format!("{name}@{realm}"),
        ),
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
