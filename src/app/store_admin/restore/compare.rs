//! Compares a backup with the present store, a range of names at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use blake3::Hasher;

use super::decide::{ChangedUser, PasswordFate, UserFate, decide};
use super::identity::{Deletions, Identity, identity};
use super::revive::Revive;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{CopiedTable, OwnedArg, Store, UserRecord};

/// How many users of a store are read at once.
const RANGE: u32 = 2000;
/// Behind every name.
const LAST: &str = "\u{10ffff}";

/// A row of a table.
pub type TableRow = (&'static CopiedTable, Vec<OwnedArg>);

/// What a restore changes, and what it leaves.
#[derive(Default)]
pub struct Comparison {
    /// The users that something becomes of, by name.
    pub users: BTreeMap<String, ChangedUser>,
    /// Domains that come back.
    pub domains_back: BTreeSet<String>,
    /// Domains that the backup does not have, and that no user keeps.
    pub domains_gone: BTreeSet<String>,
    /// Domains with other settings, and the names of those.
    pub domains_changed: BTreeMap<String, BTreeSet<&'static str>>,
    /// Settings of the installation that change.
    pub settings: BTreeSet<String>,
    /// The rows of domains to write.
    pub(super) domain_rows: Vec<Vec<OwnedArg>>,
    pub(super) rows_in: Vec<TableRow>,
    pub(super) rows_out: Vec<TableRow>,
    deletions: Deletions,
    /// New names of renamed users, which are left alone.
    renamed_here: HashSet<String>,
}

/// What both stores tell about each other.
pub(super) struct Ground<'a> {
    /// The present store knows everything that was stopped since the backup.
    pub descends: bool,
    pub same_installation: bool,
    pub keep_new: bool,
    pub now: Time,
    pub revive: &'a mut Revive,
}

/// A user that only one of the two has.
struct OneSided {
    created_at: Time,
    /// With the time at which each was made: an imported password may be another user's, too.
    passwords: Vec<String>,
}

impl OneSided {
    fn of(user: &UserRecord) -> Self {
        Self {
            created_at: user.created_at,
            passwords: user.passwords.iter().map(|p| p.id.clone()).collect(),
        }
    }
}

impl Comparison {
    pub(super) fn of(present: &mut Store, backup: &mut Store, ground: &mut Ground) -> Result<Self> {
        let mut this = Self::default();
        if !ground.descends {
            this.deletions = Deletions::read(present)?;
        }
        let (mut missing, mut new) = (BTreeMap::new(), BTreeMap::new());
        let mut after = String::new();
        loop {
            let ends = [
                present.username_behind(&after, RANGE)?,
                backup.username_behind(&after, RANGE)?,
            ];
            let last = ends.into_iter().flatten().min();
            let last = last.unwrap_or_else(|| LAST.to_owned());
            let here = present.user_records(&after, &last)?;
            let there = backup.user_records(&after, &last)?;
            this.compare_range(here, there, ground, (&mut missing, &mut new))?;
            if last == LAST {
                break;
            }
            after = last;
        }
        this.decide_one_sided(missing, &new, ground)?;
        this.compare_domains(present, backup)?;
        for table in CopiedTable::of_settings() {
            this.compare_rows(table, present, backup)?;
        }
        this.users.retain(|_, user| !user.is_nothing());
        Ok(this)
    }

    fn compare_range(
        &mut self,
        here: Vec<UserRecord>,
        there: Vec<UserRecord>,
        ground: &mut Ground,
        (missing, new): (
            &mut BTreeMap<String, OneSided>,
            &mut BTreeMap<String, OneSided>,
        ),
    ) -> Result<()> {
        let mut here: BTreeMap<_, _> = here.into_iter().map(|u| (u.username.clone(), u)).collect();
        for user in there {
            let username: Username = user.username.parse()?;
            let Some(present) = here.remove(&user.username) else {
                missing.insert(user.username.clone(), OneSided::of(&user));
                let change = one_sided(username, &user, UserFate::Deleted, ground.now);
                self.users.insert(user.username, change);
                continue;
            };
            let descends = ground.descends;
            let of_one = ground.same_installation;
            match of_one.then(|| identity(&present, &user, descends, &self.deletions)) {
                None | Some(Identity::Same) => (),
                Some(Identity::NewerThere) => {
                    // The backup knows that the present one was deleted.
                    let change = one_sided(username, &user, UserFate::Back, ground.now);
                    self.users.insert(user.username, change);
                    continue;
                }
                Some(Identity::NewerHere) => {
                    missing.insert(user.username.clone(), OneSided::of(&user));
                    self.recreated(username, &user, &present, ground);
                    continue;
                }
            }
            let change = decide(
                &user,
                &present,
                username,
                descends,
                ground.revive,
                ground.now,
            );
            if !change.is_nothing() {
                self.users.insert(user.username, change);
            }
        }
        for (name, user) in here {
            new.insert(name, OneSided::of(&user));
        }
        Ok(())
    }

    /// Of another user that has the name now, only passwords can come back.
    fn recreated(
        &mut self,
        username: Username,
        backup: &UserRecord,
        present: &UserRecord,
        ground: &mut Ground,
    ) {
        let name = backup.username.clone();
        let mut change = decide(backup, present, username, true, ground.revive, ground.now);
        change.fate = UserFate::Recreated;
        change.settings.clear();
        change.row = None;
        (change.stays_suspended, change.stays_expired) = (false, false);
        self.users.insert(name, change);
    }

    /// Decides about users that only one of the two has, once all are known.
    fn decide_one_sided(
        &mut self,
        missing: BTreeMap<String, OneSided>,
        new: &BTreeMap<String, OneSided>,
        ground: &mut Ground,
    ) -> Result<()> {
        let renamed = renamed(&missing, new);
        for (name, user) in missing {
            let Some(change) = self.users.get_mut(&name) else {
                continue;
            };
            if change.fate == UserFate::Recreated {
                continue;
            }
            let stopped = ground.descends || self.deletions.know(&name, user.created_at);
            if let Some(now) = renamed.get(&name) {
                change.fate = UserFate::Renamed(now.clone());
                change.passwords.clear();
            } else if !stopped || ground.revive.takes(&change.username) {
                change.fate = UserFate::Back;
                for password in &mut change.passwords {
                    password.fate = PasswordFate::Back;
                }
            }
        }
        self.renamed_here = renamed.into_values().collect();
        for name in new.keys() {
            if self.renamed_here.contains(name) {
                continue;
            }
            let fate = if ground.keep_new {
                UserFate::Kept
            } else {
                UserFate::Gone
            };
            let change = ChangedUser::new(name.parse()?, fate);
            self.users.insert(name.clone(), change);
        }
        Ok(())
    }

    fn compare_domains(&mut self, present: &mut Store, backup: &mut Store) -> Result<()> {
        let mut here = rows_by_name(present)?;
        for (name, mut row) in rows_by_name(backup)? {
            let Some(now) = here.remove(&name) else {
                self.domains_back.insert(name);
                self.domain_rows.push(row);
                continue;
            };
            // Whether it is verified was found out since.
            for column in [4, 6, 7] {
                if let (Some(to), Some(from)) = (row.get_mut(column), now.get(column)) {
                    *to = from.clone();
                }
            }
            let names = [
                (1, "host"),
                (2, "max_users"),
                (3, "daily_limit"),
                (5, "on_limit"),
            ];
            let changed = names.iter().filter(|(at, _)| row.get(*at) != now.get(*at));
            let changed: BTreeSet<_> = changed.map(|(_, name)| *name).collect();
            if !changed.is_empty() {
                self.domains_changed.insert(name, changed);
                self.domain_rows.push(row);
            }
        }
        let stays = |fate: &UserFate| *fate == UserFate::Kept;
        let kept = self.users.iter().filter(|(_, user)| stays(&user.fate));
        let kept = kept.map(|(name, _)| name).chain(&self.renamed_here);
        let used: HashSet<&str> = kept.filter_map(|name| domain_of(name)).collect();
        here.retain(|name, _| !used.contains(name.as_str()));
        self.domains_gone = here.into_keys().collect();
        Ok(())
    }

    /// Finds the rows of settings that differ. The owner is the first column.
    fn compare_rows(
        &mut self,
        table: &'static CopiedTable,
        present: &mut Store,
        backup: &mut Store,
    ) -> Result<()> {
        let mut here: HashMap<[u8; 16], [u8; 16]> = HashMap::new();
        present.rows(table, &mut |row| {
            if table.is_setting(&row) {
                here.insert(digest(table.key(&row)), digest(&row));
            }
            Ok(())
        })?;
        backup.rows(table, &mut |row| {
            if !table.is_setting(&row) {
                return Ok(());
            }
            let known = here.remove(&digest(table.key(&row)));
            if known != Some(digest(&row)) && self.follows_backup(table, &row) {
                self.note(table, &row)?;
                self.rows_in.push((table, row));
            }
            Ok(())
        })?;
        if here.is_empty() {
            return Ok(());
        }
        present.rows(table, &mut |row| {
            let only_here = table.is_setting(&row) && here.contains_key(&digest(table.key(&row)));
            if only_here && self.follows_backup(table, &row) {
                self.note(table, &row)?;
                self.rows_out.push((table, row));
            }
            Ok(())
        })
    }

    /// Returns whether the settings of this owner are those of the backup afterwards.
    fn follows_backup(&self, table: &CopiedTable, row: &[OwnedArg]) -> bool {
        let owner = owner(row);
        if table.name == "settings" || owner.is_empty() {
            return true;
        }
        if !owner.contains('@') {
            return !self.domains_gone.contains(owner);
        }
        let left = |user: &ChangedUser| user.fate != UserFate::Both;
        !self.renamed_here.contains(owner) && !self.users.get(owner).is_some_and(left)
    }

    /// Notes that a setting changes.
    fn note(&mut self, table: &'static CopiedTable, row: &[OwnedArg]) -> Result<()> {
        let owner = owner(row);
        if table.name == "settings" {
            self.settings.insert(owner.to_owned());
        } else if owner.is_empty() {
            self.settings.insert(table.name.to_owned());
        } else if !owner.contains('@') {
            let changed = self.domains_changed.entry(owner.to_owned()).or_default();
            changed.insert(table.name);
        } else if let Some(user) = self.users.get_mut(owner) {
            user.settings.insert(table.name);
        } else {
            let mut user = ChangedUser::new(owner.parse()?, UserFate::Both);
            user.settings.insert(table.name);
            self.users.insert(owner.to_owned(), user);
        }
        Ok(())
    }
}

/// Returns a user that stays deleted, or comes back, with all its passwords that work.
fn one_sided(username: Username, user: &UserRecord, fate: UserFate, now: Time) -> ChangedUser {
    let of_password = match fate {
        UserFate::Back => PasswordFate::Back,
        _ => PasswordFate::Stopped,
    };
    let mut change = ChangedUser::new(username, fate);
    for password in user.passwords.iter().filter(|p| p.is_live(now)) {
        change.add(&password.id, of_password, None);
    }
    change
}

/// Finds users of the backup under their new names: a rename keeps the passwords.
fn renamed(
    missing: &BTreeMap<String, OneSided>,
    new: &BTreeMap<String, OneSided>,
) -> HashMap<String, String> {
    let mut by_password = HashMap::new();
    for (name, user) in missing {
        for password in &user.passwords {
            by_password.insert((password.as_str(), user.created_at), name);
        }
    }
    let mut found = HashMap::new();
    for (name, user) in new {
        let mut ids = user.passwords.iter();
        let old = ids.find_map(|id| by_password.get(&(id.as_str(), user.created_at)));
        if let Some(old) = old {
            found.insert((*old).clone(), name.clone());
        }
    }
    found
}

fn rows_by_name(store: &mut Store) -> Result<BTreeMap<String, Vec<OwnedArg>>> {
    let mut found = BTreeMap::new();
    store.rows(&CopiedTable::DOMAINS, &mut |row| {
        found.insert(owner(&row).to_owned(), row);
        Ok(())
    })?;
    Ok(found)
}

fn owner(row: &[OwnedArg]) -> &str {
    match row.first() {
        Some(OwnedArg::Text(owner)) => owner,
        _ => "",
    }
}

fn domain_of(username: &str) -> Option<&str> {
    username.rsplit_once('@').map(|(_, domain)| domain)
}

fn digest(row: &[OwnedArg]) -> [u8; 16] {
    let mut hasher = Hasher::new();
    for value in row {
        match value {
            OwnedArg::Null => _ = hasher.update(b"n"),
            OwnedArg::Int(number) => {
                hasher.update(b"i");
                hasher.update(&number.to_le_bytes());
            }
            OwnedArg::Text(text) => {
                hasher.update(b"t");
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}
