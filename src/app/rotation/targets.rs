//! The files of a run: one that holds another user's live password is not overwritten, as
//! it may be the only place of that password (promise 2).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::super::App;
use super::Deliverer;
use crate::error::{Error, Result};
use crate::model::delivery::Destination;
use crate::model::name::Username;
use crate::model::password::password_ids_in;
use crate::store::StoredHash;

/// The files of one run, resolved, each with the variables set in it and their users. No
/// variable, and no whole file, may belong to two users.
#[derive(Default)]
pub struct DeliveryTargets(HashMap<PathBuf, Vec<(Option<String>, Username)>>);

/// A file that is another user's.
pub struct TargetConflict {
    path: String,
    other: Username,
}

impl fmt::Display for TargetConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, other } = self;
        write!(f, "would overwrite the password of {other} in {path}")
    }
}

impl DeliveryTargets {
    /// Adds the files of a user. Returns a conflict if one belongs to another user.
    pub fn add(
        &mut self,
        username: &Username,
        destination: &Destination,
        deliverer: &dyn Deliverer,
    ) -> Option<TargetConflict> {
        let variable = destination.env_name.clone().unwrap_or_default();
        let whole = destination.write_file.as_ref().map(|path| (path, None));
        let line = destination.write_env.as_ref();
        let line = line.map(|path| (path, Some(variable.as_str().to_owned())));
        let mut conflict = None;
        for (path, variable) in whole.into_iter().chain(line) {
            let path = path.of(username);
            let entries = self
                .0
                .entry(deliverer.resolve(Path::new(&path)))
                .or_default();
            let same = entries
                .iter()
                .find(|(other, _)| other.is_none() || variable.is_none() || *other == variable);
            if let Some((_, other)) = same {
                let other = other.clone();
                conflict = Some(TargetConflict { path, other });
            }
            entries.push((variable, username.clone()));
        }
        conflict
    }
}

impl TargetConflict {
    fn error(&self, username: &Username) -> Error {
        Error::PlaceTaken {
            username: username.to_string(),
            why: self.to_string(),
        }
    }
}

impl App {
    /// Returns an error if delivering to this user would overwrite another user's live
    /// password. Only generated passwords can be attributed to a user.
    pub(super) fn conflict(
        &mut self,
        username: &Username,
        own: &[StoredHash],
        destination: &Destination,
        targets: &mut DeliveryTargets,
        deliverer: &dyn Deliverer,
    ) -> Result<Option<Error>> {
        if let Some(conflict) = targets.add(username, destination, deliverer) {
            return Ok(Some(conflict.error(username)));
        }
        let now = self.now();
        for (path, found) in deliverer.passwords_in(destination, username) {
            for password_id in password_ids_in(&found) {
                if own.iter().any(|hash| hash.password_id == password_id) {
                    continue;
                }
                if let Some(other) = self.store.other_holder(username, &password_id, now)? {
                    let path = path.display().to_string();
                    return Ok(Some(TargetConflict { path, other }.error(username)));
                }
            }
        }
        Ok(None)
    }
}
