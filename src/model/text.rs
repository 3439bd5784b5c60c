//! Text from strangers, made safe to print.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::error::Error;

/// Returns whether a terminal shows the character as itself: no control characters, no
/// direction overrides, no line or paragraph separators, no unusual spaces.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library's table of printable characters is behind
    // `escape_debug`; a leading letter keeps combining marks unescaped.
    !['a', c]
        .iter()
        .collect::<String>()
        .escape_debug()
        .any(|e| e == '\\')
}

/// Does the same as [`escaped`] in place: hardly any text needs it, and a list of a million
/// has many.
pub fn escape(text: &mut String) {
    if !is_plain(text) {
        *text = escaped(text);
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Returns the text with everything that a terminal would obey spelled out, as `\u{1b}`.
pub fn escaped(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        }
    }
    out
}

/// Escapes a field of CSV for spreadsheets, which calculate fields that begin with one of
/// these. An apostrophe makes such a field text:
/// <https://owasp.org/www-community/attacks/CSV_Injection>. A field that already begins with
/// apostrophes gets one more; [`from_sheet`] removes one.
pub fn for_sheet(field: &str) -> Cow<'_, str> {
    if is_formula(field) {
        return Cow::Owned(format!("'{field}"));
    }
    Cow::Borrowed(field)
}

/// Returns the field that [`for_sheet`] was given.
pub fn from_sheet(field: &str) -> &str {
    match field.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => field,
    }
}

fn is_formula(field: &str) -> bool {
    let begins = field.trim_start_matches('\'');
    begins.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Returns two digits for each byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Parses two digits for each byte, in either case; `None` if there is anything else. All
/// hexadecimal input is parsed here.
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// Quotes it for a shell's command line.
pub fn in_shell(text: &str) -> Cow<'_, str> {
    // Fails only on NUL.
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

/// Parses a number as files and protocols write it: digits without a sign or leading
/// zeros. `parse` alone accepts `+5` and `007`, which others read differently.
pub fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !padded)
}

/// Parses `192.0.2.1:25` or `[2001:db8::1]:25`. Its numbers are like all others: `parse`
/// alone accepts `:0025` and an interface like `%07`. The port is not 0.
pub fn socket_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    number::<u16>(port).filter(|port| *port != 0)?;
    if let Some((_, interface)) = host.split_once('%') {
        number::<u32>(interface.strip_suffix(']')?)?;
    }
    text.parse().ok()
}

/// Counts what takes an s for its plural: "1 user", "2 users".
pub fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// Says how often: "once", "2 times".
pub fn times(number: u64) -> String {
    if number == 1 {
        return "once".to_owned();
    }
    count(number, "time")
}

/// Returns the text escaped, shortened and in quotes, for an error message.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() > SHOWN {
        let head: String = text.chars().take(SHOWN).collect();
        return format!(
            "'{}…' ({} characters)",
            escaped(&head),
            text.chars().count()
        );
    }
    format!("'{}'", escaped(text))
}

/// Returns the error for a value that breaks its rule.
pub fn invalid(what: &'static str, value: &str, rule: impl Into<String>) -> Error {
    Error::Invalid {
        what,
        value: quoted(value),
        rule: rule.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_two_digits_a_byte() {
        assert_eq!(from_hexadecimal("00fF7a"), Some(vec![0, 255, 122]));
        assert_eq!(from_hexadecimal(""), Some(Vec::new()));
        for bad in ["f", "00f", "+f", "-1", " 0", "0x00", "0g", "é", "00\n"] {
            assert_eq!(from_hexadecimal(bad), None, "{bad:?}");
        }
        assert_eq!(hexadecimal(&[0, 255, 122]), "00ff7a");
    }

    #[test]
    fn numbers_are_only_digits() {
        assert_eq!(number::<u32>("0"), Some(0));
        assert_eq!(number::<u8>("255"), Some(255));
        assert_eq!(number::<i64>("1024"), Some(1024));
        for bad in [
            "", "+5", "-5", "007", "00", " 5", "5 ", "0x5", "5.0", "1_000", "٣", "256",
        ] {
            assert_eq!(number::<u8>(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn one_of_them_is_one() {
        let users = [0, 1, 2, 21].map(|n| count(n, "user"));
        assert_eq!(users, ["0 users", "1 user", "2 users", "21 users"]);
        assert_eq!([1, 2].map(times), ["once", "2 times"]);
    }

    #[test]
    fn ports_of_addresses_are_only_digits() {
        for good in ["127.0.0.1:25", "[::1]:65535", "[fe80::1%2]:25"] {
            assert_eq!(socket_address(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:025",
            "127.0.0.1:+25",
            "127.0.0.1: 25",
            "127.0.0.1:65536",
            "127.0.0.01:25",
            "[::1]:025",
            "[fe80::1%02]:25",
            "[fe80::1%eth0]:25",
            "::1:25",
            "localhost:25",
        ] {
            assert_eq!(socket_address(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn formulas_are_escaped_for_spreadsheets_and_restored() {
        for (field, written) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("'s", "'s"),
            ("a=b", "a=b"),
            ("", ""),
            ("'", "'"),
        ] {
            assert_eq!(for_sheet(field), written);
            assert_eq!(from_sheet(written), field);
        }
    }

    #[test]
    fn escapes_what_a_terminal_obeys_and_nothing_else() {
        assert_eq!(
            escaped("a\x1b[2Jb\tc\u{202e}d"),
            r"a\u{1b}[2Jb\u{9}c\u{202e}d"
        );
        assert_eq!(
            escaped("Café 日本 e\u{301} 🙂 \"'\\"),
            "Café 日本 e\u{301} 🙂 \"'\\"
        );
        assert_eq!(escaped("\u{2028}\u{a0}\u{7f}"), r"\u{2028}\u{a0}\u{7f}");
    }
}
