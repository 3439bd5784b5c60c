//! The journal: one JSON object on each line, as `journalctl -o json --all` prints them. A
//! field is a string, an array of bytes (if it is not UTF-8), or an array of both if it
//! occurs several times.

use memchr::{memchr, memchr2};

use super::header::digits;
use crate::model::log_time::LogTime;

/// journald's own entry about lines it dropped.
const SUPPRESSED: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";

/// The fields that matter of one entry. Its buffers are used again for the next.
#[derive(Default)]
pub struct JournalEntry {
    /// Where reading resumes, for `journalctl --after-cursor`.
    pub cursor: Vec<u8>,
    /// `postfix/smtp`
    pub program: Vec<u8>,
    /// The host.
    pub host: Vec<u8>,
    /// The text; `None` if journalctl left it out for its length.
    pub message: Option<Vec<u8>>,
    /// The process, or 0.
    pub pid: u32,
    /// When it was written, in microseconds.
    pub at: LogTime,
    /// How many lines journald dropped before this entry.
    pub dropped: Option<u32>,
    object_unit: Vec<u8>,
    message_id: Vec<u8>,
    transport: Vec<u8>,
    count: Vec<u8>,
    number: Vec<u8>,
}

impl JournalEntry {
    /// Reads a line. `None` if it is not a whole object.
    pub fn read(&mut self, line: &[u8]) -> Option<()> {
        self.clear();
        let (mut received, mut message) = (None, self.message.take().unwrap_or_default());
        let mut has_message = false;
        let mut rest = space(line).strip_prefix(b"{")?;
        loop {
            rest = space(rest);
            if let Some(end) = rest.strip_prefix(b"}") {
                if !space(end).is_empty() {
                    return None;
                }
                break;
            }
            rest = space(rest.strip_prefix(b",").unwrap_or(rest));
            let key;
            (key, rest) = string(rest)?;
            let value = space(space(rest).strip_prefix(b":")?);
            let after = skip(value, 0)?;
            match key {
                b"MESSAGE" => has_message = decode(value, &mut message),
                b"SYSLOG_IDENTIFIER" => _ = decode(value, &mut self.program),
                b"_HOSTNAME" => _ = decode(value, &mut self.host),
                b"__CURSOR" => _ = decode(value, &mut self.cursor),
                b"MESSAGE_ID" => _ = decode(value, &mut self.message_id),
                b"_TRANSPORT" => _ = decode(value, &mut self.transport),
                b"N_DROPPED" => _ = decode(value, &mut self.count),
                b"OBJECT_SYSTEMD_UNIT" => _ = decode(value, &mut self.object_unit),
                b"SYSLOG_PID" => self.pid = self.integer(value).unwrap_or(0),
                b"_PID" if self.pid == 0 => self.pid = self.integer(value).unwrap_or(0),
                b"_SOURCE_REALTIME_TIMESTAMP" => self.at = self.micros(value).unwrap_or(self.at),
                b"__REALTIME_TIMESTAMP" => received = self.micros(value),
                _ => {}
            }
            rest = after;
        }
        self.message = has_message.then_some(message);
        if self.at == LogTime::default() {
            self.at = received?;
        }
        self.dropped = self.suppressed();
        Some(())
    }

    fn clear(&mut self) {
        for text in [
            &mut self.cursor,
            &mut self.program,
            &mut self.host,
            &mut self.object_unit,
            &mut self.message_id,
            &mut self.transport,
            &mut self.count,
        ] {
            text.clear();
        }
        self.pid = 0;
        self.at = LogTime::default();
        self.dropped = None;
    }

    /// How many lines of a mail server, or of an unknown unit, were dropped.
    fn suppressed(&self) -> Option<u32> {
        let has = |name: &[u8]| memchr::memmem::find(&self.object_unit, name).is_some();
        let concerns = self.object_unit.is_empty() || has(b"postfix") || has(b"exim");
        // Programs can set the other fields, but not this one.
        let is_journald = self.transport == b"driver";
        (is_journald && concerns && self.message_id == SUPPRESSED)
            .then(|| digits(&self.count).unwrap_or(1))
    }

    fn integer(&mut self, value: &[u8]) -> Option<u32> {
        decode(value, &mut self.number).then(|| digits(&self.number))?
    }

    fn micros(&mut self, value: &[u8]) -> Option<LogTime> {
        if !decode(value, &mut self.number) || self.number.len() > 18 {
            return None;
        }
        let text = std::str::from_utf8(&self.number).ok()?;
        text.parse().ok().map(LogTime::from_micros)
    }
}

fn space(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// `"text"` without its quotes, still escaped, with its rest.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', &inner[at..])?;
        if inner[at] == b'"' {
            return Some((&inner[..at], &inner[at + 1..]));
        }
        at += 2;
        if at > inner.len() {
            return None;
        }
    }
}

/// The rest after a value.
fn skip(value: &[u8], depth: u8) -> Option<&[u8]> {
    match value.first()? {
        b'"' => string(value).map(|(_, rest)| rest),
        b'[' if depth < 4 => {
            // Bytes need no closer look.
            let close = memchr(b']', value)?;
            if memchr2(b'"', b'[', &value[1..close]).is_none() {
                return Some(&value[close + 1..]);
            }
            let mut rest = space(&value[1..]);
            while !rest.starts_with(b"]") {
                rest = space(skip(rest, depth + 1)?);
                rest = space(rest.strip_prefix(b",").unwrap_or(rest));
            }
            Some(&rest[1..])
        }
        b'[' | b'{' | b',' | b'}' | b']' | b':' => None,
        _ => {
            let end = value.iter().position(|b| matches!(b, b',' | b'}' | b']'))?;
            Some(&value[end..])
        }
    }
}

/// Writes the text of a value, or of its first if there are several. False if it has none.
fn decode(value: &[u8], text: &mut Vec<u8>) -> bool {
    text.clear();
    if let Some((escaped, _)) = string(value) {
        unescape(escaped, text);
        return true;
    }
    let Some(inner) = value.strip_prefix(b"[").map(space) else {
        // null and numbers
        let end = value.iter().position(|b| matches!(b, b',' | b'}' | b']'));
        let word = value[..end.unwrap_or(value.len())].trim_ascii();
        text.extend_from_slice(word);
        return word.first().is_some_and(u8::is_ascii_digit);
    };
    if inner.starts_with(b"\"") || inner.starts_with(b"[") {
        return decode(inner, text);
    }
    let end = memchr(b']', inner).unwrap_or(inner.len());
    for number in inner[..end].split(|byte| *byte == b',') {
        let Some(byte) = digits(number.trim_ascii()).and_then(|n| u8::try_from(n).ok()) else {
            return false;
        };
        text.push(byte);
    }
    true
}

fn unescape(escaped: &[u8], text: &mut Vec<u8>) {
    let mut rest = escaped;
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let code = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match code {
            b'n' => text.push(b'\n'),
            b't' => text.push(b'\t'),
            b'r' => text.push(b'\r'),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'u' => {
                let (c, after) = unicode(rest);
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            other => text.push(other),
        }
    }
    text.extend_from_slice(rest);
}

/// The character after `\u`, with its rest.
fn unicode(text: &[u8]) -> (char, &[u8]) {
    let hex = |text: &[u8]| {
        let digits = std::str::from_utf8(text.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = hex(text) else {
        return (char::REPLACEMENT_CHARACTER, text);
    };
    let rest = &text[4..];
    if let Some(c) = char::from_u32(first) {
        return (c, rest);
    }
    let pair = rest.strip_prefix(b"\\u").and_then(|low| {
        let second = hex(low)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
        let high = first.checked_sub(0xD800).filter(|high| *high < 0x400)?;
        let c = char::from_u32(0x1_0000 + (high << 10) + second)?;
        Some((c, &low[4..]))
    });
    pair.unwrap_or((char::REPLACEMENT_CHARACTER, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<JournalEntry> {
        let mut entry = JournalEntry::default();
        entry.read(line.as_bytes()).map(|()| entry)
    }

    #[test]
    fn fields_in_each_form() {
        let entry = read(
            r#"{"MESSAGE" : [104,105,255,1], "A":null,"B":[["x"],"]"],"_PID":"9", "SYSLOG_PID":"12",
            "__REALTIME_TIMESTAMP":"1796014832018544","SYSLOG_IDENTIFIER":["postfix/smtp","other"],
            "_CMDLINE":"smtpd \"MESSAGE\":\"forged\"","__CURSOR":"s=1;i=4","_HOSTNAME":"m\u00e4il\ud83d\ude00\u0001"}"#,
        )
        .unwrap();
        assert_eq!(entry.message.unwrap(), b"hi\xff\x01");
        assert_eq!((entry.pid, entry.at.micros()), (12, 1_796_014_832_018_544));
        assert_eq!(entry.program, b"postfix/smtp");
        assert_eq!(entry.cursor, b"s=1;i=4");
        assert_eq!(entry.host, "m\u{e4}il\u{1f600}\u{1}".as_bytes());
    }

    #[test]
    fn no_message_and_no_object() {
        let entry = read(r#"{"MESSAGE":null,"_SOURCE_REALTIME_TIMESTAMP":"5"}"#).unwrap();
        assert!(entry.message.is_none());
        for no in [
            "",
            "{",
            r#"{"MESSAGE":"x"}"#,
            r#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"5""#,
            r#"{"MESSAGE":"x\"#,
            r#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"5"}}"#,
            "[[[[[[[[[[",
            r#"{"a":[[[[[["#,
        ] {
            assert!(read(no).is_none(), "{no}");
        }
    }

    #[test]
    fn dropped_lines_are_counted() {
        let entry = |unit: &str, transport: &str| {
            let text = format!(
                r#"{{"MESSAGE":"Suppressed 33 messages","N_DROPPED":"33","__REALTIME_TIMESTAMP":"5",
                "_TRANSPORT":"{transport}","MESSAGE_ID":"a596d6fe7bfa4994828e72309e95d61e",
                "OBJECT_SYSTEMD_UNIT":"{unit}"}}"#
            );
            read(&text).unwrap().dropped
        };
        assert_eq!(entry("postfix@-.service", "driver"), Some(33));
        assert_eq!(entry("", "driver"), Some(33));
        assert_eq!(entry("nginx.service", "driver"), None);
        assert_eq!(entry("postfix.service", "syslog"), None);
    }
}
