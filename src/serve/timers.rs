//! What is to happen later. Nothing is ever taken out: who is gone by then is
//! found gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// An attempt or a reservation that may have been answered by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub number: usize,
    pub serial: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Say "wrong".
    Refuse(Slot),
    /// Too late for an answer: hang up.
    GiveUp(Slot),
    /// Look again whether the store can be read.
    SignInAgain(Slot),
    RuleAgain(Slot),
    /// Ask the keeper again.
    ReserveAgain(Slot),
    GiveUpRuling(Slot),
    /// Write down what was found out.
    Note,
    /// Tell the service manager how things are.
    Report,
    /// Accept again after there was no room.
    Accept,
}

/// As many are no reason to give memory back.
const FEW: usize = 1024;

#[derive(Default)]
pub struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub fn set(&mut self, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    pub fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let due = self.0.pop().map(|Reverse((_, timer))| timer);
        if self.0.capacity() > FEW && self.0.len() < self.0.capacity() / 4 {
            // After a rush its memory is given back.
            self.0.shrink_to(self.0.capacity() / 2);
        }
        due
    }
}
