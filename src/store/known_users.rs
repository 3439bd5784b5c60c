//! Names that are or were users.

use super::{EventFilter, Store};
use crate::error::Result;
use crate::model::name::Username;

impl Store {
    /// Returns whether a user has or had this name: a user that was deleted is still in the
    /// events. A holder of a role who may not see the user is
    /// told no.
    pub fn knew_user(&mut self, username: &Username) -> Result<bool> {
        if !self.shows_user(username) {
            return Ok(false);
        }
        if self.user(username)?.is_some() || self.old_name(username)?.is_some() {
            return Ok(true);
        }
        let filter = EventFilter {
            username: Some(username.clone()),
            ..EventFilter::default()
        };
        let mut found = false;
        self.events_back(&filter, Some(1), &mut |_| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }
}
