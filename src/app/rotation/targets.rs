//! The files of a run: one that holds another user's live password is not overwritten, as
//! it may be the only place of that password (promise 2).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
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
pub struct DeliveryTargets {
    /// Those of this round.
    round: HashMap<PathBuf, Vec<(Option<String>, Username)>>,
    /// Of earlier rounds only a number for each place: there may be a million.
    earlier: HashSet<u64>,
    numbers: RandomState,
}

/// A place that belongs to one user.
#[derive(Hash)]
enum TargetPlace<'a> {
    WholeFile(&'a Path),
    /// Some variable in it.
    AnyVariable(&'a Path),
    Variable(&'a Path, &'a str),
}

/// A file that is another user's.
pub struct TargetConflict {
    path: String,
    /// `None` if it was in an earlier round.
    other: Option<Username>,
}

impl fmt::Display for TargetConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, other } = self;
        match other {
            Some(other) => write!(f, "would overwrite the password of {other} in {path}"),
            None => write!(
                f,
                "would overwrite the password of another user of this run in {path}"
            ),
        }
    }
}

impl DeliveryTargets {
    /// Keeps of the places so far only what tells whether they are taken.
    pub(super) fn begin_round(&mut self) {
        for (path, entries) in std::mem::take(&mut self.round) {
            for (variable, _) in entries {
                let (numbers, earlier) = (&self.numbers, &mut self.earlier);
                let mut keep = |place| earlier.insert(numbers.hash_one(place));
                match &variable {
                    None => keep(TargetPlace::WholeFile(&path)),
                    Some(name) => {
                        keep(TargetPlace::AnyVariable(&path));
                        keep(TargetPlace::Variable(&path, name))
                    }
                };
            }
        }
    }

    fn is_taken_earlier(&self, path: &Path, variable: Option<&str>) -> bool {
        let place = match variable {
            None => TargetPlace::AnyVariable(path),
            Some(name) => TargetPlace::Variable(path, name),
        };
        let mut places = [place, TargetPlace::WholeFile(path)].into_iter();
        places.any(|place| self.earlier.contains(&self.numbers.hash_one(place)))
    }

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
            let resolved = deliverer.resolve(Path::new(&path));
            let earlier = self.is_taken_earlier(&resolved, variable.as_deref());
            let entries = self.round.entry(resolved).or_default();
            let same = entries
                .iter()
                .find(|(other, _)| other.is_none() || variable.is_none() || *other == variable);
            let other = same.map(|(_, other)| other.clone());
            if other.is_some() || earlier {
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
                    let other = Some(other);
                    return Ok(Some(TargetConflict { path, other }.error(username)));
                }
            }
        }
        Ok(None)
    }
}
