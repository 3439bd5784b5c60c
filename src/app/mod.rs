//! What smtpcred does: the rules, in terms of the model and the store. No
//! terminal, no SQL, no socket.

pub mod apply;
pub mod audit;
pub mod bulk;
pub mod copying;
pub mod credential;
pub mod dns;
pub mod domains;
pub mod explain;
pub mod export;
pub mod import;
pub mod relay;
pub mod report;
pub mod rotation;
pub mod settings;
pub mod sign_in;
pub mod upkeep;
pub mod usage;
pub mod users;
pub mod why;

use crate::error::{Error, Result};
use crate::model::actor::Actor;
use crate::model::domain::Domain;
use crate::model::event::Stamp;
use crate::model::hash::Hasher;
use crate::model::name::{DomainName, Username};
use crate::model::password::Random;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{Store, Tx};

/// What the rules need of the world around them, passed in as values.
#[derive(Clone, Copy)]
pub struct World {
    pub now: fn() -> Time,
    pub random: Random,
    pub actor: fn() -> Actor,
}

pub struct App {
    pub store: Store,
    world: World,
    hasher: Hasher,
}

impl App {
    pub fn new(store: Store, world: World) -> Self {
        Self {
            store,
            world,
            hasher: Hasher::default(),
        }
    }

    pub fn now(&self) -> Time {
        (self.world.now)()
    }

    /// Begins a change, as of now and by whoever runs this.
    fn begin(&mut self) -> Result<Tx<'_>> {
        let stamp = self.stamp()?;
        self.store.begin(stamp)
    }

    fn stamp(&self) -> Result<Stamp> {
        Ok(Stamp {
            at: self.now().plausible()?,
            actor: (self.world.actor)(),
        })
    }
}

/// What is asked for by name has to be there.
pub(crate) fn need_domain(store: &mut Store, name: &DomainName) -> Result<Domain> {
    store
        .domain(name)?
        .ok_or_else(|| Error::DomainNotFound(name.to_string()))
}

pub(crate) fn need_user(store: &mut Store, name: &Username) -> Result<User> {
    store
        .user(name)?
        .ok_or_else(|| Error::UserNotFound(name.to_string()))
}
