//! Domains, usernames and host names, folded to the one form they are stored
//! and compared in: lower case, ASCII (IDNA, RFC 5890 to 5892). A third of this file is
//! its tests.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::text::{in_shell, invalid};
use crate::error::{Error, Result};

/// A sending domain such as `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DomainName(String);

/// What one application signs in as: `name@example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username {
    whole: String,
    at: usize,
}

/// The server applications connect to. TLS needs a name, so no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// RFC 1035 §2.3.4, in octets; a name of 253 still fits with the root's dot.
const MAX_DOMAIN: usize = 253;
/// RFC 5321 §4.5.3.1.3: a path of 256 octets less its angle brackets.
const MAX_USERNAME: usize = 254;
/// RFC 5321 §4.5.3.1.1, in octets.
const MAX_LOCAL_PART: usize = 64;

const DOMAIN_RULE: &str = "two or more parts joined by dots, such as example.com; each of 1 to 63 \
    letters, digits and inner hyphens; at most 253 characters; no trailing dot";
const LOCAL_RULE: &str = "name@example.com, where the name has up to 64 of a-z 0-9 . _ + - \
    ! # % & ' = ^ ~, without a leading, trailing or double dot; not / \\ ` $ | * ? { }, which are \
    unsafe in paths and shells";
/// Characters of `atext` (RFC 5321 §4.1.2) besides letters and digits, without those
/// that paths and shells treat specially even in quotes or templates.
const ATOM: &[u8] = b"!#%&'+-=^_~";
const HOST_RULE: &str =
    "a DNS name such as smtp.example.com (TLS certificates carry names, not addresses)";

impl DomainName {
    /// Returns the name in lower-case ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a name as a mail server passes it on: ASCII in any case, or Unicode
    /// letters. Returns `None` if IDNA would have to map any letter.
    pub fn written(text: &str) -> Option<Self> {
        let name: Self = text.parse().ok()?;
        let folded = || text.to_ascii_lowercase() == idna::domain_to_unicode(&name.0).0;
        (text.is_ascii() || folded()).then_some(name)
    }
}

/// Returns a domain or username with its internationalized form before it, as people read it:
/// `bücher.example (xn--bcher-kva.example)`. `None` if it has no such form, or is none of them.
pub fn in_both_forms(name: &str) -> Option<String> {
    Some(format!("{} ({name})", in_unicode(name)?))
}

/// Returns only the internationalized form: `bücher.example`. Commands take it, too.
pub fn in_unicode(name: &str) -> Option<String> {
    if !has_punycode(name.rsplit('@').next()?) {
        return None;
    }
    let (local, domain) = match name.split_once('@') {
        Some((local, domain)) => (format!("{local}@"), domain),
        None => (String::new(), name),
    };
    let domain: DomainName = domain.parse().ok()?;
    let (unicode, valid) = idna::domain_to_unicode(domain.as_str());
    (valid.is_ok() && unicode != domain.as_str()).then(|| format!("{local}{unicode}"))
}

impl FromStr for DomainName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match fold(text) {
            Some(name) if name.contains('.') => Ok(Self(name)),
            _ => Err(invalid("domain", text, DOMAIN_RULE)),
        }
    }
}

impl HostName {
    /// Returns the name in lower-case ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        fold(text)
            .map(Self)
            .ok_or_else(|| invalid("server name", text, HOST_RULE))
    }
}

impl Username {
    /// Makes a username of its parts. Fails if they are not valid together.
    pub fn new(local: &str, domain: &DomainName) -> Result<Self> {
        format!("{local}@{domain}").parse()
    }

    /// Parses the name of a new user: a dot-atom. Stores of older versions may hold
    /// names with a dot at the end or two in a row, which [`FromStr`] still reads.
    pub fn of_new_user(text: &str) -> Result<Self> {
        let name: Self = text.parse()?;
        if name.is_of_old_form() {
            return Err(invalid("username", text, LOCAL_RULE));
        }
        Ok(name)
    }

    fn is_of_old_form(&self) -> bool {
        self.local_part().ends_with('.') || self.local_part().contains("..")
    }

    /// Returns the error for a name without a user: the rule, if such a name is no
    /// longer allowed.
    pub fn not_found(&self) -> Error {
        if self.is_of_old_form() {
            return invalid("username", &self.whole, LOCAL_RULE);
        }
        Error::UserNotFound(self.whole.clone())
    }

    /// Returns the whole name, in lower-case ASCII.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// Quotes it for a shell's command line.
    pub fn in_shell(&self) -> Cow<'_, str> {
        in_shell(&self.whole)
    }

    /// Returns the part before the `@`.
    pub fn local_part(&self) -> &str {
        &self.whole[..self.at]
    }

    /// Returns the part after the `@`.
    pub fn domain(&self) -> DomainName {
        DomainName(self.whole[self.at + 1..].to_owned())
    }
}

impl FromStr for Username {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(at) = folded_at(text) {
            let whole = text.to_owned();
            return Ok(Self { whole, at });
        }
        Self::fold(text)
    }
}

impl Username {
    fn fold(text: &str) -> Result<Self> {
        let invalid = |rule: &str| invalid("username", text, rule);
        let (local, domain) = text.split_once('@').ok_or_else(|| invalid(LOCAL_RULE))?;
        let good = local
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || ATOM.contains(&b));
        let starts_well = !local.is_empty() && !local.starts_with('.');
        if !good || !starts_well || local.len() > MAX_LOCAL_PART {
            return Err(invalid(LOCAL_RULE));
        }
        let domain: DomainName = domain.parse().map_err(|_| invalid(DOMAIN_RULE))?;
        let mut whole = String::with_capacity(text.len());
        whole.push_str(local);
        whole.make_ascii_lowercase();
        whole.push('@');
        whole.push_str(domain.as_str());
        if whole.len() > MAX_USERNAME {
            return Err(invalid("at most 254 characters"));
        }
        Ok(Self {
            at: local.len(),
            whole,
        })
    }
}

/// Where the `@` of a username is that needs no folding, as the store has them: a
/// list of a million is read through here. Nothing where it has to be looked at
/// closely.
fn folded_at(text: &str) -> Option<usize> {
    let at = text.bytes().position(|b| b == b'@')?;
    let (local, domain) = (&text.as_bytes()[..at], &text.as_bytes()[at + 1..]);
    let is_plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let local_good = local.len() <= MAX_LOCAL_PART
        && local.first().is_some_and(|b| *b != b'.')
        && local
            .iter()
            .all(|b| is_plain(b) || *b == b'.' || ATOM.contains(b));
    let mut parts = 0;
    let mut last = &[][..];
    for label in domain.split(|b| *b == b'.') {
        // Without two hyphens in the third and fourth place it is not Punycode.
        let good = (1..=63).contains(&label.len())
            && label.iter().all(|b| is_plain(b) || *b == b'-')
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
            && label.get(2..4) != Some(b"--");
        if !good {
            return None;
        }
        (parts, last) = (parts + 1, label);
    }
    let is_name = parts > 1 && !last.iter().all(u8::is_ascii_digit);
    (local_good && is_name && domain.len() <= MAX_DOMAIN && text.len() <= MAX_USERNAME)
        .then_some(at)
}

/// Lower case and ASCII, or nothing where it is not a host name.
fn fold(text: &str) -> Option<String> {
    // Longer than any name, before any work: IDNA is not linear.
    if text.len() > 4 * MAX_DOMAIN || text.ends_with('.') {
        return None;
    }
    let name = if text.is_ascii() && !has_punycode(text) {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_strict(text).ok()?
    };
    let labels_good = labels(&name).all(|label| {
        (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    });
    // A last part of digits makes an address, not a name (RFC 3696 §2).
    let is_address = labels(&name)
        .next_back()
        .is_some_and(|last| last.iter().all(u8::is_ascii_digit));
    (labels_good && !is_address && name.len() <= MAX_DOMAIN).then_some(name)
}

fn has_punycode(text: &str) -> bool {
    labels(text).any(|label| {
        label
            .get(..4)
            .is_some_and(|p| p.eq_ignore_ascii_case(b"xn--"))
    })
}

/// As bytes: a list of a million names is read through here.
fn labels(name: &str) -> impl DoubleEndedIterator<Item = &[u8]> {
    name.as_bytes().split(|b| *b == b'.')
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Option<String> {
        text.parse::<DomainName>().ok().map(|d| d.0)
    }

    #[test]
    fn domains_fold_to_one_form() {
        assert_eq!(domain("Example.COM").as_deref(), Some("example.com"));
        assert_eq!(
            domain("Bücher.example").as_deref(),
            Some("xn--bcher-kva.example")
        );
        assert_eq!(
            domain("XN--BCHER-KVA.example").as_deref(),
            Some("xn--bcher-kva.example")
        );
        assert_eq!(domain("a-b.1x.museum").as_deref(), Some("a-b.1x.museum"));
    }

    #[test]
    fn what_is_folded_is_seen_at_once_and_nothing_else() {
        for text in [
            "shop@example.com",
            "a.b_c+d-1@x-y.1z.museum",
            "a--b@b.a--b",
            "7@a.b",
        ] {
            assert!(folded_at(text).is_some(), "{text}");
        }
        let parts = ["a", "A", "-", "1", "@", ".", "'", "xn--", "é", " "];
        let whole = parts.len().pow(6);
        for n in 0..whole {
            let text: String = (0..6).map(|i| parts[n / parts.len().pow(i) % 10]).collect();
            if folded_at(&text).is_some() {
                assert_eq!(Username::fold(&text).unwrap().as_str(), text);
                assert_eq!(Username::fold(&text).unwrap().at, folded_at(&text).unwrap());
            }
        }
        for long in [64, 65, 240] {
            let text = format!("{}@{}.example", "a".repeat(long), "b".repeat(60));
            assert_eq!(folded_at(&text).is_some(), Username::fold(&text).is_ok());
        }
    }

    #[test]
    fn people_read_both_forms() {
        let domain = "xn--bcher-kva.example";
        let user = format!("shop@{domain}");
        assert_eq!(
            in_both_forms(domain).as_deref(),
            Some("bücher.example (xn--bcher-kva.example)")
        );
        assert_eq!(
            in_both_forms(&user).as_deref(),
            Some("shop@bücher.example (shop@xn--bcher-kva.example)")
        );
        for plain in [
            "example.com",
            "a@example.com",
            "xn--",
            "see xn--bcher-kva.example",
            "",
        ] {
            assert_eq!(in_both_forms(plain), None, "{plain}");
        }
    }

    #[test]
    fn malformed_domains_are_refused() {
        let long = format!("{}.com", "a".repeat(300));
        let long_label = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            " ",
            ".",
            "com",
            "example.com.",
            ".example.com",
            "a..b",
            "-a.com",
            "a-.com",
            "a b.com",
            "a_b.com",
            "a@b.com",
            "a\"b.com",
            "ex\u{202e}ample.com",
            "ex\nample.com",
            "192.0.2.1",
            "xn--a.com",
            "exa\u{ad}mple\u{200d}.com",
            "a/b.com",
            &long,
            &long_label,
        ] {
            assert_eq!(domain(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn usernames() {
        let user: Username = "Shop.Web+1@Example.com".parse().unwrap();
        assert_eq!(user.as_str(), "shop.web+1@example.com");
        assert_eq!(
            (user.local_part(), user.domain().as_str()),
            ("shop.web+1", "example.com")
        );
        for good in [
            "o'brien@example.com",
            "_svc@a.b",
            "a!#%&'+-=^_~@a.b",
            "-@a.b",
        ] {
            assert_eq!(Username::of_new_user(good).unwrap().as_str(), good);
        }
        for old in ["a..b@example.com", "dot.@example.com"] {
            assert!(old.parse::<Username>().is_ok(), "{old}");
            assert!(Username::of_new_user(old).is_err(), "{old}");
            let error = old.parse::<Username>().unwrap().not_found();
            assert_eq!(error.code(), "invalid_value");
        }
        let rule = Username::of_new_user("a/b@example.com").unwrap_err();
        assert!(rule.to_string().contains("unsafe in paths and shells"));
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!(
            "{}@{}.com",
            "a".repeat(64),
            ["b".repeat(60).as_str(); 4].join(".")
        );
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a@@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a b@example.com",
            "a/b@example.com",
            "a\\b@example.com",
            "a`b@example.com",
            "a$b@example.com",
            "a|b@example.com",
            "a*b@example.com",
            "a?b@example.com",
            "{a}@example.com",
            "a:b@example.com",
            "\"a\"@example.com",
            "a\tb@example.com",
            "é@example.com",
            "a\u{202e}@example.com",
            "a@example.com.",
            " a@example.com",
            &long,
            &longer,
        ] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hosts_are_names_not_addresses() {
        assert!("localhost".parse::<HostName>().is_ok());
        assert!("SMTP.example.com".parse::<HostName>().is_ok());
        for bad in [
            "",
            "192.0.2.1",
            "::1",
            "smtp.example.com:587",
            "smtp.example.com.",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }
}
