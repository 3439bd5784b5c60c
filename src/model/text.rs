//! Text from strangers, made safe to print.

use std::fmt::Write as _;

use crate::error::Error;

/// True for what a terminal shows as itself: no control characters, no
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

/// [`escaped`], in place: nearly no text needs it, and a list of a million has many.
pub fn escape(text: &mut String) {
    if !is_plain(text) {
        *text = escaped(text);
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// The text with everything a terminal would obey spelled out, as `\u{1b}`.
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

/// Two digits a byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Escaped, shortened and in quotes, for an error message.
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

/// The error for a value that breaks its rule.
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
