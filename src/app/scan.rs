//! Names the users of passwords that a scan found, and says whether they still work. The ID of a generated
//! password is a hash of it, so the store names its user; that it works is only said after its
//! Argon2 hash was compared, too.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::App;
use super::verify::readable;
use crate::error::{Error, Result};
use crate::model::alert::NewAlert;
use crate::model::hash::{Hash, Hasher};
use crate::model::name::Username;
use crate::model::password::{FoundPassword, PasswordId};
use crate::model::time::Time;
use crate::model::user::{PasswordInfo, Status, User};

/// Users that are read at once.
const BATCH: usize = 256;

/// What a leaked password still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakState {
    /// It works.
    Works,
    /// It works until it retires.
    Overlap,
    /// It worked once.
    Stopped,
    /// It was not generated for a user of this store.
    Unknown,
}

impl LeakState {
    /// Returns the name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Overlap => "overlap",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether it is accepted, unless its user is suspended or expired.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Works | Self::Overlap)
    }
}

/// A leaked password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Its ID.
    pub password_id: PasswordId,
    /// Whether it still works.
    pub state: LeakState,
    /// Its user and the status of that; `None` if it is unknown.
    pub user: Option<(Username, Status)>,
    /// When it stopped, or will.
    pub until: Option<Time>,
}

impl Leak {
    /// Returns what is known without a store.
    pub const fn unknown(password_id: PasswordId) -> Self {
        Self {
            password_id,
            state: LeakState::Unknown,
            user: None,
            until: None,
        }
    }

    /// Returns the alert about it, if it works.
    fn alert(&self, place: &str) -> Option<NewAlert> {
        let (username, status) = self.user.as_ref().filter(|_| self.state.is_live())?;
        let works = match (status.can_sign_in(), self.until) {
            (false, _) => format!(
                "it works again once the user is no longer {}",
                status.name()
            ),
            (true, Some(until)) => format!("it works until {until}"),
            (true, None) => "it works".to_owned(),
        };
        Some(NewAlert::leak(username, &self.password_id, place, &works))
    }
}

/// A password to compare, with its hash in the store.
struct Comparison<'a> {
    number: usize,
    password: &'a FoundPassword,
    hash: Hash,
}

impl App {
    /// Returns whose each of these passwords is. Fails if the store may not show a hash that is
    /// needed.
    pub fn leaks(&mut self, found: &[FoundPassword]) -> Result<Vec<Leak>> {
        let now = self.now().plausible()?;
        let ids: Vec<_> = found.iter().map(FoundPassword::password_id).collect();
        let mut leaks: Vec<_> = ids.iter().cloned().map(Leak::unknown).collect();
        let wanted: HashSet<_> = ids.into_iter().collect();
        if wanted.is_empty() {
            return Ok(leaks);
        }
        let holders: HashMap<_, _> = self.store.holders_of(&wanted)?.into_iter().collect();
        let held: Vec<_> = (0..leaks.len())
            .filter_map(|i| Some((i, holders.get(&leaks[i].password_id)?)))
            .collect();
        let mut comparisons = Vec::new();
        for batch in held.chunks(BATCH) {
            let names: Vec<_> = batch.iter().map(|(_, username)| *username).collect();
            let users = self.store.users_named(&names)?;
            let hashes = self.store.hashes_of(&names)?;
            for ((&(i, username), user), hashes) in batch.iter().zip(users).zip(hashes) {
                let Some(user) = user else {
                    continue;
                };
                judge(&mut leaks[i], &user, now);
                if !leaks[i].state.is_live() {
                    continue;
                }
                let mut hashes = hashes.iter();
                // It was changed since the user was read.
                let Some(own) = hashes.find(|hash| hash.password_id == leaks[i].password_id) else {
                    leaks[i].state = LeakState::Stopped;
                    continue;
                };
                comparisons.push(Comparison {
                    number: i,
                    password: &found[i],
                    hash: readable(username, own)?,
                });
            }
        }
        for number in differing(&comparisons)? {
            leaks[number] = Leak::unknown(leaks[number].password_id.clone());
        }
        Ok(leaks)
    }

    /// Raises an alert for each of these passwords that works, given where they were found.
    pub fn tell_of_leaks(&mut self, leaks: &[(&Leak, String)]) -> Result<()> {
        let alerts: Vec<_> = leaks
            .iter()
            .filter_map(|(leak, place)| leak.alert(place))
            .collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin()?;
        for alert in &alerts {
            tx.raise(alert)?;
        }
        tx.commit()
    }
}

fn judge(leak: &mut Leak, user: &User, now: Time) {
    let mut passwords = user.all_passwords();
    let Some(own) = passwords.find(|password| password.id == leak.password_id) else {
        return;
    };
    leak.state = state(own, now);
    leak.until = own.retires_at;
    leak.user = Some((user.username.clone(), user.status(now)));
}

fn state(password: &PasswordInfo, now: Time) -> LeakState {
    if !password.is_live(now) {
        LeakState::Stopped
    } else if password.stays() {
        LeakState::Works
    } else {
        LeakState::Overlap
    }
}

/// Returns the numbers of the passwords that are not what their hashes say.
fn differing(comparisons: &[Comparison]) -> Result<Vec<usize>> {
    // Each takes the memory of a hash.
    const MOST: usize = 2;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut hasher = Hasher::default();
        let mut differing = Vec::new();
        while let Some(it) = comparisons.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !hasher.verify(it.password.expose(), &it.hash)? {
                differing.push(it.number);
            }
        }
        Ok(differing)
    };
    thread::scope(|scope| {
        let threads = threads.min(MOST).min(comparisons.len());
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let ended = worker.join();
            all.extend(ended.map_err(|_| Error::System("a thread ended early".into()))??);
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_makes_an_overlap_and_its_time_ends_it() {
        let password = |retires_at, erased| PasswordInfo {
            id: PasswordId::stored("abcdefgh".into()),
            created_at: Time::from_epoch(0),
            retires_at,
            erased,
            last_connection: None,
            sent: crate::model::user::SentMail::default(),
        };
        let [past, now, later] = [10, 20, 30].map(Time::from_epoch);
        for (retires_at, erased, expected) in [
            (None, false, LeakState::Works),
            (Some(later), false, LeakState::Overlap),
            (Some(now), false, LeakState::Stopped),
            (Some(past), true, LeakState::Stopped),
            (None, true, LeakState::Stopped),
        ] {
            assert_eq!(state(&password(retires_at, erased), now), expected);
        }
    }
}
