//! Decides whether a signed-in user may send: as this sender, and within its limits
//! (promise 7). Recipients are checked as they come, to refuse early; a message is counted
//! when it is complete.
//!
//! A message is counted in the store before it is let through. So that a busy user does not
//! wait for the disk each time, some messages are counted in advance (a lease), and what is
//! not used within a second is released: a crash leaves a few too many on a user's count,
//! never too few.

pub mod charge;
pub mod decide;
pub mod envelope;
mod lease;
mod message_cache;
pub mod quota;
mod recipients;
pub mod refusal;
mod renewal;
pub mod reservation;

use lease::Leases;
use message_cache::MessageCache;

use super::two_generation_cache::TwoGenerationCache;
use crate::store::SendingRules;

/// What a relay remembers of sending.
pub struct PolicyState {
    /// The rules of users (`None` of users that do not exist), and the generation of the store
    /// in which they were read.
    rules: TwoGenerationCache<String, (u64, Option<SendingRules>)>,
    messages: MessageCache,
    leases: Leases,
}

/// How many users' rules are remembered.
const RULES: usize = 20_000;

impl PolicyState {
    pub fn new() -> Self {
        Self {
            rules: TwoGenerationCache::new(RULES),
            messages: MessageCache::new(),
            leases: Leases::default(),
        }
    }

    /// Returns whether leases must be released before the relay stops.
    pub fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }
}
