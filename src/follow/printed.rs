//! Which states were printed already.

use std::collections::HashMap;

use crate::error::Result;
use crate::model::followed_message::{
    FollowedMessage, MessageChange, MessageKey, MessageState, RecipientOutcome, UnknownReason,
};
use crate::model::log_time::LogTime;

/// What is done with a new state of a recipient.
pub type StatePrinter<'a> = Box<dyn FnMut(&FollowedMessage, &RecipientOutcome) -> Result<()> + 'a>;

/// The last states of open messages, so that each is printed once.
pub struct PrintedStates {
    states: HashMap<MessageKey, Vec<PrintedState>>,
    /// What is not newer was printed or recorded by an earlier run.
    since: Option<LogTime>,
}

/// A recipient and its state.
#[derive(PartialEq, Eq)]
struct PrintedState {
    address: Option<String>,
    original: Option<String>,
    state: MessageState,
    at: LogTime,
}

impl PrintedStates {
    /// Prints what is newer than this.
    pub fn since(since: Option<LogTime>) -> Self {
        Self {
            states: HashMap::new(),
            since,
        }
    }

    /// Prints the states that are new.
    pub fn print(&mut self, changes: &[MessageChange], print: &mut StatePrinter<'_>) -> Result<()> {
        for change in changes {
            match change {
                MessageChange::Settled(key) => _ = self.states.remove(key),
                MessageChange::Changed(message) => self.print_message(message, print)?,
            }
        }
        Ok(())
    }

    fn print_message(
        &mut self,
        message: &FollowedMessage,
        print: &mut StatePrinter<'_>,
    ) -> Result<()> {
        let states = message.recipients.iter().map(PrintedState::of);
        let states: Vec<PrintedState> = states.collect();
        let before = self.states.remove(&message.key).unwrap_or_default();
        for (recipient, state) in message.recipients.iter().zip(&states) {
            let is_new = self.since.is_none_or(|since| recipient.at > since);
            if is_new && is_told(recipient) && !before.contains(state) {
                print(message, recipient)?;
            }
        }
        self.states.insert(message.key.clone(), states);
        Ok(())
    }
}

impl PrintedState {
    fn of(recipient: &RecipientOutcome) -> Self {
        Self {
            address: recipient.address.clone(),
            original: recipient.original.clone(),
            state: recipient.state,
            at: recipient.at,
        }
    }
}

/// Not that there is no attempt yet.
fn is_told(recipient: &RecipientOutcome) -> bool {
    !matches!(
        recipient.reason,
        Some(UnknownReason::NoLineYet | UnknownReason::PassedOn)
    )
}
