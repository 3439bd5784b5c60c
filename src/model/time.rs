//! Points in time: whole seconds since 1970, printed as RFC 3339 in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time as Clock, date};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::duration::Duration;
use super::text::invalid;
use crate::error::{Error, Result};

/// A second since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// 2020-01-01: older than this program, so no clock that works says less.
const EARLIEST: i64 = 1_577_836_800;

/// How much the clocks of relays that share a store may differ, in seconds.
pub const CLOCKS_DIFFER: i64 = 300;

impl Time {
    /// 9999-12-31T23:59:59Z.
    const LATEST: Self = Self(253_402_300_799);

    /// Returns the time that is this many seconds after 1970 began (Unix time).
    pub const fn from_epoch(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Returns the seconds since 1970 began.
    pub const fn epoch(self) -> i64 {
        self.0
    }

    /// Fails if a clock cannot be right: a machine without a battery starts in 1970, when
    /// nothing has expired yet, and no answer is better than a wrong one.
    pub fn plausible(self) -> Result<Self> {
        if self.0 < EARLIEST {
            return Err(Error::Clock(self.to_string()));
        }
        Ok(self)
    }

    /// Returns a later time.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.seconds()))
    }

    /// Returns an earlier time.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.seconds()))
    }

    /// A [`Timestamp`] ends a day before the end of the year 9999, which people write
    /// for "never".
    fn at(day: Date, clock: Clock, zone: Offset) -> Self {
        let epoch = date(1970, 1, 1).to_datetime(Clock::midnight());
        let since = day.to_datetime(clock).duration_since(epoch);
        Self(since.as_secs() - i64::from(zone.seconds()))
    }

    /// Into a buffer and by hand: a list of a million users has four million of
    /// these. Nothing before the year 0 and after 9999: only a damaged store says so.
    /// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
    fn rfc_3339(self, text: &mut [u8; 20]) -> Option<&str> {
        const DAY: i64 = 86_400;
        const FIRST: i64 = -719_528 * DAY;
        const LAST: i64 = 2_932_897 * DAY - 1;
        if !(FIRST..=LAST).contains(&self.0) {
            return None;
        }
        let (second, day) = (self.0.rem_euclid(DAY), self.0.div_euclid(DAY) + 719_468);
        // Years begin with March: the day that comes and goes is their last.
        let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let in_next = i64::from(month >= 10);
        let (year, month) = (year + era * 400 + in_next, month + 3 - 12 * in_next);
        *text = *b"0000-00-00T00:00:00Z";
        for (at, two_digits) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3600),
            (14, second / 60 % 60),
            (17, second % 60),
        ] {
            let two_digits = u8::try_from(two_digits).ok()?;
            text[at] += two_digits / 10;
            text[at + 1] += two_digits % 10;
        }
        std::str::from_utf8(text).ok()
    }

    /// Returns how long ago `earlier` was; zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::between(earlier.0, self.0)
    }
}

impl FromStr for Time {
    type Err = Error;

    /// RFC 3339, or a date, which is its beginning in UTC.
    fn from_str(text: &str) -> Result<Self> {
        // Without a length it would take a time without a zone for its day.
        let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
        let time = match (text.parse::<Timestamp>(), day) {
            (Ok(time), _) => Some(Self(time.as_second())),
            (Err(_), Some(day)) => Some(Self::at(day, Clock::midnight(), Offset::UTC)),
            (Err(_), None) => late(text),
        };
        // ISO 8601 has years with a sign.
        let unsigned = text.starts_with(|c: char| c.is_ascii_digit());
        let time = time.filter(|time| unsigned && *time <= Self::LATEST);
        time.and_then(|time| time.plausible().ok()).ok_or_else(|| {
            invalid(
                "time",
                text,
                "a date such as 2027-06-30, or a time such as 2027-06-30T18:00:00Z",
            )
        })
    }
}

/// Parses a time on the last day, with its zone.
fn late(text: &str) -> Option<Time> {
    let pieces = Pieces::parse(text).ok()?;
    let zone = pieces.to_numeric_offset()?;
    Some(Time::at(pieces.date(), pieces.time()?, zone))
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rfc_3339(&mut [0; 20]) {
            Some(text) => f.write_str(text),
            None => write!(f, "@{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|error: Error| D::Error::custom(error.to_string()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.rfc_3339(&mut [0; 20]) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(Time(1_800_000_000).to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(Time(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(Time(1_709_251_199).to_string(), "2024-02-29T23:59:59Z");
        assert_eq!(Time(253_402_207_200).to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Time(-62_167_219_200).to_string(), "0000-01-01T00:00:00Z");
        for second in (-62_167_219_200..253_402_207_200).step_by(86_399 * 97) {
            let theirs = Timestamp::from_second(second).unwrap().to_string();
            if second >= -62_135_596_800 {
                assert_eq!(Time(second).to_string(), theirs);
            }
        }
        assert_eq!(
            Time(-99_999_999_999).to_string(),
            "@-99999999999",
            "before the year 0"
        );
        assert_eq!(Time(i64::MAX).to_string(), format!("@{}", i64::MAX));
    }

    #[test]
    fn reads_times_and_dates() {
        let noon = "2027-01-15T08:00:00Z".parse().ok();
        assert_eq!(noon, Some(Time(1_800_000_000)));
        assert_eq!("2027-01-15T09:00:00+01:00".parse().ok(), noon);
        assert_eq!("2027-01-15".parse().ok(), Some(Time(1_799_971_200)));
        for (last, second) in [
            ("9999-12-31", 253_402_214_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31T23:59:59+02:00", 253_402_293_599),
            ("9999-12-30T23:30:00Z", 253_402_212_600),
        ] {
            assert_eq!(last.parse().ok(), Some(Time(second)), "{last}");
        }
        let last = "9999-12-31T23:59:59Z";
        assert_eq!(last.parse::<Time>().unwrap().to_string(), last);
        for bad in [
            "9999-12-31T23:59:59-01:00",
            "9999-12-31T23:59:59",
            "9999-12-32",
            "10000-01-01",
            "",
            "now",
            "2027-13-01",
            "2027",
            "1999-01-01",
            "2027-01-15T08:00",
            "+2027-01-15T08:00:00Z",
            "+002027-01-15T08:00:00Z",
            "02027-01-15T08:00:00Z",
            "+02027-1-5",
            "2027-001-5",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_clock_before_2020_is_not_believed() {
        assert!(Time(0).plausible().is_err());
        assert!(Time(EARLIEST).plausible().is_ok());
    }
}
