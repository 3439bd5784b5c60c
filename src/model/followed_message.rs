//! A message that a user sent, and the end of each recipient.

use super::log_time::LogTime;
use super::password::PasswordId;

/// What happened to a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// The next server, or a mailbox here, has it.
    Sent,
    /// The server tries again.
    Deferred,
    /// It failed for good.
    Bounced,
    /// It was tried until the server gave up.
    Expired,
    /// The operator deleted it.
    Deleted,
    /// A rule threw it away.
    Discarded,
    /// It waits for the operator.
    Held,
    /// The log does not say.
    Unknown,
}

impl MessageState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Sent,
        Self::Deferred,
        Self::Bounced,
        Self::Expired,
        Self::Deleted,
        Self::Discarded,
        Self::Held,
        Self::Unknown,
    ];

    /// Returns the state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Returns the name in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Discarded => "discarded",
            Self::Held => "held",
            Self::Unknown => "unknown",
        }
    }
}

/// Why the state of a recipient is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnknownReason {
    /// No attempt was logged yet.
    NoLineYet,
    /// Another message in the queue continues it, as behind a content filter, and has no
    /// attempt yet.
    PassedOn,
    /// It left the queue, and no line says how.
    NoLine,
    /// It left the queue or never came to an end while the system dropped lines of the log.
    LinesDropped,
    /// Its queue id was given to another message before the log showed its end.
    IdUsedAgain,
    /// More messages were open than are followed.
    TooManyOpen,
    /// The log did not name it for a month.
    Silent,
}

impl UnknownReason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::NoLineYet,
        Self::PassedOn,
        Self::NoLine,
        Self::LinesDropped,
        Self::IdUsedAgain,
        Self::TooManyOpen,
        Self::Silent,
    ];

    /// Returns the reason with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Returns the name in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLineYet => "no_line_yet",
            Self::PassedOn => "passed_on",
            Self::NoLine => "no_line",
            Self::LinesDropped => "lines_dropped",
            Self::IdUsedAgain => "id_used_again",
            Self::TooManyOpen => "too_many_open",
            Self::Silent => "silent",
        }
    }
}

/// A recipient and its last state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// The final address. `None` for those that the log counts but does not name.
    pub address: Option<String>,
    /// The address before aliases and rewriting, if it was another.
    pub original: Option<String>,
    /// What happened.
    pub state: MessageState,
    /// The enhanced status code.
    pub dsn: Option<String>,
    /// The reply of the next server, or the reason of this one.
    pub reply: Option<String>,
    /// When it came to this state.
    pub at: LogTime,
    /// Why the state is unknown.
    pub reason: Option<UnknownReason>,
    /// How many recipients this is: more than one only without an address.
    pub count: u32,
}

/// A message of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedMessage {
    /// What identifies it.
    pub key: MessageKey,
    /// The user who signed in.
    pub username: String,
    /// The envelope sender, `<>` for none.
    pub sender: Option<String>,
    /// Without brackets.
    pub message_id: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// In the order of their first attempts.
    pub recipients: Vec<RecipientOutcome>,
    /// The other ids it had: behind filters and aliases, or after it was requeued.
    pub later_ids: Vec<String>,
    /// Those of all its ids that are still in a queue.
    pub open_ids: Vec<String>,
}

impl FollowedMessage {
    /// Returns when the log last had something new about it.
    pub fn changed_at(&self) -> LogTime {
        let last = self.recipients.iter().map(|recipient| recipient.at).max();
        last.map_or(self.key.at, |last| last.max(self.key.at))
    }
}

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedMessage {
    /// Its number where it is kept.
    pub id: i64,
    /// What the log said about it.
    pub message: FollowedMessage,
    /// Whether nothing more about it will change.
    pub is_settled: bool,
    /// The password that it was sent with, if that is known.
    pub password_id: Option<PasswordId>,
}

/// What there is to record about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageChange {
    /// It is new, or something about it changed: all that is known now.
    Changed(FollowedMessage),
    /// Nothing more about it will change.
    Settled(MessageKey),
}

/// What identifies a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The id that the client was given.
    pub queue_id: String,
    /// The host in the log; empty in Exim's mainlog.
    pub host: String,
    /// The time of its first line: ids are used again.
    pub at: LogTime,
}

/// A message that the server did not accept after its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// What identifies it. The time is that of the refusal.
    pub key: MessageKey,
    /// The user who signed in.
    pub username: String,
    /// The enhanced status code.
    pub dsn: Option<String>,
    /// Why.
    pub reply: String,
}
