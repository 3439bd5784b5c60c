//! Opening the store for who must not wait: a database that hangs would keep
//! everybody waiting. A thread does it, and is looked after now and then.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Opener;
use crate::error::{Error, Result};
use crate::store::Store;

pub struct Opening {
    /// Not here while it is at work.
    open: Option<Opener>,
    under_way: Option<Receiver<(Opener, Result<Store>)>>,
    /// The store could not be opened; that ended then.
    failed: Option<Instant>,
}

/// A lost store is looked for this often at most.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A store that is well is open after so long.
const MOMENT: Duration = Duration::from_millis(100);

impl Opening {
    pub fn new(open: Opener) -> Self {
        Self {
            open: Some(open),
            under_way: None,
            failed: None,
        }
    }

    /// The next try is made at once.
    pub fn forget_failure(&mut self) {
        self.failed = None;
    }

    /// Nothing while it is not known.
    pub fn store(&mut self) -> Option<Result<Store>> {
        let (under_way, patience) = match self.under_way.take() {
            Some(under_way) => (under_way, Duration::ZERO),
            None => (self.begin()?, MOMENT),
        };
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
            // Nobody is there any more only where the program ends.
            let _ = sender.send((open, store));
        });
        Some(receiver)
    }
}

pub fn lost() -> Error {
    Error::System("the store is lost".into())
}
