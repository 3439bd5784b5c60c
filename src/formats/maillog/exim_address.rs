//! The address of a delivery in Exim's mainlog.

use memchr::memchr;
use memchr::memmem::find_iter;

use super::address::{path, unquoted};

/// A final address, the original if it was another, and the rest.
type Delivered<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// The address of a delivery, `final <original>`, and the rest. Exim writes the first
/// without quotes, so that it may hold spaces and fields; then the original follows in
/// quotes and shows where it ends.
pub fn delivered(text: &[u8]) -> Delivered<'_> {
    let with_spaces = find_iter(text, b" <").filter_map(|at| {
        let (original, rest) = path(&text[at + 1..])?;
        let address = &text[..at];
        let is_it = memchr(b' ', address).is_some()
            && original.contains(&b'"')
            && unquoted(original).eq_ignore_ascii_case(address);
        is_it.then_some((address, Some(original), rest))
    });
    if let Some(found) = with_spaces.last() {
        return found;
    }
    if let Some(found) = command(text) {
        return found;
    }
    let end = memchr(b' ', text).unwrap_or(text.len());
    let (address, rest) = text.split_at(end);
    if let Some(address) = address.strip_suffix(b":").filter(|a| *a != b":blackhole") {
        return (address, None, &text[address.len()..]);
    }
    match rest.strip_prefix(b" ").and_then(path) {
        Some((original, rest)) => (address, Some(original), rest),
        None => (address, None, rest),
    }
}

/// `|/usr/bin/command with arguments <original>`, or a file.
fn command(text: &[u8]) -> Option<Delivered<'_>> {
    if !matches!(text.first(), Some(b'|' | b'/')) {
        return None;
    }
    find_iter(text, b" <").find_map(|at| {
        let (original, rest) = path(&text[at + 1..])?;
        let is_end = rest.is_empty() || rest.starts_with(b" ") || rest.starts_with(b": ");
        (is_end && !original.contains(&b'<')).then_some((&text[..at], Some(original), rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &'static str) -> (&'static str, Option<&'static str>, &'static str) {
        let (address, original, rest) = delivered(text.as_bytes());
        let utf8 = |bytes| std::str::from_utf8(bytes).unwrap();
        (utf8(address), original.map(utf8), utf8(rest))
    }

    #[test]
    fn addresses_end_where_their_original_says() {
        assert_eq!(split("a@b R=x"), ("a@b", None, " R=x"));
        assert_eq!(split("alice <a@b> R=x"), ("alice", Some("a@b"), " R=x"));
        assert_eq!(split("a@b: retry"), ("a@b", None, ": retry"));
        assert_eq!(
            split(":blackhole: <a@b> R=x"),
            (":blackhole:", Some("a@b"), " R=x")
        );
        assert_eq!(
            split("|/bin/x a <c <a@b>: no"),
            ("|/bin/x a <c", Some("a@b"), ": no")
        );
        assert_eq!(split("/dev/null <a@b> R=x T=**bypassed**").1, Some("a@b"));
        assert_eq!(
            split(r#"a>, => x@y.test@ok.test <"a>, => x@y.test"@ok.test> R=x"#),
            (
                "a>, => x@y.test@ok.test",
                Some(r#""a>, => x@y.test"@ok.test"#),
                " R=x"
            )
        );
        assert_eq!(
            split(r#"a <x@y> r=z@ok.test <"a <x@y> R=z"@ok.test> R=x"#),
            (
                "a <x@y> r=z@ok.test",
                Some(r#""a <x@y> R=z"@ok.test"#),
                " R=x"
            )
        );
        assert_eq!(
            split(r#"x> a=y@b <"x> A=y"@b>: Unrouteable address"#),
            ("x> a=y@b", Some(r#""x> A=y"@b"#), ": Unrouteable address")
        );
    }
}
