//! Verifies the chain of events.

use crate::error::Result;
use crate::model::event_chain::{ChainCheck, ChainReport, KeptHead};
use crate::store::Store;

/// Events in memory at a time.
const PIECE: u32 = 10_000;
/// How many of the latest events a quick check reads.
pub const LATEST: u32 = 10_000;

/// Reads all events as they are at one moment, and compares their end with a head that was kept
/// elsewhere.
pub fn verify_chain(store: &mut Store, kept: Option<KeptHead>) -> Result<ChainReport> {
    store.at_one_moment(|store| {
        let marks = store.chain_marks()?;
        let mut check = ChainCheck::new(marks, kept);
        while store.read_chain(&mut check, PIECE)? {}
        Ok(check.end())
    })
}

/// Reads only the latest events.
pub fn verify_latest(store: &mut Store, latest: u32) -> Result<ChainReport> {
    store.at_one_moment(|store| {
        let marks = store.chain_marks()?;
        let mut check = match store.chain_before_latest(latest)? {
            Some(place) => ChainCheck::behind(place, marks, None),
            None => ChainCheck::new(marks, None),
        };
        while store.read_chain(&mut check, PIECE)? {}
        Ok(check.end())
    })
}
