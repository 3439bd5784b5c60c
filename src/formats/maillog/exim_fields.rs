//! The fields within lines of Exim's mainlog.

use memchr::memchr;
use memchr::memmem::find_iter;

use super::address::path;
use super::header::leading_number;

/// `NAME=value` and bare words between spaces, up to `: ` and a text. Quotes and brackets
/// around values may hide spaces and anything else.
pub struct EximFields<'a> {
    rest: &'a [u8],
    /// What follows after `: `, once all fields were read.
    pub text: Option<&'a [u8]>,
    /// The address of the field `H`.
    pub host_address: &'a [u8],
}

impl<'a> EximFields<'a> {
    /// Reads fields from here.
    pub const fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            text: None,
            host_address: b"",
        }
    }

    /// The next name and value; the name of a bare word is empty. `None` at the end, at the
    /// text, or at a host that is not like one.
    pub fn next_field(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        if let Some(text) = self.rest.strip_prefix(b": ") {
            self.text = Some(text);
            self.rest = b"";
            return None;
        }
        let rest = self.rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let word_end = rest.iter().position(|b| matches!(b, b' ' | b'='));
        let word_end = word_end.unwrap_or(rest.len());
        if rest.get(word_end) != Some(&b'=') {
            let (word, after) = rest.split_at(word_end);
            return Some((b"", self.ended(word, after)));
        }
        let (name, value) = (&rest[..word_end], &rest[word_end + 1..]);
        match (name, value.first()) {
            (b"H", _) => {
                let (address, after) = host(value)?;
                self.host_address = address;
                self.rest = after;
                Some((name, b""))
            }
            (_, Some(b'"')) => {
                let end = quoted_end(value);
                let after = value.get(end + 1..).unwrap_or_default();
                self.rest = after;
                Some((name, &value[1..end]))
            }
            (_, Some(b'<')) => {
                let (address, after) = path(value)?;
                self.rest = after;
                Some((name, address))
            }
            _ => {
                let end = memchr(b' ', value).unwrap_or(value.len());
                let (value, after) = value.split_at(end);
                Some((name, self.ended(value, after)))
            }
        }
    }

    /// A value that may end with the colon before the text.
    fn ended(&mut self, value: &'a [u8], after: &'a [u8]) -> &'a [u8] {
        self.rest = after;
        let (Some(value), Some(text)) = (value.strip_suffix(b":"), after.strip_prefix(b" ")) else {
            return value;
        };
        self.text = Some(text);
        self.rest = b"";
        value
    }

    /// The user of `driver:user`, perhaps followed by `:sender`.
    pub fn user(value: &'a [u8]) -> Option<&'a [u8]> {
        let mut parts = value.split(|byte| *byte == b':');
        parts.nth(1).filter(|user| !user.is_empty())
    }
}

/// `name (helo) [127.0.0.1]:25`, of which name, helo and port may be missing: the address
/// and the rest. A helo with a space or a bracket could hold fields, so then nothing.
fn host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text;
    for _ in 0..3 {
        if let Some(inner) = rest.strip_prefix(b"[") {
            let close = memchr(b']', inner)?;
            let after = &inner[close + 1..];
            // A port, or the star of a connection that was used again.
            let end = after
                .iter()
                .enumerate()
                .position(|(at, b)| *b == b' ' || (*b == b':' && after.get(at + 1) == Some(&b' ')));
            return Some((&inner[..close], &after[end.unwrap_or(after.len())..]));
        }
        let end = memchr(b' ', rest)?;
        let word = &rest[..end];
        let inner = word
            .strip_prefix(b"(")
            .map_or(Some(word), |w| w.strip_suffix(b")"))?;
        if inner.iter().any(|b| matches!(b, b'(' | b')')) {
            return None;
        }
        rest = &rest[end + 1..];
    }
    None
}

/// Where the quote at the beginning ends, or the text.
fn quoted_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The fields of `<=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received<'a> {
    /// The envelope sender, `<>` if there is none.
    pub sender: &'a [u8],
    /// The user who signed in.
    pub user: Option<&'a [u8]>,
    /// Without brackets.
    pub message_id: Option<&'a [u8]>,
    /// In bytes.
    pub size: Option<u64>,
    /// With `log_selector = +received_recipients`, between spaces.
    pub recipients: Option<&'a [u8]>,
    /// Submitted on this machine.
    pub is_local: bool,
}

/// Reads the fields of `<=`.
pub fn received(text: &[u8]) -> Option<Received<'_>> {
    let mut is_quoted = false;
    let end = text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b' ' && !is_quoted
    })?;
    let mut found = Received {
        sender: &text[..end],
        is_local: true,
        ..Received::default()
    };
    let mut fields = EximFields::new(&text[end..]);
    while let Some((name, value)) = fields.next_field() {
        match name {
            b"H" => {
                let address = fields.host_address;
                found.is_local = address.starts_with(b"127.") || address == b"::1";
            }
            b"A" if found.user.is_none() => found.user = EximFields::user(value),
            b"S" if found.size.is_none() => found.size = leading_number(value).map(|(n, _)| n),
            // The sender's words begin here: no field after them is looked for.
            b"id" | b"id*" => {
                found.message_id = Some(value).filter(|v| !v.is_empty());
                found.recipients = recipients(fields.rest);
                break;
            }
            b"T" => {
                found.recipients = recipients(fields.rest);
                break;
            }
            _ => {}
        }
    }
    if helo_holds_fields(&text[end..]) {
        found.user = None;
    }
    Some(found)
}

/// A helo such as `x) [192.0.2.1] A=plain:victim` would give a user that never signed in.
/// The true address follows it, right before the protocol.
fn helo_holds_fields(text: &[u8]) -> bool {
    let is_true = |at: &usize| {
        let rest = &text[at + 3..];
        let Some(close) = memchr(b']', rest) else {
            return false;
        };
        let is_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':');
        let after = &rest[close + 1..];
        let end = memchr(b' ', after).unwrap_or(after.len());
        let next = &after[end..];
        rest[..close].iter().all(is_address)
            && (next.starts_with(b" P=") || next.starts_with(b" I=["))
    };
    let mut ends = find_iter(text, b") [");
    ends.next().is_some() && ends.any(|at| is_true(&at))
}

/// ` T="subject" from <a@b> for c d`, of which each part may be missing.
fn recipients(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    if let Some(subject) = rest.strip_prefix(b" T=").filter(|s| s.starts_with(b"\"")) {
        rest = subject.get(quoted_end(subject) + 1..)?;
    }
    if let Some(sender) = rest.strip_prefix(b" from ") {
        (_, rest) = path(sender)?;
    }
    rest.strip_prefix(b" for ")
}

#[cfg(test)]
mod tests {
    use super::super::attempt::{AttemptResult, DeliveryAttempt};
    use super::super::exim::{EximEvent, event};
    use super::*;

    fn attempt(text: &str) -> (AttemptResult, String, Option<String>) {
        let line = format!("1xXtOM-0001Kj-1T {text}");
        let of = |a: DeliveryAttempt<'_>| {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            (a.result, text(a.reply), a.dsn.map(text))
        };
        match event(line.as_bytes()) {
            Some(EximEvent::Attempt(_, a) | EximEvent::NotTried(_, a)) => of(a),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replies_with_each_selector() {
        let (result, reply, dsn) = attempt(
            r#"=> a@b F=<"x: y"@c> P=<c@d> R=r T=t S=3 H=m.x [::1]:25* I=[::1]:4 X=TLS1.3:A:256 CV=no DN="CN=a: b" L C="250 2.0.0 \"ok\" C=\"no\"" QT=0.1s"#,
        );
        assert_eq!(result, AttemptResult::Sent);
        assert_eq!(reply, r#"250 2.0.0 \"ok\" C=\"no\""#);
        assert_eq!(dsn.as_deref(), Some("2.0.0"));
        for (text, wanted) in [
            (
                "** a@b R=r T=t H=m [1.2.3.4]: 550 no: never",
                "550 no: never",
            ),
            (
                "** a@b R=r T=t H=m [1.2.3.4]:25 I=[1.2.3.4]:7: 550 no",
                "550 no",
            ),
            (
                "== a@b R=r T=t defer (-44) H=m [1.2.3.4] DT=0.0s: 450 later",
                "450 later",
            ),
            (
                "== a@b R=r T=t defer (-54): retry time not reached for any host for 'b'",
                "retry time not reached for any host for 'b'",
            ),
            (
                "== a@b routing defer (-52): retry time not reached",
                "retry time not reached",
            ),
            ("** a@b: Unrouteable address", "Unrouteable address"),
            ("** a@b R=r: all: bad", "all: bad"),
            (
                "** a@b R=r T=t H=m [1.2.3.4]: 550 5.1.1 no: retry timeout exceeded",
                "550 5.1.1 no: retry timeout exceeded",
            ),
        ] {
            assert_eq!(attempt(text).1, wanted);
        }
        assert!(matches!(
            event(b"1xXtOM-0001Kj-1T ** a@b R=r T=t H=m [1.2.3.4]: 450 4.2.0 busy: retry timeout exceeded"),
            Some(EximEvent::Expired(..))
        ));
    }

    #[test]
    fn what_a_client_chose_gives_no_user() {
        let user = |text: &'static str| {
            let found = received(text.as_bytes()).unwrap();
            found.user.map(|user| std::str::from_utf8(user).unwrap())
        };
        assert_eq!(
            user("a@b H=n (h) [1.2.3.4]:5 I=[1.2.3.4]:7 P=esmtpsa A=plain:c@d S=4 id=x"),
            Some("c@d")
        );
        assert_eq!(
            user("a@b H=([1.2.3.4]) [1.2.3.4] P=esmtpsa A=plain:c@d:e S=4"),
            Some("c@d")
        );
        assert_eq!(user(r#""x A=p:q"@b H=(h) [1.2.3.4] P=esmtp S=4"#), None);
        assert_eq!(
            user("a@b H=(x) [1.1.1.1] A=plain:v@d S=1 y) [1.2.3.4] P=esmtp"),
            None
        );
        assert_eq!(
            user("a@b H=(x) [1.1.1.1] P=a A=plain:v@d id=) [1.2.3.4]:9 P=esmtp"),
            None
        );
        assert_eq!(user("a@b H=(x A=plain:v@d) [1.2.3.4] P=esmtp S=4"), None);
        assert_eq!(
            user("a@b H=(h) [1.2.3.4] P=esmtp S=4 id=x A=plain:v@d"),
            None
        );
        assert_eq!(
            user(r#"a@b H=(h) [1.2.3.4] P=esmtp S=4 T="A=plain:v@d" A=plain:v@d"#),
            None
        );
        let found = received(
            br#"a@b H=(h) [1.2.3.4] P=esmtp S=4 id=m T="x\" for y" from <"a for b"@c> for c d"#,
        );
        assert_eq!(found.unwrap().recipients, Some(&b"c d"[..]));
    }
}
