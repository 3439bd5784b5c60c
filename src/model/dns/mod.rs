//! Questions to the DNS and its answers, and the texts that mail keeps there.

pub mod dkim;
mod macros;
pub mod spf;
pub mod tags;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::text::{invalid, socket_address};
use crate::error::{Error, Result};

/// A type of record to look up (RFC 1035 §3.2.2, RFC 3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for this one.
    Cname,
    /// A mail server.
    Mx,
    /// The name of an address.
    Ptr,
    /// The start of a zone.
    Soa,
    /// Text, such as an SPF record.
    Txt,
}

/// The value of a record. Names have no dot of the root at their end; the root is "".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordValue {
    /// Of an A or AAAA record.
    Address(IpAddr),
    /// Of an MX record.
    Exchange {
        /// The lowest is tried first.
        preference: u16,
        /// Empty if the domain accepts no mail (RFC 7505).
        host: String,
    },
    /// Of a CNAME or PTR record.
    Name(String),
    /// Of a TXT record: its strings joined (RFC 7208 §3.3).
    Text(String),
    /// Of any other type.
    Other,
}

/// The answer to a look-up. A failure never means that a record is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// At least one record.
    Found(Vec<RecordValue>),
    /// The name exists without a record of this type.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The look-up failed.
    Failed(DnsFailure),
}

/// Why a look-up failed, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// No server answered, or none that can look anything up.
    NoAnswer(String),
    /// A server answered without a result, such as SERVFAIL.
    CannotTell(String),
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoAnswer(reason) | Self::CannotTell(reason)) = self;
        f.write_str(reason)
    }
}

impl DnsFailure {
    /// Returns what cannot be looked up: this name, or any.
    pub fn sentence(&self, name: &str) -> String {
        match self {
            Self::NoAnswer(reason) => {
                format!("DNS look-ups do not work from here: {reason}")
            }
            Self::CannotTell(reason) => format!("{name} cannot be looked up from here: {reason}"),
        }
    }
}

/// A resolver.
pub trait DnsClient {
    /// Looks up the records of this type.
    fn ask(&mut self, name: &str, kind: RecordType) -> DnsAnswer;
}

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRecord {
    /// Without a dot at its end.
    pub name: String,
    /// Such as `TXT`.
    pub kind: &'static str,
    /// Not quoted.
    pub value: String,
}

impl ZoneRecord {
    /// Returns a TXT record.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: "TXT",
            value: value.into(),
        }
    }
}

/// A line of a zone file (RFC 1035 §5).
impl fmt::Display for ZoneRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// In bytes: §3.3.14 with the length octet of §3.3.
        const STRING: usize = 255;
        write!(f, "{}. IN {}", self.name, self.kind)?;
        if self.kind != "TXT" {
            return write!(f, " {}.", self.value);
        }
        for part in self.value.as_bytes().chunks(STRING) {
            f.write_str(" \"")?;
            for byte in part {
                match byte {
                    b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// Returns the name under which an address is looked up (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse_name(address: IpAddr) -> String {
    let (mut labels, end): (Vec<String>, _) = match address {
        IpAddr::V4(v4) => {
            let bytes = v4.octets().into_iter();
            (bytes.map(|byte| byte.to_string()).collect(), "in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let halves = v6.octets().into_iter().flat_map(|b| [b >> 4, b & 15]);
            (halves.map(|half| format!("{half:x}")).collect(), "ip6.arpa")
        }
    };
    labels.reverse();
    labels.push(end.to_owned());
    labels.join(".")
}

/// The address of a resolver, in place of those of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolverAddress(pub SocketAddr);

impl FromStr for ResolverAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const PORT: u16 = 53;
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = bare.unwrap_or(text).parse::<IpAddr>();
        address
            .map(|ip| SocketAddr::new(ip, PORT))
            .ok()
            .or_else(|| socket_address(text))
            .map(Self)
            .ok_or_else(|| {
                let rule = "an address, with a port if that is not 53: 192.0.2.53, \
                    127.0.0.1:5353 or [2001:db8::53]:5353";
                invalid("resolver", text, rule)
            })
    }
}

impl fmt::Display for ResolverAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name that tells a DKIM key from others of its domain (RFC 6376 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(String);

impl Selector {
    /// Returns the selector in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const MOST: usize = 100;
        let good = text.len() <= MOST
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            });
        if !good {
            let rule = "letters, digits and hyphens, such as s1 or mail2026: what stands before \
                ._domainkey";
            return Err(invalid("selector", text, rule));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Returns the record that verifies a domain with this token.
pub fn verification(domain: &str, token: &str) -> ZoneRecord {
    ZoneRecord::text(
        format!("_smtpcred.{domain}"),
        format!("smtpcred-verification={token}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_zone() {
        let record = ZoneRecord::text("_x.example.com", "a \"b\" \\ ü");
        assert_eq!(
            record.to_string(),
            r#"_x.example.com. IN TXT "a \"b\" \\ \195\188""#
        );
        let long = ZoneRecord::text("a", "x".repeat(300)).to_string();
        assert_eq!(
            long,
            format!("a. IN TXT \"{}\" \"{}\"", "x".repeat(255), "x".repeat(45))
        );
    }

    #[test]
    fn addresses_backwards() {
        assert_eq!(
            reverse_name("192.0.2.7".parse().unwrap()),
            "7.2.0.192.in-addr.arpa"
        );
        let six = reverse_name("2001:db8::25".parse().unwrap());
        assert!(six.starts_with("5.2.0.0.0.0."), "{six}");
        assert!(six.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{six}");
    }

    #[test]
    fn resolvers() {
        for (text, means) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            let parsed: ResolverAddress = text.parse().unwrap();
            assert_eq!(parsed.to_string(), means);
        }
        for bad in [
            "",
            "dns.example.com",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:0",
            "1.2.3.4:053",
            "1.2.3.4:+53",
            "[2001:db8::53]:053",
            "1.2.3.4:99999",
            "::1:x",
        ] {
            assert!(bad.parse::<ResolverAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn selectors() {
        for good in ["s1", "mail2026", "a.b", "k_1"] {
            assert!(good.parse::<Selector>().is_ok(), "{good:?}");
        }
        let long = "a".repeat(101);
        for bad in ["", ".", "a..b", "a b", "ü", "a\"", &long] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }
}
