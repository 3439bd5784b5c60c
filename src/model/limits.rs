//! Sending limits: how much of what in how long. A third of this file is its tests.

use std::str::FromStr;

use super::day::Day;
use super::limit_kind::LimitKind;
use super::setting::{LimitValue, Setting};
use super::text::invalid;
use super::time::Time;
use super::usage_window::{Count, UsageWindow};
use crate::error::{Error, Result};

/// How many of each kind, in the order of [`LimitKind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits([Option<u32>; 7]);

/// A kind and what its limit is set to: `messages/hour=100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSetting {
    /// Which limit.
    pub kind: LimitKind,
    /// The limit, or none.
    pub most: Setting<LimitValue>,
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
pub struct LimitExceeded {
    /// Which limit.
    pub kind: LimitKind,
    /// Its value.
    pub most: u32,
    /// When there is room again; `None` if never, because more is asked for at once than the
    /// limit allows.
    pub frees_at: Option<Time>,
}

/// A limit of which 80 % or more are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearLimit {
    /// Which limit.
    pub kind: LimitKind,
    /// Its value.
    pub most: u32,
    /// How much of it is used.
    pub used: u64,
}

impl NearLimit {
    /// Returns how much of it is used, rounded down.
    pub fn percent(&self) -> u64 {
        self.used.saturating_mul(100) / u64::from(self.most.max(1))
    }

    /// Returns whether nothing is left of it.
    pub fn is_reached(&self) -> bool {
        self.used >= self.most.into()
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
    /// Returns the limit of this kind, if one is set.
    pub fn get(&self, kind: LimitKind) -> Option<u32> {
        self.0[kind.index()]
    }

    /// Sets the limit of this kind, or removes it.
    pub fn set(&mut self, kind: LimitKind, most: Option<u32>) {
        self.0[kind.index()] = most;
    }

    /// Returns whether no limit is set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Returns the limits that are set.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, u32)> {
        LimitKind::ALL
            .into_iter()
            .zip(self.0)
            .filter_map(|(kind, most)| Some((kind, most?)))
    }

    /// Returns this limit alone.
    #[must_use]
    pub fn only(&self, kind: LimitKind) -> Self {
        let mut only = Self::default();
        only.set(kind, self.get(kind));
        only
    }

    /// Returns the first limit that this would exceed.
    pub fn over(
        &self,
        tally: &UsageWindow,
        add: Count,
        now: Time,
        day: &Day,
    ) -> Option<LimitExceeded> {
        self.iter().find_map(|(kind, most)| {
            let add = add.of(kind.what);
            let fits = tally.used(kind, now, day) + add <= most.into();
            (add > 0 && !fits).then(|| LimitExceeded {
                kind,
                most,
                frees_at: tally.frees_at(kind, most, add, now, day),
            })
        })
    }
}

impl OnLimit {
    /// All actions, the mildest first.
    pub const ALL: [Self; 4] = [Self::Defer, Self::Reject, Self::Suspend, Self::Delete];

    /// Returns the name in settings and in the store.
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
    use crate::model::limit_kind::LimitPeriod;

    const NOON: Time = Time::from_epoch(1_800_014_400);

    fn at(seconds: i64) -> Time {
        Time::from_epoch(NOON.epoch() + seconds)
    }

    fn one() -> Count {
        Count {
            messages: 1,
            recipients: 1,
            new_recipients: 0,
        }
    }

    fn limits(text: &str) -> Limits {
        let setting: LimitSetting = text.parse().unwrap();
        let mut limits = Limits::default();
        limits.set(setting.kind, setting.most.value().map(LimitValue::get));
        limits
    }

    #[test]
    fn a_limit_holds_for_all_of_its_window_and_frees_after_it() {
        let limits = limits("messages/minute=2");
        let mut tally = UsageWindow::default();
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
        let add = Count {
            recipients: 4,
            ..one()
        };
        let over = limits.over(&UsageWindow::default(), add, NOON, &Day::Rolling);
        assert_eq!(over.unwrap().frees_at, None);
    }

    #[test]
    fn a_calendar_day_begins_at_its_midnight() {
        let limits = limits("messages/day=1");
        let day = Day::Calendar(TimeZone::fixed(jiff::tz::offset(5)));
        let mut tally = UsageWindow::default();
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
    fn a_day_is_as_long_as_its_zone_says() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let limits = limits("messages/day=1");
        for (zone, begins, ends) in [
            // 26 hours, 25, 23, 22.
            (
                "Antarctica/Troll",
                "2026-10-24T22:00:00Z",
                "2026-10-26T00:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2027-03-27T23:00:00Z",
                "2027-03-28T22:00:00Z",
            ),
            (
                "Antarctica/Troll",
                "2027-03-28T00:00:00Z",
                "2027-03-28T22:00:00Z",
            ),
        ] {
            let day: Day = zone.parse().unwrap();
            let (begins, ends) = (at(begins), at(ends));
            let last = Time::from_epoch(ends.epoch() - 1);
            assert_eq!(LimitPeriod::Day.begins(begins, &day), begins, "{zone}");
            assert_eq!(LimitPeriod::Day.begins(last, &day), begins, "{zone}");
            assert_eq!(LimitPeriod::Day.begins(ends, &day), ends, "{zone}");
            let mut tally = UsageWindow::default();
            tally.count(one(), begins);
            let over = limits.over(&tally, one(), last, &day).unwrap();
            assert_eq!(over.frees_at, Some(ends), "{zone}");
            assert_eq!(limits.over(&tally, one(), ends, &day), None, "{zone}");
            assert!(LimitPeriod::Day.oldest(last, &day) <= begins);
        }
    }

    #[test]
    fn a_skipped_date_has_no_length() {
        // Samoa skipped 30 December in 2011: the 31st follows the 29th.
        let at = |seconds: i64| Time::from_epoch(1_325_239_200 + seconds);
        let day: Day = "Pacific/Apia".parse().unwrap();
        let eve = LimitPeriod::Day.begins(at(-1), &day);
        assert_eq!(eve, at(-86_400));
        assert_eq!(LimitPeriod::Day.begins(at(0), &day), at(0));
        let mut tally = UsageWindow::default();
        tally.count(one(), at(-1));
        let over = limits("messages/day=1").over(&tally, one(), at(-1), &day);
        assert_eq!(over.unwrap().frees_at, Some(at(0)));
    }

    #[test]
    fn no_bucket_that_counts_is_older_than_the_oldest() {
        let day = Day::Calendar(TimeZone::UTC);
        for span in LimitPeriod::ALL {
            for day in [&day, &Day::Rolling] {
                assert!(span.oldest(NOON, day) <= span.begins(NOON, day));
                assert!(span.oldest(NOON, day) <= span.begins(NOON, &Day::Rolling));
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
