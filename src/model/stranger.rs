//! Names that strangers sign in with, and which of them may be written: people and
//! programs put passwords into the wrong field (promise 1).

use std::fmt;

use super::name::Username;
use super::password::MIN_CHOSEN;
use super::text;

/// A refused name in a form that may be written: a username, perhaps with stray
/// characters around it, or a keyed hash in its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrittenName(String);

/// In characters. No username is longer.
const MAX_NAME: usize = 300;

impl WrittenName {
    /// Returns the form of a name that was not given.
    pub fn none() -> Self {
        Self("(none)".into())
    }

    /// Makes invisible characters in a name visible.
    pub fn shown(name: &str) -> Self {
        Self(match name.parse::<Username>() {
            Ok(username) => username.to_string(),
            Err(_) => text::escaped(name),
        })
    }

    /// Includes the domain only if it exists in the store.
    pub fn hidden(hash: &str, domain: Option<&str>) -> Self {
        Self(match domain {
            Some(domain) => format!("(hidden:{hash})@{domain}"),
            None => format!("(hidden:{hash})"),
        })
    }

    /// Reads the form in the store.
    pub const fn stored(name: String) -> Self {
        Self(name)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it differs from this username only in characters that are hard to see:
    /// see [`meant`].
    pub fn means(&self, username: &Username) -> bool {
        meant(&without_escapes(&self.0)).as_ref() == Some(username)
    }
}

/// In quotes if a space or a dot at an end would be overlooked.
impl fmt::Display for WrittenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with('(') || self.0.parse::<Username>().is_ok() {
            return f.write_str(&self.0);
        }
        write!(f, "'{}'", self.0)
    }
}

/// Returns the username that a name differs from only in case, spaces, invisible
/// characters, and dots at the ends of its two parts.
pub fn meant(name: &str) -> Option<Username> {
    if name.chars().nth(MAX_NAME).is_some() {
        return None;
    }
    let visible = |c: &char| !c.is_whitespace() && text::is_printable(*c);
    let bare: String = name.chars().filter(visible).collect();
    let (local, domain) = bare.split_once('@')?;
    let [local, domain] = [local, domain].map(|part| part.trim_matches('.'));
    format!("{local}@{domain}").parse().ok()
}

/// Returns whether the local part of a name without a user may be a password: it is at least
/// as long as the shortest password, whatever it contains, or has the prefix of generated
/// ones.
pub fn may_be_password(local: &str) -> bool {
    local.chars().count() >= MIN_CHOSEN || has_prefix(local)
}

fn has_prefix(local: &str) -> bool {
    local.to_ascii_lowercase().contains("smtpc_")
}

fn without_escapes(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once("\\u{") {
        left.push_str(before);
        rest = escape.split_once('}').map_or("", |(_, after)| after);
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_mean_the_same_user() {
        let shop: Username = "shop@example.com".parse().unwrap();
        for name in [
            "shop@example.com",
            "SHOP@Example.Com",
            " shop@example.com",
            "shop@example.com ",
            "shop@example.com\u{a0}\u{200b}\r\n",
            "shop@example.com.",
            ".shop.@example.com",
            "shop @ example.com",
        ] {
            assert_eq!(meant(name).as_ref(), Some(&shop), "{name:?}");
            assert!(WrittenName::shown(name).means(&shop), "{name:?}");
        }
        for name in [
            "shop",
            "shop@example.com@example.com",
            "shops@example.com",
            "shop:x@example.com",
            "\"shop\"@example.com",
            "shop@example.comsmtpc_x",
            &format!("shop@example.com{}", " ".repeat(300)),
        ] {
            assert_ne!(meant(name).as_ref(), Some(&shop), "{name:?}");
        }
    }

    #[test]
    fn names_with_invisible_characters_are_quoted() {
        let shown = |name: &str| WrittenName::shown(name).to_string();
        assert_eq!(shown("Shop@Example.com"), "shop@example.com");
        assert_eq!(shown("shop@example.com "), "'shop@example.com '");
        assert_eq!(shown("shop@example.com."), "'shop@example.com.'");
        assert_eq!(
            shown("shop\u{200b}@example.com"),
            r"'shop\u{200b}@example.com'"
        );
        let hidden = WrittenName::hidden("0a1b2c3d", Some("example.com"));
        assert_eq!(hidden.to_string(), "(hidden:0a1b2c3d)@example.com");
    }

    #[test]
    fn p1_a_local_part_that_may_be_a_password_is_known() {
        let password = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";
        let swapped: String = password
            .chars()
            .map(|c| {
                if c.is_lowercase() {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect();
        for local in [
            password,
            &password.to_lowercase(),
            &swapped,
            &password.chars().rev().collect::<String>(),
            "c210cGNfcHE3VFEza3lhWWNMdmc5RVNDMnA4UENVZVJlUjg5",
            "pq7TQ3kyaYcLvg9ESC2p",
            "x.SMTPC_a",
        ] {
            assert!(may_be_password(local), "{local}");
        }
        for local in ["shop", "nobody", "a.b-c+d"] {
            assert!(!may_be_password(local), "{local}");
        }
        assert!(may_be_password("vague-otter-61"));
    }
}
