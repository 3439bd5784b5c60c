//! What a sending limit counts, and in how long.

use std::fmt;
use std::str::FromStr;

use super::day::{self, Day};
use super::text::{count, invalid};
use super::time::Time;
use crate::error::{Error, Result};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitUnit {
    /// Messages that were let through.
    Messages,
    /// Recipients of those messages.
    Recipients,
    /// Those this user never sent to before: what a thief of a credential has
    /// many of, and an application few.
    NewRecipients,
}

/// In how long. Counts are kept in buckets, and a bucket counts until all of it
/// has left the window: a limit frees late by up to a bucket, and never early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPeriod {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, or a calendar day, see [`Day`].
    Day,
}

/// A unit and a period, such as messages an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitKind {
    /// What it counts.
    pub what: LimitUnit,
    /// In how long.
    pub span: LimitPeriod,
}

impl LimitPeriod {
    /// All periods, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Returns the name in settings and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// In seconds.
    pub const fn length(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// In seconds. A quarter of an hour divides every time zone's midnight.
    const fn bucket(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 900,
        }
    }

    /// Returns the bucket that `now` falls into.
    pub const fn bucket_at(self, now: Time) -> Time {
        let seconds = now.epoch();
        Time::from_epoch(seconds - seconds.rem_euclid(self.bucket()))
    }

    /// Returns the time from which buckets count. A calendar day is as long as its
    /// time zone says: 23 hours, 26, or two days if a date occurred twice.
    pub fn begins(self, now: Time, day: &Day) -> Time {
        match (self, day) {
            (Self::Day, Day::Calendar(zone)) => day::midnight(now, zone, 0),
            _ => self.rolls(now),
        }
    }

    /// The earliest such time, whatever the length of the day: older buckets are
    /// deleted.
    pub fn oldest(self, now: Time, day: &Day) -> Time {
        self.begins(now, day).min(self.rolls(now))
    }

    fn rolls(self, now: Time) -> Time {
        Time::from_epoch(now.epoch() - self.length() - self.bucket() + 1)
    }

    pub(super) fn bucket_frees_at(self, bucket: Time, now: Time, day: &Day) -> Time {
        match (self, day) {
            (Self::Day, Day::Calendar(zone)) => day::midnight(now, zone, 1),
            _ => Time::from_epoch(bucket.epoch() + self.bucket() + self.length()),
        }
    }
}

impl LimitKind {
    /// All kinds that can be set.
    pub const ALL: [Self; 7] = [
        Self::new(LimitUnit::Messages, LimitPeriod::Minute),
        Self::new(LimitUnit::Messages, LimitPeriod::Hour),
        Self::MESSAGES_A_DAY,
        Self::new(LimitUnit::Recipients, LimitPeriod::Minute),
        Self::new(LimitUnit::Recipients, LimitPeriod::Hour),
        Self::new(LimitUnit::Recipients, LimitPeriod::Day),
        Self::new(LimitUnit::NewRecipients, LimitPeriod::Day),
    ];
    /// The daily limit, which has a flag and a column of its own.
    pub const MESSAGES_A_DAY: Self = Self::new(LimitUnit::Messages, LimitPeriod::Day);

    const fn new(what: LimitUnit, span: LimitPeriod) -> Self {
        Self { what, span }
    }

    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0)
    }

    /// Returns a limit such as "5 messages a day", for people.
    pub fn words(self, n: u32) -> String {
        let what = match self.what {
            LimitUnit::Messages => "message",
            LimitUnit::Recipients => "recipient",
            LimitUnit::NewRecipients => "new recipient",
        };
        let article = if self.span == LimitPeriod::Hour {
            "an"
        } else {
            "a"
        };
        format!("{} {article} {}", count(n.into(), what), self.span.name())
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            LimitUnit::Messages => "messages",
            LimitUnit::Recipients => "recipients",
            LimitUnit::NewRecipients => "new-recipients",
        };
        write!(f, "{what}/{}", self.span.name())
    }
}

impl FromStr for LimitKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(ToString::to_string).collect();
                invalid("limit", text, format!("one of {}", known.join(", ")))
            })
    }
}
