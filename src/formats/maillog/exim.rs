//! What a line of Exim's mainlog says about a message.

use super::address::path;
use super::attempt::{Agent, AttemptResult, DeliveryAttempt};
use super::exim_address::delivered;
use super::exim_fields::{EximFields, Received, received};
use super::queue_id::QueueId;
use super::reply::{codes, enhanced};

/// An event in the life of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EximEvent<'a> {
    /// `<=`: Exim accepted it.
    Received(QueueId, Received<'a>),
    /// An attempt for one recipient.
    Attempt(QueueId, DeliveryAttempt<'a>),
    /// It is not time for an attempt: the last reply still counts.
    NotTried(QueueId, DeliveryAttempt<'a>),
    /// `**` because it was tried for too long, or, with a first attempt, its host.
    Expired(QueueId, DeliveryAttempt<'a>),
    /// All recipients were thrown away by an ACL, with its reason.
    Discarded(QueueId, &'a [u8]),
    /// `-Mmd`, `-Mmad`: Exim shall not try this recipient again.
    MarkedDelivered(QueueId, &'a [u8]),
    /// Frozen: Exim does not try it until it is thawed.
    Frozen(QueueId),
    /// Thawed.
    Unfrozen(QueueId),
    /// `-Mrm`.
    Deleted(QueueId),
    /// `-Mg`, or `timeout_frozen_after`: given up, perhaps with a notice.
    Cancelled {
        /// The id.
        id: QueueId,
        /// A timeout did it, not the operator.
        is_timeout: bool,
    },
    /// Exim is done with it.
    Completed(QueueId),
    /// The client was told that the message is not accepted.
    Refused {
        /// The id.
        id: QueueId,
        /// The user who signed in.
        user: Option<&'a [u8]>,
        /// The enhanced status code.
        dsn: Option<&'a [u8]>,
        /// Why.
        text: &'a [u8],
    },
}

/// Reads the text of a line, after time and process id.
pub fn event(text: &[u8]) -> Option<EximEvent<'_>> {
    let end = text.iter().take(24).position(|byte| *byte == b' ')?;
    let id = QueueId::of_exim(&text[..end])?;
    let rest = &text[end + 1..];
    match rest.get(..3) {
        Some(b"<= ") => received(&rest[3..]).map(|found| EximEvent::Received(id, found)),
        Some(b"=> " | b"-> " | b">> ") => Some(sent(id, &rest[3..])),
        Some(b"** ") => failed(id, &rest[3..]),
        Some(b"== ") => deferred(id, &rest[3..]),
        _ => other(id, rest),
    }
}

fn sent(id: QueueId, text: &[u8]) -> EximEvent<'_> {
    if let Some(rest) = text.strip_prefix(b"blackhole (") {
        let why = memchr::memmem::find(rest, b"): ").map(|at| &rest[at + 3..]);
        return EximEvent::Discarded(id, why.unwrap_or_default());
    }
    let (address, original, rest) = delivered(text);
    let mut fields = EximFields::new(rest);
    let (mut reply, mut has_host): (&[u8], bool) = (b"", false);
    while let Some((name, value)) = fields.next_field() {
        match name {
            b"C" => reply = value,
            b"H" => has_host = true,
            _ => {}
        }
    }
    let result = if address == b":blackhole:" {
        AttemptResult::Discarded
    } else {
        AttemptResult::Sent
    };
    EximEvent::Attempt(
        id,
        DeliveryAttempt {
            address,
            original,
            result,
            dsn: codes(reply).and_then(|(_, dsn)| dsn),
            reply,
            agent: if has_host { Agent::Other } else { Agent::Pipe },
        },
    )
}

fn unsuccessful(text: &[u8], result: AttemptResult) -> Option<DeliveryAttempt<'_>> {
    let (address, original, rest) = delivered(text);
    let mut fields = EximFields::new(rest);
    while fields.next_field().is_some() {}
    let reply = fields.text?;
    Some(DeliveryAttempt {
        address,
        original,
        result,
        dsn: codes(reply).and_then(|(_, dsn)| dsn),
        reply,
        agent: Agent::Other,
    })
}

fn failed(id: QueueId, text: &[u8]) -> Option<EximEvent<'_>> {
    const TOO_LONG: &[u8] = b"retry timeout exceeded";
    const HOST_FAILS: &[u8] = b"retry time not reached for any host after a long failure";
    let attempt = unsuccessful(text, AttemptResult::Bounced)?;
    // After a reply it counts only if that was temporary: a server can write these words.
    let is_temporary = || codes(attempt.reply).is_none_or(|(code, _)| code < 500);
    let ends_so = attempt.reply.strip_suffix(TOO_LONG);
    let is_expired = ends_so.is_some_and(|before| before.is_empty() || before.ends_with(b": "));
    let host_fails = attempt.reply.starts_with(HOST_FAILS);
    Some(if host_fails || is_expired && is_temporary() {
        EximEvent::Expired(id, attempt)
    } else {
        EximEvent::Attempt(id, attempt)
    })
}

fn deferred(id: QueueId, text: &[u8]) -> Option<EximEvent<'_>> {
    let attempt = unsuccessful(text, AttemptResult::Deferred)?;
    Some(if attempt.reply.starts_with(b"retry time not reached") {
        EximEvent::NotTried(id, attempt)
    } else {
        EximEvent::Attempt(id, attempt)
    })
}

fn other(id: QueueId, text: &[u8]) -> Option<EximEvent<'_>> {
    if text == b"Completed" || text.starts_with(b"Completed QT=") {
        return Some(EximEvent::Completed(id));
    }
    match text.first()? {
        b'f' | b'F' | b'M' => {
            let is_frozen = text.starts_with(b"frozen by ")
                || text.starts_with(b"Frozen (")
                || text == b"Message is frozen";
            is_frozen.then_some(EximEvent::Frozen(id))
        }
        b'u' | b'U' => {
            let is_thawed = text[1..].starts_with(b"nfrozen by ");
            is_thawed.then_some(EximEvent::Unfrozen(id))
        }
        b'r' if text.starts_with(b"removed by ") => Some(EximEvent::Deleted(id)),
        b'c' | b'*' => {
            let text = text.strip_prefix(b"* ").unwrap_or(text);
            let by = text.strip_prefix(b"cancelled by ")?;
            Some(EximEvent::Cancelled {
                id,
                is_timeout: by == b"timeout_frozen_after",
            })
        }
        b'a' => {
            let (address, rest) = path(text.strip_prefix(b"address ")?)?;
            rest.starts_with(b" marked delivered by ")
                .then_some(EximEvent::MarkedDelivered(id, address))
        }
        b'H' => refused(id, text),
        b'r' if text.starts_with(b"rejected from ") => {
            let at = memchr::memmem::rfind(text, b"]: ")?;
            Some(EximEvent::Refused {
                id,
                user: None,
                dsn: None,
                text: &text[at + 3..],
            })
        }
        _ => None,
    }
}

/// `H=(x) [127.0.0.1] F=<a> A=driver:user rejected after DATA: 5.7.1 why`
fn refused(id: QueueId, text: &[u8]) -> Option<EximEvent<'_>> {
    let mut fields = EximFields::new(text);
    let (mut user, mut is_rejected) = (None, false);
    while let Some((name, value)) = fields.next_field() {
        match name {
            b"A" => user = EximFields::user(value),
            b"" if value == b"rejected" => is_rejected = true,
            _ => {}
        }
    }
    let text = fields.text?;
    let dsn = enhanced(text);
    is_rejected.then_some(EximEvent::Refused {
        id,
        user,
        dsn,
        text: dsn.map_or(text, |dsn| text[dsn.len()..].trim_ascii_start()),
    })
}
