//! What a line of Postfix says about a message.

use super::address::path;
use super::attempt::{DeliveryAttempt, Order};
use super::header::leading_number;
use super::postfix_fields::{Decision, attempt, client, decision, refused_by_cleanup};
use super::queue_id::QueueId;
use super::reply::next_id;

/// An event in the life of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostfixEvent<'a> {
    /// smtpd accepted the first recipient. Without an id behind `smtpd_proxy_filter`.
    Client {
        /// The new id.
        id: Option<QueueId>,
        /// The user who signed in.
        user: Option<&'a [u8]>,
        /// The id before a content filter (XFORWARD).
        original: Option<QueueId>,
        /// The client is on this machine.
        is_local: bool,
    },
    /// pickup took it from sendmail(1), or again (requeued).
    Pickup {
        /// The new id.
        id: QueueId,
        /// The id before `postsuper -r`.
        original: Option<QueueId>,
    },
    /// cleanup read the Message-ID.
    MessageId {
        /// The id.
        id: QueueId,
        /// Without brackets.
        value: &'a [u8],
    },
    /// qmgr has it in the active queue, first or again.
    Active {
        /// The id.
        id: QueueId,
        /// The envelope sender.
        sender: &'a [u8],
        /// In bytes.
        size: Option<u64>,
        /// How many recipients it has.
        recipients: u32,
    },
    /// An attempt for one recipient.
    Attempt(QueueId, DeliveryAttempt<'a>),
    /// qmgr gives up on all that are deferred.
    Expired(QueueId),
    /// qmgr is done with it.
    Removed(QueueId),
    /// `postsuper -d`.
    Deleted(QueueId),
    /// `postsuper -h`.
    Held(QueueId),
    /// `postsuper -H`.
    Released(QueueId),
    /// A rule, policy or milter decided about the whole message. Without an id it concerns
    /// the next one of this smtpd.
    Ordered {
        /// The id.
        id: Option<QueueId>,
        /// What to do.
        order: Order,
        /// The envelope sender.
        sender: Option<&'a [u8]>,
        /// A recipient, at most the first.
        recipient: Option<&'a [u8]>,
        /// Why.
        text: &'a [u8],
    },
    /// The client was told that the message is not accepted.
    Refused {
        /// The id.
        id: QueueId,
        /// The enhanced status code.
        dsn: Option<&'a [u8]>,
        /// Why.
        text: &'a [u8],
    },
    /// A filter behind `smtpd_proxy_filter` accepted the message for this user.
    ProxyAccepted {
        /// Its id.
        id: QueueId,
        /// The user who signed in.
        user: &'a [u8],
    },
    /// A client came or left: orders for the next message end.
    Session,
}

/// Reads the text of a line that a program of Postfix wrote.
pub fn event<'a>(program: &[u8], text: &'a [u8]) -> Option<PostfixEvent<'a>> {
    let slash = program.iter().rposition(|byte| *byte == b'/')?;
    let daemon = &program[slash + 1..];
    let (id, rest) = identified(text);
    match (daemon, id) {
        (b"smtpd", id) => smtpd(id, rest),
        (_, None) => too_large(rest),
        (b"cleanup", Some(id)) => cleanup(id, rest),
        (b"qmgr", Some(id)) => qmgr(id, rest),
        (b"pickup", Some(id)) => pickup(id, rest),
        (b"postsuper", Some(id)) => postsuper(id, rest),
        (b"bounce" | b"defer" | b"trace" | b"verify" | b"master" | b"postscreen", _) => None,
        (_, Some(id)) => attempt(daemon, rest).map(|attempt| PostfixEvent::Attempt(id, attempt)),
    }
}

/// `6A6769CC1A1: text`
fn identified(text: &[u8]) -> (Option<QueueId>, &[u8]) {
    let end = text.iter().take(24).position(|byte| *byte == b':');
    let found = end.and_then(|end| {
        let id = QueueId::of_postfix(&text[..end])?;
        Some((id, text[end + 1..].strip_prefix(b" ")?))
    });
    found.map_or((None, text), |(id, rest)| (Some(id), rest))
}

fn smtpd(id: Option<QueueId>, text: &[u8]) -> Option<PostfixEvent<'_>> {
    // Most lines of smtpd have no id and say nothing of a message.
    let text = match (id, text.first()?) {
        (Some(_), _) => text,
        (None, b'N') => text.strip_prefix(b"NOQUEUE: ")?,
        (None, b'p') => return proxied(text),
        (None, b'w') => return too_large(text),
        (None, b'c' | b'd' | b'l') => return session(text),
        _ => return None,
    };
    if let Some(rest) = text.strip_prefix(b"client=") {
        let found = client(rest);
        return Some(PostfixEvent::Client {
            id,
            user: found.user,
            original: found.original,
            is_local: found.is_local,
        });
    }
    decided(id, text)
}

fn session(text: &[u8]) -> Option<PostfixEvent<'_>> {
    let is_session = text.starts_with(b"connect from ")
        || text.starts_with(b"disconnect from ")
        || text.starts_with(b"lost connection after ");
    is_session.then_some(PostfixEvent::Session)
}

/// `reject: END-OF-MESSAGE from …`, `hold: RCPT from …`
fn decided(id: Option<QueueId>, text: &[u8]) -> Option<PostfixEvent<'_>> {
    let (verb, rest) = verb(text)?;
    let verb = verb.strip_prefix(b"milter-").unwrap_or(verb);
    let found = decision(rest)?;
    match verb {
        b"discard" | b"hold" => Some(PostfixEvent::Ordered {
            id,
            order: if verb == b"hold" {
                Order::Hold
            } else {
                Order::Discard
            },
            sender: found.sender,
            recipient: found.recipient,
            text: found.text,
        }),
        // Earlier refusals concern a recipient, or a message that may still come.
        b"reject" if found.stage == b"END-OF-MESSAGE" => Some(refused(id?, &found)),
        _ => None,
    }
}

const fn refused<'a>(id: QueueId, found: &Decision<'a>) -> PostfixEvent<'a> {
    PostfixEvent::Refused {
        id,
        dsn: found.dsn,
        text: found.text,
    }
}

/// `hold: …`
fn verb(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(16).position(|byte| *byte == b':')?;
    let verb = &text[..end];
    let is_verb = verb.iter().all(|b| b.is_ascii_lowercase() || *b == b'-');
    is_verb.then_some((verb, text[end + 1..].strip_prefix(b" ")?))
}

/// `proxy-accept: END-OF-MESSAGE: 250 … queued as ID; from=<…> … sasl_username=<user>`
fn proxied(text: &[u8]) -> Option<PostfixEvent<'_>> {
    let rest = text.strip_prefix(b"proxy-accept: END-OF-MESSAGE: ")?;
    let reply_end = memchr::memmem::find(rest, b"; from=<")?;
    let id = next_id(&rest[..reply_end])?;
    // The client chose the helo before it, so only the last is Postfix's own.
    let user = memchr::memmem::rfind(rest, b" sasl_username=<")?;
    let (user, _) = path(&rest[user + b" sasl_username=".len()..])?;
    Some(PostfixEvent::ProxyAccepted { id, user })
}

/// `warning: ID: queue file size limit exceeded`, which the client is told.
fn too_large(text: &[u8]) -> Option<PostfixEvent<'_>> {
    let (id, text) = identified(text.strip_prefix(b"warning: ")?);
    let id = id?;
    (text == b"queue file size limit exceeded").then_some(PostfixEvent::Refused {
        id,
        dsn: Some(b"5.3.4"),
        text,
    })
}

fn cleanup(id: QueueId, text: &[u8]) -> Option<PostfixEvent<'_>> {
    if let Some(value) = text.strip_prefix(b"message-id=") {
        let value = value.trim_ascii();
        let inner = value.strip_prefix(b"<").and_then(|v| v.strip_suffix(b">"));
        return Some(PostfixEvent::MessageId {
            id,
            value: inner.unwrap_or(value),
        });
    }
    let (name, rest) = verb(text)?;
    let is_milter = name.starts_with(b"milter-");
    let found = if is_milter {
        decision(rest)?
    } else {
        refused_by_cleanup(rest)?
    };
    match name {
        b"reject" | b"milter-reject" => Some(refused(id, &found)),
        b"hold" | b"milter-hold" | b"discard" | b"milter-discard" => Some(PostfixEvent::Ordered {
            id: Some(id),
            order: if name.ends_with(b"hold") {
                Order::Hold
            } else {
                Order::Discard
            },
            sender: found.sender,
            recipient: found.recipient,
            text: found.text,
        }),
        _ => None,
    }
}

fn qmgr(id: QueueId, text: &[u8]) -> Option<PostfixEvent<'_>> {
    if text == b"removed" {
        return Some(PostfixEvent::Removed(id));
    }
    let (sender, rest) = path(text.strip_prefix(b"from=")?)?;
    let rest = rest.strip_prefix(b", ")?;
    if rest.starts_with(b"status=expired") || rest.starts_with(b"status=force-expired") {
        return Some(PostfixEvent::Expired(id));
    }
    let (size, rest) = leading_number(rest.strip_prefix(b"size=")?)?;
    let (recipients, _) = leading_number(rest.strip_prefix(b", nrcpt=")?)?;
    Some(PostfixEvent::Active {
        id,
        sender,
        size: Some(size),
        recipients: u32::try_from(recipients).ok()?,
    })
}

/// `uid=102 from=<alice@example.com> orig_id=840949CC9BD`
fn pickup(id: QueueId, text: &[u8]) -> Option<PostfixEvent<'_>> {
    let (_, rest) = leading_number(text.strip_prefix(b"uid=")?)?;
    let (_, rest) = path(rest.strip_prefix(b" from=")?)?;
    let original = rest.strip_prefix(b" orig_id=");
    Some(PostfixEvent::Pickup {
        id,
        original: original.and_then(QueueId::of_postfix),
    })
}

fn postsuper(id: QueueId, text: &[u8]) -> Option<PostfixEvent<'_>> {
    match text {
        b"removed" => Some(PostfixEvent::Deleted(id)),
        b"placed on hold" => Some(PostfixEvent::Held(id)),
        b"released from hold" | b"requeued" => Some(PostfixEvent::Released(id)),
        _ => None,
    }
}
