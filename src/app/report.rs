//! What an admin should look at: passwords that are old, users that are not used,
//! what is about to end.

use super::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::store::{Page, UserFilter};

/// What is looked for; absent is not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub stale: Option<Duration>,
    pub never_used: bool,
    pub expiring: Option<Duration>,
    pub old_passwords: Option<Duration>,
    pub overlaps: bool,
    pub unfinished: bool,
    pub weak_hashes: Weak,
}

/// Hashes that are easier to guess from than today's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weak {
    #[default]
    No,
    /// Those that are no hindrance at all.
    Fast,
    /// All that the next good sign-in replaces.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Its rotation came to no end.
    Unfinished,
    Expired,
    Expiring,
    OldPassword,
    Overlap,
    NeverUsed,
    Stale,
    WeakHash,
}

pub struct Finding {
    pub username: Username,
    pub matter: Matter,
    /// Since when, or from when on.
    pub at: Time,
    pub detail: Option<String>,
}

impl Matter {
    pub const ALL: [Self; 8] = [
        Self::Unfinished,
        Self::Expired,
        Self::Expiring,
        Self::OldPassword,
        Self::Overlap,
        Self::NeverUsed,
        Self::Stale,
        Self::WeakHash,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished_rotation",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::OldPassword => "old_password",
            Self::Overlap => "overlap",
            Self::NeverUsed => "never_used",
            Self::Stale => "stale",
            Self::WeakHash => "weak_hash",
        }
    }
}

impl App {
    /// By username, the weak hashes behind the rest; in memory are the unfinished rotations alone. Of suspended users
    /// nothing else matters.
    pub fn report(
        &mut self,
        wanted: Wanted,
        each: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let now = self.now().plausible()?;
        let mut unfinished = Vec::new();
        if wanted.unfinished {
            self.store.each_unfinished(&mut |username, rotation| {
                unfinished.push((username, rotation));
                Ok(())
            })?;
        }
        let (everybody, whole) = (UserFilter::default(), Page::default());
        self.store.users(&everybody, &whole, now, &mut |user| {
            let at = unfinished.binary_search_by(|(name, _)| name.cmp(&user.username));
            if let Ok((_, rotation)) = at.map(|i| &unfinished[i]) {
                each(Finding {
                    username: user.username.clone(),
                    matter: Matter::Unfinished,
                    at: rotation.began_at,
                    detail: Some(rotation.reason().to_owned()),
                })?;
            }
            for (matter, at, detail) in matters(&user, wanted, now) {
                each(Finding {
                    username: user.username.clone(),
                    matter,
                    at,
                    detail,
                })?;
            }
            Ok(())
        })?;
        if wanted.weak_hashes == Weak::No {
            return Ok(());
        }
        self.weak_hashes(wanted.weak_hashes, now, each)
    }

    fn weak_hashes(
        &mut self,
        which: Weak,
        now: Time,
        each: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let cost = self.store.settings()?.argon2;
        self.store.kept(None, &mut |user| {
            if user.entry.suspended_at.is_some_and(|at| at != 0) {
                return Ok(());
            }
            for password in user.live(now) {
                let hash = password.hash.as_deref().unwrap_or_default();
                let Some(scheme) = Hash::weak_scheme(hash, cost) else {
                    continue;
                };
                let fast = scheme.is_fast();
                if !fast && which == Weak::Fast {
                    continue;
                }
                let how = if fast { ", fast to guess from" } else { "" };
                each(Finding {
                    username: user.username.clone(),
                    matter: Matter::WeakHash,
                    at: password.created_at,
                    detail: Some(format!("key {}: {}{how}", password.key, scheme.name())),
                })?;
            }
            Ok(())
        })
    }
}

fn matters(user: &User, wanted: Wanted, now: Time) -> Vec<(Matter, Time, Option<String>)> {
    let mut found = Vec::new();
    if user.status(now) == Status::Suspended {
        return found;
    }
    if let (Some(within), Some(at)) = (wanted.expiring, user.expires_at) {
        if at <= now {
            found.push((Matter::Expired, at, None));
        } else if user.expires_within(within, now) {
            found.push((Matter::Expiring, at, None));
        }
    }
    if let (Some(age), Some(key)) = (wanted.old_passwords, user.newest_key())
        && now.since(key.created_at) >= age
    {
        let detail = Some(format!("key {}", key.id));
        found.push((Matter::OldPassword, key.created_at, detail));
    }
    if wanted.overlaps {
        for key in user.live_keys(now) {
            if let Some(at) = key.retires_at {
                let last = key.last_connection.as_ref();
                let detail = match last {
                    Some(last) => format!("old key {} last used {}", key.id, last.at),
                    None => format!("old key {} was never used", key.id),
                };
                found.push((Matter::Overlap, at, Some(detail)));
            }
        }
    }
    let since = user.last_sign_of_life();
    if wanted.never_used && user.last_connection().is_none() {
        found.push((Matter::NeverUsed, since, None));
    } else if wanted.stale.is_some_and(|age| now.since(since) >= age) {
        found.push((Matter::Stale, since, None));
    }
    found
}
