//! What is to happen later. Timers are never cancelled: one whose request is gone by then
//! does nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::app::relay::Ticket;

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Answer "wrong".
    Refuse(Ticket),
    /// It is too late for an answer: hang up.
    GiveUp(Ticket),
    GiveUpRequest(Ticket),
    /// A client that waits for a hash may have its turn.
    HashNext,
    /// A worker was occupied long enough.
    Unoccupied,
    /// The store was locked; try again.
    SignInAgain(Ticket),
    DecideAgain(Ticket),
    /// Ask the writer again.
    ReserveAgain(Ticket),
    /// Write what is pending.
    Write,
    /// Report to the service manager.
    Report,
    /// Look whether someone asks for the open sessions.
    Sessions,
    /// Accept again after there was no room.
    Accept,
    /// Look at those who scrape metrics.
    Scrapes,
}

/// A heap of this capacity is not shrunk.
const FEW: usize = 1024;

/// The timers that are set.
#[derive(Default)]
pub struct Timers {
    /// Those of clients that wait for an answer. They need no store and come first: a slow
    /// store must not delay them.
    answers: BinaryHeap<Reverse<(Instant, Timer)>>,
    others: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timer {
    const fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Refuse(_) | Self::GiveUp(_) | Self::GiveUpRequest(_)
        )
    }
}

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, at: Instant, timer: Timer) {
        let heap = if timer.is_answer() {
            &mut self.answers
        } else {
            &mut self.others
        };
        heap.push(Reverse((at, timer)));
    }

    /// Returns when the next timer is due.
    pub fn next(&self) -> Option<Instant> {
        [first(&self.answers), first(&self.others)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns an answer that is due. Reads the clock only if there is any.
    pub fn due_answer(&mut self) -> Option<Timer> {
        let at = first(&self.answers)?;
        due(&mut self.answers, at, Instant::now())
    }

    /// Returns a timer that is due and is no answer.
    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        let at = first(&self.others)?;
        due(&mut self.others, at, now)
    }
}

fn first(heap: &BinaryHeap<Reverse<(Instant, Timer)>>) -> Option<Instant> {
    heap.peek().map(|Reverse((at, _))| *at)
}

fn due(
    heap: &mut BinaryHeap<Reverse<(Instant, Timer)>>,
    at: Instant,
    now: Instant,
) -> Option<Timer> {
    if at > now {
        return None;
    }
    let due = heap.pop().map(|Reverse((_, timer))| timer);
    if heap.capacity() > FEW && heap.len() < heap.capacity() / 4 {
        // Frees memory after a rush.
        heap.shrink_to(heap.capacity() / 2);
    }
    due
}
