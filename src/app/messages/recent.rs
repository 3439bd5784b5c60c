//! What users sent within the last hour, and what is known of its ends.

use crate::app::App;
use crate::error::Result;
use crate::model::followed_message::MessageState;
use crate::model::log_time::LogTime;
use crate::store::Location;

/// In microseconds.
pub(super) const LATELY: i64 = 3_600_000_000;

/// How many recipients of the messages of the last hour are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentMessages {
    /// The next server, or a mailbox here, has it.
    pub sent: u64,
    /// The server tries again.
    pub deferred: u64,
    /// They failed for good, or were tried until the server gave up.
    pub bounced: u64,
    /// Anything else: held, deleted, discarded, unknown.
    pub other: u64,
}

impl RecentMessages {
    pub(super) fn add(&mut self, state: MessageState, count: u64) {
        let sum = match state {
            MessageState::Sent => &mut self.sent,
            MessageState::Deferred => &mut self.deferred,
            MessageState::Bounced | MessageState::Expired => &mut self.bounced,
            _ => &mut self.other,
        };
        *sum = sum.saturating_add(count);
    }
}

impl App {
    /// Counts the messages of the last hour. `None` if they are not kept or cannot be read, and
    /// for a holder of a role, who may not see those of all users.
    pub fn recent_messages(&mut self, store: &Location) -> Result<Option<RecentMessages>> {
        if self.store.restricted_to().is_some() || self.settings()?.messages.keep.is_none() {
            return Ok(None);
        }
        // `doctor` tells what is wrong with them.
        let Ok(mut messages) = self.messages(store) else {
            return Ok(None);
        };
        let mut recent = RecentMessages::default();
        let since = LogTime::from_micros(LogTime::of(self.now()).micros().saturating_sub(LATELY));
        for (state, count) in messages.states_since(since)? {
            recent.add(state, count);
        }
        Ok(Some(recent))
    }
}
