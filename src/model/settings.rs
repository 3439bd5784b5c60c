//! What an installation says about itself: the server its applications connect
//! to, and what a hash costs.

use std::fmt;
use std::str::FromStr;

use super::day::Day;
use super::hash::{Accepted, Cost};
use super::limits::{Limits, OnLimit};
use super::name::HostName;
use super::text::invalid;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub host: Option<HostName>,
    pub ports: Ports,
    pub argon2: Cost,
    /// Which hashes of other systems an import takes.
    pub accept_hash: Accepted,
    /// Passwords may come over connections that are not encrypted.
    pub allow_insecure: bool,
    /// Users of domains that are not verified cannot send.
    pub require_verified_domains: bool,
    /// When a limit of a day begins anew.
    pub day: Day,
    /// Of all users together.
    pub limits: Limits,
    pub on_limit: Option<OnLimit>,
}

/// How a connection is encrypted: at once (RFC 8314 §3.3), or after STARTTLS
/// (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    StartTls,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    pub number: u16,
    pub encryption: Encryption,
    pub note: &'static str,
}

/// The ports that hosted services offer, the recommended one first. RFC 6409
/// for 587, RFC 8314 for 465; 2525 is a custom for networks that block both.
pub const PORTS: [Port; 4] = [
    Port {
        number: 587,
        encryption: Encryption::StartTls,
        note: "submission",
    },
    Port {
        number: 465,
        encryption: Encryption::Tls,
        note: "submissions",
    },
    Port {
        number: 2525,
        encryption: Encryption::StartTls,
        note: "where 587 is blocked",
    },
    Port {
        number: 25,
        encryption: Encryption::StartTls,
        note: "often blocked outward",
    },
];

/// RFC 4616 and the LOGIN of old clients, over TLS only.
pub const MECHANISMS: [&str; 2] = ["PLAIN", "LOGIN"];

/// Which of the four ports this relay offers, never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports([bool; 4]);

impl Default for Ports {
    fn default() -> Self {
        Self([true; 4])
    }
}

impl Ports {
    pub fn offered(self) -> impl Iterator<Item = Port> {
        PORTS
            .into_iter()
            .zip(self.0)
            .filter(|(_, on)| *on)
            .map(|(port, _)| port)
    }

    /// The one to use where all work.
    pub fn recommended(self) -> Port {
        self.offered().next().unwrap_or(PORTS[0])
    }
}

impl FromStr for Ports {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut offered = [false; 4];
        for part in text.split(',') {
            match PORTS.iter().position(|p| p.number.to_string() == part) {
                Some(i) => offered[i] = true,
                None => {
                    return Err(invalid(
                        "list of ports",
                        text,
                        "some of 587,465,2525,25, with commas",
                    ));
                }
            }
        }
        Ok(Self(offered))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, port) in self.offered().enumerate() {
            write!(f, "{}{}", if i > 0 { "," } else { "" }, port.number)?;
        }
        Ok(())
    }
}

impl Encryption {
    /// As mail programs label it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartTls => "STARTTLS",
            Self::Tls => "TLS",
        }
    }

    /// As configuration files spell it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
        }
    }
}

/// A setting that can be given a value or taken away: `10`, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    None,
    Some(T),
}

impl<T> Setting<T> {
    pub const fn as_ref(&self) -> Setting<&T> {
        match self {
            Self::None => Setting::None,
            Self::Some(value) => Setting::Some(value),
        }
    }

    pub fn value(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Setting<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> std::result::Result<Self, T::Err> {
        match text {
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Some),
        }
    }
}

/// A cap: on users of a domain, or on messages a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    pub const MAX: u32 = 1_000_000_000;

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Limit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse::<u32>() {
            // "+5" parses, and is not how anybody writes a limit.
            Ok(n) if (1..=Self::MAX).contains(&n) && !text.starts_with('+') => Ok(Self(n)),
            _ => Err(invalid(
                "limit",
                text,
                "a whole number from 1 to 1000000000, or none",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_keep_the_order_of_recommendation() {
        let ports: Ports = "25,465".parse().unwrap();
        assert_eq!(ports.to_string(), "465,25");
        assert_eq!(ports.recommended().number, 465);
        assert_eq!(Ports::default().to_string(), "587,465,2525,25");
        for bad in ["", "26", "587,", "587;465", " 587"] {
            assert!(bad.parse::<Ports>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!("none".parse::<Setting<Limit>>().unwrap(), Setting::None);
        assert_eq!(
            "15".parse::<Setting<Limit>>()
                .unwrap()
                .value()
                .unwrap()
                .get(),
            15
        );
        for bad in ["0", "-1", "+1", "1e3", "1000000001", "", "99999999999999"] {
            assert!(bad.parse::<Setting<Limit>>().is_err(), "{bad:?}");
        }
    }
}
