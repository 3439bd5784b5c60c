//! Rotation without an outage (promise 6): the new password works beside the old
//! one before anybody is told of it, and the old one retires only once the new
//! one has arrived. Where that cannot be known, both stay.

mod places;
mod plan;
mod run;
mod take_up;
pub(super) mod workers;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::credential::Credential;
use super::{App, need_user};
use crate::error::{Error, Result};
use crate::model::delivery::Delivery;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::rotation::Retire;
use crate::model::user::User;

pub use places::Places;
pub use plan::{Planned, Selection};
pub use run::{Outcome, Run, Summary, Watcher};

/// How a run goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of this run: before what the store says.
    pub delivery: Delivery,
    pub retire: Retire,
    /// Deliveries at the same time.
    pub jobs: usize,
    /// An older password that would retire later stops first; an unfinished
    /// rotation is begun anew though nobody knows whether it arrived.
    pub force: bool,
    /// Deliveries of the store may run though another user can write it.
    pub trust_store: bool,
}

/// How long a command that is told to end, after its time, may take to do so.
pub const KILLED_WITHIN: Duration = Duration::FIVE_SECONDS;

/// What a file has for a password.
pub type Found = Zeroizing<Vec<u8>>;

/// A new password on its way.
pub struct Parcel {
    pub credential: Credential,
    pub delivery: Delivery,
    /// The one that it replaces.
    pub old_key: Option<KeyId>,
    /// An earlier new password was stopped that may lie somewhere unseen.
    pub doubt: bool,
    /// What its files hold already is somebody else's, and stays.
    pub new_user: bool,
}

/// What became of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    Arrived,
    /// Certainly not.
    Not(String),
    /// It was not begun, because the run was stopped.
    Stopped,
    /// Perhaps.
    Unknown(String),
}

/// Takes new passwords to whoever needs them: commands, files, the proof by a
/// sign-in. Several at the same time.
pub trait Courier: Sync {
    /// `handing` is called before a command could get to know the password; none may
    /// where it fails.
    fn deliver(
        &self,
        parcel: &Parcel,
        handing: &mut dyn FnMut() -> Result<()>,
        said: &mut dyn FnMut(String),
    ) -> Arrival;

    /// The passwords in the files of a delivery, those that can be read.
    fn found(&self, delivery: &Delivery, username: &Username) -> Vec<(PathBuf, Found)>;

    /// Why a new user's password would not be written to the files of a delivery.
    fn refuses(&self, delivery: &Delivery, username: &Username) -> Vec<String>;

    /// The new user is there, and what its files hold is needed.
    fn settled(&self, delivery: &Delivery, username: &Username);

    /// A file as it is, however it is called.
    fn real(&self, path: &Path) -> PathBuf;

    /// Whether a command that was given this password runs, or something it started;
    /// nothing where that cannot be told.
    fn is_delivering(&self, key: &KeyId) -> Option<bool>;

    /// The users that commands of earlier runs are still taking a password to, as
    /// far as that can be told.
    fn under_way(&self) -> HashSet<String>;
}

impl App {
    /// What time has done: a clock that was set back, users that have expired.
    pub fn tidy_rotation(&mut self) -> Result<()> {
        let mut tx = self.begin()?;
        tx.mend_retirements()?;
        tx.tell_expired()?;
        tx.commit()
    }

    /// Ends an overlap: the password that is to retire stops now, or the one named.
    /// Returns the one that stopped.
    pub fn retire_password(
        &mut self,
        username: &Username,
        key: Option<&KeyId>,
    ) -> Result<(User, KeyId)> {
        let now = self.now().plausible()?;
        let mut tx = self.begin()?;
        let user = need_user(tx.store(), username)?;
        let live: Vec<_> = user.live_keys(now).collect();
        let found = match key {
            Some(key) => live.iter().find(|live| live.id == *key),
            None => live.iter().find(|live| live.retires_at.is_some()),
        };
        let stops = match (found, key) {
            (Some(found), _) => found.id.clone(),
            (None, Some(key)) => {
                return Err(Error::NoSuchKey {
                    username: username.to_string(),
                    key: key.to_string(),
                });
            }
            (None, None) if live.len() > 1 => {
                return Err(Error::Usage(format!(
                    "the rotation of {username} is unfinished: say with --key which password stops, {}",
                    live.iter()
                        .map(|key| key.id.as_str())
                        .collect::<Vec<_>>()
                        .join(" or ")
                )));
            }
            (None, None) => return Err(Error::LastPassword(username.to_string())),
        };
        if !live.iter().any(|key| key.id != stops) {
            return Err(Error::LastPassword(username.to_string()));
        }
        tx.retire_password(username, &stops)?;
        tx.commit()?;
        Ok((need_user(&mut self.store, username)?, stops))
    }
}
