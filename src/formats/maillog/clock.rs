//! When a line was written. Traditional syslog names neither year nor zone, Exim's mainlog
//! no zone; both are local times, which a change of the clocks repeats or skips.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::model::log_time::LogTime;
use crate::model::time::Time;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400;
/// How far lines of one log may be out of order, in seconds.
const DISORDER: i64 = 60;

/// A date and a time of day, without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: u8,
    day: u8,
    /// Seconds since midnight.
    second: i64,
}

impl Civil {
    /// Seconds since 1970, were it UTC.
    /// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
    fn seconds(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year - era * 400;
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        days * DAY + self.second
    }

    fn is_valid(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        (1..=days).contains(&self.day)
    }
}

/// Reads the times of one log.
pub struct LogClock {
    zone: TimeZone,
    /// No line is newer, apart from clocks that differ: now, or when the file was changed.
    newest: Time,
    /// The last local time, for the hour that a change of the clocks repeats.
    last: i64,
    /// The repeated hour is there for the second time.
    is_repeated: bool,
    /// The year of the month and day before it, which hardly ever change.
    year: Option<(u8, u8, i64)>,
    /// The offset in the quarter of an hour before it, if it is certain there.
    offset: Option<(i64, i64)>,
}

impl LogClock {
    /// Reads local times of this zone. `newest` tells the year of traditional times: it is
    /// the last in which the line is not newer.
    pub const fn new(zone: TimeZone, newest: Time) -> Self {
        Self {
            zone,
            newest,
            last: i64::MIN,
            is_repeated: false,
            year: None,
            offset: None,
        }
    }

    /// Lines up to this time are expected: the clock went on.
    pub fn set_newest(&mut self, newest: Time) {
        self.newest = newest;
        self.year = None;
    }

    /// `2026-11-30T04:54:09.366252+00:00` with its rest.
    pub fn rfc_3339<'a>(&mut self, text: &'a [u8]) -> Option<(LogTime, &'a [u8])> {
        let civil = date_and_time(text, b'T')?;
        let (micros, rest) = fraction(text.get(19..)?);
        let (offset, rest) = zone_offset(rest)?;
        let seconds = civil.seconds().checked_sub(offset)?;
        let micros = seconds.checked_mul(SECOND)?.checked_add(micros)?;
        Some((LogTime::from_micros(micros), rest))
    }

    /// `Nov 30 04:46:13`, always 15 bytes, with its rest.
    pub fn traditional<'a>(&mut self, text: &'a [u8]) -> Option<(LogTime, &'a [u8])> {
        let month = month(text.get(..3)?)?;
        let day = match text.get(3..6)? {
            [b' ', b' ', d] => number(&[*d])?,
            [b' ', d @ ..] => number(d)?,
            _ => return None,
        };
        let day = u8::try_from(day).ok()?;
        let second = time_of_day(text.get(7..15)?)?;
        if text[6] != b' ' {
            return None;
        }
        let year = self.year_of(month, day, second)?;
        let civil = Civil {
            year,
            month,
            day,
            second,
        };
        let seconds = self.local(civil);
        Some((LogTime::from_micros(seconds * SECOND), &text[15..]))
    }

    /// `2026-11-30 04:53:30`, perhaps with `.123` and ` +0100`, with its rest.
    pub fn mainlog<'a>(&mut self, text: &'a [u8]) -> Option<(LogTime, &'a [u8])> {
        let civil = date_and_time(text, b' ')?;
        let (micros, rest) = fraction(text.get(19..)?);
        let zoned = rest.strip_prefix(b" ").and_then(zone_offset);
        let (seconds, rest) = match zoned {
            Some((offset, rest)) => (civil.seconds() - offset, rest),
            None => (self.local(civil), rest),
        };
        let micros = seconds.checked_mul(SECOND)?.checked_add(micros)?;
        Some((LogTime::from_micros(micros), rest))
    }

    fn year_of(&mut self, month: u8, day: u8, second: i64) -> Option<i64> {
        if let Some((m, d, year)) = self.year
            && (m, d) == (month, day)
        {
            return Some(year);
        }
        let newest = self.newest.epoch();
        let next_year = 1971 + newest.div_euclid(365 * DAY + DAY / 4);
        // Nine years have a leap day among them, even around 2100.
        let year = (0..9).map(|back| next_year - back).find(|year| {
            let civil = Civil {
                year: *year,
                month,
                day,
                second,
            };
            civil.is_valid() && civil.seconds() <= newest.saturating_add(2 * DAY)
        })?;
        self.year = Some((month, day, year));
        Some(year)
    }

    /// The time in UTC of a local time. Of the two in a repeated hour it is the second once
    /// lines go back.
    fn local(&mut self, civil: Civil) -> i64 {
        let seconds = civil.seconds();
        let quarter = seconds.div_euclid(900);
        if let Some((known, offset)) = self.offset
            && known == quarter
        {
            self.last = seconds - offset;
            self.is_repeated = false;
            return self.last;
        }
        let (first, second) = self.offsets(seconds);
        if first == second {
            self.offset = Some((quarter, first));
        }
        let goes_back = seconds - first < self.last.saturating_sub(DISORDER);
        self.is_repeated = first != second && (self.is_repeated || goes_back);
        self.last = seconds - if self.is_repeated { second } else { first };
        self.last
    }

    fn offsets(&self, seconds: i64) -> (i64, i64) {
        // A civil time is what UTC shows this many seconds after 1970.
        let Ok(shown) = Timestamp::from_second(seconds) else {
            return (0, 0);
        };
        let shown: DateTime = TimeZone::UTC.to_datetime(shown);
        let offset = self.zone.to_ambiguous_timestamp(shown).offset();
        let (first, second) = match offset {
            AmbiguousOffset::Unambiguous { offset } => (offset, offset),
            AmbiguousOffset::Gap { before, .. } => (before, before),
            AmbiguousOffset::Fold { before, after } => (before, after),
        };
        (i64::from(first.seconds()), i64::from(second.seconds()))
    }
}

fn date_and_time(text: &[u8], between: u8) -> Option<Civil> {
    let date = text.get(..11)?;
    if date[4] != b'-' || date[7] != b'-' || date[10] != between {
        return None;
    }
    let civil = Civil {
        year: number(&date[..4])?,
        month: u8::try_from(number(&date[5..7])?).ok()?,
        day: u8::try_from(number(&date[8..10])?).ok()?,
        second: time_of_day(text.get(11..19)?)?,
    };
    civil.is_valid().then_some(civil)
}

fn time_of_day(text: &[u8]) -> Option<i64> {
    let [_, _, b':', _, _, b':', _, _] = text else {
        return None;
    };
    let (hour, minute, second) = (
        number(&text[..2])?,
        number(&text[3..5])?,
        number(&text[6..])?,
    );
    // 60 is a leap second.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// `.366252` in microseconds, with its rest.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let Some(digits) = text.strip_prefix(b".") else {
        return (0, text);
    };
    let end = digits.iter().position(|b| !b.is_ascii_digit());
    let end = end.unwrap_or(digits.len());
    let micros = (0..6).fold(0, |sum, at| {
        let digit = digits[..end].get(at).map_or(0, |b| i64::from(b - b'0'));
        sum * 10 + digit
    });
    (micros, &digits[end..])
}

/// `Z`, `+01:00` or `+0100` in seconds, with its rest.
fn zone_offset(text: &[u8]) -> Option<(i64, &[u8])> {
    let sign = match text.first()? {
        b'Z' => return Some((0, &text[1..])),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = number(text.get(1..3)?)?;
    let rest = &text[3..];
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = number(rest.get(..2)?)?;
    (hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), &rest[2..]))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

fn month(name: &[u8]) -> Option<u8> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = MONTHS.chunks(3).position(|month| month == name)?;
    u8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str, newest: &str) -> LogClock {
        LogClock::new(TimeZone::get(zone).unwrap(), newest.parse().unwrap())
    }

    fn traditional(clock: &mut LogClock, text: &str) -> String {
        let (at, rest) = clock.traditional(text.as_bytes()).unwrap();
        assert_eq!(rest, b" mail");
        at.time().to_string()
    }

    #[test]
    fn the_year_is_the_last_that_fits() {
        let mut clock = clock("UTC", "2027-01-02T10:00:00Z");
        let mut read = |text: &str| traditional(&mut clock, text);
        assert_eq!(read("Dec 31 23:59:59 mail"), "2026-12-31T23:59:59Z");
        assert_eq!(read("Jan  1 00:00:00 mail"), "2027-01-01T00:00:00Z");
        assert_eq!(read("Jan  3 09:00:00 mail"), "2027-01-03T09:00:00Z");
        assert_eq!(read("Jan  5 09:00:00 mail"), "2026-01-05T09:00:00Z");
        assert_eq!(read("Feb 29 09:00:00 mail"), "2024-02-29T09:00:00Z");
    }

    #[test]
    fn the_repeated_hour_comes_twice() {
        let mut clock = clock("Europe/Berlin", "2026-11-30T00:00:00Z");
        let mut read = |text: &str| traditional(&mut clock, text);
        assert_eq!(read("Oct 25 02:10:00 mail"), "2026-10-25T00:10:00Z");
        assert_eq!(read("Oct 25 02:59:59 mail"), "2026-10-25T00:59:59Z");
        assert_eq!(read("Oct 25 02:00:01 mail"), "2026-10-25T01:00:01Z");
        assert_eq!(read("Oct 25 02:59:59 mail"), "2026-10-25T01:59:59Z");
        assert_eq!(read("Oct 25 03:00:00 mail"), "2026-10-25T02:00:00Z");
        // Clocks that go back by themselves are believed.
        assert_eq!(read("Oct 24 03:00:00 mail"), "2026-10-24T01:00:00Z");
        assert_eq!(read("Mar 29 02:30:00 mail"), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn other_forms() {
        let mut clock = clock("Europe/Berlin", "2026-11-30T00:00:00Z");
        let mut rfc = |text: &str| {
            let (at, rest) = clock.rfc_3339(text.as_bytes())?;
            Some((at.micros(), rest.to_vec()))
        };
        let at = 1_796_014_449_366_252;
        for text in [
            "2026-11-30T04:54:09.366252+00:00 x",
            "2026-11-30T05:54:09.366252+01:00 x",
            "2026-11-30T03:24:09.366252-0130 x",
            "2026-11-30T04:54:09.3662524Z x",
        ] {
            assert_eq!(rfc(text), Some((at, b" x".to_vec())), "{text}");
        }
        for text in [
            "2026-11-30T04:54:09",
            "2026-13-30T04:54:09Z",
            "2026-11-30T24:54:09Z",
            "",
        ] {
            assert_eq!(rfc(text), None, "{text}");
        }
        let mut mainlog = |text: &str| clock.mainlog(text.as_bytes()).unwrap().0.time().to_string();
        assert_eq!(mainlog("2026-11-30 04:54:09 x"), "2026-11-30T03:54:09Z");
        assert_eq!(
            mainlog("2026-11-30 04:54:09.123 +0200 [1] x"),
            "2026-11-30T02:54:09Z"
        );
    }
}
