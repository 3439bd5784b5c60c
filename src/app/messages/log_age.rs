//! How much time passed in a log, whatever its clocks say.

use crate::model::log_time::LogTime;

/// A pause between two lines counts as this at most, in seconds: a wrong clock ends nothing.
const LONGEST_PAUSE: u64 = 3600;
/// A clock that is set back by more than this, in seconds, was wrong before.
const SET_BACK: i64 = 24 * 3600;

/// Counts events and seconds.
pub struct LogAge {
    events: u64,
    seconds: u64,
    newest: i64,
    /// The event before which lines were dropped last.
    gap: Option<u64>,
}

/// How far the logs were followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMoment {
    /// How many lines had an event.
    pub events: u64,
    /// How much time passed in them.
    pub seconds: u64,
}

impl LogAge {
    pub const fn new() -> Self {
        Self {
            events: 0,
            seconds: 0,
            newest: i64::MIN,
            gap: None,
        }
    }

    /// The next event has this time.
    pub fn advance(&mut self, at: LogTime) {
        self.events += 1;
        let second = at.time().epoch();
        let pause = second.saturating_sub(self.newest);
        if pause > 0 && self.newest != i64::MIN {
            self.seconds += pause.unsigned_abs().min(LONGEST_PAUSE);
        }
        if !(-SET_BACK..=0).contains(&pause) {
            self.newest = second;
        }
    }

    /// This many seconds without lines pass.
    pub const fn wait(&mut self, seconds: u64) {
        self.seconds = self.seconds.saturating_add(seconds);
    }

    /// Lines were dropped: what has no end may have had one there.
    pub const fn note_gap(&mut self) {
        self.gap = Some(self.events);
    }

    pub const fn moment(&self) -> LogMoment {
        LogMoment {
            events: self.events,
            seconds: self.seconds,
        }
    }

    pub const fn events(&self) -> u64 {
        self.events
    }

    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    pub const fn gap(&self) -> Option<u64> {
        self.gap
    }

    /// Whether lines were dropped after this event.
    pub fn has_gap_after(&self, event: u64) -> bool {
        self.gap.is_some_and(|gap| gap >= event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_clocks_count_for_little() {
        let mut age = LogAge::new();
        let mut at = |second: i64| {
            age.advance(LogTime::from_micros(second * 1_000_000));
            age.seconds()
        };
        assert_eq!(at(1_000_000), 0);
        assert_eq!(at(1_000_010), 10);
        // Another host is behind.
        assert_eq!(at(1_000_005), 10);
        assert_eq!(at(1_000_011), 11);
        // The next century, and back.
        assert_eq!(at(4_000_000_000), 3611);
        assert_eq!(at(1_000_012), 3611);
        assert_eq!(at(1_000_013), 3612);
    }
}
