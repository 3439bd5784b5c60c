//! Macros in SPF records (RFC 7208 §7.1).

/// `%{ir}`, `%{d2}`, `%{l-+}`, `%%`, `%_`, `%-` (§7.1)
pub fn are_good(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.as_bytes().first() {
            Some(b'%' | b'_' | b'-') => &after[1..],
            Some(b'{') => match after[1..].split_once('}') {
                Some((inner, after)) if is_macro(inner) => after,
                _ => return false,
            },
            _ => return false,
        };
    }
    true
}

fn is_macro(inner: &str) -> bool {
    let Some(('s' | 'l' | 'o' | 'd' | 'i' | 'p' | 'h' | 'c' | 'r' | 't' | 'v', rest)) = inner
        .chars()
        .next()
        .map(|c| (c.to_ascii_lowercase(), &inner[c.len_utf8()..]))
    else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
    rest.bytes().all(|b| b".-+,/_=".contains(&b))
}
