//! What `--metrics` takes.

use std::net::SocketAddr;
use std::str::FromStr;

use super::socket_spec::SocketSpec;
use crate::error::{Error, Result};
use crate::model::text::{invalid, socket_address};

/// Where metrics are scraped: `127.0.0.1:9590`, or `unix:PATH` with what follows a path elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A port.
    Tcp(SocketAddr),
    /// A socket.
    Unix(SocketSpec),
}

impl MetricsAddress {
    pub(super) const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    pub(super) const fn unix(&self) -> Option<&SocketSpec> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(spec) => Some(spec),
        }
    }
}

impl FromStr for MetricsAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const RULE: &str = "an IP address and a port, such as 127.0.0.1:9590, or unix:PATH";
        if let Some(spec) = text.strip_prefix("unix:") {
            return spec.parse().map(Self::Unix);
        }
        let address = socket_address(text);
        address
            .map(Self::Tcp)
            .ok_or_else(|| invalid("address", text, RULE))
    }
}
