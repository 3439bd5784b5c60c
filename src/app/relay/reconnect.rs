//! Opens the store without blocking the loop: a database that hangs would block all clients.
//! A thread opens the store, and the loop looks for the result.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::store::Store;

/// Opens the store, waiting this long for other processes that have it locked.
pub type Opener = Box<dyn Fn(Duration) -> Result<Store> + Send>;

pub struct Reconnect {
    /// `None` while a thread uses it.
    open: Option<Opener>,
    under_way: Option<Receiver<(Opener, Result<Store>)>>,
    /// When the last attempt failed.
    failed: Option<Instant>,
    /// How long the next attempt is waited for.
    patience: Duration,
}

/// The shortest time between two attempts.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The first attempt is waited for this long, so that `serve` can answer from the start.
const FIRST: Duration = Duration::from_secs(5);
/// And all others this long: time enough for a store that is well.
const MOMENT: Duration = Duration::from_millis(100);

impl Reconnect {
    pub fn new(open: Opener) -> Self {
        Self {
            open: Some(open),
            under_way: None,
            failed: None,
            patience: FIRST,
        }
    }

    /// Makes the next attempt at once.
    pub fn forget_failure(&mut self) {
        self.failed = None;
    }

    /// Returns the store or why it cannot be opened; `None` if that is not known yet.
    pub fn store(&mut self) -> Option<Result<Store>> {
        let (under_way, patience) = match self.under_way.take() {
            Some(under_way) => (under_way, Duration::ZERO),
            None => (self.begin()?, self.patience),
        };
        self.patience = MOMENT;
        let Ok((open, store)) = under_way.recv_timeout(patience) else {
            self.under_way = Some(under_way);
            return None;
        };
        self.open = Some(open);
        self.failed = store.is_err().then(Instant::now);
        Some(store)
    }

    fn begin(&mut self) -> Option<Receiver<(Opener, Result<Store>)>> {
        if self.failed.is_some_and(|then| then.elapsed() < LOOK_AGAIN) {
            return None;
        }
        let open = self.open.take()?;
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let store = open(Duration::ZERO);
            // There is no receiver once the program ends.
            let _ = sender.send((open, store));
        });
        Some(receiver)
    }
}
