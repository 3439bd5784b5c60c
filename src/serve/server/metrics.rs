//! Metrics, after everything else: sign-ins and messages come first.

use std::time::{Duration, Instant};

use super::Server;
use crate::app::metrics::relay::RelayState;
use crate::serve::connection::Stream;
use crate::serve::scrape_room::LoopFigures;
use crate::serve::timers::Timer;

/// How often slow clients are looked at.
const LOOK: Duration = Duration::from_millis(250);

impl Server {
    /// Waits for the request of a new connection.
    pub(super) fn welcome_scrape(&mut self, mut stream: Stream, now: Instant) {
        let Some(room) = &mut self.scrapes else {
            return;
        };
        let number = room.clients.make_room();
        if self.network.watch_scrape(&mut stream, number) {
            room.clients.connected(number, stream, now);
            self.look_later(now);
        }
    }

    /// Reads a request, or sends more of the answer.
    pub(super) fn scrape(&mut self, number: usize, now: Instant) {
        let is_well = self.housekeeping.is_store_well();
        if let Some(room) = &mut self.scrapes {
            room.clients.ready(number, is_well, now);
        }
    }

    /// Answers those who wait for metrics, as soon as the store was read for them.
    pub(super) fn answer_scrapes(&mut self, now: Instant) {
        let Some(room) = &mut self.scrapes else {
            return;
        };
        let Some(is_late) = room.clients.waiting(now) else {
            return;
        };
        if !room.is_old(now) {
            room.answer(now);
        } else if room.thread.fresh(now).is_some() || is_late {
            self.answer_last_scrapes(now);
        }
    }

    /// Answers them with what is known.
    pub(super) fn answer_last_scrapes(&mut self, now: Instant) {
        let Some(room) = &mut self.scrapes else {
            return;
        };
        if room.clients.waiting(now).is_none() {
            return;
        }
        let figures = LoopFigures {
            sign_ins: &self.sign_ins.counts,
            policy: &self.decisions.counts,
            state: RelayState {
                connections: self.network.len(),
                waiting: self.sign_ins.len(),
                hashing: self.relay.hashing(),
                sessions: self.relay.session_count(),
                remembering: self.relay.remembering(),
                ..RelayState::default()
            },
            is_well: self.housekeeping.is_store_well(),
        };
        room.write(&figures, now);
        room.answer(now);
    }

    /// Closes those that are too slow.
    pub(super) fn look_at_scrapes(&mut self, now: Instant) {
        let Some(room) = &mut self.scrapes else {
            return;
        };
        room.is_due = false;
        if room.clients.expire(now) {
            self.look_later(now);
        }
    }

    fn look_later(&mut self, now: Instant) {
        if let Some(room) = &mut self.scrapes
            && !room.is_due
        {
            room.is_due = true;
            self.timers.set(now + LOOK, Timer::Scrapes);
        }
    }
}
