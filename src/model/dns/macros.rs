//! Macros in SPF records (RFC 7208 §7.1).

/// The context of a macro.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Within {
    Domain,
    /// In an unknown modifier: it may be an explanation, where a few more letters are
    /// allowed (§7.2).
    Text,
}

/// `%{ir}`, `%{d2}`, `%{l-+}`, `%%`, `%_`, `%-` (§7.1)
pub fn are_good(text: &str, within: Within) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.as_bytes().first() {
            Some(b'%' | b'_' | b'-') => &after[1..],
            Some(b'{') => match after[1..].split_once('}') {
                Some((inner, after)) if is_macro(inner, within) => after,
                _ => return false,
            },
            _ => return false,
        };
    }
    true
}

fn is_macro(inner: &str, within: Within) -> bool {
    let mut rest = inner.chars();
    let known = match rest.next().map(|c| c.to_ascii_lowercase()) {
        Some('s' | 'l' | 'o' | 'd' | 'i' | 'p' | 'h' | 'v') => true,
        Some('c' | 'r' | 't') => within == Within::Text,
        _ => false,
    };
    let rest = rest.as_str();
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &rest[..rest.len() - after.len()];
    // How many parts of a name are kept: at least one.
    if !known || !digits.is_empty() && digits.bytes().all(|b| b == b'0') {
        return false;
    }
    let rest = after;
    let rest = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
    rest.bytes().all(|b| b".-+,/_=".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_of_the_rfc() {
        for good in [
            "",
            "a.example",
            "%{ir}.%{v}._spf.%{d2}",
            "%{L-+}.x",
            "%{d10r}",
            "%%%_%-",
        ] {
            assert!(are_good(good, Within::Domain), "{good}");
        }
        for bad in [
            "%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{d00r}", "%{d+}x%", "%{d2x}",
        ] {
            assert!(!are_good(bad, Within::Text), "{bad}");
        }
        for of_explanations in ["%{c}", "%{R}", "%{t}"] {
            assert!(are_good(of_explanations, Within::Text), "{of_explanations}");
            assert!(
                !are_good(of_explanations, Within::Domain),
                "{of_explanations}"
            );
        }
    }
}
