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
mod opening;
mod recent;
mod sending;
mod sign_in;
mod throttle;

use std::time::{Duration, Instant};

pub use found::{Found, Returned, address_name};
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
use opening::{Opening, lost};

/// Opens the store, again where it was lost, waiting so long for others that
/// have it locked.
pub type Opener = Box<dyn Fn(Duration) -> Result<Store> + Send>;

pub struct Relay {
    opening: Opening,
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
    /// The store is not asked any more after that in this turn: whoever comes next
    /// would be answered too late.
    until: Instant,
    sign_ins: SignIns,
    sending: Sending,
    /// What there is to write down.
    pub found: Found,
}

/// So long a turn may wait for a store in all. Mail servers give up after 10 s, and
/// may have come in the middle of the turn before.
const TURN: Duration = Duration::from_secs(2);

impl Relay {
    pub fn new(open: Opener, world: World) -> Result<Self> {
        let mut secret = [0; 32];
        (world.random)(&mut secret)?;
        Ok(Self {
            opening: Opening::new(open),
            store: None,
            world,
            version: None,
            locked: None,
            epoch: 0,
            settings: None,
            until: Instant::now() + TURN,
            sign_ins: SignIns::new(secret),
            sending: Sending::new(),
            found: Found::default(),
        })
    }

    /// Finds out whether the store changed. Once for each batch of requests,
    /// after they were read: what was committed before somebody asked is seen.
    pub fn refresh(&mut self, now: Instant) -> Result<()> {
        self.until = now + TURN;
        let version = match &mut self.store {
            Some(store) => store.version(),
            None => self.reopen(),
        };
        self.locked = None;
        let version = match version {
            Ok(version) => version,
            Err(Error::StoreBusy(store)) => {
                self.version = None;
                self.locked = Some(store.clone());
                return Err(Error::StoreBusy(store));
            }
            Err(error) if self.store.is_none() => return Err(error),
            Err(error) => {
                self.store = None;
                match self.reopen() {
                    // What was wrong before says more.
                    Err(Error::System(_)) => return Err(error),
                    reopened => reopened?,
                }
            }
        };
        if self.version != Some(version) {
            self.version = Some(version);
            self.epoch += 1;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<i64> {
        self.version = None;
        let mut store = self.opening.store().ok_or_else(lost)??;
        let version = store.version()?;
        self.store = Some(store);
        Ok(version)
    }

    /// What is in memory is as good as the store, or an error.
    fn fresh(&self) -> Result<()> {
        match (&self.locked, &self.store) {
            (Some(store), _) => Err(Error::StoreBusy(store.clone())),
            (None, None) => Err(lost()),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Forgets all that was read.
    pub fn reload(&mut self) {
        self.store = None;
        self.opening.forget_failure();
        self.version = None;
    }

    /// Whether there is something to write down, or to hand back.
    pub fn has_news(&self) -> bool {
        !self.found.is_empty() || self.sending.is_ahead()
    }

    fn store(&mut self) -> Result<&mut Store> {
        if Instant::now() > self.until {
            return Err(Error::System("the store is too slow".into()));
        }
        self.store.as_mut().ok_or_else(lost)
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
