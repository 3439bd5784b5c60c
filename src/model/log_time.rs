//! Points in time as logs know them.

use super::time::Time;

/// Microseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(i64);

impl LogTime {
    /// Returns the time that is this many microseconds after 1970 began.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the beginning of a second.
    pub const fn of(time: Time) -> Self {
        Self(time.epoch().saturating_mul(1_000_000))
    }

    /// Returns the microseconds since 1970 began.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns the second.
    pub const fn time(self) -> Time {
        Time::from_epoch(self.0.div_euclid(1_000_000))
    }
}
