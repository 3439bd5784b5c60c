//! A new state of a recipient, on one line.

use serde::Serialize;

use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::record::Record;
use crate::model::followed_message::{
    FollowedMessage, MessageState, RecipientOutcome, UnknownReason,
};
use crate::model::text::count;
use crate::model::time::Time;

/// What is printed about it.
#[derive(Serialize)]
pub struct StateRecord<'a> {
    at: Time,
    queue_id: &'a str,
    username: &'a str,
    sender: Option<&'a str>,
    message_id: Option<&'a str>,
    size: Option<u64>,
    address: Option<&'a str>,
    original: Option<&'a str>,
    state: &'static str,
    dsn: Option<&'a str>,
    reply: Option<&'a str>,
    reason: Option<&'static str>,
    count: u32,
    #[serde(skip)]
    tone: Tone,
}

impl<'a> StateRecord<'a> {
    /// Returns what is printed about this recipient of the message.
    pub fn new(message: &'a FollowedMessage, recipient: &'a RecipientOutcome) -> Self {
        Self {
            at: recipient.at.time(),
            queue_id: &message.key.queue_id,
            username: &message.username,
            sender: message.sender.as_deref(),
            message_id: message.message_id.as_deref(),
            size: message.size,
            address: recipient.address.as_deref(),
            original: recipient.original.as_deref(),
            state: recipient.state.name(),
            dsn: recipient.dsn.as_deref(),
            reply: recipient.reply.as_deref(),
            reason: recipient.reason.map(UnknownReason::name),
            count: recipient.count,
            tone: tone(recipient.state),
        }
    }
}

/// The colour of a state.
const fn tone(state: MessageState) -> Tone {
    match state {
        MessageState::Sent => Tone::Good,
        MessageState::Deferred | MessageState::Held | MessageState::Unknown => Tone::Warning,
        MessageState::Bounced | MessageState::Expired => Tone::Bad,
        MessageState::Deleted | MessageState::Discarded => Tone::Plain,
    }
}

impl Record for StateRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Time").times(TimeForm::Stamp),
        Column::new("State"),
        Column::new("User"),
        Column::new("To"),
        Column::new("ID"),
        Column::new("Reply"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let to = match self.address {
            Some(address) => address.to_owned(),
            None => count(self.count.into(), "recipient"),
        };
        vec![
            self.at.to_string().into(),
            Cell::new(self.state, self.tone),
            self.username.into(),
            to.into(),
            self.queue_id.into(),
            self.reply.or(self.reason).unwrap_or_default().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "at",
        "queue_id",
        "username",
        "sender",
        "message_id",
        "size",
        "address",
        "original",
        "state",
        "dsn",
        "reply",
        "reason",
        "count",
    ];

    fn fields(&self) -> Vec<String> {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        vec![
            self.at.to_string(),
            self.queue_id.to_owned(),
            self.username.to_owned(),
            owned(self.sender),
            owned(self.message_id),
            self.size.map(|size| size.to_string()).unwrap_or_default(),
            owned(self.address),
            owned(self.original),
            self.state.to_owned(),
            owned(self.dsn),
            owned(self.reply),
            owned(self.reason),
            self.count.to_string(),
        ]
    }
}
