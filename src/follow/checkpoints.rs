//! From where a later run has to read again: what a client is sending, and what belongs to
//! no user yet, is not recorded.

use std::collections::VecDeque;

use crate::app::messages::follower::{Follower, LogMoment};
use crate::model::log_position::LogPosition;

/// How much a later run reads again at most, in bytes.
const MOST: u64 = 64 << 20;
/// How many are kept.
const KEPT: usize = 1024;

/// Where the logs were read up to when a batch ended.
pub struct Checkpoints {
    kept: VecDeque<Checkpoint>,
    /// How much was read in all, in bytes.
    read: u64,
}

struct Checkpoint {
    moment: LogMoment,
    read: u64,
    positions: Vec<LogPosition>,
}

impl Checkpoints {
    /// Begins with where the logs are read from.
    pub fn new(positions: Vec<LogPosition>) -> Self {
        let first = Checkpoint {
            moment: LogMoment::default(),
            read: 0,
            positions,
        };
        Self {
            kept: VecDeque::from([first]),
            read: 0,
        }
    }

    /// A batch of this many bytes ends here. Returns where a later run begins: with places
    /// that are older, but with what is known by now.
    pub fn end_batch(
        &mut self,
        bytes: u64,
        positions: Vec<LogPosition>,
        follower: &Follower,
    ) -> Vec<LogPosition> {
        self.read += bytes;
        let now = positions.clone();
        self.kept.push_back(Checkpoint {
            moment: follower.moment(),
            read: self.read,
            positions,
        });
        let is_needless = |next: &Checkpoint, read: u64| {
            follower.is_enough_from(next.moment) || read - next.read > MOST
        };
        while self
            .kept
            .get(1)
            .is_some_and(|next| is_needless(next, self.read))
        {
            self.kept.pop_front();
        }
        self.thin_out();
        self.thin_out();
        let Some(first) = self.kept.front_mut() else {
            return now;
        };
        now.into_iter()
            .map(|position| first.begun_at(position))
            .collect()
    }

    /// Drops every other one, except for the first.
    fn thin_out(&mut self) {
        if self.kept.len() > KEPT {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }
}

impl Checkpoint {
    /// The place of a source then, and the rest as it is now. A source that had no place yet
    /// began with this file.
    fn begun_at(&mut self, now: LogPosition) -> LogPosition {
        let known = self
            .positions
            .iter()
            .find(|place| place.source == now.source);
        if let Some(place) = known {
            return LogPosition {
                file: place.file,
                offset: place.offset,
                cursor: place.cursor.clone(),
                ..now
            };
        }
        let begun = LogPosition { offset: 0, ..now };
        self.positions.push(begun.clone());
        begun
    }
}
