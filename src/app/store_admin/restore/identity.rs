//! Tells a user from another one that got its name later.

use std::collections::{BTreeSet, HashMap};

use crate::error::Result;
use crate::model::time::Time;
use crate::store::{Store, UserRecord};

/// Whether the users of a name in both stores are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// They are.
    Same,
    /// The one in the present store was created after the other was deleted.
    NewerHere,
    /// The one in the backup was.
    NewerThere,
}

/// When users were last deleted, as far as the present store alone can tell.
#[derive(Default)]
pub struct Deletions(HashMap<String, Time>);

impl Deletions {
    pub fn read(present: &mut Store) -> Result<Self> {
        let mut this = Self::default();
        present.deletions(&mut |name, at| {
            let last = this.0.entry(name.to_owned()).or_insert(at);
            *last = at.max(*last);
        })?;
        Ok(this)
    }

    /// Returns whether a user of this name was deleted after this one was created.
    pub fn know(&self, name: &str, created_at: Time) -> bool {
        self.0.get(name).is_some_and(|at| *at >= created_at)
    }
}

/// Compares the users of a name in two stores of one installation. `deletions` are empty if the
/// present store knows everything that was deleted.
pub fn identity(
    here: &UserRecord,
    there: &UserRecord,
    descends: bool,
    deletions: &Deletions,
) -> Identity {
    let newer_there = if here.created_at == there.created_at {
        if !begin_apart(here, there) {
            return Identity::Same;
        }
        // The store that has the deletion has the newer one.
        !deletions.know(&here.username, here.created_at)
    } else {
        there.created_at > here.created_at
    };
    if newer_there && !descends {
        Identity::NewerThere
    } else {
        Identity::NewerHere
    }
}

/// Returns whether two users that were created in the same second got different passwords then.
/// Of a user whose first password is not kept any more, that is not known.
fn begin_apart(one: &UserRecord, other: &UserRecord) -> bool {
    let one: BTreeSet<_> = one.first_passwords().collect();
    let other: BTreeSet<_> = other.first_passwords().collect();
    !one.is_empty() && !other.is_empty() && one.is_disjoint(&other)
}
