//! Sending limits: how much of what in how long.

use std::fmt;
use std::str::FromStr;

use super::day::{self, Day};
use super::settings::{Limit, Setting};
use super::tally::{Amount, Tally};
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Messages,
    Recipients,
    /// Those this user never sent to before: what a thief of a credential has
    /// many of, and an application few.
    NewRecipients,
}

/// In how long. Counts are kept in buckets, and a bucket counts until all of it
/// has left the window: a limit frees late by up to a bucket, and never early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Minute,
    Hour,
    Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub what: What,
    pub span: Span,
}

/// How many of each kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits([Option<u32>; 7]);

/// A kind and what its limit is set to: `messages/hour=100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSetting {
    pub kind: Kind,
    pub most: Setting<Limit>,
}

/// What becomes of a message over a limit, and of its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// Refused for now (450).
    #[default]
    Defer,
    /// Refused for good (554).
    Reject,
    /// The user is suspended.
    Suspend,
    /// The user is deleted, as some hosted services do.
    Delete,
}

/// A limit that leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub kind: Kind,
    pub most: u32,
    /// When there is room again; nothing where there never is, because more is
    /// wanted at once than the limit allows in all.
    pub frees_at: Option<Time>,
}

impl Span {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

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

    /// The bucket that `now` falls into.
    pub const fn bucket_at(self, now: Time) -> Time {
        let seconds = now.epoch();
        Time::from_epoch(seconds - seconds.rem_euclid(self.bucket()))
    }

    /// Buckets before this one count no more, whatever a day is.
    pub const fn oldest(self, now: Time) -> Time {
        // A calendar day with an hour more in it is the longest there is.
        Time::from_epoch(now.epoch() - self.length() - self.bucket() - 3_600)
    }

    /// The time from which buckets count.
    pub(super) fn begins(self, now: Time, day: &Day) -> Time {
        match (self, day) {
            (Self::Day, Day::Calendar(zone)) => day::midnight(now, zone, 0),
            _ => Time::from_epoch(now.epoch() - self.length() - self.bucket() + 1),
        }
    }

    pub(super) fn bucket_frees_at(self, bucket: Time, now: Time, day: &Day) -> Time {
        match (self, day) {
            (Self::Day, Day::Calendar(zone)) => day::midnight(now, zone, 1),
            _ => Time::from_epoch(bucket.epoch() + self.bucket() + self.length()),
        }
    }
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::new(What::Messages, Span::Minute),
        Self::new(What::Messages, Span::Hour),
        Self::MESSAGES_A_DAY,
        Self::new(What::Recipients, Span::Minute),
        Self::new(What::Recipients, Span::Hour),
        Self::new(What::Recipients, Span::Day),
        Self::new(What::NewRecipients, Span::Day),
    ];
    pub const MESSAGES_A_DAY: Self = Self::new(What::Messages, Span::Day);

    const fn new(what: What, span: Span) -> Self {
        Self { what, span }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0)
    }

    /// "5 messages a day", for people.
    pub fn words(self, n: u32) -> String {
        let what = match self.what {
            What::Messages => "message",
            What::Recipients => "recipient",
            What::NewRecipients => "new recipient",
        };
        let s = if n == 1 { "" } else { "s" };
        let article = if self.span == Span::Hour { "an" } else { "a" };
        format!("{n} {what}{s} {article} {}", self.span.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Messages => "messages",
            What::Recipients => "recipients",
            What::NewRecipients => "new-recipients",
        };
        write!(f, "{what}/{}", self.span.name())
    }
}

impl FromStr for Kind {
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

impl FromStr for LimitSetting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, most) = text.split_once('=').ok_or_else(|| {
            invalid(
                "limit",
                text,
                "a kind, = and a number or none, such as messages/hour=100",
            )
        })?;
        Ok(Self {
            kind: kind.parse()?,
            most: most.parse()?,
        })
    }
}

impl Limits {
    pub fn get(&self, kind: Kind) -> Option<u32> {
        self.0[kind.index()]
    }

    pub fn set(&mut self, kind: Kind, most: Option<u32>) {
        self.0[kind.index()] = most;
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u32)> {
        Kind::ALL
            .into_iter()
            .zip(self.0)
            .filter_map(|(kind, most)| Some((kind, most?)))
    }

    /// This one alone.
    #[must_use]
    pub fn only(&self, kind: Kind) -> Self {
        let mut only = Self::default();
        only.set(kind, self.get(kind));
        only
    }

    /// The first limit that this would break.
    pub fn over(&self, tally: &Tally, add: Amount, now: Time, day: &Day) -> Option<Over> {
        self.iter().find_map(|(kind, most)| {
            let add = add.of(kind.what);
            let fits = tally.used(kind, now, day) + add <= most.into();
            (add > 0 && !fits).then(|| Over {
                kind,
                most,
                frees_at: tally.frees_at(kind, most, add, now, day),
            })
        })
    }
}

impl OnLimit {
    pub const ALL: [Self; 4] = [Self::Defer, Self::Reject, Self::Suspend, Self::Delete];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::Reject => "reject",
            Self::Suspend => "suspend",
            Self::Delete => "delete",
        }
    }
}

impl FromStr for OnLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| invalid("action", text, "defer, reject, suspend or delete"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const NOON: Time = Time::from_epoch(1_800_014_400);

    fn at(seconds: i64) -> Time {
        Time::from_epoch(NOON.epoch() + seconds)
    }

    fn one() -> Amount {
        Amount {
            messages: 1,
            recipients: 1,
            new_recipients: 0,
        }
    }

    fn limits(text: &str) -> Limits {
        let setting: LimitSetting = text.parse().unwrap();
        let mut limits = Limits::default();
        limits.set(setting.kind, setting.most.value().map(Limit::get));
        limits
    }

    #[test]
    fn a_limit_holds_for_all_of_its_window_and_frees_after_it() {
        let limits = limits("messages/minute=2");
        let mut tally = Tally::default();
        tally.count(one(), at(0));
        assert_eq!(limits.over(&tally, one(), at(5), &Day::Rolling), None);
        tally.count(one(), at(5));
        let over = limits.over(&tally, one(), at(6), &Day::Rolling).unwrap();
        assert_eq!((over.most, over.frees_at), (2, Some(at(61))));
        for second in 6..=60 {
            let over = limits.over(&tally, one(), at(second), &Day::Rolling);
            assert!(over.is_some(), "{second}");
        }
        assert_eq!(limits.over(&tally, one(), at(61), &Day::Rolling), None);
    }

    #[test]
    fn a_message_larger_than_the_limit_never_fits() {
        let limits = limits("recipients/hour=3");
        let add = Amount {
            recipients: 4,
            ..one()
        };
        let over = limits.over(&Tally::default(), add, NOON, &Day::Rolling);
        assert_eq!(over.unwrap().frees_at, None);
    }

    #[test]
    fn a_calendar_day_begins_at_its_midnight() {
        let limits = limits("messages/day=1");
        let day = Day::Calendar(TimeZone::fixed(jiff::tz::offset(5)));
        let mut tally = Tally::default();
        // 12:00 UTC is 17:00 there; midnight is seven hours away.
        tally.count(one(), NOON);
        let over = limits.over(&tally, one(), at(60), &day).unwrap();
        assert_eq!(over.frees_at, Some(at(7 * 3600)));
        assert!(limits.over(&tally, one(), at(7 * 3600 - 1), &day).is_some());
        assert_eq!(limits.over(&tally, one(), at(7 * 3600), &day), None);
        let rolling = limits.over(&tally, one(), at(7 * 3600), &Day::Rolling);
        assert_eq!(rolling.unwrap().frees_at, Some(at(24 * 3600 + 900)));
    }

    #[test]
    fn no_bucket_that_counts_is_older_than_the_oldest() {
        let day = Day::Calendar(TimeZone::UTC);
        for span in Span::ALL {
            for day in [&day, &Day::Rolling] {
                assert!(span.oldest(NOON) <= span.begins(NOON, day));
            }
        }
    }

    #[test]
    fn limits_are_written_as_kind_and_number() {
        assert_eq!(limits("new-recipients/day=50").iter().count(), 1);
        assert_eq!(limits("messages/hour=none").iter().count(), 0);
        for bad in [
            "",
            "messages",
            "messages/hour",
            "messages/week=1",
            "messages/hour=0",
            "=5",
        ] {
            assert!(bad.parse::<LimitSetting>().is_err(), "{bad:?}");
        }
    }
}
