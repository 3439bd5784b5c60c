//! Reading the audit trail.

use super::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::event::Event;
use crate::model::time::Time;
use crate::store::EventFilter;

impl App {
    pub fn list_events(
        &mut self,
        mut filter: EventFilter,
        within: Option<Duration>,
        after: i64,
        most: Option<u32>,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        filter.since = within.map(|d| Time::from_epoch(self.now().epoch() - d.seconds()));
        self.store.events(&filter, after, most, each)
    }
}
