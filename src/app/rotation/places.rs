//! Files that passwords are written to: what is in one may be the only place of
//! somebody's password (promise 2).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::super::App;
use super::Courier;
use crate::error::{Error, Result};
use crate::model::delivery::Delivery;
use crate::model::name::Username;
use crate::model::password::keys_in;

/// Those of one run. A file that is written for a second user would be the only
/// place where the first one's password was.
#[derive(Default)]
pub struct Places(HashMap<PathBuf, Vec<(Option<String>, Username)>>);

/// A place that another user has already.
pub struct Shared {
    path: String,
    other: Username,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, other } = self;
        write!(f, "would have its password in {path}, as {other} has")
    }
}

impl Places {
    pub fn claim(
        &mut self,
        username: &Username,
        delivery: &Delivery,
        courier: &dyn Courier,
    ) -> Option<Shared> {
        let variable = delivery.env_name.clone().unwrap_or_default();
        let whole = delivery.write_file.as_ref().map(|path| (path, None));
        let line = delivery.write_env.as_ref();
        let line = line.map(|path| (path, Some(variable.as_str().to_owned())));
        let mut shared = None;
        for (path, variable) in whole.into_iter().chain(line) {
            let path = path.of(username);
            let there = self.0.entry(courier.real(Path::new(&path))).or_default();
            let same = there
                .iter()
                .find(|(other, _)| other.is_none() || variable.is_none() || *other == variable);
            if let Some((_, other)) = same {
                let other = other.clone();
                shared = Some(Shared { path, other });
            }
            there.push((variable, username.clone()));
        }
        shared
    }
}

impl Shared {
    fn error(&self, username: &Username) -> Error {
        Error::PlaceTaken {
            username: username.to_string(),
            why: self.to_string(),
        }
    }
}

impl App {
    /// Why its next password cannot go there: another user's would be lost. What was
    /// not generated here is nobody's that could be told.
    pub(super) fn taken(
        &mut self,
        username: &Username,
        delivery: &Delivery,
        places: &mut Places,
        courier: &dyn Courier,
    ) -> Result<Option<Error>> {
        if let Some(shared) = places.claim(username, delivery, courier) {
            return Ok(Some(shared.error(username)));
        }
        let now = self.now();
        for (path, found) in courier.found(delivery, username) {
            for key in keys_in(&found) {
                let own = self.store.hashes(username)?;
                if own.iter().any(|hash| hash.key == key) {
                    continue;
                }
                if let Some(other) = self.store.other_holder(username, &key, now)? {
                    let path = path.display().to_string();
                    return Ok(Some(Shared { path, other }.error(username)));
                }
            }
        }
        Ok(None)
    }
}
