//! A user as the store knows it, and what follows from that at a given time.

use std::str::FromStr;

use super::duration::Duration;
use super::name::Username;
use super::network::Network;
use super::password::PasswordId;
use super::tag::Tags;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// A user and its passwords.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub username: Username,
    /// What it is for.
    pub label: Option<String>,
    /// What the admin notes about it.
    pub note: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Messages a day; `None` is no limit of its own.
    pub daily_limit: Option<u32>,
    /// When it expires; `None` is never.
    pub expires_at: Option<Time>,
    /// When it was suspended; `None` if it is not.
    pub suspended_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// All its own passwords, also erased ones, oldest first.
    pub passwords: Vec<PasswordInfo>,
    /// All its temporary passwords, also ended ones, in the order of their ends.
    pub temporary: Vec<TemporaryPassword>,
}

/// A password of a user, without its hash.
#[derive(Clone, Debug)]
pub struct PasswordInfo {
    /// Its ID.
    pub id: PasswordId,
    /// When it was made.
    pub created_at: Time,
    /// When it stops working; `None` is never.
    pub retires_at: Option<Time>,
    /// Whether its hash is erased, so that it never works again, whatever the clock says.
    pub erased: bool,
    /// The last sign-in with it; `None` if there was none.
    pub last_connection: Option<LastConnection>,
    /// What was sent with it.
    pub sent: SentMail,
}

/// A temporary password, without its hash.
#[derive(Clone, Debug)]
pub struct TemporaryPassword {
    /// What it has in common with the others.
    pub password: PasswordInfo,
    /// What it is for.
    pub label: Option<String>,
    /// From where it works; empty: from where its user may sign in.
    pub networks: Vec<Network>,
}

/// What was sent with a password, as far as it is known which one a session signed in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentMail {
    /// When the last message was sent; `None` if there was none.
    pub last_at: Option<Time>,
    /// How many messages.
    pub messages: u64,
    /// How many recipients they had.
    pub recipients: u64,
}

/// The last sign-in with a right password.
#[derive(Clone, Debug)]
pub struct LastConnection {
    /// When it was.
    pub at: Time,
    /// The client's address; `None` if the mail server did not pass it on.
    pub address: Option<String>,
}

/// How long before its end a user is pointed out to people.
pub const EXPIRES_SOON: Duration = Duration::days(14);

/// What a user can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Can sign in.
    Active,
    /// Can sign in, with an old password, too.
    Overlap,
    /// Cannot sign in until it is resumed.
    Suspended,
    /// Cannot sign in any more.
    Expired,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Expired, Self::Overlap];

    /// Returns the name on command lines and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Overlap => "overlap",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
        }
    }

    /// Returns whether a list of users with this status has those with the other one: in an
    /// overlap, a user is active, too.
    pub fn includes(self, other: Self) -> bool {
        self == other || (self == Self::Active && other == Self::Overlap)
    }

    /// Returns whether such a user can sign in.
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

impl SentMail {
    /// Adds what was sent besides.
    pub fn add(&mut self, other: &Self) {
        self.last_at = self.last_at.max(other.last_at);
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
    }
}

impl PasswordInfo {
    /// Returns whether it works at this time.
    pub fn is_live(&self, now: Time) -> bool {
        !self.erased && self.retires_at.is_none_or(|at| now < at)
    }

    /// Returns whether it works with no end set.
    pub const fn stays(&self) -> bool {
        !self.erased && self.retires_at.is_none()
    }
}

impl TemporaryPassword {
    /// Returns whether it works at this time, unless its user is kept from signing in.
    pub fn is_live(&self, now: Time) -> bool {
        self.password.is_live(now)
    }
}

impl User {
    /// Returns the status at this time.
    pub fn status(&self, now: Time) -> Status {
        status(
            self.suspended_at,
            self.expires_at,
            self.live_passwords(now).count(),
            now,
        )
    }

    /// Returns whether it is the user that was seen before, whatever changed since. A later
    /// user of the same name was created at another time, or never had its passwords.
    pub fn is(&self, seen: &Self) -> bool {
        let had = |password: &PasswordInfo| self.passwords.iter().any(|own| own.id == password.id);
        self.created_at == seen.created_at && seen.passwords.iter().all(had)
    }

    /// Returns all its passwords, also temporary, old and ended ones.
    pub fn all_passwords(&self) -> impl Iterator<Item = &PasswordInfo> {
        let temporary = self.temporary.iter().map(|issued| &issued.password);
        self.passwords.iter().chain(temporary)
    }

    /// Returns the temporary passwords that work at this time; the next to end comes first.
    pub fn live_temporary(&self, now: Time) -> impl Iterator<Item = &TemporaryPassword> {
        let all = self.temporary.iter();
        all.filter(move |issued| issued.is_live(now))
    }

    /// Returns its own passwords that work at this time, oldest first.
    pub fn live_passwords(&self, now: Time) -> impl DoubleEndedIterator<Item = &PasswordInfo> {
        self.passwords
            .iter()
            .filter(move |password| password.is_live(now))
    }

    /// Returns the password that an application should use: the newest live one that does
    /// not retire. Every user has one, so `None` means a damaged store.
    pub fn password(&self) -> Option<&PasswordInfo> {
        self.passwords.iter().rfind(|password| password.stays())
    }

    /// Returns the time of the last sign-in, or of the creation if there was none.
    pub fn last_sign_of_life(&self) -> Time {
        self.last_connection()
            .map_or(self.created_at, |connection| connection.at)
    }

    /// Returns whether it has not signed in since `then`.
    pub fn is_silent_since(&self, then: Time) -> bool {
        self.last_sign_of_life() <= then
    }

    /// Returns whether it has not expired and will within this time.
    pub fn expires_within(&self, within: Duration, now: Time) -> bool {
        self.expires_at
            .is_some_and(|at| now < at && at <= now.plus(within))
    }

    /// Returns the last sign-in with any password; `None` if there was none.
    pub fn last_connection(&self) -> Option<&LastConnection> {
        self.all_passwords()
            .filter_map(|password| password.last_connection.as_ref())
            .max_by_key(|connection| connection.at)
    }
}

/// Returns the status of a user by its dates and its number of live passwords.
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

    fn password(retires_at: Option<Time>, erased: bool) -> PasswordInfo {
        PasswordInfo {
            id: PasswordId::stored("abcdefgh".into()),
            created_at: Time::from_epoch(0),
            retires_at,
            erased,
            last_connection: None,
            sent: SentMail::default(),
        }
    }

    #[test]
    fn the_password_is_the_newest_that_stays() {
        let at = |second, password: PasswordInfo| PasswordInfo {
            created_at: Time::from_epoch(second),
            ..password
        };
        let retiring = Some(Time::from_epoch(99));
        let mut user = User {
            username: "shop@example.com".parse().unwrap(),
            label: None,
            note: None,
            tags: Tags::new(),
            daily_limit: None,
            expires_at: None,
            suspended_at: None,
            created_at: Time::from_epoch(1),
            passwords: vec![
                at(1, password(retiring, false)),
                at(2, password(None, false)),
                // From a clock that was ahead.
                at(7, password(retiring, false)),
                // From a rotation that failed.
                at(8, password(Some(Time::from_epoch(9)), true)),
            ],
            temporary: Vec::new(),
        };
        let made = |user: &User| user.password().map(|password| password.created_at.epoch());
        assert_eq!(made(&user), Some(2));
        user.passwords.insert(2, at(3, password(None, false)));
        assert_eq!(made(&user), Some(3), "a rotation is under way");
        user.passwords.retain(|password| !password.stays());
        assert_eq!(made(&user), None);
    }

    #[test]
    fn a_password_stops_at_the_second_it_retires() {
        let at = Time::from_epoch(20);
        assert!(password(None, false).is_live(at));
        assert!(password(Some(Time::from_epoch(21)), false).is_live(at));
        assert!(!password(Some(at), false).is_live(at));
        assert!(!password(Some(Time::from_epoch(99)), true).is_live(at));
    }
}
