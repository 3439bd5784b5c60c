//! Fills in derived data that a store of an earlier version lacks: sums of its usage, and
//! indexes of its events. Each batch blocks others for some milliseconds, and all answers are
//! right meanwhile. After a kill, the next run continues.

use std::time::Instant;

use crate::app::App;
use crate::app::pause::let_others;
use crate::error::Result;
use crate::model::time::Time;
use crate::model::usage::Usage;
use crate::store::{Store, Tx};

/// How many rows of usage are summed in one change.
const ROWS: u32 = 5000;

/// The progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillProgress {
    /// How many rows of usage are summed.
    Usage(u64),
    /// How many blocks of events are indexed, and of how many.
    Events(i64, i64),
    /// How many indexes are left, including the current one.
    Indexes(u64),
}

/// Fills in a batch within a given change. Returns whether there may be more.
pub(crate) fn backfill_some(tx: &mut Tx, now: Time) -> Result<bool> {
    let today = today(tx.store(), now)?;
    Ok(tx.sum_usage(today, ROWS)?.more || tx.index_events()?)
}

fn today(store: &mut Store, now: Time) -> Result<i64> {
    Ok(Usage::day_of(now, &store.settings()?.day))
}

impl App {
    /// Fills in all missing data, and reports the progress.
    pub fn backfill(&mut self, each: &mut dyn FnMut(BackfillProgress)) -> Result<()> {
        let now = self.now().plausible()?;
        let today = today(&mut self.store, now)?;
        let mut rows = 0;
        loop {
            let began = Instant::now();
            let mut tx = self.begin()?;
            let summed = tx.sum_usage(today, ROWS)?;
            tx.commit()?;
            rows += summed.rows;
            if rows > 0 {
                each(BackfillProgress::Usage(rows));
            }
            if !summed.more {
                break;
            }
            let_others(began);
        }
        let wanted = self.store.event_blocks_wanted()?;
        for block in self.store.event_blocks()?..wanted {
            each(BackfillProgress::Events(block, wanted));
            let began = Instant::now();
            let mut tx = self.begin()?;
            tx.index_events()?;
            tx.commit()?;
            let_others(began);
        }
        let mut indexes = |left| each(BackfillProgress::Indexes(left));
        self.store.create_event_indexes(&mut indexes)
    }
}
