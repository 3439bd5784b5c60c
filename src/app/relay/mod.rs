//! What a running relay asks: may this one sign in, may it send? The answers
//! come from memory as long as the store did not change, and never outlive
//! what the store says (promise 3).
//!
//! One thread asks ([`Relay`]), with a connection to the store that only
//! reads and never waits; another writes ([`keeper::Keeper`]).

mod ahead;
mod books;
mod found;
pub mod keeper;
mod known;
mod messages;
mod recent;
mod sending;
mod sign_in;
mod throttle;

use std::time::{Duration, Instant};

pub use found::{Found, address_name};
pub use keeper::{Renewed, Reservation, Reserved};
pub use sending::{Envelope, Refusal, Ruling, Stage};
pub use sign_in::{Accepted, Attempt, Digest, Job, Next, Outcome, Upgrade};
pub use throttle::Ticket;

use super::World;
use crate::error::{Error, Place, Result};
use crate::model::settings::Settings;
use crate::store::Store;
use known::SignIns;
use messages::Sending;

/// Opens the store, again where it was lost, waiting so long for others that
/// have it locked.
pub type Opener = Box<dyn Fn(Duration) -> Result<Store> + Send>;

pub struct Relay {
    open: Opener,
    store: Option<Store>,
    world: World,
    /// Of the store, as it was last seen.
    version: Option<i64>,
    /// It is there, and cannot be looked at: somebody has it locked.
    locked: Option<Place>,
    /// Grows whenever anything in the store may have changed. What is kept of
    /// the store is true in the epoch it was read in.
    epoch: u64,
    settings: Option<(u64, Settings)>,
    /// The store could not be opened then.
    failed: Option<Instant>,
    sign_ins: SignIns,
    sending: Sending,
    /// What there is to write down.
    pub found: Found,
}

/// A lost store is looked for this often at most.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Relay {
    pub fn new(open: Opener, world: World) -> Result<Self> {
        let mut secret = [0; 32];
        (world.random)(&mut secret)?;
        Ok(Self {
            open,
            store: None,
            world,
            version: None,
            locked: None,
            epoch: 0,
            settings: None,
            failed: None,
            sign_ins: SignIns::new(secret),
            sending: Sending::new(),
            found: Found::default(),
        })
    }

    /// Finds out whether the store changed. Once for each batch of requests,
    /// after they were read: what was committed before somebody asked is seen.
    pub fn refresh(&mut self, now: Instant) -> Result<()> {
        let version = match &mut self.store {
            Some(store) => store.version(),
            None => self.reopen(now),
        };
        self.locked = None;
        let version = match version {
            Ok(version) => version,
            Err(Error::StoreBusy(store)) => {
                self.version = None;
                self.locked = Some(store.clone());
                return Err(Error::StoreBusy(store));
            }
            Err(_) => {
                self.store = None;
                self.reopen(now)?
            }
        };
        if self.version != Some(version) {
            self.version = Some(version);
            self.epoch += 1;
        }
        Ok(())
    }

    fn reopen(&mut self, now: Instant) -> Result<i64> {
        self.version = None;
        if self
            .failed
            .is_some_and(|then| now.duration_since(then) < LOOK_AGAIN)
        {
            return Err(Error::System("the store is lost".into()));
        }
        self.failed = Some(now);
        // Nobody else is served while this thread waits.
        let mut store = (self.open)(Duration::ZERO)?;
        let version = store.version()?;
        self.store = Some(store);
        self.failed = None;
        Ok(version)
    }

    /// What is in memory is as good as the store, or an error.
    fn fresh(&self) -> Result<()> {
        match (&self.locked, &self.store) {
            (Some(store), _) => Err(Error::StoreBusy(store.clone())),
            (None, None) => Err(Error::System("the store is lost".into())),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Forgets all that was read.
    pub fn reload(&mut self) {
        self.store = None;
        self.failed = None;
        self.version = None;
    }

    /// Whether there is something to write down, or to hand back.
    pub fn has_news(&self) -> bool {
        !self.found.is_empty() || self.sending.is_ahead()
    }

    fn store(&mut self) -> Result<&mut Store> {
        self.store
            .as_mut()
            .ok_or_else(|| Error::System("the store is lost".into()))
    }

    fn settings(&mut self) -> Result<&Settings> {
        let epoch = self.epoch;
        if self
            .settings
            .as_ref()
            .is_none_or(|(read, _)| *read != epoch)
        {
            let settings = self.store()?.settings()?;
            self.settings = Some((epoch, settings));
        }
        match &self.settings {
            Some((_, settings)) => Ok(settings),
            None => Err(Error::System("the settings are lost".into())),
        }
    }
}
