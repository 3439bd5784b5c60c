//! Lists events of the audit trail.

use super::App;
use crate::error::Result;
use crate::model::event::Event;
use crate::model::since::Since;
use crate::store::EventFilter;

/// When events happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// Then or later.
    pub since: Option<Since>,
    /// Before then.
    pub until: Option<Since>,
}

/// Which of the matching events to list.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The events after an id, up to a limit.
    After(i64, Option<u32>),
    /// The latest events, oldest first.
    Last(u32),
    /// The latest events up to a limit, newest first.
    NewestFirst(Option<u32>),
}

impl App {
    /// Lists events that match. Those of a user include the ones under its old names.
    pub fn list_events(
        &mut self,
        mut filter: EventFilter,
        period: Period,
        which: Which,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let now = self.now();
        filter.since = period.since.map(|since| since.at(now));
        filter.until = period.until.map(|until| until.at(now));
        if let Some(username) = &filter.username {
            let old = self.store.old_names_of(username)?.into_iter();
            filter.old_names = old.map(|old| old.old_name).collect();
        }
        let (after, most) = match which {
            Which::After(after, most) => (after, most),
            Which::Last(most) => (self.store.before_latest(&filter, most)?, None),
            Which::NewestFirst(most) => return self.store.events_back(&filter, most, each),
        };
        self.store.events(&filter, after, most, each)
    }
}
