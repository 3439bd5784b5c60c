//! What an admin should look at: passwords that are old, users that are not used,
//! what is about to end.

use super::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::hash::{Cost, Hash};
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::rotation::Unfinished;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{Concerns, Noteworthy, Page};

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
    /// By username; of each user all that is found. A page is of so many users.
    pub fn report(
        &mut self,
        wanted: Wanted,
        page: &Page,
        each: &mut dyn FnMut(Finding) -> Result<()>,
    ) -> Result<()> {
        let now = self.now().plausible()?;
        let cost = self.store.settings()?.argon2;
        let concerns = wanted.concerns(now, cost);
        let mut left = page.most.unwrap_or(u32::MAX);
        let mut after = page.after.to_owned();
        loop {
            let users = self.store.noteworthy(&concerns, &after, now)?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            last.user.username.as_str().clone_into(&mut after);
            for Noteworthy {
                user,
                hashes,
                unfinished,
            } in users
            {
                let mut found: Vec<Found> = unfinished.iter().map(is_unfinished).collect();
                if user.suspended_at.is_none() {
                    matters(&user, &concerns, now, &mut found);
                    weak_hashes(&user, &hashes, wanted.weak_hashes, cost, now, &mut found);
                }
                left -= u32::from(!found.is_empty());
                for (matter, at, detail) in found {
                    each(Finding {
                        username: user.username.clone(),
                        matter,
                        at,
                        detail,
                    })?;
                }
                if left == 0 {
                    return Ok(());
                }
            }
        }
    }
}

impl Wanted {
    fn concerns(self, now: Time, cost: Cost) -> Concerns {
        Concerns {
            expires_by: self.expiring.map(|within| now.plus(within)),
            password_by: self.old_passwords.map(|age| now.minus(age)),
            overlaps: self.overlaps,
            never_used: self.never_used,
            silent_since: self.stale.map(|age| now.minus(age)),
            hash_unlike: match self.weak_hashes {
                Weak::No => None,
                Weak::Fast => Some(Hash::ARGON2.to_owned()),
                Weak::All => Some(Hash::beginning(cost)),
            },
            unfinished: self.unfinished,
        }
    }
}

type Found = (Matter, Time, Option<String>);

fn is_unfinished(rotation: &Unfinished) -> Found {
    let reason = rotation.reason().to_owned();
    (Matter::Unfinished, rotation.began_at, Some(reason))
}

fn matters(user: &User, concerns: &Concerns, now: Time, found: &mut Vec<Found>) {
    if let (Some(by), Some(at)) = (concerns.expires_by, user.expires_at) {
        if at <= now {
            found.push((Matter::Expired, at, None));
        } else if at <= by {
            found.push((Matter::Expiring, at, None));
        }
    }
    if let (Some(by), Some(key)) = (concerns.password_by, user.newest_key())
        && key.created_at <= by
    {
        let detail = Some(format!("key {}", key.id));
        found.push((Matter::OldPassword, key.created_at, detail));
    }
    if concerns.overlaps {
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
    if concerns.never_used && user.last_connection().is_none() {
        found.push((Matter::NeverUsed, since, None));
    } else if concerns
        .silent_since
        .is_some_and(|then| user.is_silent_since(then))
    {
        found.push((Matter::Stale, since, None));
    }
}

fn weak_hashes(
    user: &User,
    hashes: &[(KeyId, String)],
    which: Weak,
    cost: Cost,
    now: Time,
    found: &mut Vec<Found>,
) {
    if which == Weak::No {
        return;
    }
    for key in user.live_keys(now) {
        let hash = hashes.iter().find(|(id, _)| *id == key.id);
        let scheme = hash.and_then(|(_, hash)| Hash::weak_scheme(hash, cost));
        let Some(scheme) = scheme.filter(|scheme| which == Weak::All || scheme.is_fast()) else {
            continue;
        };
        let how = if scheme.is_fast() {
            ", fast to guess from"
        } else {
            ""
        };
        let detail = format!("key {}: {}{how}", key.id, scheme.name());
        found.push((Matter::WeakHash, key.created_at, Some(detail)));
    }
}
