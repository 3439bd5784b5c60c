//! Creates users and resets passwords: a new password is delivered in full before the
//! change that makes it valid is committed (promise 2).

use super::capacity::DomainCapacity;
use super::domains::need_same_domain;
use super::settings::SmtpServer;
use super::usernames::free_username;
use super::users::{UserRequest, limit_reached, need_same};
use super::{App, need_free_name, need_no_rotation, need_user};
use crate::error::{Error, Result};
use crate::model::domain::Domain;
use crate::model::duration::Duration;
use crate::model::hash::Cost;
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::password::{Password, PasswordId};
use crate::model::tag::{self, Tags};
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{DomainChange, NewPassword, NewUser, OldPasswords, Store, Tx};

/// Everything needed to sign in.
pub struct Credential {
    /// The user.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// The ID that lists show for it.
    pub password_id: PasswordId,
    /// Where the application connects.
    pub server: SmtpServer,
    /// When the user expires, if ever.
    pub expires_at: Option<Time>,
    /// Why the password is shown, for people.
    pub occasion: &'static str,
    /// What happens to the previous password if the change is made now. A person who
    /// looks at this panel for a long time delays both.
    pub replaces: Option<OldPasswords>,
}

/// New passwords on their way to the caller. The app decides when they are delivered, the
/// command line how.
pub trait Pending {
    /// Completes the delivery. The change is made and not committed; the store is locked, so
    /// this must not wait long.
    fn commit_delivery(&mut self) -> Result<()>;

    /// Takes the password back: the change was not committed.
    fn withdraw(&mut self);

    /// Returns whether someone may already have the password. If the change then fails, they
    /// must learn that it is not valid.
    fn is_out(&self) -> bool;
}

/// New passwords that are handed over one at a time.
pub trait Handover: Pending {
    /// Presents the credential before the store is locked, and may wait for a person. If
    /// this fails, nothing changes.
    fn present(&mut self, credential: Credential) -> Result<()>;

    /// Returns whether a person looked at it and confirmed the state that was shown.
    fn is_confirmed(&self) -> bool {
        false
    }
}

/// What happened before a change is made.
pub(super) struct Handed<'a> {
    pub(super) now: Time,
    /// A person confirmed the state at that time.
    confirmed: bool,
    pub(super) new: &'a NewPassword,
}

/// The username of a new user.
pub enum Name {
    /// The name that the admin chose.
    Chosen(Username),
    /// Generated from the label, in this domain.
    Generated(DomainName, Option<Label>),
}

/// A user to create.
pub struct CreateRequest {
    /// Its name.
    pub name: Name,
    /// Add the domain if it does not exist.
    pub add_domain: bool,
    /// The user that it is a copy of.
    pub copy_of: Option<Username>,
    /// Its values.
    pub user: UserRequest,
}

impl App {
    /// Chooses the username of a new user, and checks early what would make its creation
    /// fail later. Also returns its domain, if that exists.
    pub fn plan_user(&mut self, request: &CreateRequest) -> Result<(Username, Option<Domain>)> {
        request.user.expires_at(self.now().plausible()?)?;
        tag::changed(&Tags::new(), &request.user.tags)?;
        let domain = match &request.name {
            Name::Chosen(username) => username.domain(),
            Name::Generated(domain, _) => domain.clone(),
        };
        let there = self.store.domain(&domain)?;
        match &there {
            Some(found) => limit_reached(&mut self.store, found)?,
            None if request.add_domain => {}
            None => return Err(Error::DomainNotFound(domain.to_string())),
        }
        let username = match &request.name {
            Name::Chosen(username) => {
                let now = self.now();
                need_free_name(&mut self.store, username, now)?;
                username.clone()
            }
            Name::Generated(domain, label) => {
                let random = self.world.random;
                free_username(
                    Some(&mut self.store),
                    random,
                    domain,
                    label.as_ref(),
                    &|_| false,
                )?
            }
        };
        Ok((username, there))
    }

    /// Adds the user to the domain that existed at planning time, or to a new one.
    pub fn create_user(
        &mut self,
        username: &Username,
        domain: Option<&Domain>,
        request: &CreateRequest,
        password: Password,
        handover: &mut dyn Handover,
    ) -> Result<User> {
        let expires_at = request.user.expires_at(self.now())?;
        let credential = self.credential(username, password, expires_at, "New user")?;
        let add_domain = request.add_domain && domain.is_none();
        let copy_of = request.copy_of.as_ref();
        let request = &request.user;
        self.hand_over(credential, handover, |tx, handed| {
            // A person may have looked at the password for longer than that.
            if let Some(passed) = expires_at.filter(|at| *at <= handed.now) {
                return Err(Error::ExpiryPassed(passed.to_string()));
            }
            if let Some(seen) = domain {
                need_same_domain(tx.store(), seen)?;
            }
            let user = NewUser {
                username,
                label: request.label.as_ref(),
                copy_of,
                note: request.note.as_ref(),
                tags: &request.tags,
                daily_limit: request.daily_limit,
                expires_at,
                sending: &request.sending,
                rotation: &request.rotation,
                addresses: &request.addresses,
            };
            need_free_name(tx.store(), username, handed.now)?;
            let mut capacity = DomainCapacity::default();
            capacity.look_up(tx.store(), [username.domain()].iter())?;
            add_user(tx, &mut capacity, add_domain, &user, handed.new)?;
            need_user(tx.store(), username, handed.now)
        })
    }

    /// Returns whether each user has a live password with this ID. Waits for a commit
    /// that a lost client left behind.
    pub fn have_live_passwords(
        &mut self,
        passwords: &[(Username, PasswordId)],
    ) -> Result<Vec<bool>> {
        let now = self.now();
        self.store.wait_for_commits()?;
        let names: Vec<_> = passwords.iter().map(|(username, _)| username).collect();
        let users = self.store.users_named(&names)?;
        let has = |user: Option<User>, password_id: &PasswordId| {
            user.is_some_and(|user| {
                let mut all = user.all_passwords();
                all.any(|own| own.is_live(now) && own.id == *password_id)
            })
        };
        let both = users.into_iter().zip(passwords);
        Ok(both
            .map(|(user, (_, password_id))| has(user, password_id))
            .collect())
    }

    /// Checks early what would make a reset of this user fail later.
    pub fn may_reset(&mut self, user: &User, overlap: Option<Duration>) -> Result<()> {
        let now = self.now().plausible()?;
        overlap_free(&mut self.store, user, overlap, now)
    }

    /// Replaces the password of the planned user, not of a later one with the same
    /// name.
    pub fn reset_password(
        &mut self,
        seen: &User,
        overlap: Option<Duration>,
        password: Password,
        handover: &mut dyn Handover,
    ) -> Result<User> {
        let username = &seen.username;
        let mut credential =
            self.credential(username, password, seen.expires_at, "New password")?;
        let old = |now: Time| match overlap {
            None => OldPasswords::Stop,
            Some(overlap) => OldPasswords::RetireAt(now.plus(overlap)),
        };
        credential.replaces = Some(old(self.now()));
        self.hand_over(credential, handover, |tx, handed| {
            let user = need_same(tx.store(), seen, handed.now)?;
            let stops = |user: &User| user.password().map(|password| password.id.clone());
            if handed.confirmed && stops(&user) != stops(seen) {
                return Err(Error::ChangedMeanwhile(format!(
                    "the password of {username} was replaced meanwhile"
                )));
            }
            overlap_free(tx.store(), &user, overlap, handed.now)?;
            tx.reset_password(username, handed.new, old(handed.now))?;
            need_user(tx.store(), username, handed.now)
        })
    }

    /// Shows the password, makes the change and commits it. A failure after the
    /// password may be known withdraws the password. The change carries the time at
    /// which it is made: a person may have looked at the password for a long time.
    pub(super) fn hand_over<T>(
        &mut self,
        credential: Credential,
        handover: &mut dyn Handover,
        change: impl FnOnce(&mut Tx<'_>, &Handed) -> Result<T>,
    ) -> Result<T> {
        let new = self.hashed(&credential)?;
        handover.present(credential)?;
        let handed = Handed {
            now: self.now(),
            confirmed: handover.is_confirmed(),
            new: &new,
        };
        let tx = match self.begin() {
            Ok(tx) => tx,
            Err(error) => return Err(withdrawn(handover, error)),
        };
        // The user is read before the commit: after it, nothing may fail that
        // would make a valid password look invalid.
        commit_handed_over(tx, handover, |tx| change(tx, &handed))
    }

    pub(super) fn credential(
        &mut self,
        username: &Username,
        password: Password,
        expires_at: Option<Time>,
        occasion: &'static str,
    ) -> Result<Credential> {
        Ok(Credential {
            password_id: password.password_id(self.world.random)?,
            server: self.server_of(&username.domain())?,
            username: username.clone(),
            password,
            expires_at,
            occasion,
            replaces: None,
        })
    }

    fn hashed(&mut self, credential: &Credential) -> Result<NewPassword> {
        let cost: Cost = self.store.settings()?.argon2;
        let password = credential.password.expose().as_bytes();
        Ok(NewPassword {
            password_id: credential.password_id.clone(),
            hash: self.hasher.hash(password, cost, self.world.random)?,
            generated: credential.password.is_generated(),
        })
    }
}

/// Makes the change, hands the password over, commits; in this order.
pub(super) fn commit_handed_over<T>(
    mut tx: Tx<'_>,
    handover: &mut dyn Pending,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    let made = change(&mut tx)
        .and_then(|made| tx.flush().map(|()| made))
        .and_then(|made| handover.commit_delivery().map(|()| made));
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            drop(tx);
            return Err(withdrawn(handover, error));
        }
    };
    match tx.commit() {
        Ok(()) => Ok(made),
        // The password may be valid, so the recipient keeps it.
        Err(unknown @ Error::CommitUnknown { .. }) => Err(unknown),
        Err(error) => Err(withdrawn(handover, error)),
    }
}

/// Withdraws an uncommitted password and reports that it is not valid, because
/// someone may already have it.
pub(super) fn withdrawn(handover: &mut dyn Pending, error: Error) -> Error {
    let is_out = handover.is_out();
    handover.withdraw();
    if is_out {
        Error::NotStored(Box::new(error))
    } else {
        error
    }
}

/// Adds a user, and its domain if asked to. `capacity` has looked the domain up in this change.
pub(super) fn add_user(
    tx: &mut Tx<'_>,
    capacity: &mut DomainCapacity,
    add_domain: bool,
    user: &NewUser,
    password: &NewPassword,
) -> Result<()> {
    let domain = user.username.domain();
    if add_domain && !capacity.has(&domain) {
        tx.add_domain(&domain, &DomainChange::default())?;
        capacity.add(&domain);
    }
    capacity.take(&domain)?;
    tx.add_user(user, password)
}

/// Fails if an overlap would leave a user with more than two live passwords.
fn overlap_free(
    store: &mut Store,
    user: &User,
    overlap: Option<Duration>,
    now: Time,
) -> Result<()> {
    if overlap.is_none() {
        return Ok(());
    }
    let username = user.username.to_string();
    let retiring = user
        .live_passwords(now)
        .filter_map(|password| password.retires_at)
        .max();
    if let Some(until) = retiring {
        let until = until.to_string();
        return Err(Error::OverlapRunning { username, until });
    }
    need_no_rotation(store, user, now)
}
