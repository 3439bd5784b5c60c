//! Which of what was stopped since a backup works again: what the admin named.

use std::collections::BTreeMap;

use super::decide::Revival;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::text::escaped;

/// Everything that was stopped.
pub const ALL: &str = "all";

/// Names of users and domains, and IDs of passwords.
#[derive(Clone, Debug, Default)]
pub struct Revive {
    /// Each with whether anything of it was stopped.
    named: BTreeMap<String, bool>,
}

impl Revive {
    /// Revives what these name: a user, a domain, the ID of a password, or `all`.
    pub fn new(named: impl IntoIterator<Item = String>) -> Self {
        Self {
            named: named.into_iter().map(|name| (name, false)).collect(),
        }
    }

    /// Returns whether this user is named.
    pub fn takes(&mut self, username: &Username) -> bool {
        // Each is marked as used.
        let found = [username.as_str(), username.domain().as_str(), ALL].map(|name| self.has(name));
        found.contains(&true)
    }

    fn has(&mut self, name: &str) -> bool {
        self.named.get_mut(name).is_some_and(|used| {
            *used = true;
            true
        })
    }

    /// Fails if nothing was stopped of what one names.
    pub fn need_all_used(&self) -> Result<()> {
        let unused = self
            .named
            .iter()
            .find(|(name, used)| !**used && *name != ALL);
        match unused {
            Some((name, _)) => Err(Error::Usage(format!(
                "--revive {}: the backup has no user, domain or password of this name that was \
                 stopped since",
                escaped(name)
            ))),
            None => Ok(()),
        }
    }
}

impl Revival for Revive {
    fn takes_user(&mut self, username: &Username) -> bool {
        self.takes(username)
    }

    fn takes_password(&mut self, username: &Username, password_id: &str) -> bool {
        let by_id = self.has(password_id);
        self.takes(username) || by_id
    }
}
