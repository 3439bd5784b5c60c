//! Messages as they are printed.

use serde::Serialize;

use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::record::Record;
use crate::model::followed_message::{
    MessageState, RecipientOutcome, RecordedMessage, UnknownReason,
};
use crate::model::time::Time;

/// A message.
#[derive(Serialize)]
pub struct MessageRecord {
    queue_id: String,
    username: String,
    password_id: Option<String>,
    sender: Option<String>,
    message_id: Option<String>,
    size: Option<u64>,
    at: Time,
    recipients: Vec<RecipientRecord>,
    settled: bool,
    host: String,
    later_ids: Vec<String>,
    /// Which recipient a row of CSV is about.
    #[serde(skip)]
    row: usize,
}

/// A recipient of a message.
#[derive(Serialize)]
struct RecipientRecord {
    address: Option<String>,
    original: Option<String>,
    state: &'static str,
    dsn: Option<String>,
    reply: Option<String>,
    at: Time,
    reason: Option<&'static str>,
    count: u32,
    #[serde(skip)]
    tone: Tone,
}

impl MessageRecord {
    /// Returns the record of a message.
    pub fn new(recorded: &RecordedMessage) -> Self {
        let message = &recorded.message;
        Self {
            queue_id: message.key.queue_id.clone(),
            username: message.username.clone(),
            password_id: recorded.password_id.as_ref().map(ToString::to_string),
            sender: message.sender.clone(),
            message_id: message.message_id.clone(),
            size: message.size,
            at: message.key.at.time(),
            recipients: message
                .recipients
                .iter()
                .map(RecipientRecord::new)
                .collect(),
            settled: recorded.is_settled,
            host: message.key.host.clone(),
            later_ids: message.later_ids.clone(),
            row: 0,
        }
    }

    /// Returns how many rows of CSV it has.
    pub const fn rows(&self) -> usize {
        let rows = self.recipients.len();
        if rows == 0 { 1 } else { rows }
    }

    /// Turns to another row.
    pub const fn turn_to(&mut self, row: usize) {
        self.row = row;
    }

    /// The first of those that need attention the most.
    fn worst(&self) -> Option<&RecipientRecord> {
        let all = self.recipients.iter();
        all.min_by_key(|recipient| match recipient.tone {
            Tone::Bad => 0,
            Tone::Warning => 1,
            _ => 2,
        })
    }

    /// `bounced`, or of several `2 sent, 1 bounced`.
    fn states(&self) -> String {
        let mut states: Vec<(&str, u32)> = Vec::new();
        for recipient in &self.recipients {
            match states
                .iter_mut()
                .find(|(state, _)| *state == recipient.state)
            {
                Some((_, count)) => *count += recipient.count,
                None => states.push((recipient.state, recipient.count)),
            }
        }
        match states.as_slice() {
            [] => "unknown".to_owned(),
            [(state, _)] => (*state).to_owned(),
            states => {
                let counted = states
                    .iter()
                    .map(|(state, count)| format!("{count} {state}"));
                counted.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl RecipientRecord {
    fn new(recipient: &RecipientOutcome) -> Self {
        Self {
            address: recipient.address.clone(),
            original: recipient.original.clone(),
            state: recipient.state.name(),
            dsn: recipient.dsn.clone(),
            reply: recipient.reply.clone(),
            at: recipient.at.time(),
            reason: recipient.reason.map(UnknownReason::name),
            count: recipient.count,
            tone: tone(recipient.state),
        }
    }

    /// Returns the address for people.
    fn name(&self) -> String {
        match (&self.address, self.count) {
            (Some(address), _) => address.clone(),
            (None, 1) => "(not named)".into(),
            (None, count) => format!("({count} not named)"),
        }
    }

    /// Returns the reply for people, or why the state is unknown.
    fn said(&self) -> String {
        let reply = self.reply.as_deref().unwrap_or_default();
        let reason = self.reason.map_or("", reason_text);
        [reply, reason]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Describes it on lines of its own.
    fn lines(&self) -> String {
        let mut lines = vec![format!("{}: {}, {}", self.name(), self.state, self.at)];
        if let Some(original) = &self.original {
            lines.push(format!("sent to {original}"));
        }
        let said = self.said();
        match &self.dsn {
            Some(dsn) if !said.contains(dsn.as_str()) => lines.push(format!("{dsn} {said}")),
            _ if said.is_empty() => {}
            _ => lines.push(said),
        }
        lines.join("\n")
    }
}

const fn tone(state: MessageState) -> Tone {
    match state {
        MessageState::Sent => Tone::Good,
        MessageState::Deferred | MessageState::Held | MessageState::Unknown => Tone::Warning,
        MessageState::Bounced | MessageState::Expired => Tone::Bad,
        MessageState::Deleted | MessageState::Discarded => Tone::Plain,
    }
}

/// Says why a state is unknown.
fn reason_text(reason: &str) -> &str {
    match reason {
        "no_line_yet" => "no attempt was logged yet",
        "passed_on" => "passed on, for example to a filter, and not tried from there yet",
        "no_line" => "it left the queue, and no line says how",
        "lines_dropped" => "the system dropped lines of the log",
        "id_used_again" => "its id was given to another message first",
        "too_many_open" => "too many messages were open to follow all",
        "silent" => "the log did not name it for a month",
        other => other,
    }
}

impl Record for MessageRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Time").times(TimeForm::Stamp),
        Column::new("ID").rank(3),
        Column::new("User").name_of(14).rank(2),
        Column::new("To").name_of(14),
        Column::new("State"),
        Column::new("Reply").rank(1).cut(12),
        Column::new("Sender").on_request(),
        Column::new("Size").right().on_request(),
        Column::new("Password ID").on_request(),
        Column::new("Message-ID").on_request(),
    ];

    fn cells(&self) -> Vec<Cell> {
        let worst = self.worst();
        let others = self.recipients.iter().map(|other| other.count).sum::<u32>();
        let others = others.saturating_sub(worst.map_or(0, |worst| worst.count));
        let to = worst.map(RecipientRecord::name);
        let to = match others {
            0 => to,
            others => to.map(|to| format!("{to} +{others}")),
        };
        vec![
            self.at.to_string().into(),
            self.queue_id.as_str().into(),
            self.username.as_str().into(),
            to.into(),
            Cell::new(
                self.states(),
                worst.map_or(Tone::Warning, |worst| worst.tone),
            ),
            worst.map(RecipientRecord::said).into(),
            self.sender.clone().into(),
            self.size.map(|size| size.to_string()).into(),
            self.password_id.clone().into(),
            self.message_id.clone().into(),
        ]
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let unknown = || "unknown".to_owned();
        let mut lines = vec![
            ("ID", Cell::from(self.queue_id.as_str())),
            ("User", self.username.as_str().into()),
            ("Sender", self.sender.clone().unwrap_or_else(unknown).into()),
            ("Time", self.at.to_string().into()),
        ];
        let optional = [
            ("Password ID", self.password_id.clone()),
            ("Message-ID", self.message_id.clone()),
            ("Size", self.size.map(|size| format!("{size} bytes"))),
            (
                "Host",
                Some(self.host.clone()).filter(|host| !host.is_empty()),
            ),
            (
                "Later IDs",
                Some(self.later_ids.join(" ")).filter(|ids| !ids.is_empty()),
            ),
        ];
        let there = optional
            .into_iter()
            .filter_map(|(title, text)| Some((title, text?)));
        lines.extend(there.map(|(title, text)| (title, text.into())));
        let recipients = self.recipients.iter();
        lines.extend(recipients.map(|to| ("To", Cell::new(to.lines(), to.tone))));
        if !self.settled {
            lines.push(("End", "not yet: more may happen".into()));
        }
        lines
    }

    const FIELDS: &'static [&'static str] = &[
        "queue_id",
        "username",
        "password_id",
        "sender",
        "message_id",
        "size",
        "at",
        "address",
        "original",
        "state",
        "dsn",
        "reply",
        "recipient_at",
        "reason",
        "count",
    ];

    fn fields(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut fields = vec![
            self.queue_id.clone(),
            self.username.clone(),
            text(&self.password_id),
            text(&self.sender),
            text(&self.message_id),
            self.size.map(|size| size.to_string()).unwrap_or_default(),
            self.at.to_string(),
        ];
        fields.extend(match self.recipients.get(self.row) {
            Some(recipient) => [
                text(&recipient.address),
                text(&recipient.original),
                recipient.state.to_owned(),
                text(&recipient.dsn),
                text(&recipient.reply),
                recipient.at.to_string(),
                recipient.reason.unwrap_or_default().to_owned(),
                recipient.count.to_string(),
            ],
            None => std::array::from_fn(|_| String::new()),
        });
        fields
    }
}
