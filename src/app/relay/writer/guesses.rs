//! Counts the wrong passwords of users by the hour.

use std::collections::HashMap;

use crate::app::relay::pending_writes::PendingWrites;
use crate::app::relay::two_generation_cache::TwoGenerationCache;
use crate::error::Result;
use crate::model::alert::NewAlert;
use crate::model::name::Username;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::time::Time;
use crate::store::Tx;

/// How many users are remembered.
const REMEMBERED: usize = 10_000;
const HOUR: i64 = 3_600;

/// How many wrong passwords each user got within an hour.
pub(super) struct GuessCounter(TwoGenerationCache<String, (i64, u64)>);

impl GuessCounter {
    pub fn new() -> Self {
        Self(TwoGenerationCache::new(REMEMBERED))
    }

    /// Raises an alert for each user whose wrong passwords reach the threshold with these.
    pub fn raise(&mut self, tx: &mut Tx, pending: &PendingWrites, now: Time) -> Result<()> {
        if pending.refused.is_empty() {
            return Ok(());
        }
        let Some(most) = tx.guesses_per_hour()? else {
            return Ok(());
        };
        for (username, (number, address)) in wrong(pending) {
            let sum = self.counted(&username, now) + number;
            if sum >= u64::from(most) {
                tx.raise(&NewAlert::guesses(&username, sum, &address))?;
            }
        }
        Ok(())
    }

    /// Counts these refusals, once they are written.
    pub fn add(&mut self, pending: &PendingWrites, now: Time) {
        for (username, (number, _)) in wrong(pending) {
            let sum = self.counted(&username, now);
            let since = if sum == 0 {
                now.epoch()
            } else {
                self.since(&username, now)
            };
            self.0
                .insert(username.as_str().to_owned(), (since, sum + number));
        }
    }

    fn counted(&mut self, username: &Username, now: Time) -> u64 {
        match self.0.get_mut(username.as_str()) {
            Some((since, sum)) if (0..HOUR).contains(&(now.epoch() - *since)) => *sum,
            _ => 0,
        }
    }

    fn since(&mut self, username: &Username, now: Time) -> i64 {
        self.0
            .get_mut(username.as_str())
            .map_or(now.epoch(), |(since, _)| *since)
    }
}

/// Returns the wrong passwords by user, with the address of one.
fn wrong(pending: &PendingWrites) -> HashMap<Username, (u64, String)> {
    let mut found: HashMap<Username, (u64, String)> = HashMap::new();
    for refusals in pending.refused.values() {
        let Ok(username) = refusals.username.as_str().parse() else {
            continue;
        };
        if matches!(
            refusals.reason,
            RefusalReason::WrongPassword | RefusalReason::Mistyped
        ) {
            let one = found.entry(username).or_default();
            one.0 += refusals.count.unsigned_abs();
            one.1.clone_from(&refusals.address);
        }
    }
    found
}
