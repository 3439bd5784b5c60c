//! The thread that sends alerts. Each alert is sent in a thread of its own, one at a time for each
//! command or address, so that one that hangs delays no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::app::alerts::{OutgoingAlert, SharedSender, store_trouble};
use crate::app::relay::Opener;
use crate::app::{App, World};
use crate::error::Result;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertRules, AlertWay};
use crate::model::store_location::Location;

/// How often it looks for alerts. Those that `serve` raises are written within a second.
const LOOK: Duration = Duration::from_millis(250);
/// How often it counts the outcomes of messages.
const COUNT: Duration = Duration::from_secs(300);
/// How long it waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the store has to be away before that is told.
const AWAY: Duration = Duration::from_secs(10);
/// How often that is told.
const TOLD_AGAIN: Duration = Duration::from_secs(3_600);
/// How long to wait at the end for what is being sent. It is sent again if that was not enough.
const LAST: Duration = Duration::from_secs(1);

/// The thread of a running relay.
pub struct AlertThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AlertThread {
    /// Starts the thread.
    pub fn start(outbox: Outbox) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || outbox.follow(&stopped));
        Self { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // It does not panic, and if it did we would be gone.
        let _ = self.thread.join();
    }
}

/// Sends alerts until there are none, or until it is told to stop.
pub struct Outbox {
    open: Opener,
    world: World,
    sender: SharedSender,
    location: Location,
    app: Option<App>,
    /// As last read, for what cannot be read from the store.
    rules: AlertRules,
    /// Where something is being sent.
    busy: Vec<AlertWay>,
    outcomes: Receiver<Outcome>,
    done: Sender<Outcome>,
    /// Since when the store cannot be used, and whether that was told.
    away: Option<(Instant, bool)>,
    told: Option<Instant>,
    /// When it last looked at the outcomes of messages.
    counted: Option<Instant>,
}

/// What was sent; `None` for what is not in the store.
type Outcome = (
    Option<OutgoingAlert>,
    AlertWay,
    std::result::Result<(), String>,
);

impl Outbox {
    /// Returns one that opens the store when it first looks.
    pub fn new(open: Opener, world: World, sender: SharedSender, location: Location) -> Self {
        let (done, outcomes) = channel();
        Self {
            open,
            world,
            sender,
            location,
            app: None,
            rules: AlertRules::default(),
            busy: Vec::new(),
            outcomes,
            done,
            away: None,
            told: None,
            counted: None,
        }
    }

    /// Sends alerts as they come, until `stop` is set.
    pub fn follow(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.look_at_messages();
            let looked = self.start_due();
            self.note_store(looked.as_ref().err().map(ToString::to_string));
            self.settle_next(LOOK, &mut |_, _| ());
        }
        let deadline = Instant::now() + LAST;
        while !self.busy.is_empty() && Instant::now() < deadline {
            self.settle_next(LOOK, &mut |_, _| ());
        }
    }

    /// Sends what is due, and calls `each` for each that was or was not sent.
    pub fn send_due(
        mut self,
        each: &mut dyn FnMut(&AlertWay, &std::result::Result<(), String>),
    ) -> Result<()> {
        self.look_at_messages();
        loop {
            self.start_due()?;
            if self.busy.is_empty() {
                return Ok(());
            }
            self.settle_next(LOOK, each);
        }
    }

    fn app(&mut self) -> Result<&mut App> {
        // What is written to a store that was moved away is lost.
        if let Some(app) = &mut self.app
            && app.store.version().is_err()
        {
            self.app = None;
        }
        match &mut self.app {
            Some(app) => Ok(app),
            none => {
                let app = App::new((self.open)(PATIENCE)?, self.world);
                Ok(none.insert(app))
            }
        }
    }

    /// Raises alerts about the outcomes of messages, from time to time.
    fn look_at_messages(&mut self) {
        let lately = |then: Instant| then.elapsed() < COUNT;
        if self.counted.is_some_and(lately) {
            return;
        }
        self.counted = Some(Instant::now());
        let location = self.location.clone();
        // Told by start_due if it is the store, and by doctor if it is the messages.
        let _ = self
            .app()
            .and_then(|app| app.raise_message_alerts(&location));
    }

    fn start_due(&mut self) -> Result<()> {
        let busy = self.busy.clone();
        let app = self.app()?;
        let claimed = app.claim_alerts(&busy);
        let rules = app.alert_rules();
        match (claimed, rules) {
            (Ok(claimed), Ok(rules)) => {
                self.rules = rules;
                for alert in claimed {
                    self.start(alert);
                }
                Ok(())
            }
            (Err(error), _) | (_, Err(error)) => {
                self.app = None;
                Err(error)
            }
        }
    }

    fn start(&mut self, alert: OutgoingAlert) {
        let (sender, done) = (Arc::clone(&self.sender), self.done.clone());
        self.busy.push(alert.way.clone());
        thread::spawn(move || {
            let outcome = sender.send(&alert.way, &alert.document);
            let way = alert.way.clone();
            // Fails once no one waits any more.
            let _ = done.send((Some(alert), way, outcome));
        });
    }

    /// Waits for an outcome, and records it.
    fn settle_next(
        &mut self,
        patience: Duration,
        each: &mut dyn FnMut(&AlertWay, &std::result::Result<(), String>),
    ) {
        let mut next = self.outcomes.recv_timeout(patience).ok();
        while let Some((alert, way, outcome)) = next {
            each(&way, &outcome);
            if let Some(alert) = alert {
                // If that fails, it is sent again later: rather twice than never.
                let _ = self
                    .app()
                    .and_then(|app| app.settle_alert(&alert, &outcome));
                self.busy.retain(|busy| *busy != way);
            }
            next = self.outcomes.try_recv().ok();
        }
    }

    /// Tells without the store that the store is away, and raises an alert once it is back.
    fn note_store(&mut self, trouble: Option<String>) {
        let Some(reason) = trouble else {
            if let Some((since, true)) = self.away.take() {
                let seconds = since.elapsed().as_secs();
                // In vain if the store is away again.
                let _ = self.app().and_then(|app| app.store_is_back(seconds));
            }
            return;
        };
        let (since, told) = *self.away.get_or_insert((Instant::now(), false));
        let lately = self.told.is_some_and(|then| then.elapsed() < TOLD_AGAIN);
        if told || lately || since.elapsed() < AWAY || !self.rules.is_on(AlertKind::StoreTrouble) {
            return;
        }
        self.away = Some((since, true));
        self.told = Some(Instant::now());
        let document = store_trouble((self.world.now)(), &reason);
        for way in self.rules.ways() {
            let (sender, done) = (Arc::clone(&self.sender), self.done.clone());
            let document = document.clone();
            thread::spawn(move || {
                let outcome = sender.send(&way, &document);
                let _ = done.send((None, way, outcome));
            });
        }
    }
}
