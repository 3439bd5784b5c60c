//! What `serve` reports, to the log and to the service manager, and how often.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::log::{Level, Log};
use crate::error::{Error, Result};
use crate::model::cache_status::CacheStatus;
use crate::model::text::{count, times};

/// What is logged once, and reported to the service manager.
pub struct Housekeeping {
    log: Log,
    /// The store cannot be read, and that was logged.
    store_lost: bool,
    /// The memory for right passwords is full, and that was logged.
    crowded: bool,
    /// When a connection that we closed was last logged, and how many were not logged since.
    complained: Option<Instant>,
    unlogged: u64,
    /// How often the service manager expects a report.
    watchdog: Option<Duration>,
}

const REPORT: Duration = Duration::from_secs(10);
const COMPLAIN: Duration = Duration::from_secs(1);

impl Housekeeping {
    /// Returns the state of a program that has just started.
    pub fn new(log: Log) -> Self {
        Self {
            log,
            store_lost: false,
            crowded: false,
            complained: None,
            unlogged: 0,
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    /// Logs once that the store cannot be read, and once that it can be read again.
    pub fn store_refreshed(&mut self, refreshed: &Result<()>) {
        match refreshed {
            Err(error) if !self.store_lost => {
                let cure = match error {
                    Error::StoreNotUnique { cure, .. } => format!("; {cure}"),
                    _ => String::new(),
                };
                self.log.say(
                    Level::Error,
                    format!("cannot read the store: {error}; sign-ins are deferred{cure}"),
                );
            }
            Ok(()) if self.store_lost => self
                .log
                .say(Level::Notice, "the store can be read again".into()),
            _ => {}
        }
        self.store_lost = refreshed.is_err();
    }

    /// Returns whether the store could be read when it was last looked at.
    pub const fn is_store_well(&self) -> bool {
        !self.store_lost
    }

    /// Logs once that the memory for right passwords is full.
    pub fn remembering(&mut self, remembering: &CacheStatus) {
        if remembering.crowded > 0 && !self.crowded {
            self.crowded = true;
            let line = format!(
                "the memory for right passwords is full with {}; the others are hashed at each \
                sign-in; see --remember",
                count(remembering.passwords, "password")
            );
            self.log.say(Level::Warning, line);
        }
    }

    /// Logs why a connection is closed, at most once a second: strangers can cause this.
    pub fn hung_up(&mut self, why: &str, now: Instant) {
        if self
            .complained
            .is_some_and(|then| now.duration_since(then) < COMPLAIN)
        {
            self.unlogged += 1;
            return;
        }
        let more = match std::mem::take(&mut self.unlogged) {
            0 => String::new(),
            n => format!(" (and {} before, for this or other reasons)", times(n)),
        };
        self.complained = Some(now);
        self.log.say(
            Level::Warning,
            format!("hung up on a mail server: {why}{more}"),
        );
    }

    /// Reports to the service manager. Returns when to do so again.
    pub fn report(&self, connections: usize, sign_ins: usize, remembered: u64) -> Duration {
        let status = format!(
            "{}, {} in progress, {} remembered",
            count(connections as u64, "connection"),
            count(sign_ins as u64, "sign-in"),
            count(remembered, "password")
        );
        notify(&[NotifyState::Status(&status), NotifyState::Watchdog]);
        self.watchdog
            .map_or(REPORT, |watchdog| (watchdog / 2).min(REPORT))
    }
}

/// Without a service manager, this does nothing.
pub fn notify(states: &[NotifyState]) {
    let _ = sd_notify::notify(states);
}
