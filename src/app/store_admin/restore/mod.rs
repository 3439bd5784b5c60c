//! Brings a backup back into a store that is in use, in one change. What was stopped since the
//! backup stays stopped.

mod compare;
mod decide;
mod identity;
mod revive;

use std::collections::HashSet;

use serde_json::Value;

use self::compare::Ground;
use super::copy::copy_tables;
use crate::app::App;
use crate::error::{Error, Result};
use crate::model::event::Fields;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{Beside, CopiedTable, OwnedArg, Store, Tx};

pub use self::compare::Comparison;
pub use self::decide::{ChangedUser, PasswordChange, PasswordFate, UserFate};
pub use self::revive::Revive;

/// A password that is revived beside a newer one works as long as it is used that often, but
/// not longer than a year.
const UNUSED: i64 = 30 * 86_400;
const LATEST: i64 = 365 * 86_400;
/// The most names in an event.
const NAMED: usize = 200;

/// What to restore, and how.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// What works again although it was stopped.
    pub revive: Revive,
    /// Users made since the backup stay.
    pub keep_new: bool,
}

/// What the event says about where the store is from.
#[derive(Clone, Debug)]
pub struct RestoredFrom {
    /// The backup.
    pub file: String,
    /// When it was made.
    pub made_at: Option<Time>,
}

impl App {
    /// Compares a backup with the store, without changing anything.
    pub fn compare_backup(
        &mut self,
        backup: &mut Store,
        options: &RestoreOptions,
    ) -> Result<Comparison> {
        let now = self.now().plausible()?;
        self.store
            .at_one_moment(|present| compare(present, backup, options, now))
    }

    /// Restores a backup in one change. `keep` makes a copy of the present store and returns its
    /// name; nothing changes in between. Fails if `seen` differs in what a person confirmed.
    pub fn restore(
        &mut self,
        backup: &mut Store,
        from: &RestoredFrom,
        options: &RestoreOptions,
        seen: Option<&Comparison>,
        keep: &mut dyn FnMut() -> Result<String>,
    ) -> Result<Comparison> {
        self.store.require_hash_access()?;
        let mut tx = self.begin()?;
        let now = tx.at();
        let comparison = compare(tx.store(), backup, options, now)?;
        if seen.is_some_and(|seen| seen.confirmed() != comparison.confirmed()) {
            return Err(Error::ChangedMeanwhile(
                "the store has changed since the differences were shown".into(),
            ));
        }
        let kept = keep()?;
        put_back(&mut tx, backup, &comparison)?;
        tx.end_restore(&fields(from, Some(&kept), &comparison))?;
        tx.commit()?;
        Ok(comparison)
    }

    /// Fills an empty store with a backup.
    pub fn fill_from(&mut self, backup: &mut Store, from: &RestoredFrom) -> Result<()> {
        for table in &CopiedTable::ALL {
            if table.name != "settings" && self.store.count(table)? > 0 {
                return Err(Error::StoreNotEmpty(table.name));
            }
        }
        let mut tx = self.begin()?;
        tx.forget_settings()?;
        copy_tables(backup, &mut tx, &CopiedTable::ALL, &mut |_| Ok(()))?;
        tx.derive()?;
        tx.end_restore(&fields(from, None, &Comparison::default()))?;
        tx.commit()
    }

    /// Records in a copy of a backup, which becomes the store, that it was restored.
    pub fn become_store(&mut self, from: &RestoredFrom, kept: Option<&str>) -> Result<()> {
        let mut tx = self.begin()?;
        tx.end_restore(&fields(from, kept, &Comparison::default()))?;
        tx.commit()
    }

    /// Returns whether nothing was ever done with the store.
    pub fn is_unused(&mut self) -> Result<bool> {
        for table in [
            &CopiedTable::DOMAINS,
            &CopiedTable::USERS,
            &CopiedTable::EVENTS,
        ] {
            if self.store.count(table)? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns the passwords of a backup that work, each with its user.
pub fn live_passwords(backup: &mut Store, now: Time) -> Result<Vec<(Username, String)>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let last = backup.username_behind(&after, 2000)?;
        let end = last.clone().unwrap_or_else(|| "\u{10ffff}".to_owned());
        for user in backup.user_records(&after, &end)? {
            let can_sign_in =
                user.suspended_at.is_none() && user.expires_at.is_none_or(|at| now < at);
            let username: Username = user.username.parse()?;
            for password in user
                .passwords
                .iter()
                .filter(|p| can_sign_in && p.is_live(now))
            {
                found.push((username.clone(), password.id.clone()));
            }
        }
        match last {
            Some(last) => after = last,
            None => return Ok(found),
        }
    }
}

fn compare(
    present: &mut Store,
    backup: &mut Store,
    options: &RestoreOptions,
    now: Time,
) -> Result<Comparison> {
    let mut revive = options.revive.clone();
    let same_installation = present.installation()? == backup.installation()?;
    let mut ground = Ground {
        descends: same_installation && descends(present, backup)?,
        same_installation,
        keep_new: options.keep_new,
        now,
        revive: &mut revive,
    };
    let comparison = Comparison::of(present, backup, &mut ground)?;
    revive.need_all_used()?;
    Ok(comparison)
}

/// Returns whether the present store went on from the backup, and so knows all that was stopped
/// since: it has the latest event of the backup.
fn descends(present: &mut Store, backup: &mut Store) -> Result<bool> {
    Ok(match backup.latest_event()? {
        Some((id, words)) => present.event_in_words(id)? == Some(words),
        None => true,
    })
}

fn put_back(tx: &mut Tx, backup: &mut Store, comparison: &Comparison) -> Result<()> {
    for row in &comparison.domain_rows {
        tx.put_domain_back(row)?;
    }
    bring_users_back(tx, backup, comparison)?;
    for user in comparison.users.values() {
        put_user_back(tx, user)?;
    }
    for (table, row) in &comparison.rows_out {
        tx.remove_row(table, row)?;
    }
    for (table, row) in &comparison.rows_in {
        tx.put_row_back(table, row)?;
    }
    for user in comparison.users.values() {
        if user.fate == UserFate::Gone {
            tx.remove_new_user(&user.username)?;
        }
    }
    for domain in &comparison.domains_gone {
        tx.remove_new_domain(&domain.parse()?)?;
    }
    Ok(())
}

/// Copies all rows of the users that come back.
fn bring_users_back(tx: &mut Tx, backup: &mut Store, comparison: &Comparison) -> Result<()> {
    let back = comparison.users.values();
    let back = back.filter(|user| user.fate == UserFate::Back);
    let back: HashSet<&str> = back.map(|user| user.username.as_str()).collect();
    if back.is_empty() {
        return Ok(());
    }
    for name in &back {
        let name = name.parse()?;
        // An older one of the same name, which the backup knows to be deleted.
        tx.remove_new_user(&name)?;
        tx.free_name(&name)?;
    }
    for (table, column) in CopiedTable::of_users() {
        let mut taken = Vec::new();
        backup.rows(table, &mut |row| {
            let of_user = match row.get(column) {
                Some(OwnedArg::Text(name)) => back.contains(name.as_str()),
                _ => false,
            };
            if of_user && table.name == "old_names" {
                taken.push(row);
            } else if of_user {
                tx.add_row(table, &row)?;
            }
            Ok(())
        })?;
        for row in taken {
            add_old_name(tx, table, &row)?;
        }
    }
    Ok(())
}

/// Adds an old name, unless another user has it by now.
fn add_old_name(tx: &mut Tx, table: &CopiedTable, row: &[OwnedArg]) -> Result<()> {
    let Some(OwnedArg::Text(name)) = row.first() else {
        return Ok(());
    };
    let name: Username = name.parse()?;
    let store = tx.store();
    if store.user(&name)?.is_some() || store.old_name(&name)?.is_some() {
        return Ok(());
    }
    tx.add_row(table, row)
}

fn put_user_back(tx: &mut Tx, user: &ChangedUser) -> Result<()> {
    if user.fate == UserFate::Back {
        return Ok(());
    }
    if let Some(row) = &user.row {
        tx.put_user_back(&user.username, &row.own, row.suspended_at, row.expires_at)?;
    }
    let latest = Time::from_epoch(tx.at().epoch() + LATEST);
    for PasswordChange { id, fate, record } in &user.passwords {
        match (fate, record) {
            (PasswordFate::Revived, Some(record)) => {
                let beside = record.stays().then_some(Beside {
                    unused: UNUSED,
                    latest,
                });
                tx.put_password_back(&user.username, record, beside)?;
            }
            (PasswordFate::Back, Some(record)) => {
                tx.put_password_back(&user.username, record, None)?;
            }
            (PasswordFate::StoppedAgain, _) => tx.stop_again(&user.username, id)?,
            _ => {}
        }
    }
    Ok(())
}

impl Comparison {
    /// Returns whether the store is already what the restore would make of it.
    pub fn changes_nothing(&self) -> bool {
        self.domain_rows.is_empty()
            && self.domains_gone.is_empty()
            && self.rows_in.is_empty()
            && self.rows_out.is_empty()
            && !self.users.values().any(ChangedUser::is_change)
    }

    /// Returns the names of the users with this fate.
    pub fn names(&self, fate: &UserFate) -> Vec<&str> {
        let users = self.users.values().filter(|user| user.fate == *fate);
        users.map(|user| user.username.as_str()).collect()
    }

    /// Returns the IDs of passwords with one of these fates.
    pub fn passwords(&self, fates: &[PasswordFate]) -> Vec<&str> {
        let all = self.users.values().flat_map(|user| &user.passwords);
        let found = all.filter(|password| fates.contains(&password.fate));
        found.map(|password| password.id.as_str()).collect()
    }

    /// What a person has to have seen: who comes, who goes, and which passwords work again.
    fn confirmed(&self) -> [Vec<&str>; 3] {
        let again = [PasswordFate::Back, PasswordFate::Revived];
        [
            self.names(&UserFate::Back),
            self.names(&UserFate::Gone),
            self.passwords(&again),
        ]
    }
}

fn fields(from: &RestoredFrom, kept: Option<&str>, comparison: &Comparison) -> Fields {
    let list = |names: Vec<&str>| {
        let named = names.iter().take(NAMED).map(|name| Value::from(*name));
        (!names.is_empty()).then(|| Value::Array(named.collect()))
    };
    let number = |names: &[&str]| (names.len() > NAMED).then_some(names.len() as u64);
    let (back, gone) = (
        comparison.names(&UserFate::Back),
        comparison.names(&UserFate::Gone),
    );
    let again = comparison.passwords(&[PasswordFate::Revived]);
    Fields::default()
        .with("file", from.file.as_str())
        .with_some("made_at", from.made_at.map(|at| at.to_string()))
        .with_some("kept", kept)
        .with_some("users_back", number(&back))
        .with_some("back", list(back))
        .with_some("users_gone", number(&gone))
        .with_some("gone", list(gone))
        .with_some("revived", list(again))
}
