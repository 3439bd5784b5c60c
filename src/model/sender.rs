//! What a user may use in MAIL FROM.

use std::fmt;
use std::str::FromStr;

use super::name::{DomainName, Username};
use super::text::invalid;
use crate::error::{Error, Result};

/// An address, or every address of a domain; folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender(String);

/// In octets, RFC 5321 §4.5.3.1.3.
const MAX: usize = 254;

impl Sender {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the stored form. An earlier version accepted patterns as addresses.
    pub fn stored(text: &str) -> Option<Self> {
        let Some((local, domain)) = text.rsplit_once('@') else {
            return text.parse().ok();
        };
        // An admin may write it in any form.
        let address = Address::new(local, &domain.parse().ok()?);
        address.map(|address| Self(address.whole))
    }

    fn allows(&self, address: &Address) -> bool {
        if self.0.contains('@') {
            self.0 == address.whole
        } else {
            self.0 == address.domain()
        }
    }
}

impl FromStr for Sender {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if !text.contains('@') {
            return Ok(Self(text.parse::<DomainName>()?.as_str().to_owned()));
        }
        // Other programs write all addresses of a domain like this. As an address it
        // would match no sender, so every message would be refused.
        if let Some((local, domain)) = text.rsplit_once('@')
            && is_pattern(local)
            && let Ok(domain) = domain.parse::<DomainName>()
        {
            let rule = format!("no pattern; for every address, the domain alone: {domain}");
            return Err(invalid("sender", text, rule));
        }
        if let Some((local, _)) = text.rsplit_once('@')
            && local.split('.').any(str::is_empty)
        {
            let rule = "the part before the @ without a dot at an end or two in a row";
            return Err(invalid("sender", text, rule));
        }
        Self::stored(text).ok_or_else(|| {
            invalid(
                "sender",
                text,
                "an address such as info@example.com, or a domain",
            )
        })
    }
}

/// Wildcards of shells, SQL, and the tables of Postfix and Exim.
fn is_pattern(local: &str) -> bool {
    let is_regex = local.len() > 1 && local.starts_with('/') && local.ends_with('/');
    let signs = ["", "%", "?", ".+"];
    is_regex || signs.contains(&local) || local.starts_with('^') || local.contains('*')
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address as a mail server passes it on: without quotes. Only ASCII letters are
/// compared without regard to case: other letters with the same lower case form make
/// a different address, which may belong to someone else.
struct Address {
    whole: String,
    at: usize,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        // The last one: a local part may have one in quotes (RFC 5321 §4.1.2).
        let (local, domain) = text.rsplit_once('@')?;
        Self::new(local, &DomainName::written(domain)?)
    }

    fn new(local: &str, domain: &DomainName) -> Option<Self> {
        let whole = format!("{}@{domain}", local.to_ascii_lowercase());
        let printable = local.chars().all(super::text::is_printable);
        let good = !local.is_empty() && printable && whole.len() <= MAX;
        good.then_some(Self {
            at: local.len(),
            whole,
        })
    }

    fn domain(&self) -> &str {
        &self.whole[self.at + 1..]
    }
}

/// Returns whether this user may send as `address`. Without senders of its own it may use its
/// domain. All users may use the null sender, `<>` (RFC 5321 §4.5.5).
pub fn may_send_as(username: &Username, senders: &[Sender], address: &str) -> bool {
    if address.is_empty() {
        return true;
    }
    let Some(address) = Address::parse(address) else {
        return false;
    };
    if senders.is_empty() {
        return address.domain() == username.domain().as_str();
    }
    senders.iter().any(|sender| sender.allows(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookalike_letters_make_another_address() {
        let user: Username = "shop@example.com".parse().unwrap();
        let listed = [
            "mike@example.com",
            "Jürgen@example.com",
            "kiosk.example",
            "bücher.example",
        ];
        let listed = listed.map(|sender| sender.parse().unwrap());
        for good in ["MIKE@Example.COM", "jürgen@example.com", "x@KIOSK.example"] {
            assert!(may_send_as(&user, &listed, good), "{good}");
        }
        for bad in [
            // The Kelvin sign, the long s, the dotted I and wide letters.
            "mi\u{212a}e@example.com",
            "mike@ex\u{ff41}mple.com",
            "x@\u{212a}iosk.example",
            "x@kio\u{17f}k.example",
            "x@k\u{130}osk.example",
            "JÜRGEN@example.com",
            "x@BÜCHER.example",
            "x@bu\u{308}cher.example",
        ] {
            assert!(!may_send_as(&user, &listed, bad), "{bad}");
            let own: Username = "a@kiosk.example".parse().unwrap();
            assert!(!may_send_as(&own, &[], bad), "{bad}");
        }
    }

    #[test]
    fn a_user_sends_as_its_domain_or_its_senders() {
        let user: Username = "shop@example.com".parse().unwrap();
        let may = |senders: &[&str], address: &str| {
            let senders: Vec<Sender> = senders.iter().map(|s| s.parse().unwrap()).collect();
            may_send_as(&user, &senders, address)
        };
        for good in [
            "",
            "shop@example.com",
            "Any.One+x=y@EXAMPLE.com",
            "a b@example.com",
            "a@b@example.com",
        ] {
            assert!(may(&[], good), "{good}");
        }
        for bad in [
            "shop@example.org",
            "shop@sub.example.com",
            "shop",
            "@example.com",
            "shop@",
            "shop@example.com@evil.test",
            "shop@example.com\u{0}",
            "x@notexample.com",
        ] {
            assert!(!may(&[], bad), "{bad:?}");
        }
        let listed = ["news@other.org", "bücher.example"];
        assert!(may(&listed, "News@Other.org"));
        assert!(may(&listed, "x@xn--bcher-kva.example"));
        assert!(may(&listed, "x@bücher.EXAMPLE"));
        assert!(may(&listed, ""));
        assert!(
            !may(&listed, "shop@example.com"),
            "listed senders replace the default"
        );
        assert!(!may(&listed, "x@other.org"));
    }

    #[test]
    fn senders_are_addresses_or_domains() {
        for bad in [
            "",
            "localhost",
            "@example.com",
            "*@example.com",
            "*@Example.COM",
            "%@example.com",
            "*@*.example.com",
            "*.example.com",
            "a@",
            "a\n@example.com",
            "a@b",
        ] {
            assert!(bad.parse::<Sender>().is_err(), "{bad:?}");
        }
        for all in [
            "@example.com",
            "*@Example.COM",
            "%@example.com",
            "n*@example.com",
        ] {
            let error = all.parse::<Sender>().unwrap_err().to_string();
            assert!(error.contains("the domain alone: example.com"), "{error}");
            // From an older store.
            assert!(all.starts_with('@') || Sender::stored(all).is_some());
        }
    }
}
