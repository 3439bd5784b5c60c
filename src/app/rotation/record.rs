//! Records what happened in a run: one transaction for each batch of events.

use super::super::App;
use super::plan::inactive;
use super::workers::{STOPPED, WorkerEvent};
use super::{Delivery, DeliveryResult, RotationOptions};
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{Store, Tx};

/// A reset during a rotation replaces both its passwords.
pub(super) const RESET: &str = "it was reset meanwhile";
const DELETED: &str = "it was deleted meanwhile";
pub(super) const REPLACED: &str =
    "it was deleted meanwhile, and another user was created with its name";

/// The result of recording an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Yes,
    /// The user changed meanwhile, so nothing was recorded.
    Refused(String),
    /// The transaction failed.
    StoreFailed(String),
    /// The run was stopped before it began with this user.
    Stopped,
}

impl App {
    /// Records a batch in one transaction. Returns the result of each event.
    pub(super) fn record(
        &mut self,
        batch: &[WorkerEvent],
        options: &RotationOptions,
        stopped: bool,
    ) -> Result<Vec<Recorded>> {
        let names: Vec<_> = batch.iter().filter_map(WorkerEvent::username).collect();
        if names.is_empty() {
            return Ok(vec![Recorded::Yes; batch.len()]);
        }
        let now = self.now();
        let mut tx = self.begin()?;
        tx.read_rotations(&names)?;
        let mut users = tx.store().users_named(&names)?.into_iter();
        let mut recorded = Vec::with_capacity(batch.len());
        for event in batch {
            let user = event.username().and_then(|_| users.next().flatten());
            recorded.push(match event {
                WorkerEvent::Generated(_) if stopped => Recorded::Stopped,
                event => record_one(&mut tx, event, user.as_ref(), options, now)?,
            });
        }
        tx.commit()?;
        Ok(recorded)
    }
}

/// Records one event of this user.
fn record_one(
    tx: &mut Tx,
    event: &WorkerEvent,
    user: Option<&User>,
    options: &RotationOptions,
    now: Time,
) -> Result<Recorded> {
    match event {
        WorkerEvent::Generated(made) => {
            let Some(user) = user else {
                let username = &made.delivery.credential.username;
                return Ok(Recorded::Refused(gone(tx.store(), username)));
            };
            if Some(user.created_at) != made.delivery.created_at {
                return Ok(Recorded::Refused(REPLACED.into()));
            }
            if let Some(reason) = refusal(user, options, now) {
                return Ok(Recorded::Refused(reason));
            }
            let Delivery {
                credential,
                destination,
                ..
            } = &made.delivery;
            let username = &credential.username;
            tx.begin_rotation(username, &made.password, destination, options.force)?;
        }
        WorkerEvent::HandingOver {
            username,
            password_id,
            settles_at,
            ..
        } => {
            if !tx.hand_over(username, password_id, *settles_at)? {
                return Ok(Recorded::Refused(RESET.into()));
            }
        }
        WorkerEvent::DeliveryEnded(username, password_id, result) => match result {
            DeliveryResult::Delivered => {
                if !tx.finish_rotation(username, password_id, options.retire)? {
                    return Ok(Recorded::Refused(RESET.into()));
                }
            }
            DeliveryResult::NotStarted => tx.cancel_rotation(username, password_id, STOPPED)?,
            DeliveryResult::NotDelivered(reason) => {
                tx.withdraw_rotation(username, password_id, reason)?;
            }
            DeliveryResult::Unknown(reason) => tx.leave_rotation(username, password_id, reason)?,
        },
        WorkerEvent::Output(..) | WorkerEvent::NotGenerated(..) => {}
    }
    Ok(Recorded::Yes)
}

/// Says why a planned user no longer exists: renamed or deleted.
pub(super) fn gone(store: &mut Store, username: &Username) -> String {
    match store.old_name(username) {
        Ok(Some(old)) => format!("it was renamed to {} meanwhile", old.username),
        _ => DELETED.into(),
    }
}

/// Returns why a user gets no new password: it would not work, or a third password would
/// be live.
pub(super) fn refusal(user: &User, options: &RotationOptions, now: Time) -> Option<String> {
    if let Some(reason) = inactive(user, now) {
        return Some(reason.into());
    }
    let retiring = user
        .live_passwords(now)
        .find_map(|password_id| password_id.retires_at);
    match retiring {
        Some(until) if !options.force => Some(format!(
            "an older password works until {until}; --force revokes it"
        )),
        _ => None,
    }
}
