//! Lists events of the audit trail.

use super::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::event::Event;
use crate::model::time::Time;
use crate::store::EventFilter;

/// Which of the matching events to list.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The events after an id, up to a limit.
    After(i64, Option<u32>),
    /// The latest events.
    Last(u32),
}

impl App {
    /// Lists events, oldest first. Those of a user include the ones under its old names.
    pub fn list_events(
        &mut self,
        mut filter: EventFilter,
        within: Option<Duration>,
        which: Which,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        filter.since = within.map(|d| Time::from_epoch(self.now().epoch() - d.seconds()));
        if let Some(username) = &filter.username {
            let old = self.store.old_names_of(username)?.into_iter();
            filter.old_names = old.map(|old| old.old_name).collect();
        }
        let (after, most) = match which {
            Which::After(after, most) => (after, most),
            Which::Last(most) => (self.store.before_latest(&filter, most)?, None),
        };
        self.store.events(&filter, after, most, each)
    }
}
