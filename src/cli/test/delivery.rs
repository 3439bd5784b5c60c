//! Waits until the log of the mail server shows the outcome of a message.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Exit, Result};
use crate::model::followed_message::{MessageState, RecipientOutcome};
use crate::model::log_time::LogTime;
use crate::model::time::Time;
use crate::store::MessageStore;

/// Between two looks at the messages.
const PAUSE: Duration = Duration::from_millis(100);
/// How far the clock of the log may be behind ours, in microseconds. Ids are used again.
const BEHIND: i64 = 60_000_000;

/// What a delivery is waited for with.
pub struct Awaited {
    pub messages: MessageStore,
    pub patience: Duration,
}

impl Awaited {
    /// Waits for the last word on a message that was sent now. A deferral is one: the server
    /// tries again only after minutes.
    pub fn delivery(&mut self, queue_id: Option<&str>, now: Time) -> Result<Delivery> {
        let begun = Instant::now();
        let mut outcome = None;
        if let Some(id) = queue_id {
            loop {
                let last = begun.elapsed() >= self.patience;
                outcome = ended(&mut self.messages, id, LogTime::of(now), last)?;
                if outcome.is_some() || last {
                    break;
                }
                thread::sleep(PAUSE);
            }
        }
        let took = begun.elapsed().as_millis();
        let (state, dsn, reply) = outcome.map_or((None, None, None), |recipient| {
            (Some(recipient.state.name()), recipient.dsn, recipient.reply)
        });
        Ok(Delivery {
            queue_id: queue_id.map(str::to_owned),
            state,
            dsn,
            reply,
            milliseconds: u64::try_from(took).unwrap_or(u64::MAX),
        })
    }
}

/// The outcome of the message.
#[derive(Serialize)]
pub struct Delivery {
    /// The id that the server gave it; `None` if its reply has none.
    queue_id: Option<String>,
    /// `None` if the log did not show it in time.
    state: Option<&'static str>,
    dsn: Option<String>,
    pub reply: Option<String>,
    pub milliseconds: u64,
}

impl Delivery {
    /// Returns the outcome in words.
    pub fn said(&self) -> String {
        match (self.state, &self.reply) {
            (Some(state), Some(reply)) => format!("{state}: {reply}"),
            (Some(state), None) => state.to_owned(),
            (None, _) => "unknown".to_owned(),
        }
    }

    /// Returns the word that the line begins with.
    pub fn word(&self) -> &'static str {
        match self.exit() {
            Exit::Done => "ok",
            Exit::Attention | Exit::TryAgain => "warn",
            _ => "fail",
        }
    }

    /// Returns the exit code that this asks for.
    pub fn exit(&self) -> Exit {
        match self.state.and_then(MessageState::named) {
            Some(MessageState::Sent) => Exit::Done,
            Some(MessageState::Deferred | MessageState::Held | MessageState::Unknown) => {
                Exit::Attention
            }
            Some(_) => Exit::Failed,
            None => Exit::TryAgain,
        }
    }

    /// Returns why the outcome is not known or not final, and the command that tells more.
    pub fn advice(&self) -> Option<(String, String)> {
        let Some(id) = &self.queue_id else {
            let cause = "the server's reply has no queue id to look for in its log";
            let next = "smtpcred messages list --limit 20".to_owned();
            return Some((cause.to_owned(), next));
        };
        let cause = match self.state.and_then(MessageState::named) {
            Some(MessageState::Sent) => return None,
            Some(MessageState::Deferred) => "the mail server keeps it and tries again",
            Some(MessageState::Held) => "it waits for the operator of the mail server",
            Some(_) => "this is the word of the next server, or of this one",
            None => {
                let cause = "the log did not show the outcome in time; \
                             does smtpcred-messages.service follow it?";
                return Some((cause.to_owned(), "smtpcred doctor".to_owned()));
            }
        };
        Some((cause.to_owned(), format!("smtpcred messages show {id}")))
    }
}

/// Returns the recipient of a message with this id, once nothing more is expected soon, or
/// what is known at last.
fn ended(
    messages: &mut MessageStore,
    queue_id: &str,
    sent_at: LogTime,
    last: bool,
) -> Result<Option<RecipientOutcome>> {
    let found = messages.find(queue_id)?;
    let Some(newest) = found.into_iter().next() else {
        return Ok(None);
    };
    if newest.message.key.at.micros() < sent_at.micros() - BEHIND {
        return Ok(None);
    }
    let settled = newest.is_settled;
    let left = newest.message.open_ids.is_empty();
    let outcomes = newest.message.recipients.into_iter();
    // An alias may stand for several: the worst counts.
    Ok(outcomes
        .filter(|recipient| match recipient.state {
            MessageState::Unknown => settled,
            MessageState::Sent => settled || left || last,
            _ => true,
        })
        .max_by_key(|recipient| recipient.state))
}
