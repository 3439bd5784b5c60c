//! Creating and resetting: a new password is handed over in full before the
//! change that makes it work is committed (promise 2).

use super::settings::Connection;
use super::users::{UserRequest, limit_reached};
use super::{App, need_domain, need_user};
use crate::error::{Error, Result};
use crate::model::duration::Duration;
use crate::model::hash::Cost;
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::password::{KeyId, Password, Random, short_name};
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{DomainChange, NewPassword, NewUser, OldPasswords, Store, Tx};

/// All that is needed to sign in.
pub struct Credential {
    pub username: Username,
    pub password: Password,
    pub key: KeyId,
    pub connection: Connection,
    pub expires_at: Option<Time>,
    /// Why somebody is shown this: for people.
    pub occasion: &'static str,
}

/// New passwords on their way to whoever asked for them. The app decides when; the
/// command line decides how.
pub trait Pending {
    /// The change is made and not committed; the password has to be out of our
    /// hands when this returns. The store is locked: it must not wait long.
    fn deliver(&mut self) -> Result<()>;

    /// The change was not committed after all.
    fn withdraw(&mut self);
}

pub trait Handover: Pending {
    /// Takes the credential before the store is locked, and may wait for a
    /// person. What fails here changes nothing.
    fn prepare(&mut self, credential: Credential) -> Result<()>;
}

/// Who gets the new password.
pub enum Name {
    Chosen(Username),
    /// From the label, in this domain.
    Generated(DomainName, Option<Label>),
}

pub struct CreateRequest {
    pub name: Name,
    pub add_domain: bool,
    pub user: UserRequest,
}

impl App {
    /// Settles the username of a user to be created, and finds early what the
    /// store would refuse late.
    pub fn plan_user(&mut self, request: &CreateRequest) -> Result<Username> {
        self.now().plausible()?;
        let domain = match &request.name {
            Name::Chosen(username) => username.domain(),
            Name::Generated(domain, _) => domain.clone(),
        };
        match self.store.domain(&domain)? {
            Some(found) => limit_reached(&mut self.store, &found)?,
            None if request.add_domain => {}
            None => return Err(Error::DomainNotFound(domain.to_string())),
        }
        match &request.name {
            Name::Chosen(username) if self.store.user(username)?.is_some() => {
                Err(Error::UserExists(username.to_string()))
            }
            Name::Chosen(username) => Ok(username.clone()),
            Name::Generated(domain, label) => {
                let random = self.world.random;
                free_username(
                    Some(&mut self.store),
                    random,
                    domain,
                    label.as_ref(),
                    &|_| false,
                )
            }
        }
    }

    pub fn create_user(
        &mut self,
        username: &Username,
        request: &CreateRequest,
        password: Password,
        handover: &mut dyn Handover,
    ) -> Result<User> {
        let domain = username.domain();
        let expires_at = request.user.expires.map(|expiry| expiry.from(self.now()));
        let credential = self.credential(username, password, expires_at, "New user")?;
        let new = self.hashed(&credential)?;
        handover.prepare(credential)?;

        let request = &request.user;
        let add_domain = self.store.domain(&domain)?.is_none();
        let tx = self.begin()?;
        commit_handed_over(tx, handover, |tx| {
            let user = NewUser {
                username,
                label: request.label.as_ref(),
                daily_limit: request.daily_limit,
                expires_at,
                sending: &request.sending,
                rotation: &request.rotation,
            };
            add_user(tx, add_domain, &user, &new)
        })?;
        need_user(&mut self.store, username)
    }

    /// Whether the user has a password of this key that has not stopped. Also where
    /// whoever made it is gone, and its commit is under way.
    pub fn has_key(&mut self, username: &Username, key: &KeyId) -> Result<bool> {
        let now = self.now();
        self.store.wait_for_commits()?;
        let user = self.store.user(username)?;
        Ok(user.is_some_and(|user| user.live_keys(now).any(|live| live.id == *key)))
    }

    /// Finds early what a reset would be refused for late.
    pub fn plan_reset(&mut self, username: &Username, overlap: Option<Duration>) -> Result<User> {
        let now = self.now().plausible()?;
        let user = need_user(&mut self.store, username)?;
        overlap_free(&mut self.store, &user, overlap, now)?;
        Ok(user)
    }

    pub fn reset_password(
        &mut self,
        username: &Username,
        overlap: Option<Duration>,
        password: Password,
        handover: &mut dyn Handover,
    ) -> Result<User> {
        let expires_at = need_user(&mut self.store, username)?.expires_at;
        let credential = self.credential(username, password, expires_at, "New password")?;
        let new = self.hashed(&credential)?;
        handover.prepare(credential)?;

        // Now, not before: a person may have looked at the password for long.
        let now = self.now();
        let old = overlap.map_or(OldPasswords::Stop, |d| OldPasswords::RetireAt(now.plus(d)));
        let tx = self.begin()?;
        commit_handed_over(tx, handover, |tx| {
            let user = need_user(tx.store(), username)?;
            overlap_free(tx.store(), &user, overlap, now)?;
            tx.reset_password(username, &new, old)
        })?;
        need_user(&mut self.store, username)
    }

    fn credential(
        &mut self,
        username: &Username,
        password: Password,
        expires_at: Option<Time>,
        occasion: &'static str,
    ) -> Result<Credential> {
        Ok(Credential {
            key: password.key_id(self.world.random)?,
            connection: self.connection_of(&username.domain())?,
            username: username.clone(),
            password,
            expires_at,
            occasion,
        })
    }

    fn hashed(&mut self, credential: &Credential) -> Result<NewPassword> {
        let cost: Cost = self.store.settings()?.argon2;
        let password = credential.password.expose().as_bytes();
        Ok(NewPassword {
            key: credential.key.clone(),
            hash: self.hasher.hash(password, cost, self.world.random)?,
        })
    }
}

/// The label in the letters of a username, and a short random part.
pub(super) fn free_username(
    mut store: Option<&mut Store>,
    random: Random,
    domain: &DomainName,
    label: Option<&Label>,
    taken: &dyn Fn(&Username) -> bool,
) -> Result<Username> {
    const TRIES: usize = 20;
    let stem = stem(label.map_or("", Label::as_str));
    for _ in 0..TRIES {
        let local = format!("{stem}-{}", short_name(RANDOM, random)?);
        let username = Username::new(&local, domain)?;
        let there = match store.as_deref_mut() {
            Some(store) => store.user(&username)?.is_some(),
            None => false,
        };
        if !there && !taken(&username) {
            return Ok(username);
        }
    }
    Err(Error::System(
        "no free username was found; choose one".into(),
    ))
}

/// Makes the change, hands the password over, commits; in this order.
pub(super) fn commit_handed_over(
    mut tx: Tx<'_>,
    handover: &mut dyn Pending,
    change: impl FnOnce(&mut Tx<'_>) -> Result<()>,
) -> Result<()> {
    // Before the delivery, whatever fails is only the change; after it, the
    // person who has the password must be told that it is not valid.
    let made = change(&mut tx).and_then(|()| tx.flush());
    if let Err(error) = made {
        drop(tx);
        handover.withdraw();
        return Err(error);
    }
    if let Err(error) = handover.deliver() {
        drop(tx);
        handover.withdraw();
        return Err(error);
    }
    tx.commit().map_err(|error| match error {
        // It may be valid: whoever has it keeps it.
        unknown @ Error::CommitUnknown { .. } => unknown,
        error => {
            handover.withdraw();
            Error::NotStored(Box::new(error))
        }
    })
}

/// And its domain, where that is wanted.
pub(super) fn add_user(
    tx: &mut Tx<'_>,
    add_domain: bool,
    user: &NewUser,
    password: &NewPassword,
) -> Result<()> {
    let domain = user.username.domain();
    if add_domain && tx.store().domain(&domain)?.is_none() {
        tx.add_domain(&domain, &DomainChange::default())?;
    }
    let found = need_domain(tx.store(), &domain)?;
    limit_reached(tx.store(), &found)?;
    tx.add_user(user, password)
}

/// At most two passwords live at any time.
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
    let retiring = user.live_keys(now).filter_map(|key| key.retires_at).max();
    if let Some(until) = retiring {
        let until = until.to_string();
        return Err(Error::OverlapRunning { username, until });
    }
    match store.unfinished(&user.username)? {
        Some(unfinished) if unfinished.key.is_some() => Err(Error::RotationUnfinished {
            username,
            reason: unfinished.reason().to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Of a generated username: what makes it another one.
const RANDOM: usize = 4;

/// Whether this is a name that a label could have been given here.
pub(super) fn is_named_after(username: &Username, label: &Label) -> bool {
    let local = username.as_str().split('@').next().unwrap_or_default();
    let random = local.strip_prefix(&stem(label.as_str()));
    random.is_some_and(|rest| rest.len() == RANDOM + 1 && rest.starts_with('-'))
}

fn stem(label: &str) -> String {
    const MAX: usize = 40;
    let mut stem = String::new();
    for c in label.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            stem.push(c);
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
        if stem.len() == MAX {
            break;
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "user" } else { stem }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn usernames_follow_labels() {
        for (label, expected) in [
            ("WordPress", "wordpress"),
            ("Contact form (old)", "contact-form-old"),
            ("日本", "user"),
            ("", "user"),
            ("--x--", "x"),
        ] {
            assert_eq!(stem(label), expected, "{label}");
        }
        assert_eq!(stem(&"ab ".repeat(40)).len(), 40);
    }
}
