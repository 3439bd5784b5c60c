//! Users, except for their passwords.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{FieldChange, user_changes};
use super::{App, need_domain, need_user, not_found};
use crate::error::{Error, Result};
use crate::model::address_rules::AddressChange;
use crate::model::domain::Domain;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::limits::NearLimit;
use crate::model::name::{DomainName, Username};
use crate::model::note::Note;
use crate::model::rotation::RulesChange;
use crate::model::setting::{LimitValue, Setting};
use crate::model::tag::{self, TagChange, TagFilter};
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::model::user_search::{SearchText, UserSort};
use crate::store::{Page, SendingChange, Store, Tx, UserChange, UserFilter};

/// The values of a new user.
#[derive(Debug, Default)]
pub struct UserRequest {
    /// A description.
    pub label: Option<Label>,
    /// A note about it.
    pub note: Option<Note>,
    /// Its tags.
    pub tags: Vec<TagChange>,
    /// Messages per day.
    pub daily_limit: Option<LimitValue>,
    /// When it expires.
    pub expires: Option<Expiry>,
    /// What it may send.
    pub sending: SendingChange,
    /// How its password is rotated.
    pub rotation: RulesChange,
    /// From where it may sign in.
    pub addresses: AddressChange,
}

/// The values to set; absent ones stay as they are.
#[derive(Debug, Default)]
pub struct UserUpdate {
    /// A description.
    pub label: Option<Setting<Label>>,
    /// A note about it.
    pub note: Option<Setting<Note>>,
    /// Tags to set or remove.
    pub tags: Vec<TagChange>,
    /// Messages per day.
    pub daily_limit: Option<Setting<LimitValue>>,
    /// When it expires.
    pub expires: Option<Setting<Expiry>>,
    /// What it may send.
    pub sending: SendingChange,
    /// How its password is rotated.
    pub rotation: RulesChange,
    /// From where it may sign in.
    pub addresses: AddressChange,
}

/// When a user stops signing in.
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    /// After this time.
    In(Duration),
    /// At this time.
    At(Time),
}

impl UserRequest {
    /// Returns when the user expires, `None` if never. Fails if that has passed.
    pub fn expires_at(&self, now: Time) -> Result<Option<Time>> {
        self.expires.map(|expiry| expiry.from(now)).transpose()
    }
}

impl Expiry {
    /// Returns the time of the expiry. Fails if that has passed: it makes no sense for a new
    /// user, and another command suspends one.
    pub fn from(self, now: Time) -> Result<Time> {
        let at = match self {
            Self::In(duration) => now.plus(duration),
            Self::At(at) => at,
        };
        if at <= now {
            return Err(Error::ExpiryPassed(at.to_string()));
        }
        Ok(at)
    }
}

/// Which users to list: those that match all given conditions.
#[derive(Debug, Default)]
pub struct UserQuery {
    /// Users of this domain.
    pub domain: Option<DomainName>,
    /// Users with this status.
    pub status: Option<Status>,
    /// Without a connection for this long.
    pub stale: Option<Duration>,
    /// Users that have never been used.
    pub never_used: bool,
    /// Expires within this time, and has not expired yet.
    pub expiring: Option<Duration>,
    /// Users with all these tags.
    pub tags: Vec<TagFilter>,
    /// With this text in the name or label.
    pub text: Option<SearchText>,
    /// In this order.
    pub sort: UserSort,
    /// Whether to look up limits nearly used up and refused sign-ins, too.
    pub with_trouble: bool,
}

/// What a list says of a user that is not among its settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// A limit that is nearly used up.
    pub limit: Option<NearLimit>,
    /// Refused sign-ins of the addresses that were refused in the last 24 hours.
    pub refused: u64,
}

/// The trouble of the users between two names.
#[derive(Default)]
struct Troubles {
    limits: BTreeMap<String, NearLimit>,
    refused: BTreeMap<String, u64>,
}

impl Troubles {
    fn of(&self, user: &User) -> Trouble {
        let name = user.username.as_str();
        Trouble {
            limit: self.limits.get(name).copied(),
            refused: self.refused.get(name).copied().unwrap_or(0),
        }
    }
}

impl App {
    /// Passes the users that match to the callback. Fails if the domain does not exist.
    pub fn list_users(
        &mut self,
        wanted: &UserQuery,
        page: &Page,
        each: &mut dyn FnMut(User, Trouble) -> Result<()>,
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
            tags: wanted.tags.clone(),
            text: wanted.text.clone(),
        };
        // Each row is read once, so a cache would only take memory.
        self.store.keep_little()?;
        let mut reader = self.store.sorted_users(&filter, wanted.sort, page, now)?;
        let mut troubles = Troubles::default();
        if wanted.with_trouble && !reader.is_by_name() {
            troubles = self.troubles(("", "\u{10ffff}"))?;
        }
        loop {
            let users = self.store.next_users(&mut reader)?;
            let (Some(first), Some(last)) = (users.first(), users.last()) else {
                return Ok(());
            };
            if wanted.with_trouble && reader.is_by_name() {
                troubles = self.troubles((first.username.as_str(), last.username.as_str()))?;
            }
            for user in users {
                let trouble = troubles.of(&user);
                each(user, trouble)?;
            }
        }
    }

    /// Looks up what is wrong with the users from one name to another.
    fn troubles(&mut self, range: (&str, &str)) -> Result<Troubles> {
        const DAY: Duration = Duration::days(1);
        let now = self.now();
        let day = self.store.settings()?.day;
        Ok(Troubles {
            limits: self.store.near_limits(range, now, &day)?,
            refused: self.store.refused_since(range, now.minus(DAY))?,
        })
    }

    /// Returns a user. Fails if it does not exist.
    pub fn user(&mut self, username: &Username) -> Result<User> {
        let now = self.now();
        need_user(&mut self.store, username, now)
    }

    /// Returns these users, each once. Fails if one does not exist.
    pub fn need_users(&mut self, names: &[Username]) -> Result<Vec<User>> {
        let now = self.now();
        let mut seen = BTreeSet::new();
        let once: Vec<_> = names.iter().filter(|name| seen.insert(*name)).collect();
        let found = self.store.users_named(&once)?;
        let found = found.into_iter().zip(once);
        found
            .map(|(user, name)| user.ok_or_else(|| not_found(&mut self.store, name, now)))
            .collect()
    }

    /// Returns all users of a domain, by name. Fails if it does not exist.
    pub fn users_of_domain(&mut self, domain: &DomainName) -> Result<Vec<User>> {
        need_domain(&mut self.store, domain)?;
        let names = self.store.users_of(domain)?;
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        self.need_users(&names)
    }

    /// Changes a user. Returns it and the fields that differ now; nothing is written if none
    /// does. Fails if it does not exist, or would expire in the past.
    pub fn set_user(
        &mut self,
        username: &Username,
        update: UserUpdate,
    ) -> Result<(User, Vec<FieldChange>)> {
        let now = self.now();
        let expires_at = match update.expires {
            Some(Setting::Some(expiry)) => Some(Setting::Some(expiry.from(now)?)),
            Some(Setting::None) => Some(Setting::None),
            None => None,
        };
        let change = UserChange {
            label: update.label,
            note: update.note,
            tags: update.tags,
            daily_limit: update.daily_limit,
            expires_at,
            sending: update.sending,
            rotation: update.rotation,
            addresses: update.addresses,
        };
        let mut tx = self.begin()?;
        let found = tx.store().rules_of_users(&[username])?.pop().flatten();
        let Some(has) = found else {
            return Err(not_found(tx.store(), username, now));
        };
        tag::changed(&has.user.tags, &change.tags)?;
        let fields = user_changes(&has, &change);
        if fields.is_empty() {
            return Ok((has.user, fields));
        }
        tx.set_read_user(&has, &change)?;
        tx.commit()?;
        Ok((self.user(username)?, fields))
    }

    /// Suspends a user. Returns it, and whether anything changed.
    pub fn suspend_user(&mut self, username: &Username) -> Result<(User, bool)> {
        self.switch_user(username, true)
    }

    /// Ends a suspension. Returns the user, and whether anything changed.
    pub fn resume_user(&mut self, username: &Username) -> Result<(User, bool)> {
        self.switch_user(username, false)
    }

    fn switch_user(&mut self, username: &Username, suspend: bool) -> Result<(User, bool)> {
        let now = self.now();
        let mut tx = self.begin()?;
        let user = need_user(tx.store(), username, now)?;
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

    /// Deletes the user that was seen, not a later one of the same name. Returns it as it
    /// was.
    pub fn delete_user(&mut self, seen: &User) -> Result<User> {
        let username = &seen.username;
        let now = self.now();
        let mut tx = self.begin()?;
        let user = need_same(tx.store(), seen, now)?;
        tx.delete_user(username)?;
        tx.commit()?;
        Ok(user)
    }
}

impl App {
    /// Deletes the users of a batch that were created at the given times. Returns how many.
    pub(super) fn delete_users(&mut self, users: &[(Username, Time)]) -> Result<u64> {
        let mut tx = self.begin()?;
        let deleted = delete_same(&mut tx, users)?;
        if deleted > 0 {
            tx.commit()?;
        }
        Ok(deleted)
    }
}

/// Deletes the users that were created at the given times. Returns how many.
pub(super) fn delete_same(tx: &mut Tx, users: &[(Username, Time)]) -> Result<u64> {
    let names: Vec<_> = users.iter().map(|(username, _)| username).collect();
    let found = tx.store().users_named(&names)?;
    let mut deleted = 0;
    for ((username, created_at), found) in users.iter().zip(found) {
        if found.is_some_and(|user| user.created_at == *created_at) {
            tx.delete_user(username)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Returns the current state of the user that was seen before.
pub(super) fn need_same(store: &mut Store, seen: &User, now: Time) -> Result<User> {
    let user = need_user(store, &seen.username, now)?;
    if user.is(seen) {
        return Ok(user);
    }
    Err(Error::ChangedMeanwhile(format!(
        "{} was deleted meanwhile, and another user was created with its name",
        seen.username
    )))
}

/// Fails if the domain has as many users as it may have.
pub(crate) fn limit_reached(store: &mut Store, domain: &Domain) -> Result<()> {
    match domain.max_users {
        Some(limit) if store.user_count(&domain.name)? >= limit.into() => Err(Error::UserLimit {
            domain: domain.name.to_string(),
            limit,
        }),
        _ => Ok(()),
    }
}
