//! A user as the store knows it, and what follows from that at a given time.

use std::str::FromStr;

use super::duration::Duration;
use super::name::Username;
use super::password::KeyId;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct User {
    pub username: Username,
    pub label: Option<String>,
    /// Messages a day.
    pub daily_limit: Option<u32>,
    pub expires_at: Option<Time>,
    pub suspended_at: Option<Time>,
    pub created_at: Time,
    /// All it ever had, oldest first.
    pub keys: Vec<Key>,
}

/// What is known of one password, the password and its hash aside.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: KeyId,
    pub created_at: Time,
    pub retires_at: Option<Time>,
    /// Its hash is gone: it can never sign in again, whatever the clock says.
    pub erased: bool,
    pub last_connection: Option<Connection>,
}

/// The last sign-in with a right password.
#[derive(Clone, Debug)]
pub struct Connection {
    pub at: Time,
    pub address: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Active, with an old password that still works.
    Overlap,
    Suspended,
    Expired,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Expired, Self::Overlap];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Overlap => "overlap",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
        }
    }

    pub const fn can_sign_in(self) -> bool {
        matches!(self, Self::Active | Self::Overlap)
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| invalid("status", text, "active, suspended, expired or overlap"))
    }
}

impl Key {
    pub fn is_live(&self, now: Time) -> bool {
        !self.erased && self.retires_at.is_none_or(|at| now < at)
    }
}

impl User {
    pub fn status(&self, now: Time) -> Status {
        status(
            self.suspended_at,
            self.expires_at,
            self.live_keys(now).count(),
            now,
        )
    }

    pub fn live_keys(&self, now: Time) -> impl DoubleEndedIterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.is_live(now))
    }

    /// The password an application should use: the newest.
    pub fn newest_key(&self) -> Option<&Key> {
        self.keys.last()
    }

    /// One that never connected is stale from its creation on.
    pub fn last_sign_of_life(&self) -> Time {
        self.last_connection()
            .map_or(self.created_at, |connection| connection.at)
    }

    /// Nothing was heard of it since then.
    pub fn is_silent_since(&self, then: Time) -> bool {
        self.last_sign_of_life() <= then
    }

    /// It can sign in, and within so long it cannot any more.
    pub fn expires_within(&self, within: Duration, now: Time) -> bool {
        self.expires_at
            .is_some_and(|at| now < at && at <= now.plus(within))
    }

    pub fn last_connection(&self) -> Option<&Connection> {
        self.keys
            .iter()
            .filter_map(|key| key.last_connection.as_ref())
            .max_by_key(|connection| connection.at)
    }
}

pub fn status(
    suspended_at: Option<Time>,
    expires_at: Option<Time>,
    live: usize,
    now: Time,
) -> Status {
    if suspended_at.is_some() {
        Status::Suspended
    } else if expires_at.is_some_and(|at| at <= now) {
        Status::Expired
    } else if live > 1 {
        Status::Overlap
    } else {
        Status::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_says_the_gravest_first() {
        let [past, now, future] = [10, 20, 30].map(Time::from_epoch);
        assert_eq!(status(None, None, 1, now), Status::Active);
        assert_eq!(status(None, Some(future), 2, now), Status::Overlap);
        assert_eq!(status(None, Some(now), 2, now), Status::Expired);
        assert_eq!(status(Some(past), Some(past), 2, now), Status::Suspended);
    }

    #[test]
    fn a_password_stops_at_the_second_it_retires() {
        let key = |retires_at, erased| Key {
            id: KeyId::stored("abcdefgh".into()),
            created_at: Time::from_epoch(0),
            retires_at,
            erased,
            last_connection: None,
        };
        let at = Time::from_epoch(20);
        assert!(key(None, false).is_live(at));
        assert!(key(Some(Time::from_epoch(21)), false).is_live(at));
        assert!(!key(Some(at), false).is_live(at));
        assert!(!key(Some(Time::from_epoch(99)), true).is_live(at));
    }
}
