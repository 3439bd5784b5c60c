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
    pub fn as_str(&self) -> &str {
        &self.0
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
        Address::parse(text)
            .map(|address| Self(address.whole))
            .ok_or_else(|| {
                invalid(
                    "sender",
                    text,
                    "an address such as info@example.com, or a domain",
                )
            })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address as a mail server passes it on: without quotes, in any case.
/// Compared without regard to case, as Postfix compares its login maps.
struct Address {
    whole: String,
    at: usize,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        // The last one: a local part may have one in quotes (RFC 5321 §4.1.2).
        let (local, domain) = text.rsplit_once('@')?;
        let domain: DomainName = domain.parse().ok()?;
        let printable = local.chars().all(super::text::is_printable);
        if local.is_empty() || !printable || text.len() > MAX {
            return None;
        }
        Some(Self {
            at: local.to_lowercase().len(),
            whole: format!("{}@{domain}", local.to_lowercase()),
        })
    }

    fn domain(&self) -> &str {
        &self.whole[self.at + 1..]
    }
}

/// Whether this user may send as `address`. Without senders of its own it has
/// its domain. The null sender (`<>`) is everybody's: RFC 5321 §4.5.5.
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
        assert!(may(&listed, "x@BÜCHER.example"));
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
            "a@",
            "a\n@example.com",
            "a@b",
        ] {
            assert!(bad.parse::<Sender>().is_err(), "{bad:?}");
        }
    }
}
