//! When a day begins, for limits of a day.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// When a limit of a day begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Day {
    /// Never: the last 24 hours count.
    #[default]
    Rolling,
    /// At midnight, there.
    Calendar(TimeZone),
}

/// Returns the midnight before `now`, or days after it.
pub(super) fn midnight(now: Time, zone: &TimeZone, days: i64) -> Time {
    let found = Timestamp::from_second(now.epoch()).ok().and_then(|now| {
        let today = now.to_zoned(zone.clone()).start_of_day().ok()?;
        today.checked_add(days.days()).ok()?.start_of_day().ok()
    });
    // Outside of the years 0 to 9999 there is no calendar.
    found.map_or(now, |at| Time::from_epoch(at.timestamp().as_second()))
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling => f.write_str("rolling"),
            Self::Calendar(zone) => f.write_str(zone.iana_name().unwrap_or("UTC")),
        }
    }
}

impl FromStr for Day {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "rolling" {
            return Ok(Self::Rolling);
        }
        TimeZone::get(text).map(Self::Calendar).map_err(|_| {
            invalid(
                "day",
                text,
                "rolling, or a time zone this machine knows, such as Europe/Berlin",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_rolling_or_of_a_zone() {
        for text in ["rolling", "Europe/Berlin", "UTC"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        assert!("Mars/Olympus".parse::<Day>().is_err());
    }
}
