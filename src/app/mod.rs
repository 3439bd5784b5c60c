//! What smtpcred does: the rules, in terms of the model and the store. No
//! terminal, no SQL, no socket.

pub mod apply;
pub mod audit;
pub mod bulk;
mod capacity;
pub mod credential;
pub mod dns;
pub mod domains;
pub mod explain;
pub mod export;
pub mod import;
mod pause;
pub mod relay;
pub mod report;
pub mod rotation;
pub mod settings;
pub mod store_admin;
pub mod usage;
mod usernames;
pub mod users;
pub mod verify;
pub mod why;

use crate::error::{Error, Result};
use crate::model::actor::Actor;
use crate::model::domain::Domain;
use crate::model::event::EventStamp;
use crate::model::hash::Hasher;
use crate::model::name::{DomainName, Username};
use crate::model::password::Random;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{Store, Tx};

/// The clock, random numbers and the actor, passed in so that the rules need no system.
#[derive(Clone, Copy)]
pub struct World {
    /// Returns the current time.
    pub now: fn() -> Time,
    /// Fills a buffer with random bytes.
    pub random: Random,
    /// Returns the user or program that makes a change, for the events.
    pub actor: fn() -> Actor,
}

/// The store and the rules about it.
pub struct App {
    /// The open store.
    pub store: Store,
    world: World,
    hasher: Hasher,
}

impl App {
    /// Returns an app on an open store.
    pub fn new(store: Store, world: World) -> Self {
        Self {
            store,
            world,
            hasher: Hasher::default(),
        }
    }

    /// Returns the current time as the clock has it, plausible or not.
    pub fn now(&self) -> Time {
        (self.world.now)()
    }

    /// Begins a change, as of now and by the current actor.
    fn begin(&mut self) -> Result<Tx<'_>> {
        let stamp = self.stamp()?;
        self.store.begin(stamp)
    }

    fn stamp(&self) -> Result<EventStamp> {
        Ok(EventStamp {
            at: self.now().plausible()?,
            actor: (self.world.actor)(),
        })
    }
}

/// Returns a domain. Fails if it does not exist.
pub(crate) fn need_domain(store: &mut Store, name: &DomainName) -> Result<Domain> {
    store
        .domain(name)?
        .ok_or_else(|| Error::DomainNotFound(name.to_string()))
}

/// Returns a user. Fails if it does not exist.
pub(crate) fn need_user(store: &mut Store, name: &Username) -> Result<User> {
    store.user(name)?.ok_or_else(|| name.not_found())
}
