//! Addresses between angle brackets, as Postfix and Exim log them.

use memchr::memchr;

/// Splits `<address>rest` into the address and the rest. A quoted local part may contain
/// `>` and anything else, so quotes are honoured; an address without its end is none.
pub fn path(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"<")?;
    let close = memchr(b'>', inner)?;
    let Some(quote) = memchr(b'"', &inner[..close]) else {
        return Some((&inner[..close], &inner[close + 1..]));
    };
    let mut at = quote;
    let mut is_quoted = false;
    while let Some(byte) = inner.get(at) {
        match byte {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The address without the quotes and backslashes of its local part.
pub fn unquoted(address: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(address.len());
    let mut is_quoted = false;
    let mut bytes = address.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => plain.extend(bytes.next()),
            _ => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_local_parts_hide_brackets() {
        let split = |text: &'static str| {
            path(text.as_bytes()).map(|(address, rest)| {
                (
                    std::str::from_utf8(address).unwrap(),
                    std::str::from_utf8(rest).unwrap(),
                )
            })
        };
        assert_eq!(split("<a@b>, relay"), Some(("a@b", ", relay")));
        assert_eq!(split("<>, size"), Some(("", ", size")));
        assert_eq!(
            split(r#"<"a>, status=sent (ok"@ok.test>, relay"#),
            Some((r#""a>, status=sent (ok"@ok.test"#, ", relay"))
        );
        assert_eq!(
            split(r#"<"q\">, x"@ok.test>, relay"#),
            Some((r#""q\">, x"@ok.test"#, ", relay"))
        );
        assert_eq!(split(r#"<"open>@ok.test>, relay"#), None);
        assert_eq!(split("<cut@off"), None);
        assert_eq!(split("a@b>"), None);
        assert_eq!(unquoted(br#""q\"q"@ok.test"#), br#"q"q@ok.test"#);
    }
}
