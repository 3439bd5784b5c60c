//! Reads old names of users that were renamed, and ends them.

use super::engine::Row;
use super::{Store, Tx};
use crate::error::Result;
use crate::model::name::{DomainName, Username};
use crate::model::old_name::OldName;
use crate::model::time::Time;

/// Asked often, so that it must not look at every old name.
const RENAMED: &str = "SELECT 1 FROM old_names WHERE renamed_at >= $1 LIMIT 1";

impl Store {
    /// Returns what is known of a name as an old one; `None` if it is none.
    pub fn old_name(&mut self, name: &Username) -> Result<Option<OldName>> {
        Ok(self.old_names_named(&[name])?.pop().flatten())
    }

    /// Returns the same for each of these names.
    pub fn old_names_named(&mut self, names: &[&Username]) -> Result<Vec<Option<OldName>>> {
        const SQL: &str = "SELECT old_name, username, renamed_at, until FROM old_names
            WHERE old_name = $1";
        let mut found = vec![None; names.len()];
        self.of_each(SQL, names, &mut |number, row| {
            found[number] = Some(read(row)?);
            Ok(())
        })?;
        for one in &mut found {
            *one = one.take().filter(|old| self.shows_old_name(old));
        }
        Ok(found)
    }

    /// Returns the old names of a user, the earliest first.
    pub fn old_names_of(&mut self, username: &Username) -> Result<Vec<OldName>> {
        const SQL: &str = "SELECT old_name, username, renamed_at, until FROM old_names
            WHERE username = $1 ORDER BY renamed_at, old_name";
        let mut found = Vec::new();
        self.of_each(SQL, &[username], &mut |_, row| {
            found.push(read(row)?);
            Ok(())
        })?;
        found.retain(|old| self.shows_old_name(old));
        Ok(found)
    }

    /// Returns whether both names may be seen.
    fn shows_old_name(&self, old: &OldName) -> bool {
        self.shows_user(&old.old_name) && self.shows_user(&old.username)
    }

    /// Returns the old names in a domain that users of other domains can sign in with.
    pub fn old_names_left_in(&mut self, domain: &DomainName, now: Time) -> Result<Vec<OldName>> {
        const SQL: &str = "SELECT old_name, username, renamed_at, until FROM old_names
            WHERE old_name LIKE '%@' || CAST($1 AS TEXT) AND until > $2
                AND username NOT LIKE '%@' || CAST($1 AS TEXT) ORDER BY old_name";
        let mut found = Vec::new();
        let args = [domain.as_str().into(), now.into()];
        self.engine.query(SQL, &args, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns whether any user was renamed at this time or later.
    pub fn was_any_renamed(&mut self, since: Time) -> Result<bool> {
        let mut found = false;
        self.engine.query(RENAMED, &[since.into()], &mut |_| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }
}

fn read(row: &dyn Row) -> Result<OldName> {
    Ok(OldName {
        old_name: row.parsed(0)?,
        username: row.parsed(1)?,
        renamed_at: row.time(2)?,
        until: row.opt_time(3)?,
    })
}

impl Tx<'_> {
    /// Forgets that a name that no longer works was another user's: a new user gets it.
    pub(super) fn free_old_name(&mut self, name: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM old_names
            WHERE old_name = $1 AND (until IS NULL OR until <= $2)";
        self.later(SQL, &[name.as_str().into(), self.stamp.at.into()])
    }

    /// Stops the old names in a domain that is removed. They stay known, for the events.
    pub(super) fn stop_old_names_in(&mut self, domain: &DomainName) -> Result<()> {
        const SQL: &str = "UPDATE old_names SET until = NULL
            WHERE old_name LIKE '%@' || CAST($1 AS TEXT) AND until IS NOT NULL";
        self.later(SQL, &[domain.as_str().into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::Arg;
    use crate::store::{Access, Location};

    #[test]
    fn late_renames_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("data").join("smtpcred.db"));
        let mut store = Store::open(&file, Access::Create).unwrap();
        let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {RENAMED}").into());
        let mut plan = String::new();
        store
            .engine
            .query(explain, &[Arg::Null], &mut |row| {
                plan += row.text(3)?;
                Ok(())
            })
            .unwrap();
        assert!(plan.contains("old_names_by_time"), "{plan}");
    }
}
