//! Times for people: in their time zone, with its offset, and relative to now. Programs get
//! RFC 3339 in UTC.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::duration::Duration;
use super::text::count;
use super::time::Time;

/// What a time is written for people with: their time zone and the current time.
#[derive(Clone, Debug)]
pub struct LocalTimes {
    zone: TimeZone,
    now: Time,
}

/// The length of `2026-12-03T04:21:00Z`.
const RFC_3339: usize = 20;

impl LocalTimes {
    /// Writes times in this zone, relative to `now`.
    pub const fn new(zone: TimeZone, now: Time) -> Self {
        Self { zone, now }
    }

    /// Writes times in the same zone, relative to another time.
    #[must_use]
    pub fn at(&self, now: Time) -> Self {
        Self::new(self.zone.clone(), now)
    }

    /// Returns the day there: `2026-12-03`.
    pub fn day(&self, at: Time) -> String {
        self.written(at, "%Y-%m-%d")
    }

    /// Returns the time there to the second, for columns: ` 3 Dec 05:21:09 +01:00`.
    pub fn stamp(&self, at: Time) -> String {
        let format = self.with_year(at, "%e %b %H:%M:%S %:z", "%e %b %Y %H:%M:%S %:z");
        self.written(at, format)
    }

    /// Returns how far away it is: `in 3 days`, `2 hours ago`.
    pub fn relative(&self, at: Time) -> String {
        let seconds = at.epoch().saturating_sub(self.now.epoch());
        let far = far(seconds.unsigned_abs());
        match seconds {
            -9..=0 => "just now".to_owned(),
            1.. => format!("in {far}"),
            _ => format!("{far} ago"),
        }
    }

    /// Returns a value of its own: `in 3 days, Thu 3 Dec 05:21 +01:00`.
    pub fn value(&self, at: Time) -> String {
        format!("{}, {}", self.relative(at), self.clock(at))
    }

    /// Returns a part of a sentence: `Thu 3 Dec 05:21 +01:00 (in 3 days)`.
    pub fn phrase(&self, at: Time) -> String {
        format!("{} ({})", self.clock(at), self.relative(at))
    }

    /// Returns a short value for a table: `in 3d, 3 Dec`.
    pub fn near(&self, at: Time) -> String {
        let day = self.written(at, self.with_year(at, "%-d %b", "%-d %b %Y"));
        format!("{}, {day}", self.short(at))
    }

    /// Returns how far away it is, for a table: `in 3d`, `2h ago`.
    pub fn short(&self, at: Time) -> String {
        let (now, at) = (self.now.epoch(), at.epoch());
        match now.saturating_sub(at) {
            ..0 => format!("in {}", Duration::between(now, at).short()),
            0..=9 => "just now".to_owned(),
            _ => format!("{} ago", Duration::between(at, now).short()),
        }
    }

    /// Returns whether a text may have a time to rewrite. Hardly any has.
    pub fn may_have_time(text: &str) -> bool {
        text.len() >= RFC_3339 && text.contains('Z')
    }

    /// Rewrites the times in UTC that a text for people contains, except for those in
    /// commands to type.
    pub fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if let Some(at) = time_at(text, 0).filter(|_| text.len() == RFC_3339) {
            return Cow::Owned(self.value(at));
        }
        let mut written = String::new();
        let mut rest = text;
        while let Some((start, at)) = first_time(text, text.len() - rest.len()) {
            let before = text.len() - rest.len();
            written.push_str(&text[before..start]);
            written.push_str(&self.phrase(at));
            rest = &text[start + RFC_3339..];
        }
        if written.is_empty() {
            return Cow::Borrowed(text);
        }
        written.push_str(rest);
        Cow::Owned(written)
    }

    /// Rewrites the times in a list of fields: `expires_at=3 Dec 05:21:09 +01:00`.
    pub fn fields(&self, text: &str) -> String {
        let field = |word: &str| {
            let (name, value) = word.split_once('=')?;
            let at = time_at(value, 0).filter(|_| value.len() == RFC_3339)?;
            Some(format!("{name}={}", self.stamp(at).trim_start()))
        };
        let words = text.split(' ');
        let words = words.map(|word| field(word).unwrap_or_else(|| word.to_owned()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Returns only the time there: `Thu 3 Dec 05:21 +01:00`.
    pub fn clock(&self, at: Time) -> String {
        let format = self.with_year(at, "%a %-d %b %H:%M %:z", "%a %-d %b %Y %H:%M %:z");
        self.written(at, format)
    }

    /// Leaves the year out if it is this one.
    fn with_year(&self, at: Time, without: &'static str, with: &'static str) -> &'static str {
        let year = |at| self.zoned(at).map(|at| at.year());
        if year(at) == year(self.now) {
            without
        } else {
            with
        }
    }

    fn written(&self, at: Time, format: &str) -> String {
        match self.zoned(at) {
            Some(zoned) => zoned.strftime(format).to_string(),
            None => at.to_string(),
        }
    }

    /// `None` outside of the years that a calendar has.
    fn zoned(&self, at: Time) -> Option<Zoned> {
        let at = Timestamp::from_second(at.epoch()).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

/// Returns a number of seconds in its largest unit, rounded: what expires 3 days after it was
/// made expires "in 3 days", and not in 2, one second later.
fn far(seconds: u64) -> String {
    const UNITS: [(&str, u64, u64); 6] = [
        // The unit, its length, and from when on the next one is used.
        ("second", 1, 60),
        ("minute", 60, 60 * 60 - 30),
        ("hour", 3_600, 2 * 86_400),
        ("day", 86_400, 60 * 86_400),
        ("month", 2_629_746, 2 * 31_556_952),
        ("year", 31_556_952, u64::MAX),
    ];
    let unit = UNITS.iter().find(|(.., until)| seconds < *until);
    let (name, length, _) = unit.unwrap_or(&UNITS[5]);
    count((seconds + length / 2) / length, name)
}

/// Returns the first time at or after this position that is not part of a command, and where
/// it begins.
fn first_time(text: &str, from: usize) -> Option<(usize, Time)> {
    let ends = text[from..].match_indices('Z').map(|(at, _)| from + at + 1);
    let starts = ends.filter_map(|end| end.checked_sub(RFC_3339));
    let times = starts
        .filter(|start| *start >= from)
        .filter_map(|start| Some((start, time_at(text, start)?)));
    let mut free =
        times.filter(|(start, _)| !in_command(&text[..*start], &text[start + RFC_3339..]));
    free.next()
}

/// Returns the time that begins at this byte.
fn time_at(text: &str, start: usize) -> Option<Time> {
    let time = text.get(start..start + RFC_3339)?;
    let shape = time.bytes().zip(*b"0000-00-00T00:00:00Z");
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    time.parse().ok().filter(|_| shape.into_iter().all(fits))
}

/// Returns whether a time between these is a part of a word or an argument of a command.
fn in_command(before: &str, after: &str) -> bool {
    let word_before = before.ends_with(|c: char| c.is_alphanumeric() || "='\"`-".contains(c));
    let of_flag = before.ends_with(' ') && {
        let word = before.trim_end().rsplit(' ').next();
        word.is_some_and(|word| word.starts_with("--"))
    };
    let mut next = after.chars();
    let goes_on = match next.next() {
        Some(',') => next.next().is_some_and(|c| !c.is_whitespace()),
        Some(c) => c.is_alphanumeric() || c == '\'' || c == '`',
        None => false,
    };
    word_before || of_flag || goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T17:00:00Z, a Monday.
    const NOW: Time = Time::from_epoch(1_796_058_000);

    fn berlin() -> LocalTimes {
        let rule = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        LocalTimes::new(rule, NOW)
    }

    fn later(seconds: i64) -> Time {
        Time::from_epoch(NOW.epoch() + seconds)
    }

    #[test]
    fn a_time_is_local_and_relative() {
        assert_eq!(NOW.to_string(), "2026-11-30T17:00:00Z");
        let times = berlin();
        let expiry: Time = "2026-12-03T04:21:09Z".parse().unwrap();
        assert_eq!(times.value(expiry), "in 2 days, Thu 3 Dec 05:21 +01:00");
        assert_eq!(times.phrase(expiry), "Thu 3 Dec 05:21 +01:00 (in 2 days)");
        assert_eq!(times.stamp(expiry), " 3 Dec 05:21:09 +01:00");
        assert_eq!(times.near(expiry), "in 2d, 3 Dec");
        let summer: Time = "2027-07-01T22:30:00Z".parse().unwrap();
        assert_eq!(
            times.value(summer),
            "in 7 months, Fri 2 Jul 2027 00:30 +02:00"
        );
        assert_eq!(times.day(summer), "2027-07-02");
        assert_eq!(times.near(summer), "in 213d, 2 Jul 2027");
        assert_eq!(times.near(NOW), "just now, 30 Nov");
        assert_eq!(times.near(later(-5 * 86_400)), "5d ago, 25 Nov");
        assert_eq!(
            times.value(later(-7200)),
            "2 hours ago, Mon 30 Nov 16:00 +01:00"
        );
        let utc = LocalTimes::new(TimeZone::UTC, NOW);
        assert_eq!(utc.stamp(NOW), "30 Nov 17:00:00 +00:00");
        let broken = Time::from_epoch(i64::MAX);
        assert_eq!(utc.stamp(broken), broken.to_string());
    }

    #[test]
    fn far_times_are_rounded() {
        const DAY: i64 = 86_400;
        for (seconds, text) in [
            (0, "just now"),
            (-9, "just now"),
            (-10, "10 seconds ago"),
            (1, "in 1 second"),
            (59, "in 59 seconds"),
            (60, "in 1 minute"),
            (90, "in 2 minutes"),
            (3_569, "in 59 minutes"),
            (3_570, "in 1 hour"),
            (DAY, "in 24 hours"),
            (2 * DAY - 1, "in 48 hours"),
            (2 * DAY, "in 2 days"),
            (3 * DAY - 1, "in 3 days"),
            (-59 * DAY, "59 days ago"),
            (-90 * DAY, "3 months ago"),
            (-730 * DAY, "24 months ago"),
            (731 * DAY, "in 2 years"),
            (i64::MIN, "292277024627 years ago"),
        ] {
            assert_eq!(berlin().relative(later(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn times_in_fields_are_rewritten() {
        let fields = "name=a=2026-12-03T17:00:00Z  until=2026-12-03T17:00:00Z 2026-12-03T17:00:00Z";
        let written =
            "name=a=2026-12-03T17:00:00Z  until=3 Dec 18:00:00 +01:00 2026-12-03T17:00:00Z";
        assert_eq!(berlin().fields(fields), written);
    }

    #[test]
    fn times_in_texts_are_rewritten() {
        let times = berlin();
        for (text, written) in [
            ("2026-12-03T17:00:00Z", "in 3 days, Thu 3 Dec 18:00 +01:00"),
            (
                "works until 2026-12-03T17:00:00Z, then not",
                "works until Thu 3 Dec 18:00 +01:00 (in 3 days), then not",
            ),
            (
                "é2 2026-12-03T17:00:00Z; 2026-11-30T17:00:00Z.",
                "é2 Thu 3 Dec 18:00 +01:00 (in 3 days); Mon 30 Nov 18:00 +01:00 (just now).",
            ),
        ] {
            assert_eq!(times.rewrite(text), written);
        }
        for text in [
            "",
            "Z",
            "no time in it, but a Z at the end of a long line: Z",
            "2026-12-03T17:00:00",
            "2026-13-03T17:00:00Z",
            "the next page: --after '2026-12-03T17:00:00Z,shop@example.com,192.0.2.7'",
            "the next page: --after 2026-12-03T17:00:00Z,shop@example.com",
            "smtpcred user set shop@example.com --expires-at 2026-12-03T17:00:00Z",
            "expires_at=2026-12-03T17:00:00Z",
            "x2026-12-03T17:00:00Z",
            "2026-12-03T17:00:00Zulu",
            "éééééééééééZ",
        ] {
            assert_eq!(times.rewrite(text), text);
        }
    }
}
