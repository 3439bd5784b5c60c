//! An address that mail goes to or comes from, as a command line gives it.

use std::fmt;
use std::str::FromStr;

use super::name::DomainName;
use super::text::invalid;
use crate::error::{Error, Result};

/// RFC 5321 §4.1.2: a dot-string and a domain. The local part is as it was
/// given; only the server it belongs to may say that case means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox(String);

/// RFC 5321 §4.5.3.1, in octets.
const MAX: usize = 254;
const MAX_LOCAL_PART: usize = 64;

impl Mailbox {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mailbox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once('@').and_then(|(local, domain)| {
            let atoms = local.split('.').all(|atom| {
                let is_atext = |byte: u8| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
                };
                !atom.is_empty() && atom.bytes().all(is_atext)
            });
            let domain: DomainName = domain.parse().ok()?;
            let whole = format!("{local}@{domain}");
            let fits = local.len() <= MAX_LOCAL_PART && whole.len() <= MAX;
            (atoms && fits).then_some(Self(whole))
        });
        parsed.ok_or_else(|| {
            let rule = "one address such as you@example.com, with no name and no angle brackets";
            invalid("address", text, rule)
        })
    }
}

/// Where the local mail server delivers to: a mailbox, or an account or alias of this machine,
/// such as `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMailbox(String);

impl LocalMailbox {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LocalMailbox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let is_local = text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.len() <= MAX_LOCAL_PART
            && text.bytes().all(is_name);
        if is_local {
            return Ok(Self(text.to_owned()));
        }
        if let Ok(mailbox) = text.parse::<Mailbox>() {
            return Ok(Self(mailbox.0));
        }
        let rule = "one address such as you@example.com, or a local one such as root";
        Err(invalid("address", text, rule))
    }
}

impl fmt::Display for LocalMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes() {
        let parsed = |text: &str| text.parse::<Mailbox>().map(|mailbox| mailbox.0);
        assert_eq!(
            parsed("Ana.B+x@Example.COM").unwrap(),
            "Ana.B+x@example.com"
        );
        assert_eq!(
            parsed("a@bücher.example").unwrap(),
            "a@xn--bcher-kva.example"
        );
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b@example.com",
            "a b@example.com",
            "<a@example.com>",
            "a..b@example.com",
            ".a@example.com",
            "a\r\nRCPT TO:<b@example.com>@example.com",
            "ä@example.com",
            "a@[192.0.2.1]",
            &long,
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
        let local = |text: &str| text.parse::<LocalMailbox>().map(|mailbox| mailbox.0);
        for good in ["root", "ops.team+smtp", "ana@example.com"] {
            assert_eq!(local(good).unwrap(), good);
        }
        for bad in [
            "",
            "-froot",
            "root mail",
            "root\n",
            "@",
            "a@",
            &long,
            "<root>",
        ] {
            assert!(local(bad).is_err(), "{bad:?}");
        }
    }
}
