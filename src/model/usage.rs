//! What was sent, added up.

use std::str::FromStr;

use serde::Serialize;

use super::day::Day;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// How usage is summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageBy {
    /// By user.
    #[default]
    User,
    /// By domain.
    Domain,
    /// By day.
    Day,
}

/// What a user or domain sent, or what was sent on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// A username, a domain, or a date.
    pub name: String,
    /// Messages that were let through.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Their sizes, in bytes.
    pub bytes: u64,
    /// Messages and recipients that were refused.
    pub refusals: u64,
}

/// In seconds.
const DAY: i64 = 86_400;

impl Usage {
    /// Returns the number of a day since 1970, in the time zone of `day`.
    pub fn day_of(now: Time, day: &Day) -> i64 {
        let offset = match day {
            Day::Rolling => 0,
            Day::Calendar(zone) => jiff::Timestamp::from_second(now.epoch())
                .map_or(0, |at| zone.to_offset(at).seconds().into()),
        };
        (now.epoch() + offset).div_euclid(DAY)
    }

    /// `2026-11-20`
    pub fn day_name(day: i64) -> String {
        let midnight = Time::from_epoch(day.saturating_mul(DAY)).to_string();
        midnight.split('T').next().unwrap_or_default().to_owned()
    }
}

impl UsageBy {
    /// Returns the name that the flag accepts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Domain => "domain",
            Self::Day => "day",
        }
    }
}

impl FromStr for UsageBy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::User, Self::Domain, Self::Day]
            .into_iter()
            .find(|by| by.name() == text)
            .ok_or_else(|| invalid("way to add up", text, "user, domain or day"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_where_the_setting_says() {
        let late = Time::from_epoch(1_800_000_000); // 08:00 UTC
        let day = Usage::day_of(late, &Day::Rolling);
        assert_eq!(Usage::day_name(day), "2027-01-15");
        let west = Day::Calendar(jiff::tz::TimeZone::fixed(jiff::tz::offset(-9)));
        assert_eq!(Usage::day_of(late, &west), day - 1);
    }
}
