//! What an installation says about itself: the server its applications connect
//! to, and what a hash costs.

use std::fmt;
use std::str::FromStr;

use super::alert_rules::AlertRule;
use super::day::Day;
use super::hash::{AcceptedSchemes, Cost};
use super::limits::{Limits, OnLimit};
use super::message_rules::MessageRules;
use super::name::HostName;
use super::network::Network;
use super::text::invalid;
use crate::error::{Error, Result};

/// The settings of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The name of the mail server; `None` until it is set.
    pub host: Option<HostName>,
    /// The ports that applications may use.
    pub ports: Ports,
    /// The cost of new hashes.
    pub argon2: Cost,
    /// The hashes of other systems that an import accepts.
    pub accept_hash: AcceptedSchemes,
    /// Whether passwords may come over connections without encryption.
    pub allow_insecure: bool,
    /// Whether users of domains that are not verified cannot send.
    pub require_verified_domains: bool,
    /// When a limit of a day begins anew.
    pub day: Day,
    /// The limits of all users together.
    pub limits: Limits,
    /// What happens at a limit; `None` is the default.
    pub on_limit: Option<OnLimit>,
    /// Networks that say nothing about a client: of proxies, for example.
    pub ignore_addresses: Vec<Network>,
    /// What is kept of messages.
    pub messages: MessageRules,
    /// The share of a limit from which on it is an alert; `None`: the default.
    pub limit_alert: Option<AlertRule>,
}

/// How a connection is encrypted: at once (RFC 8314 §3.3), or after STARTTLS
/// (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// In clear until STARTTLS.
    StartTls,
    /// From the first byte.
    Tls,
}

/// A port of a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// How its connections are encrypted.
    pub encryption: Encryption,
    /// What it is for, for people.
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
    /// Returns the ports, the recommended one first.
    pub fn offered(self) -> impl Iterator<Item = Port> {
        PORTS
            .into_iter()
            .zip(self.0)
            .filter(|(_, on)| *on)
            .map(|(port, _)| port)
    }

    /// Returns the port to use if all of them work.
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
    /// Returns the name in mail programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartTls => "STARTTLS",
            Self::Tls => "TLS",
        }
    }

    /// Returns the name in configuration files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
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
}
