//! Decides what becomes of one user. Pure.
//!
//! Whether and how long a user can sign in is as in the present store, because what was
//! stopped since the backup must not work again, and what was handed out since must not be
//! lost. All other settings are as in the backup.

use std::collections::BTreeSet;

use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{OwnSettings, PasswordRecord, UserRecord};

/// What becomes of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFate {
    /// It has the settings of the backup.
    Both,
    /// It comes back as it was in the backup.
    Back,
    /// The backup does not have it: it is deleted.
    Gone,
    /// The backup does not have it, and it stays nevertheless.
    Kept,
    /// It was deleted since the backup, and stays so.
    Deleted,
    /// It was deleted and created again since the backup, and stays as it is.
    Recreated,
    /// It was renamed since the backup, and stays as it is.
    Renamed(String),
}

/// What becomes of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordFate {
    /// It was stopped since the backup, and stays so.
    Stopped,
    /// It was stopped since the backup, and works again because it was asked for.
    Revived,
    /// It comes back with its user, or to a user without any other.
    Back,
    /// It was made since the backup, and stays.
    Newer,
    /// It works in the present store, but the backup knows that it was stopped.
    StoppedAgain,
}

/// A password that something becomes of.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Its ID.
    pub id: String,
    /// What becomes of it.
    pub fate: PasswordFate,
    /// What the backup has of it, if that is brought back.
    pub record: Option<PasswordRecord>,
}

/// A user that something becomes of.
#[derive(Clone, Debug)]
pub struct ChangedUser {
    /// Its name.
    pub username: Username,
    /// What becomes of it.
    pub fate: UserFate,
    /// Its passwords, as far as something becomes of them.
    pub passwords: Vec<PasswordChange>,
    /// It was suspended since the backup, and stays so.
    pub stays_suspended: bool,
    /// It expires earlier than in the backup, and that stays so.
    pub stays_expired: bool,
    /// The names of the settings that change.
    pub settings: BTreeSet<&'static str>,
    /// What its own row gets; `None` if that stays.
    pub row: Option<NewRow>,
}

/// What the row of a user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// Its settings.
    pub own: OwnSettings,
    /// Since when it is suspended.
    pub suspended_at: Option<Time>,
    /// When it expires.
    pub expires_at: Option<Time>,
}

impl ChangedUser {
    /// Returns a user of which nothing else is known yet.
    pub const fn new(username: Username, fate: UserFate) -> Self {
        Self {
            username,
            fate,
            passwords: Vec::new(),
            stays_suspended: false,
            stays_expired: false,
            settings: BTreeSet::new(),
            row: None,
        }
    }

    /// Returns whether there is nothing to say about it.
    pub fn is_nothing(&self) -> bool {
        self.fate == UserFate::Both
            && self.passwords.is_empty()
            && !self.stays_suspended
            && !self.stays_expired
            && self.settings.is_empty()
            && self.row.is_none()
    }

    /// Returns whether the store is changed.
    pub fn is_change(&self) -> bool {
        let of_password = |password: &PasswordChange| {
            !matches!(password.fate, PasswordFate::Stopped | PasswordFate::Newer)
        };
        matches!(self.fate, UserFate::Back | UserFate::Gone)
            || !self.settings.is_empty()
            || self.row.is_some()
            || self.passwords.iter().any(of_password)
    }

    /// Adds a password.
    pub fn add(&mut self, id: &str, fate: PasswordFate, record: Option<&PasswordRecord>) {
        self.passwords.push(PasswordChange {
            id: id.to_owned(),
            fate,
            record: record.cloned(),
        });
    }
}

/// Which of what was stopped works again.
pub trait Revival {
    /// Returns whether all of a user does.
    fn takes_user(&mut self, username: &Username) -> bool;
    /// Returns whether this password does.
    fn takes_password(&mut self, username: &Username, password_id: &str) -> bool;
}

/// Decides about a user that both have. `descends` tells that the present store knows
/// everything that was ever stopped.
pub fn decide(
    backup: &UserRecord,
    present: &UserRecord,
    username: Username,
    descends: bool,
    revival: &mut dyn Revival,
    now: Time,
) -> ChangedUser {
    let mut change = ChangedUser::new(username, UserFate::Both);
    decide_passwords(&mut change, backup, present, descends, revival, now);
    let (mut suspended_at, mut expires_at) = (present.suspended_at, present.expires_at);
    if !descends {
        suspended_at = suspended_at.or(backup.suspended_at);
        expires_at = earlier(expires_at, backup.expires_at);
    }
    let is_held = suspended_at.is_some() && backup.suspended_at.is_none();
    let ends_sooner = ends_before(expires_at, backup.expires_at);
    if is_held || ends_sooner {
        if revival.takes_user(&change.username) {
            (suspended_at, expires_at) = (backup.suspended_at, backup.expires_at);
        } else {
            change.stays_suspended = is_held;
            change.stays_expired = ends_sooner;
        }
    }
    for (name, differs) in [
        ("label", backup.own.label != present.own.label),
        ("note", backup.own.note != present.own.note),
        (
            "daily_limit",
            backup.own.daily_limit != present.own.daily_limit,
        ),
        ("on_limit", backup.own.on_limit != present.own.on_limit),
        ("suspended_at", suspended_at != present.suspended_at),
        ("expires_at", expires_at != present.expires_at),
    ] {
        if differs {
            change.settings.insert(name);
        }
    }
    if !change.settings.is_empty() {
        change.row = Some(NewRow {
            own: backup.own.clone(),
            suspended_at,
            expires_at,
        });
    }
    change
}

fn decide_passwords(
    change: &mut ChangedUser,
    backup: &UserRecord,
    present: &UserRecord,
    descends: bool,
    revival: &mut dyn Revival,
    now: Time,
) {
    let here = |id: &str| present.passwords.iter().find(|password| password.id == id);
    let there = |id: &str| backup.passwords.iter().find(|password| password.id == id);
    // Where the two have different histories, the backup may know more.
    let stopped_there = |password: &&PasswordRecord| {
        !descends && there(&password.id).is_some_and(PasswordRecord::is_erased)
    };
    let unknown_here =
        |password: &&PasswordRecord| password.is_live(now) && here(&password.id).is_none();
    let mut live = present.passwords.iter().filter(|p| p.is_live(now));
    let keeps_one = live.any(|p| p.stays() && !stopped_there(&p));
    let brings_one = backup
        .passwords
        .iter()
        .any(|p| unknown_here(&p) && p.stays());
    let replaces = !descends && !keeps_one && brings_one;
    for password in present.passwords.iter().filter(|p| p.is_live(now)) {
        if stopped_there(&password) && (keeps_one || replaces) {
            change.add(&password.id, PasswordFate::StoppedAgain, None);
        } else if there(&password.id).is_none() {
            change.add(&password.id, PasswordFate::Newer, None);
        }
    }
    for password in backup.passwords.iter().filter(|p| p.is_live(now)) {
        if here(&password.id).is_some_and(|here| here.is_live(now)) {
            continue;
        }
        let fate = if replaces && unknown_here(&password) && !password.is_temporary() {
            PasswordFate::Back
        } else if revival.takes_password(&change.username, &password.id) {
            PasswordFate::Revived
        } else {
            PasswordFate::Stopped
        };
        change.add(&password.id, fate, Some(password));
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn ends_before(one: Option<Time>, other: Option<Time>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}
