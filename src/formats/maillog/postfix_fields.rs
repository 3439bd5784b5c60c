//! The fields within lines of Postfix.

use memchr::memchr;
use memchr::memmem::{find, rfind};

use super::address::path;
use super::attempt::{Agent, AttemptResult, DeliveryAttempt};
use super::queue_id::QueueId;
use super::reply::enhanced;

/// `to=<a>, orig_to=<b>, relay=…, …, dsn=2.0.0, status=sent (reply)`. The reply comes last
/// and may contain all of this again, so fields are read from the left.
pub fn attempt<'a>(daemon: &[u8], text: &'a [u8]) -> Option<DeliveryAttempt<'a>> {
    let (address, rest) = path(text.strip_prefix(b"to=")?)?;
    let mut rest = rest.strip_prefix(b", ")?;
    let mut original = None;
    if let Some(found) = rest.strip_prefix(b"orig_to=") {
        let (address, after) = path(found)?;
        original = Some(address);
        rest = after.strip_prefix(b", ")?;
    }
    let mut dsn = None;
    while !rest.starts_with(b"status=") {
        let end = memchr(b',', rest)?;
        if let Some(code) = rest[..end].strip_prefix(b"dsn=") {
            dsn = enhanced(code);
        }
        rest = rest[end + 1..].strip_prefix(b" ")?;
    }
    let status = &rest[b"status=".len()..];
    let end = memchr(b' ', status)?;
    let result = match (&status[..end], daemon) {
        (b"sent", b"discard") => AttemptResult::Discarded,
        (b"sent", _) => AttemptResult::Sent,
        (b"deferred" | b"SOFTBOUNCE", _) => AttemptResult::Deferred,
        (b"bounced", _) => AttemptResult::Bounced,
        // deliverable, undeliverable: only a probe
        _ => return None,
    };
    let reply = status[end + 1..].strip_prefix(b"(")?;
    Some(DeliveryAttempt {
        address,
        original,
        result,
        dsn,
        // Postfix cuts lines at 2000 bytes: the bracket may be missing.
        reply: reply.strip_suffix(b")").unwrap_or(reply),
        agent: match daemon {
            b"pipe" => Agent::Pipe,
            b"local" => Agent::Local,
            _ => Agent::Other,
        },
    })
}

/// The client that submitted a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFields<'a> {
    /// The user who signed in.
    pub user: Option<&'a [u8]>,
    /// The id before a content filter (XFORWARD).
    pub original: Option<QueueId>,
    /// It is on this machine.
    pub is_local: bool,
}

/// `unknown[127.0.0.1], sasl_method=PLAIN, sasl_username=a@b, sasl_sender=…, orig_queue_id=…`
pub fn client(text: &[u8]) -> ClientFields<'_> {
    let mut fields = CommaFields(text);
    let name = fields.next().unwrap_or_default();
    let (mut user, mut original) = (None, None);
    for field in fields {
        if let Some(name) = field.strip_prefix(b"sasl_username=") {
            user = Some(name);
        } else if field.starts_with(b"sasl_sender=") {
            // The client chose it, so no field after it can be trusted.
            break;
        } else if let Some(before) = field.strip_prefix(b"orig_queue_id=") {
            original = QueueId::of_postfix(before);
        }
    }
    ClientFields {
        user,
        original,
        is_local: is_loopback(name),
    }
}

/// `name[127.0.0.1]`, perhaps with `:port`.
fn is_loopback(client: &[u8]) -> bool {
    let address = client
        .iter()
        .rposition(|b| *b == b'[')
        .map(|at| &client[at + 1..]);
    address.is_some_and(|a| a.starts_with(b"127.") || a.starts_with(b"::1]"))
}

/// What stands between `, `.
struct CommaFields<'a>(&'a [u8]);

impl<'a> Iterator for CommaFields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = find(self.0, b", ").unwrap_or(self.0.len());
        let field = &self.0[..end];
        self.0 = self.0.get(end + 2..).unwrap_or_default();
        Some(field)
    }
}

/// A decision about a message, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// `RCPT`, `END-OF-MESSAGE`; empty for header and body checks.
    pub stage: &'a [u8],
    /// The envelope sender.
    pub sender: Option<&'a [u8]>,
    /// The first recipient.
    pub recipient: Option<&'a [u8]>,
    /// The enhanced status code.
    pub dsn: Option<&'a [u8]>,
    /// The reason.
    pub text: &'a [u8],
}

/// `END-OF-MESSAGE from unknown[127.0.0.1]: 550 5.7.1 <END-OF-MESSAGE>: End-of-data rejected:
/// why; from=<a> to=<b> proto=…`, of smtpd and milters.
pub fn decision(text: &[u8]) -> Option<Decision<'_>> {
    let end = find(text, b" from ")?;
    let stage = &text[..end];
    let rest = &text[end + b" from ".len()..];
    let rest = &rest[find(rest, b"]")?..];
    let start = find(rest, b": ")? + 2;
    let end = find(rest, b"; from=<").unwrap_or(rest.len());
    let (dsn, why) = coded(rest.get(start..end)?);
    let envelope = EnvelopeFields::at(rest.get(end + 2..).unwrap_or_default());
    Some(Decision {
        stage,
        sender: envelope.sender,
        recipient: envelope.recipient,
        dsn,
        text: without_class(why),
    })
}

/// `header X-Test: hold from unknown[127.0.0.1]; from=<a> to=<b> proto=ESMTP helo=<c>: why`,
/// of cleanup. The header comes first and may say anything.
pub fn refused_by_cleanup(text: &[u8]) -> Option<Decision<'_>> {
    let start = rfind(text, b"; from=<")? + 2;
    let envelope = EnvelopeFields::at(&text[start..]);
    let rest = envelope.rest;
    let why = match find(rest, b" helo=<") {
        Some(helo) => &rest[helo + find(&rest[helo..], b">: ")? + 3..],
        None => &rest[find(rest, b": ")? + 2..],
    };
    let (dsn, text) = coded(why);
    Some(Decision {
        stage: b"",
        sender: envelope.sender,
        recipient: envelope.recipient,
        dsn,
        text,
    })
}

/// `from=<a> to=<b> rest`, of which each part may be missing.
struct EnvelopeFields<'a> {
    sender: Option<&'a [u8]>,
    recipient: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> EnvelopeFields<'a> {
    fn at(text: &'a [u8]) -> Self {
        let (sender, rest) = field(text, b"from=");
        let (recipient, rest) = field(rest, b" to=");
        Self {
            sender,
            recipient,
            rest,
        }
    }
}

fn field<'a>(text: &'a [u8], name: &[u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    match text.strip_prefix(name).and_then(path) {
        Some((address, rest)) => (Some(address), rest),
        None => (None, text),
    }
}

/// `550 5.7.1 why`, each code may be missing.
fn coded(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let is_code = text.len() > 4 && text[3] == b' ' && text[..3].iter().all(u8::is_ascii_digit);
    let rest = if is_code { &text[4..] } else { text };
    match enhanced(rest) {
        Some(dsn) => (Some(dsn), rest[dsn.len()..].trim_ascii_start()),
        None => (None, rest),
    }
}

/// Without `<END-OF-MESSAGE>: End-of-data rejected: `, which says nothing new.
fn without_class(text: &[u8]) -> &[u8] {
    let Some(rest) = text.strip_prefix(b"<END-OF-MESSAGE>: End-of-data ") else {
        return text;
    };
    rest.strip_prefix(b"rejected: ").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::super::attempt::Order;
    use super::super::postfix::{PostfixEvent, event};
    use super::*;

    fn id(text: &str) -> QueueId {
        QueueId::of_postfix(text.as_bytes()).unwrap()
    }

    #[test]
    fn forged_fields_stay_within_their_field() {
        let found = attempt(
            b"smtp",
            br#"to=<"a>, relay=x, status=sent (ok"@ok.test>, relay=127.0.0.1[127.0.0.1]:25, delay=1, delays=1/0/0/0, dsn=5.1.1, status=bounced (host said: 550 no, dsn=2.0.0, status=sent (250 ok) (in reply))"#,
        )
        .unwrap();
        assert_eq!(found.result, AttemptResult::Bounced);
        assert_eq!(found.dsn, Some(&b"5.1.1"[..]));
        assert_eq!(found.address, br#""a>, relay=x, status=sent (ok"@ok.test"#);
        assert_eq!(
            found.reply,
            b"host said: 550 no, dsn=2.0.0, status=sent (250 ok) (in reply)"
        );
        let sender =
            br#"6A6769CC1A1: from=<"x>, status=expired, returned to sender">, size=3, nrcpt=1"#;
        assert!(matches!(
            event(b"postfix/qmgr", sender),
            Some(PostfixEvent::Active {
                size: Some(3),
                recipients: 1,
                ..
            })
        ));
    }

    #[test]
    fn a_line_cut_anywhere_is_never_another_result() {
        let whole: &[u8] = b"to=<a@b>, orig_to=<c@d>, relay=x[1.2.3.4]:25, conn_use=2, delay=1, delays=1/0/0/0, dsn=4.1.1, status=deferred (host said: 450 status=sent (250))";
        for end in 0..whole.len() {
            if let Some(found) = attempt(b"smtp", &whole[..end]) {
                assert_eq!(found.result, AttemptResult::Deferred);
                assert_eq!(found.original, Some(&b"c@d"[..]));
            }
        }
    }

    #[test]
    fn what_a_client_chose_gives_no_user_and_no_id() {
        let text = b"6A6769CC1A1: client=x[192.0.2.1], sasl_method=PLAIN, sasl_username=a@b, sasl_sender=c, sasl_username=d, orig_queue_id=AAAAAAAAA";
        assert_eq!(
            event(b"submission/smtpd", text),
            Some(PostfixEvent::Client {
                id: Some(id("6A6769CC1A1")),
                user: Some(b"a@b"),
                original: None,
                is_local: false
            })
        );
        let text = b"proxy-accept: END-OF-MESSAGE: 250 queued as CB9C39CC852; from=<a> to=<b> proto=ESMTP helo=<x> sasl_username=<victim@b>> sasl_username=<a@b>";
        assert_eq!(
            event(b"postfix/smtpd", text),
            Some(PostfixEvent::ProxyAccepted {
                id: id("CB9C39CC852"),
                user: b"a@b"
            })
        );
    }

    #[test]
    fn decisions() {
        let hold = |program: &[u8], text: &'static [u8]| match event(program, text) {
            Some(PostfixEvent::Ordered {
                id,
                order,
                recipient,
                text,
                ..
            }) => {
                assert_eq!(order, Order::Hold);
                (id.is_some(), recipient.unwrap(), text)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(
            hold(b"p/smtpd", b"NOQUEUE: hold: RCPT from x[192.0.2.1]: <c@d>: Recipient address triggers HOLD action; from=<a@b> to=<c@d> proto=ESMTP helo=<x>"),
            (false, &b"c@d"[..], &b"<c@d>: Recipient address triggers HOLD action"[..])
        );
        assert_eq!(
            hold(b"p/cleanup", b"6AE129CC9D8: hold: header Subject: ; from=<x> to=<y>: z from x[192.0.2.1]; from=<a@b> to=<c@d> proto=ESMTP helo=<x>: held by rule 8"),
            (true, &b"c@d"[..], &b"held by rule 8"[..])
        );
        let refused = event(b"p/smtpd", b"71B0F9CC9DE: reject: END-OF-MESSAGE from x[1.2.3.4]: 550 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: no; from=<a> to=<b> proto=ESMTP");
        assert_eq!(
            refused,
            Some(PostfixEvent::Refused {
                id: id("71B0F9CC9DE"),
                dsn: Some(b"5.7.1"),
                text: b"no"
            })
        );
        // Only this recipient.
        assert_eq!(
            event(
                b"p/smtpd",
                b"71B0F9CC9DE: reject: RCPT from x[1.2.3.4]: 550 5.7.1 no; from=<a> to=<b>"
            ),
            None
        );
    }
}
