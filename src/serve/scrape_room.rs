//! What metrics are answered with: the page, which is written at most once a second however often
//! it is asked for, and the connections of those who ask.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Waker;

use super::metrics_thread::MetricsThread;
use super::scrapes::Scrapes;
use crate::app::World;
use crate::app::metrics::relay::{PolicyCounts, RelayState, SignInCounts};
use crate::app::metrics::{self, Exposition, ExpositionForm};
use crate::app::relay::Opener;
use crate::model::time::Time;
use crate::protocol::http::{HttpStatus, answer};

/// Those who scrape metrics, and what they get.
pub struct ScrapeRoom {
    pub clients: Scrapes,
    pub thread: MetricsThread,
    /// The timer that looks at the clients is set.
    pub is_due: bool,
    started_at: Time,
    /// The answer in the newer and in the older format, and when it was written.
    pages: [Option<(Instant, Rc<str>)>; 2],
}

/// What the loop knows.
pub struct LoopFigures<'a> {
    pub sign_ins: &'a SignInCounts,
    pub policy: &'a PolicyCounts,
    /// Without what this room knows itself.
    pub state: RelayState,
    /// The store can be read.
    pub is_well: bool,
}

/// How long a page is sent again.
const AGAIN: Duration = Duration::from_secs(1);

impl ScrapeRoom {
    /// Starts the thread that reads the store.
    pub fn new(open: Opener, world: World, waker: &Arc<Waker>) -> Self {
        Self {
            clients: Scrapes::default(),
            thread: MetricsThread::start(open, world, Arc::clone(waker)),
            is_due: false,
            started_at: (world.now)(),
            pages: [None, None],
        }
    }

    /// Returns whether a page has to be written before those who wait can be answered.
    pub fn is_old(&self, now: Instant) -> bool {
        let is_old = |page: &Option<(Instant, Rc<str>)>| {
            page.as_ref()
                .is_none_or(|(at, _)| now.saturating_duration_since(*at) >= AGAIN)
        };
        self.pages.iter().any(is_old)
    }

    /// Writes the pages.
    pub fn write(&mut self, figures: &LoopFigures<'_>, now: Instant) {
        let reading = self.thread.last();
        let state = RelayState {
            started_at: Some(self.started_at),
            resident: reading.resident,
            ..figures.state
        };
        let forms = [ExpositionForm::OpenMetrics, ExpositionForm::Prometheus];
        self.pages = std::array::from_fn(|i| {
            let mut page = Exposition::new(forms[i]);
            metrics::build(&mut page);
            metrics::store_up(&mut page, figures.is_well && !reading.failed);
            figures.sign_ins.write(&mut page);
            figures.policy.write(&mut page);
            state.write(&mut page);
            if let Some(store) = &reading.store {
                page.append(&store[i]);
            }
            let text = page.end();
            let page = answer(HttpStatus::Ok, forms[i].content_type(), &text);
            Some((now, page.into()))
        });
    }

    /// Answers all who wait.
    pub fn answer(&mut self, now: Instant) {
        let pages = &self.pages;
        self.clients.answer(now, |open| {
            let page = &pages[usize::from(!open)];
            page.as_ref()
                .map_or_else(|| "".into(), |(_, page)| Rc::clone(page))
        });
    }
}
