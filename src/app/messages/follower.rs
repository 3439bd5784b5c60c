//! Events of the log in, changes of messages out.

pub use super::log_age::LogMoment;
use super::tracker::{Place, Tracker};
use super::{adopt, exim, postfix};
use crate::formats::maillog::log_reader::{LogEntry, LogEvent};
use crate::model::followed_message::{FollowedMessage, MessageChange, RefusedMessage};

/// What the open messages may take, in bytes, if nothing else is said: about 20,000 of them,
/// with which a program stays below 32 MB.
pub const DEFAULT_LIMIT: usize = 16 << 20;

/// Follows the messages of users. One follower reads all logs of a relay, so that messages
/// which pass several instances are followed across them.
pub struct Follower {
    tracker: Tracker,
    wanted: Box<dyn Fn(&str) -> bool + Send>,
}

impl Follower {
    /// Follows the messages of the users for whom `wanted` is true. If they take more than
    /// about `limit` bytes, the oldest become unknown.
    pub fn new(limit: usize, wanted: impl Fn(&str) -> bool + Send + 'static) -> Self {
        Self {
            tracker: Tracker::new(limit),
            wanted: Box::new(wanted),
        }
    }

    /// Takes up a message that an earlier run followed and that had `open_ids`. Then its log
    /// is read again from somewhat before the place where that run stopped: legs that no
    /// user's message had yet are not recorded.
    pub fn adopt(&mut self, message: &FollowedMessage) -> bool {
        adopt::adopt(&mut self.tracker, message)
    }

    /// Takes the next event of a log. Call [`drain`](Self::drain) now and then.
    pub fn entry(&mut self, entry: &LogEntry<'_>) {
        let tracker = &mut self.tracker;
        tracker.advance(entry.at);
        let root = entry.program.iter().position(|byte| *byte == b'/');
        let place = Place {
            at: entry.at,
            host: tracker.hosts.number(entry.host),
            program: tracker
                .programs
                .number(&entry.program[..root.unwrap_or(entry.program.len())]),
            pid: entry.pid,
        };
        match &entry.event {
            LogEvent::Postfix(event) => postfix::apply(tracker, &place, event, &*self.wanted),
            LogEvent::Exim(event) => exim::apply(tracker, &place, event, &*self.wanted),
            LogEvent::Dropped(_) => tracker.age.note_gap(),
        }
    }

    /// Passes on each message that changed since the last time, as it is now, and says which
    /// are settled.
    pub fn drain(&mut self, mut sink: impl FnMut(MessageChange)) {
        self.tracker.last_changes.drain(..).for_each(&mut sink);
        let mut changed = std::mem::take(&mut self.tracker.changed);
        for key in changed.drain(..) {
            self.tracker.legs.change(key, |leg| leg.is_changed = false);
            if let Some(message) = self.tracker.message(key) {
                sink(MessageChange::Changed(message));
            }
        }
        self.tracker.changed = changed;
    }

    /// Passes on the messages that clients were refused after their data.
    pub fn drain_refused(&mut self, sink: impl FnMut(RefusedMessage)) {
        self.tracker.refusals.drain(..).for_each(sink);
    }

    /// Lines were lost: what has no end may have had one there.
    pub const fn lose(&mut self) {
        self.tracker.age.note_gap();
    }

    /// Now, as the logs have it.
    pub const fn moment(&self) -> LogMoment {
        self.tracker.age.moment()
    }

    /// Whether a later run that adopts the open messages, and reads all lines from this moment
    /// on, follows all that this one follows.
    pub fn is_enough_from(&self, moment: LogMoment) -> bool {
        adopt::is_enough_from(&self.tracker, moment)
    }

    /// Settles what is over, without waiting for late lines: a log that nothing is added to
    /// was read to its end. What is open stays open.
    pub fn finish(&mut self) {
        self.tracker.finish();
    }

    /// How many messages and other legs are kept.
    pub fn open_legs(&self) -> usize {
        self.tracker.legs.len()
    }
}
