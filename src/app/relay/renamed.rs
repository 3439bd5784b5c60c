//! Old names of renamed users: while an old name works, it is an alias of its user. Only names
//! without a user are looked up here, and the look-up takes as long for a name that no user
//! ever had (promise 9).

use super::Relay;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::old_name::OldName;
use crate::model::time::Time;

impl Relay {
    /// Returns the user that had this name and can still sign in with it, if there is one.
    pub(super) fn renamed(&mut self, name: &Username, now: Time) -> Result<Option<Username>> {
        let generation = self.reader.generation();
        let known = self.old_names.get_mut(name.as_str());
        if let Some((_, old)) = known.filter(|(read, _)| *read == generation) {
            return Ok(current(old.as_ref(), now));
        }
        let old = self.store()?.old_name(name)?;
        let current = current(old.as_ref(), now);
        self.old_names
            .insert(name.as_str().into(), (generation, old));
        Ok(current)
    }

    /// Returns the user that a name stands for, as far as that was just looked up.
    pub(super) fn known_user(&mut self, name: Username) -> Username {
        let now = (self.world.now)();
        let generation = self.reader.generation();
        let known = self.old_names.get_mut(name.as_str());
        let known = known.filter(|(read, _)| *read == generation);
        let current = known.and_then(|(_, old)| current(old.as_ref(), now));
        current.unwrap_or(name)
    }
}

fn current(old: Option<&OldName>, now: Time) -> Option<Username> {
    let old = old.filter(|old| old.works(now));
    old.map(|old| old.username.clone())
}
