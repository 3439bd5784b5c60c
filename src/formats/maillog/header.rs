//! What stands before the text of a log's line.

use memchr::memchr;

use super::clock::LogClock;
use crate::model::log_time::LogTime;

/// A line of a log: who wrote what, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was written.
    pub at: LogTime,
    /// The host column; empty in Exim's mainlog.
    pub host: &'a [u8],
    /// The tag before the process id: `postfix/submission/smtpd`.
    pub program: &'a [u8],
    /// The process id, or 0.
    pub pid: u32,
    /// All after it.
    pub text: &'a [u8],
}

/// Reads a line of syslog, with either form of time, or of Exim's mainlog. `None` for
/// everything else, as the rest of a line that was cut off.
pub fn record<'a>(line: &'a [u8], clock: &mut LogClock) -> Option<Record<'a>> {
    match line.get(10)? {
        b'T' => {
            let (at, rest) = clock.rfc_3339(line)?;
            tagged(at, rest)
        }
        b' ' if line[0].is_ascii_digit() => {
            let (at, rest) = clock.mainlog(line)?;
            let (pid, text) = bracketed_pid(rest.strip_prefix(b" ")?);
            Some(Record {
                at,
                host: b"",
                program: b"exim",
                pid,
                text,
            })
        }
        _ => {
            let (at, rest) = clock.traditional(line)?;
            tagged(at, rest)
        }
    }
}

/// ` host program[pid]: text`
fn tagged(at: LogTime, rest: &[u8]) -> Option<Record<'_>> {
    let rest = rest.strip_prefix(b" ")?;
    let end = memchr(b' ', rest)?;
    let (host, rest) = (&rest[..end], &rest[end + 1..]);
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'[' | b':' | b' '))?;
    let (program, rest) = (&rest[..end], &rest[end..]);
    let (pid, rest) = match rest[0] {
        b'[' => {
            let close = memchr(b']', rest)?;
            (digits(&rest[1..close])?, &rest[close + 1..])
        }
        _ => (0, rest),
    };
    Some(Record {
        at,
        host,
        program,
        pid,
        text: rest.strip_prefix(b": ")?,
    })
}

/// What Exim's `log_selector = +pid` adds: `[9601] text`.
fn bracketed_pid(text: &[u8]) -> (u32, &[u8]) {
    let found = || {
        let rest = text.strip_prefix(b"[")?;
        let close = memchr(b']', rest)?;
        let pid = digits(&rest[..close])?;
        Some((pid, rest[close + 1..].strip_prefix(b" ")?))
    };
    found().unwrap_or((0, text))
}

/// Exim's text within syslog, without the time and process id that may precede it there.
pub fn without_mainlog_prefix<'a>(text: &'a [u8], clock: &mut LogClock) -> &'a [u8] {
    let has_time = text.first().is_some_and(u8::is_ascii_digit) && text.get(10) == Some(&b' ');
    let rest = Some(text).filter(|_| has_time).and_then(|text| {
        let (_, rest) = clock.mainlog(text)?;
        rest.strip_prefix(b" ")
    });
    bracketed_pid(rest.unwrap_or(text)).1
}

/// A number of up to nine digits.
pub fn digits(text: &[u8]) -> Option<u32> {
    if !(1..=9).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

/// A number with its rest.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    if let Some(small) = digits(number) {
        return Some((u64::from(small), rest));
    }
    std::str::from_utf8(number)
        .ok()?
        .parse()
        .ok()
        .map(|n| (n, rest))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::time::Time;

    fn split(line: &str) -> Option<(String, u32, String)> {
        let newest = Time::from_epoch(1_796_083_200);
        let mut clock = LogClock::new(TimeZone::UTC, newest);
        let record = record(line.as_bytes(), &mut clock)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            record.at.time().to_string(),
            "2026-11-30T04:46:13Z",
            "{line}"
        );
        Some((text(record.program), record.pid, text(record.text)))
    }

    #[test]
    fn each_form_of_line() {
        let found = |program: &str, pid, text: &str| Some((program.into(), pid, text.into()));
        assert_eq!(
            split("Nov 30 04:46:13 mail postfix/submission/smtpd[10185]: connect from x"),
            found("postfix/submission/smtpd", 10185, "connect from x")
        );
        assert_eq!(
            split("2026-11-30T04:46:13.366252+00:00 mail exim[2]: 2026-11-30 04:57:32 x"),
            found("exim", 2, "2026-11-30 04:57:32 x")
        );
        assert_eq!(
            split("2026-11-30 04:46:13 Start queue run: pid=1"),
            found("exim", 0, "Start queue run: pid=1")
        );
        assert_eq!(
            split("2026-11-30 04:46:13.106 [9601] 1xXtQJ-0002Uq-0F Completed"),
            found("exim", 9601, "1xXtQJ-0002Uq-0F Completed")
        );
        assert_eq!(
            split("Nov 30 04:46:13 mail kernel: x"),
            found("kernel", 0, "x")
        );
        for no in [
            "",
            "x",
            "lf of a line that was cut",
            "Nov 30 04:46:13",
            "Nov 30 04:46:13 mail",
        ] {
            assert_eq!(split(no), None, "{no}");
        }
    }
}
