//! Points in time: whole seconds since 1970, printed as RFC 3339 in UTC.

use std::fmt;

use serde::{Serialize, Serializer};

use super::duration::Duration;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

/// 2020-01-01: older than this program, so no clock that works says less.
const EARLIEST: i64 = 1_577_836_800;

impl Time {
    pub const fn from_epoch(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn epoch(self) -> i64 {
        self.0
    }

    /// A machine without a battery starts in 1970, and there nothing has
    /// expired yet: better no answer than a wrong one.
    pub fn plausible(self) -> Result<Self> {
        if self.0 < EARLIEST {
            return Err(Error::Clock(self.to_string()));
        }
        Ok(self)
    }

    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.seconds()))
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::between(earlier.0, self.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => time.fmt(f),
            // Beyond the year 9999: only a damaged store says so.
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(Time(1_800_000_000).to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(Time(i64::MAX).to_string(), format!("@{}", i64::MAX));
    }

    #[test]
    fn a_clock_before_2020_is_not_believed() {
        assert!(Time(0).plausible().is_err());
        assert!(Time(EARLIEST).plausible().is_ok());
    }
}
