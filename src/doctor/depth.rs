//! How much of a large store is read.

use std::time::Duration;

use crate::app::World;
use crate::app::chain::LATEST;
use crate::error::Result;
use crate::store::{Store, UserScan};

/// How much of the store a check reads.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// The most users in each scan.
    pub users: u32,
    /// The days, the latest ones, whose usage is summed again.
    pub usage_days: i64,
    /// How many events, the latest ones; `None` for all.
    pub events: Option<u32>,
    /// The time limit of each check; a slow disk reads less in it.
    pub time: Duration,
}

impl Depth {
    /// All checks together take about three seconds.
    pub const SAMPLE: Self = Self {
        users: 100_000,
        usage_days: 2,
        events: Some(LATEST),
        time: Duration::from_millis(700),
    };
    /// Reads everything, for up to an hour in each check.
    pub const FULL: Self = Self {
        users: u32::MAX,
        usage_days: 400,
        events: None,
        time: Duration::from_secs(3600),
    };

    /// Selects a random sample of users.
    pub fn scan(self, store: &mut Store, world: World) -> Result<UserScan> {
        let mut random = [0; 4];
        (world.random)(&mut random)?;
        store.sample(self.users, u32::from_ne_bytes(random))
    }
}

/// The command that checks everything.
pub const ALL_OF_IT: &str = "smtpcred doctor --full";
