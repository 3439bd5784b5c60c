//! A mail server's port, named on a command line.

use std::fmt;
use std::str::FromStr;

use super::name::HostName;
use super::settings::{Encryption, PORTS, Port};
use super::text::{self, invalid};
use crate::error::{Error, Result};

/// A mail server's host and port, and how its connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The server's name.
    pub host: HostName,
    /// The port and its encryption.
    pub port: Port,
}

impl FromStr for HostPort {
    type Err = Error;

    /// `HOST:PORT`, and `/tls` or `/starttls` where that does not follow from the port.
    fn from_str(text: &str) -> Result<Self> {
        let (server, encryption) = match text.split_once('/') {
            Some((server, "tls")) => (server, Some(Encryption::Tls)),
            Some((server, "starttls")) => (server, Some(Encryption::StartTls)),
            Some(_) => ("", None),
            None => (text, None),
        };
        let parsed = server.rsplit_once(':').and_then(|(host, number)| {
            let number = text::number(number).filter(|number| *number != 0)?;
            let known = PORTS.into_iter().find(|port| port.number == number);
            let mut port = known.unwrap_or(Port { number, ..PORTS[0] });
            if let Some(encryption) = encryption {
                port.encryption = encryption;
            }
            let host = host.parse().ok()?;
            Some(Self { host, port })
        });
        parsed.ok_or_else(|| {
            invalid(
                "server",
                text,
                "a host and a port, such as smtp.example.com:587, or smtp.example.com:4650/tls",
            )
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_knows_its_encryption() {
        let parsed = |text: &str| {
            let server: HostPort = text.parse().unwrap();
            (server.to_string(), server.port.encryption)
        };
        let named = |text: &str| text.to_owned();
        assert_eq!(
            parsed("a.test:587"),
            (named("a.test:587"), Encryption::StartTls)
        );
        assert_eq!(parsed("a.test:465"), (named("a.test:465"), Encryption::Tls));
        assert_eq!(
            parsed("A.test:5000/tls"),
            (named("a.test:5000"), Encryption::Tls)
        );
        assert_eq!(parsed("a.test:465/starttls").1, Encryption::StartTls);
        for bad in [
            "",
            "a.test",
            "a.test:",
            "a.test:0",
            "a.test:70000",
            "a.test:0587",
            "a.test:+587",
            "a.test:25/x",
            ":25",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
