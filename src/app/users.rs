//! Users, their passwords aside.

use super::{App, need_domain, need_user};
use crate::error::{Error, Result};
use crate::model::domain::Domain;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::rotation::RulesChange;
use crate::model::settings::{Limit, Setting};
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::store::{Page, SendingChange, Store, UserChange, UserFilter};

/// What may be said of a user when it is created.
#[derive(Debug, Default)]
pub struct UserRequest {
    pub label: Option<Label>,
    pub daily_limit: Option<Limit>,
    pub expires: Option<Expiry>,
    pub sending: SendingChange,
    pub rotation: RulesChange,
}

/// What to set; absent stays as it is.
#[derive(Debug, Default)]
pub struct UserUpdate {
    pub label: Option<Setting<Label>>,
    pub daily_limit: Option<Setting<Limit>>,
    pub expires: Option<Setting<Expiry>>,
    pub sending: SendingChange,
    pub rotation: RulesChange,
}

/// When a user stops signing in.
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    In(Duration),
    At(Time),
}

impl Expiry {
    pub const fn from(self, now: Time) -> Time {
        match self {
            Self::In(duration) => now.plus(duration),
            Self::At(at) => at,
        }
    }
}

/// Which users a list is about: all that match everything given.
#[derive(Debug, Default)]
pub struct Wanted {
    pub domain: Option<DomainName>,
    pub status: Option<Status>,
    /// No connection for so long.
    pub stale: Option<Duration>,
    pub never_used: bool,
    /// Expires within so long, and has not yet.
    pub expiring: Option<Duration>,
}

impl App {
    /// In pieces: [`crate::store::Store::users_in_pieces`].
    pub fn list_users(
        &mut self,
        wanted: &Wanted,
        page: &Page,
        take: &mut dyn FnMut(Vec<User>) -> Result<Vec<User>>,
    ) -> Result<()> {
        let now = self.now();
        if let Some(domain) = &wanted.domain {
            need_domain(&mut self.store, domain)?;
        }
        let filter = UserFilter {
            domain: wanted.domain.clone(),
            status: wanted.status,
            silent_since: wanted.stale.map(|age| now.minus(age)),
            never_used: wanted.never_used,
            expires_by: wanted.expiring.map(|within| now.plus(within)),
        };
        // What was read once is not read again.
        self.store.keep_little()?;
        self.store.users_in_pieces(&filter, page, now, take)
    }

    pub fn user(&mut self, username: &Username) -> Result<User> {
        need_user(&mut self.store, username)
    }

    pub fn set_user(&mut self, username: &Username, update: UserUpdate) -> Result<User> {
        let now = self.now();
        let change = UserChange {
            label: update.label,
            daily_limit: update.daily_limit,
            expires_at: update.expires.map(|setting| match setting {
                Setting::None => Setting::None,
                Setting::Some(expiry) => Setting::Some(expiry.from(now)),
            }),
            sending: update.sending,
            rotation: update.rotation,
        };
        let mut tx = self.begin()?;
        need_user(tx.store(), username)?;
        tx.set_user(username, &change)?;
        tx.commit()?;
        self.user(username)
    }

    /// Says whether anything changed.
    pub fn suspend_user(&mut self, username: &Username) -> Result<(User, bool)> {
        self.switch_user(username, true)
    }

    /// Says whether anything changed.
    pub fn resume_user(&mut self, username: &Username) -> Result<(User, bool)> {
        self.switch_user(username, false)
    }

    fn switch_user(&mut self, username: &Username, suspend: bool) -> Result<(User, bool)> {
        let mut tx = self.begin()?;
        let user = need_user(tx.store(), username)?;
        if user.suspended_at.is_some() == suspend {
            return Ok((user, false));
        }
        if suspend {
            tx.suspend_user(username)?;
        } else {
            tx.resume_user(username)?;
        }
        tx.commit()?;
        Ok((self.user(username)?, true))
    }

    /// Returns the user as it was.
    pub fn delete_user(&mut self, username: &Username) -> Result<User> {
        let mut tx = self.begin()?;
        let user = need_user(tx.store(), username)?;
        tx.delete_user(username)?;
        tx.commit()?;
        Ok(user)
    }
}

pub(crate) fn limit_reached(store: &mut Store, domain: &Domain) -> Result<()> {
    match domain.max_users {
        Some(limit) if store.user_count(&domain.name)? >= limit.into() => Err(Error::UserLimit {
            domain: domain.name.to_string(),
            limit,
        }),
        _ => Ok(()),
    }
}
