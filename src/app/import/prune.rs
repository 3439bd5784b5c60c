//! Users that are not in the file. A hash recognises the set again without keeping a
//! million names.

use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::time::Time;

#[derive(Default)]
pub struct PruneSet {
    count: u64,
    /// Hash of their names and creation times.
    names: blake3::Hasher,
}

impl PruneSet {
    /// Expects users in the order of their names.
    pub fn add(&mut self, username: &Username, created_at: Time) {
        self.count += 1;
        // No name contains a newline.
        self.names.update(username.as_str().as_bytes());
        self.names.update(b"\n");
        self.names.update(&created_at.epoch().to_le_bytes());
    }

    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Checks that these are the users whose deletion was confirmed.
    pub fn is_as_seen(&self, seen: &Self) -> Result<()> {
        if self.names.finalize() == seen.names.finalize() {
            return Ok(());
        }
        Err(Error::ChangedMeanwhile(format!(
            "the users to delete have changed: {} now, {} when you confirmed",
            self.count, seen.count
        )))
    }
}
