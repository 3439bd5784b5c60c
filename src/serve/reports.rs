//! What is told: to the log, to the service manager, and to whoever writes to
//! the store.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::log::Level;
use super::server::Server;
use super::timers::Timer;
use crate::app::relay::Found;
use crate::error::Result;

const REPORT: Duration = Duration::from_secs(10);
const COMPLAIN: Duration = Duration::from_secs(1);

impl Server {
    /// Hands back what was counted ahead, too; who is busy gets as much anew while
    /// there is more to come.
    pub(super) fn note(&mut self, more: bool) {
        let busy = if more {
            self.relay.hand_back_for_more()
        } else {
            self.relay.hand_back();
            Vec::new()
        };
        let found = self.relay.take_found();
        if found.lost > 0 {
            let lost = found.lost;
            self.log.say(
                Level::Warning,
                format!("{lost} refused sign-ins were too many to write down"),
            );
        }
        self.keeping.note(found, busy);
    }

    pub(super) fn report(&mut self, now: Instant) {
        let status = format!(
            "{} connections, {} sign-ins in work",
            self.connections.len(),
            self.sign_ins.len()
        );
        notify(&[NotifyState::Status(&status), NotifyState::Watchdog]);
        let often = self
            .watchdog
            .map_or(REPORT, |watchdog| (watchdog / 2).min(REPORT));
        self.timers.set(now + often, Timer::Report);
        // So that old things are forgotten where nothing new is found out.
        self.keeping.note(Found::default(), Vec::new());
    }

    pub(super) fn say_if_lost(&mut self, fresh: &Result<()>) {
        match fresh {
            Err(error) if !self.lost => {
                self.log.say(
                    Level::Error,
                    format!("cannot read the store: {error}; sign-ins are put off"),
                );
            }
            Ok(()) if self.lost => self
                .log
                .say(Level::Notice, "the store can be read again".into()),
            _ => {}
        }
        self.lost = fresh.is_err();
    }

    /// What strangers can cause is not said more than once a second.
    pub(super) fn complain(&mut self, why: &str) {
        let now = Instant::now();
        if self
            .complained
            .is_some_and(|then| now.duration_since(then) < COMPLAIN)
        {
            self.unsaid += 1;
            return;
        }
        let more = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            n => format!(" (and {n} times before, for this or other reasons)"),
        };
        self.complained = Some(now);
        self.log.say(
            Level::Warning,
            format!("hung up on a mail server: {why}{more}"),
        );
    }
}

/// Where no service manager listens, there is nobody to tell.
pub(super) fn notify(states: &[NotifyState]) {
    let _ = sd_notify::notify(states);
}
