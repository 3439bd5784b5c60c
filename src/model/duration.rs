//! Spans of time as people write them: `45s`, `30m`, `24h`, `90d`, `2w`, `1y`.

use std::fmt;
use std::str::FromStr;

use super::text::{invalid, number};
use crate::error::{Error, Result};

/// A span of time in seconds: 1 s to 100 years. A day is 24 hours, a year 365 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(i64);

const UNITS: [(char, i64); 6] = [
    ('y', 365 * 86_400),
    ('w', 7 * 86_400),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];
const MAX: i64 = 100 * 365 * 86_400;

impl Duration {
    /// Five seconds.
    pub const FIVE_SECONDS: Self = Self(5);
    /// One minute.
    pub const MINUTE: Self = Self(60);
    /// One hour.
    pub const HOUR: Self = Self(3_600);

    /// Returns a duration in hours.
    pub const fn hours(hours: u16) -> Self {
        Self(hours as i64 * 3_600)
    }

    /// Returns a duration in days of 24 hours.
    pub const fn days(days: u16) -> Self {
        Self(days as i64 * 86_400)
    }

    /// Returns the number of seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Returns it in the largest unit that divides it, which reads back as the same.
    pub fn exact(self) -> String {
        let (unit, size) = UNITS
            .iter()
            .find(|(u, size)| *u != 'w' && self.0 % size == 0)
            .unwrap_or(&('s', 1));
        format!("{}{unit}", self.0 / size)
    }

    /// Returns how far away a time is, for tables: like the default form, but up to two days in
    /// hours, as sentences have it.
    pub fn short(self) -> String {
        const HOUR: i64 = 3_600;
        match self.0 {
            84_600..172_800 => format!("{}h", (self.0 + HOUR / 2) / HOUR),
            _ => self.to_string(),
        }
    }

    /// Reads stored seconds; `None` if they are out of range.
    pub fn stored(seconds: i64) -> Option<Self> {
        (1..=MAX).contains(&seconds).then_some(Self(seconds))
    }

    /// Returns the time from one second to another; zero if a clock went back.
    pub fn between(from: i64, to: i64) -> Self {
        Self(to.saturating_sub(from).max(0))
    }
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let seconds = text.char_indices().next_back().and_then(|(i, unit)| {
            let (_, size) = UNITS.iter().find(|(u, _)| *u == unit)?;
            number::<i64>(&text[..i])?.checked_mul(*size)
        });
        match seconds {
            Some(s) if (1..=MAX).contains(&s) => Ok(Self(s)),
            _ => Err(invalid(
                "duration",
                text,
                "a whole number and a unit out of s m h d w y, such as 24h or 90d; up to 100y",
            )),
        }
    }
}

impl fmt::Display for Duration {
    /// The largest unit that fits, rounded: `3d`, `59m`. What expires 3 days after it was made
    /// expires in 3d, and not in 2d, one second later.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are written but not read: "13d" says more than "1w".
        let units: Vec<_> = UNITS.iter().filter(|(unit, _)| *unit != 'w').collect();
        let smaller = units.iter().skip(1).map(|(_, size)| size / 2).chain([0]);
        let mut fitting = units.iter().zip(smaller);
        let found = fitting.find(|((_, size), round)| self.0 + round >= *size);
        let (unit, size) = found.map_or(('s', 1), |((unit, size), _)| (*unit, *size));
        write!(f, "{}{unit}", (self.0 + size / 2) / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("45s", 45),
            ("30m", 1800),
            ("24h", 86_400),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
            ("1y", 31_536_000),
        ] {
            assert_eq!(text.parse::<Duration>().unwrap().seconds(), seconds);
        }
        for bad in [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "01d",
            "1",
            "1 d",
            "1.5d",
            "90D",
            "9999999999999999999d",
            "101y",
            "1é",
        ] {
            assert!(bad.parse::<Duration>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_exactly_is_read_back() {
        for text in ["1s", "61s", "90m", "25h", "90d", "365d", "1y", "100y"] {
            let read: Duration = text.parse().unwrap();
            assert_eq!(read.exact().parse::<Duration>().unwrap(), read);
        }
        assert_eq!("2w".parse::<Duration>().unwrap().exact(), "14d");
    }

    #[test]
    fn times_that_are_near_are_in_hours() {
        for (seconds, text) in [
            (86_400, "24h"),
            (172_799, "48h"),
            (172_800, "2d"),
            (59, "59s"),
        ] {
            assert_eq!(Duration(seconds).short(), text);
        }
    }

    #[test]
    fn shows_the_largest_unit() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (89, "1m"),
            (90, "2m"),
            (3_569, "59m"),
            (3_570, "1h"),
            (84_599, "23h"),
            (86_399, "1d"),
            (3 * 86_400 - 1, "3d"),
            (1_209_600, "14d"),
            (364 * 86_400, "364d"),
            (31_536_000, "1y"),
        ] {
            assert_eq!(Duration(seconds).to_string(), text);
        }
    }
}
