//! What a store that is open for the holder of a role knows about it.

use crate::model::actor::Actor;
use crate::model::event::EventStamp;
use crate::model::holder::GivenRole;
use crate::model::time::Time;

/// The role that a store is open for.
pub(super) struct Restriction {
    pub(super) given: GivenRole,
    /// The fingerprint of the key that its holder signed in with.
    pub(super) key: Option<String>,
}

impl Restriction {
    /// Names the holder as the one who makes a change.
    pub(super) fn sign(&self, stamp: &mut EventStamp) {
        let actor = &mut stamp.actor;
        let holder = self.given.holder.to_string();
        let process = std::mem::replace(&mut actor.name, holder);
        let run_as = actor.run_as.take().unwrap_or(process);
        *actor = Actor {
            run_as: Some(run_as),
            ..actor.clone()
        };
    }
}

/// How many changes a holder made in the hour that began then.
#[derive(Clone, Copy, Debug)]
pub(super) struct HourOfChanges {
    pub(super) from: Time,
    pub(super) changes: u32,
}

/// What is counted of the change of a holder.
#[derive(Clone, Copy, Debug)]
pub(super) struct HolderCount {
    pub(super) hour: Option<HourOfChanges>,
    pub(super) counted: bool,
}

impl HolderCount {
    /// Nothing yet.
    pub(super) const NONE: Self = Self {
        hour: None,
        counted: false,
    };
}
