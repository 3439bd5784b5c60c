//! Rotation without an outage (promise 6): the new password is live before anyone
//! learns it, and the old one retires only after the new one has arrived. While that is
//! unknown, both stay live.
//!
//! A run plans ([`plan`]), decides about unfinished rotations of earlier runs
//! ([`resume`]), then makes and delivers new passwords ([`workers`]), records each event
//! ([`record`]) and decides what follows ([`step`]).

mod plan;
mod record;
mod report;
mod resume;
mod run;
mod step;
mod targets;
pub(super) mod workers;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use zeroize::Zeroizing;

use super::credential::Credential;
use super::pause::let_others;
use super::{App, need_user};
use crate::error::{Error, Result};
use crate::model::delivery::Destination;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::{Retire, WaysOut};
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::Tx;

pub use plan::{PlannedRotation, RotationRounds, Selection};
pub use report::{RotationOutcome, RotationReporter, RotationRun, RotationSummary};
pub use targets::DeliveryTargets;

/// How a run rotates.
#[derive(Clone, Debug)]
pub struct RotationOptions {
    /// Where new passwords go; if empty, what the store says.
    pub destination: Destination,
    /// When the old passwords retire.
    pub retire: Retire,
    /// How many deliveries run at the same time.
    pub jobs: usize,
    /// Revokes a password that is still retiring, and starts over where it is unknown
    /// whether an earlier new password arrived.
    pub force: bool,
    /// Runs the deliveries of a store that another user can write.
    pub trust_store: bool,
}

/// How long a command may take to end once its time is over.
pub const KILLED_WITHIN: Duration = Duration::FIVE_SECONDS;

/// The password that a file holds.
pub type FilePassword = Zeroizing<Vec<u8>>;

/// A new password on its way.
pub struct Delivery {
    /// The new password and how to use it.
    pub credential: Credential,
    /// Where it goes.
    pub destination: Destination,
    /// The password that it replaces.
    pub old_password_id: Option<PasswordId>,
    /// An earlier new password was revoked, although it may lie ready somewhere.
    pub assumed_lost: bool,
    /// An earlier rotation was unfinished.
    pub unfinished: bool,
    /// When the user was created, which distinguishes it from a later one of the same
    /// name; `None` for a new user.
    pub created_at: Option<Time>,
    /// The user does not exist yet, so passwords that its files hold are not its own.
    pub new_user: bool,
}

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The new password arrived.
    Delivered,
    /// The new password certainly did not arrive, for this reason.
    NotDelivered(String),
    /// The run was stopped before the delivery began.
    NotStarted,
    /// The new password may have arrived; this went wrong.
    Unknown(String),
}

/// Why a password would not be delivered.
#[derive(Debug, PartialEq, Eq)]
pub struct DeliveryObstacle {
    /// What is in the way.
    pub reason: String,
    /// It may be gone by the next attempt, such as a missing folder; a file that is taken stays.
    pub may_pass: bool,
}

/// Delivers new passwords to commands and files, and proves them by a sign-in. Several
/// deliveries run at the same time.
pub trait Deliverer: Sync {
    /// Delivers one password. Calls `on_handover` before a command could learn it, and runs
    /// no command if that fails; passes each line that a command prints to `on_output`.
    fn deliver(
        &self,
        delivery: &Delivery,
        on_handover: &mut dyn FnMut() -> Result<()>,
        on_output: &mut dyn FnMut(String),
    ) -> DeliveryResult;

    /// Returns the passwords in a user's files, of those that can be read.
    fn passwords_in(
        &self,
        destination: &Destination,
        username: &Username,
    ) -> Vec<(PathBuf, FilePassword)>;

    /// Returns why a password would not be delivered, as far as that can be seen before: rights,
    /// missing folders and programs, full disks; for a new user also files that are taken.
    fn obstacles(
        &self,
        destination: &Destination,
        username: &Username,
        new_user: bool,
    ) -> Vec<DeliveryObstacle>;

    /// Returns whether passwords are proven at the server of their domain, which then has to be
    /// set.
    fn needs_server_name(&self) -> bool;

    /// Records that a new user exists, so that its files are no longer overwritten.
    fn confirm_user(&self, destination: &Destination, username: &Username);

    /// Removes the password of a user that was not created from its files.
    fn withdraw(&self, destination: &Destination, username: &Username, password_id: &PasswordId);

    /// Returns a path without links.
    fn resolve(&self, path: &Path) -> PathBuf;

    /// Returns whether a command that was given this password is still running, or a process
    /// that it started; `None` if that is unknown.
    fn is_delivering(&self, password_id: &PasswordId) -> Option<bool>;

    /// Returns the users whose passwords commands of earlier runs are still delivering, as far
    /// as that is known.
    fn users_in_delivery(&self) -> HashSet<String>;
}

/// Records a batch of changes that are due: retirements after a clock was set back, and
/// expired users. Returns whether there may be more.
pub(super) fn apply_due_changes(tx: &mut Tx) -> Result<bool> {
    let fixed = tx.fix_retirements()?;
    tx.raise_expiring()?;
    Ok(tx.record_expiries()? || fixed)
}

impl App {
    /// Records all changes that are due.
    pub fn tidy_rotation(&mut self) -> Result<()> {
        if self.store.restricted_to().is_some() {
            return Ok(());
        }
        loop {
            let began = Instant::now();
            let mut tx = self.begin()?;
            let more = apply_due_changes(&mut tx)?;
            tx.commit()?;
            if !more {
                return Ok(());
            }
            let_others(began);
        }
    }

    /// Returns the ways out of a user's unfinished rotation, if it has one.
    pub fn ways_out(&mut self, username: &Username) -> Result<Option<WaysOut>> {
        let now = self.now();
        let unfinished = self.store.unfinished(username)?;
        let user = self.store.user(username)?;
        Ok(unfinished
            .zip(user)
            .map(|(it, user)| it.ways_out(&user, now)))
    }

    /// Ends an overlap: revokes the password that would retire, or the given one, and keeps
    /// the other. Also ends a temporary password, if its ID is given. Returns the user and the ID of the revoked password.
    pub fn retire_password(
        &mut self,
        username: &Username,
        password_id: Option<&PasswordId>,
    ) -> Result<(User, PasswordId)> {
        let now = self.now().plausible()?;
        let mut tx = self.begin()?;
        let user = need_user(tx.store(), username, now)?;
        if let Some(issued) = password_id
            && user
                .live_temporary(now)
                .any(|own| own.password.id == *issued)
        {
            tx.end_temporary_password(username, issued)?;
            tx.commit()?;
            return Ok((need_user(&mut self.store, username, now)?, issued.clone()));
        }
        let live: Vec<_> = user.live_passwords(now).collect();
        let found = match password_id {
            Some(password_id) => live.iter().find(|live| live.id == *password_id),
            None => live.iter().find(|live| live.retires_at.is_some()),
        };
        let stops = match (found, password_id) {
            (Some(found), _) => found.id.clone(),
            (None, Some(password_id)) => {
                return Err(Error::NoSuchPassword {
                    username: username.to_string(),
                    password_id: password_id.to_string(),
                });
            }
            (None, None) if live.len() > 1 => {
                let unfinished = tx.store().unfinished(username)?;
                let ways_out = unfinished.map(|it| it.ways_out(&user, now).to_string());
                return Err(Error::Usage(format!(
                    "the rotation of {username} is unfinished; specify the password to stop; {}",
                    ways_out.unwrap_or_default()
                )));
            }
            (None, None) => {
                let issued: Vec<_> = user.live_temporary(now).collect();
                let ids = issued.iter().map(|own| own.password.id.as_str());
                return Err(match issued.len() {
                    0 => Error::LastPassword(username.to_string()),
                    _ => Error::Usage(format!(
                        "{username} has no old password that works; to end a temporary one, add --password-id with one of: {}",
                        ids.collect::<Vec<_>>().join(", ")
                    )),
                });
            }
        };
        tx.retire_password(username, &stops)?;
        tx.commit()?;
        Ok((need_user(&mut self.store, username, now)?, stops))
    }
}
