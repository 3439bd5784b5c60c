//! Issues temporary passwords: beside the user's own, and handed over as those are (promise 2).

use super::credential::Handover;
use super::users::need_same;
use super::{App, need_user};
use crate::error::{Error, Result};
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::Password;
use crate::model::temporary::{Lifetime, MOST_TEMPORARY};
use crate::model::time::Time;
use crate::model::user::{TemporaryPassword, User};
use crate::store::NewTemporary;

/// A temporary password to issue.
#[derive(Debug)]
pub struct IssueRequest {
    /// How long it works.
    pub lifetime: Lifetime,
    /// What it is for.
    pub label: Option<Label>,
    /// From where it works; empty: from where its user may sign in.
    pub networks: Vec<Network>,
}

impl App {
    /// Returns the user that gets a temporary password. Fails early if it can have none.
    pub fn may_issue(&mut self, username: &Username) -> Result<User> {
        let now = self.now().plausible()?;
        let user = need_user(&mut self.store, username, now)?;
        need_room(&user, now)?;
        Ok(user)
    }

    /// Issues a temporary password to the planned user. Returns it as it is in the store.
    pub fn issue_password(
        &mut self,
        seen: &User,
        request: &IssueRequest,
        password: Password,
        handover: &mut dyn Handover,
    ) -> Result<TemporaryPassword> {
        let username = &seen.username;
        // What was shown holds: a person may look at it for some time.
        let until = request.lifetime.end(self.now().plausible()?);
        let ends = seen.expires_at.map_or(until, |at| at.min(until));
        let credential = self.credential(username, password, Some(ends), "Temporary password")?;
        self.hand_over(credential, handover, |tx, handed| {
            if until <= handed.now {
                return Err(Error::ExpiryPassed(until.to_string()));
            }
            let user = need_same(tx.store(), seen, handed.now)?;
            need_room(&user, handed.now)?;
            let new = NewTemporary {
                password: handed.new,
                until,
                label: request.label.as_ref(),
                networks: &request.networks,
            };
            tx.issue_password(username, &new)?;
            let user = need_user(tx.store(), username, handed.now)?;
            let mut issued = user.temporary.into_iter();
            let found = issued.find(|own| own.password.id == handed.new.password_id);
            found.ok_or_else(|| Error::System("the new password is lost".into()))
        })
    }
}

/// Fails if a user can have no further temporary password.
fn need_room(user: &User, now: Time) -> Result<()> {
    let status = user.status(now);
    if !status.can_sign_in() {
        return Err(Error::UserStopped {
            username: user.username.to_string(),
            status: status.name(),
        });
    }
    if user.live_temporary(now).count() < MOST_TEMPORARY {
        return Ok(());
    }
    let next = user.live_temporary(now).next();
    Err(Error::TooManyTemporary {
        username: user.username.to_string(),
        most: MOST_TEMPORARY,
        password_id: next.map_or_else(String::new, |own| own.password.id.to_string()),
    })
}
