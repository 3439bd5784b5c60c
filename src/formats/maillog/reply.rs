//! What a reply of the next server says beside its text: the enhanced status code, and the
//! queue id that it gave the message.

use memchr::memmem;

use super::address::path;
use super::queue_id::QueueId;

/// The queue id at the end of a reply that accepted a message: `… queued as ID` (Postfix),
/// `… OK id=ID` (Exim). A name, not a fact: any server can write any.
pub fn next_id(reply: &[u8]) -> Option<QueueId> {
    let after = |mark: &[u8]| {
        let start = memmem::rfind(reply, mark)? + mark.len();
        let rest = &reply[start..];
        let is_of_id = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        let end = rest.iter().position(|b| !is_of_id(b));
        Some(&rest[..end.unwrap_or(rest.len())])
    };
    after(b"queued as ")
        .and_then(QueueId::of_postfix)
        .or_else(|| after(b" id=").and_then(QueueId::of_exim))
}

/// The code of three digits and the enhanced status code of a reply, which may follow
/// after `: `, as in `SMTP error … after RCPT TO:<a@b>: 550 5.1.1 …`.
pub fn codes(text: &[u8]) -> Option<(u16, Option<&[u8]>)> {
    if let Some(found) = code(text) {
        return Some(found);
    }
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'<' => {
                if let Some((address, _)) = path(&text[at..]) {
                    at += address.len() + 2;
                    continue;
                }
            }
            b':' if text.get(at + 1) == Some(&b' ') => {
                if let Some(found) = code(&text[at + 2..]) {
                    return Some(found);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn code(text: &[u8]) -> Option<(u16, Option<&[u8]>)> {
    let digits = text.get(..3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    match text.get(3) {
        None => Some((number, None)),
        Some(b' ' | b'-') => Some((number, enhanced(&text[4..]).filter(|e| e[0] == digits[0]))),
        Some(_) => None,
    }
}

/// `5.1.1` at the beginning of a text.
pub fn enhanced(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|b| !b.is_ascii_digit() && *b != b'.');
    let found = &text[..end.unwrap_or(text.len())];
    let mut parts = found.split(|b| *b == b'.');
    let fits = |part: Option<&[u8]>, most| part.is_some_and(|p| (1..=most).contains(&p.len()));
    let is_code = matches!(found.first(), Some(b'2' | b'4' | b'5'))
        && fits(parts.next(), 1)
        && fits(parts.next(), 3)
        && fits(parts.next(), 3)
        && parts.next().is_none();
    is_code.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_code_counts() {
        let of = |text: &'static str| {
            codes(text.as_bytes()).map(|(n, e)| (n, e.map(|e| std::str::from_utf8(e).unwrap())))
        };
        assert_eq!(
            of("250 2.0.0 status=bounced (550 5.1.1 no)"),
            Some((250, Some("2.0.0")))
        );
        assert_eq!(of("250-2.0.0 first"), Some((250, Some("2.0.0"))));
        assert_eq!(of("250"), Some((250, None)));
        assert_eq!(of("250 5.1.1 odd"), Some((250, None)));
        assert_eq!(
            of("SMTP error after RCPT TO:<\"a: 250 2.0.0 \"@b>: 550 5.1.1 no"),
            Some((550, Some("5.1.1")))
        );
        assert_eq!(
            of("after end of data: 500 no: 250 2.0.0"),
            Some((500, None))
        );
        assert_eq!(of("Unrouteable address"), None);
    }

    #[test]
    fn ids_come_from_the_end() {
        let id = |text: &str| next_id(text.as_bytes()).map(|id| id.to_string());
        assert_eq!(
            id("250 2.0.0 from MTA(smtp:[127.0.0.1]:12026): 250 2.0.0 Ok: queued as 9C19F9CC19C"),
            Some("9C19F9CC19C".to_owned())
        );
        assert_eq!(
            id("250 OK id=1xXtPy-0002CO-16"),
            Some("1xXtPy-0002CO-16".to_owned())
        );
        assert_eq!(id("250 2.7.0 Ok, discarded, id=00042-01 - spam"), None);
        assert_eq!(id("250 2.0.0 Ok: queued as R14436"), None);
    }
}
