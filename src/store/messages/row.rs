//! Messages as rows.

use std::borrow::Cow;

use crate::error::Result;
use crate::model::followed_message::{
    FollowedMessage, MessageKey, MessageState, RecipientOutcome, RecordedMessage, RefusedMessage,
    UnknownReason,
};
use crate::model::log_time::LogTime;
use crate::model::password::PasswordId;
use crate::store::engine::{Arg, Row};

/// The columns that [`message`] reads.
macro_rules! columns {
    () => {
        "m.id, m.queue_id, m.host, m.at, m.username, m.sender, m.message_id, m.size, m.later_ids,
            m.open_ids, m.settled, m.password_id"
    };
}
pub(super) use columns;

/// In bytes. An index takes no longer value, and what is longer is not an address.
const LONGEST: usize = 1000;
/// In bytes. Servers send more only by mistake.
const LONGEST_REPLY: usize = 4000;

/// Returns a text of the log as it is kept: it may have been written by anyone.
pub fn kept(text: &str) -> Cow<'_, str> {
    cut(text, LONGEST)
}

/// Returns a reply as it is kept.
pub fn kept_reply(text: &str) -> Cow<'_, str> {
    cut(text, LONGEST_REPLY)
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    let text = &text[..end.unwrap_or(0)];
    // PostgreSQL keeps none.
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}").into();
    }
    text.into()
}

/// What identifies a message, as arguments.
pub fn key(key: &MessageKey) -> [Arg<'_>; 3] {
    [
        key.queue_id.as_str().into(),
        key.host.as_str().into(),
        key.at.micros().into(),
    ]
}

/// Returns a key as it is kept.
pub fn kept_key(key: &MessageKey) -> MessageKey {
    MessageKey {
        queue_id: kept(&key.queue_id).into_owned(),
        host: kept(&key.host).into_owned(),
        at: key.at,
    }
}

/// Reads a message without its recipients.
pub fn message(row: &dyn Row) -> Result<RecordedMessage> {
    let ids = |column| -> Result<Vec<String>> {
        let ids = row.text(column)?.split(' ').filter(|id| !id.is_empty());
        Ok(ids.map(str::to_owned).collect())
    };
    let text = |column| -> Result<Option<String>> { Ok(row.opt_text(column)?.map(str::to_owned)) };
    Ok(RecordedMessage {
        id: row.int(0)?,
        message: FollowedMessage {
            key: MessageKey {
                queue_id: row.text(1)?.to_owned(),
                host: row.text(2)?.to_owned(),
                at: LogTime::from_micros(row.int(3)?),
            },
            username: row.text(4)?.to_owned(),
            sender: text(5)?,
            message_id: text(6)?,
            size: row.opt_int(7)?.map(i64::unsigned_abs),
            recipients: Vec::new(),
            later_ids: ids(8)?,
            open_ids: ids(9)?,
        },
        is_settled: row.int(10)? != 0,
        password_id: text(11)?.map(PasswordId::stored),
    })
}

/// The columns that [`recipient`] reads.
pub const RECIPIENTS: &str = "SELECT address, original, state, dsn, reply, at, reason, count
    FROM message_recipients WHERE message = $1 ORDER BY n";

/// Reads a recipient.
pub fn recipient(row: &dyn Row) -> Result<RecipientOutcome> {
    let text = |column| -> Result<Option<String>> { Ok(row.opt_text(column)?.map(str::to_owned)) };
    let state = row.text(2)?;
    let reason = row.opt_text(6)?;
    Ok(RecipientOutcome {
        address: text(0)?,
        original: text(1)?,
        state: MessageState::named(state).ok_or_else(|| row.not_valid(state))?,
        dsn: text(3)?,
        reply: text(4)?,
        at: LogTime::from_micros(row.int(5)?),
        reason: reason.and_then(UnknownReason::named),
        count: row.count(7)?,
    })
}

/// Returns a recipient as it is kept.
pub fn kept_recipient(recipient: &RecipientOutcome) -> RecipientOutcome {
    let text = |text: &Option<String>| text.as_deref().map(|text| kept(text).into_owned());
    RecipientOutcome {
        address: text(&recipient.address),
        original: text(&recipient.original),
        dsn: text(&recipient.dsn),
        reply: recipient
            .reply
            .as_deref()
            .map(|reply| kept_reply(reply).into_owned()),
        ..recipient.clone()
    }
}

/// Reads what a client was refused.
pub fn refused(row: &dyn Row) -> Result<RefusedMessage> {
    Ok(RefusedMessage {
        key: MessageKey {
            queue_id: row.text(0)?.to_owned(),
            host: row.text(1)?.to_owned(),
            at: LogTime::from_micros(row.int(2)?),
        },
        username: row.text(3)?.to_owned(),
        dsn: row.opt_text(4)?.map(str::to_owned),
        reply: row.text(5)?.to_owned(),
    })
}
