//! What the service manager is told. Without one, this does nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How often it is told that this process is alive.
const ALIVE: Duration = Duration::from_secs(5);

thread_local! {
    static TOLD: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The logs are open.
pub fn is_ready() {
    notify(&[NotifyState::Ready, NotifyState::Watchdog]);
}

/// The process works, or waits for something that it will notice.
pub fn is_alive() {
    let now = Instant::now();
    TOLD.with(|told| {
        if told.get().is_none_or(|then| now - then >= ALIVE) {
            told.set(Some(now));
            notify(&[NotifyState::Watchdog]);
        }
    });
}

/// What it is doing, for `systemctl status`.
pub fn says(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The process ends.
pub fn is_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState]) {
    let _ = sd_notify::notify(states);
}
