//! What smtpcred does: the rules, in terms of the model and the store. No
//! terminal, no SQL, no socket.

pub mod addresses;
pub mod alerts;
pub mod apply;
pub mod archive;
pub mod audit;
pub mod bulk;
mod capacity;
pub mod chain;
pub mod close;
mod columns;
mod copy_user;
pub mod credential;
pub mod dns;
pub mod domains;
pub mod explain;
pub mod export;
pub mod import;
pub mod issue;
pub mod messages;
pub mod metrics;
pub mod near_names;
mod pause;
pub mod relay;
pub mod rename;
pub mod report;
pub mod roles;
pub mod rotation;
pub mod scan;
pub mod sessions;
pub mod settings;
pub mod status;
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
use crate::model::old_name::OldName;
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
    /// Returns whether there is a process with this number on this machine.
    pub runs: fn(u32) -> bool,
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
pub(crate) fn need_user(store: &mut Store, name: &Username, now: Time) -> Result<User> {
    match store.user(name)? {
        Some(user) => Ok(user),
        None => Err(not_found(store, name, now)),
    }
}

/// Fails if a rotation of the user left a new password of unknown outcome.
pub(crate) fn need_no_rotation(store: &mut Store, user: &User, now: Time) -> Result<()> {
    match store.unfinished(&user.username)? {
        Some(unfinished) if unfinished.password_id.is_some() => Err(Error::RotationUnfinished {
            username: user.username.to_string(),
            reason: unfinished.reason().to_owned(),
            ways_out: unfinished.ways_out(user, now).to_string(),
        }),
        _ => Ok(()),
    }
}

/// Returns the error for a name without a user, which may be an old one.
pub(crate) fn not_found(store: &mut Store, name: &Username, now: Time) -> Error {
    match store.old_name(name) {
        Ok(Some(old)) => Error::UserRenamed {
            username: old.old_name.to_string(),
            new: old.username.to_string(),
            at: old.renamed_at.to_string(),
            until: works_until(&old, now),
        },
        _ => name.not_found(),
    }
}

/// Fails if a user has this name, or had it before and can still sign in with it.
pub(crate) fn need_free_name(store: &mut Store, name: &Username, now: Time) -> Result<()> {
    if store.user(name)?.is_some() {
        return Err(Error::UserExists(name.to_string()));
    }
    match store.old_name(name)? {
        Some(old) if old.works(now) => Err(taken(&old, now)),
        _ => Ok(()),
    }
}

/// Returns the error for an old name that a user should get.
pub(crate) fn taken(old: &OldName, now: Time) -> Error {
    Error::OldNameTaken {
        username: old.old_name.to_string(),
        new: old.username.to_string(),
        until: works_until(old, now),
    }
}

fn works_until(old: &OldName, now: Time) -> Option<String> {
    let until = old.until.filter(|_| old.works(now));
    until.map(|at| at.to_string())
}
