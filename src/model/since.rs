//! When a list begins: so long ago, or at a time.

use std::str::FromStr;

use super::duration::Duration;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// The beginning of a list, as people write it: `7d`, `2026-11-30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This long ago.
    Ago(Duration),
    /// At this time.
    At(Time),
}

impl Since {
    /// Returns the time it means now.
    pub const fn at(self, now: Time) -> Time {
        match self {
            Self::Ago(duration) => now.minus(duration),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let ago = text.parse().map(Self::Ago);
        let since = ago.or_else(|_| text.parse().map(Self::At));
        since.map_err(|_| {
            invalid(
                "beginning",
                text,
                "a duration such as 24h or 7d, a date such as 2026-11-30, or a time such as 2026-11-30T18:00:00Z",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_duration_or_a_time() {
        let now: Time = "2026-11-30T12:00:00Z".parse().unwrap();
        for (text, at) in [
            ("1d", "2026-11-29T12:00:00Z"),
            ("2026-11-30", "2026-11-30T00:00:00Z"),
            ("2026-11-30T10:00:00+01:00", "2026-11-30T09:00:00Z"),
        ] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.at(now).to_string(), at, "{text}");
        }
        for bad in ["", "yesterday", "-1d", "2026-13-01", "30.11.2026"] {
            assert!(bad.parse::<Since>().is_err(), "{bad:?}");
        }
    }
}
