//! What is known of a stolen password, and the change that closes the case.

use super::{Scope, Store, Tx};
use crate::error::Result;
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::event::{Action, Fields};
use crate::model::name::Username;
use crate::model::note::Note;
use crate::model::password::PasswordId;
use crate::model::session::SessionEnd;
use crate::model::time::Time;

/// How the case of a stolen password is closed.
#[derive(Clone, Debug)]
pub struct UserClose<'a> {
    /// The user of the stolen password.
    pub username: &'a Username,
    /// The passwords that may be stolen: they stop, and so do their sessions.
    pub stolen: &'a [PasswordId],
    /// The one that was delivered instead. Without it, the user is suspended.
    pub new: Option<&'a PasswordId>,
    /// Why, in the words of the admin.
    pub reason: Option<&'a Note>,
    /// How many sessions end, if that is known.
    pub sessions: Option<u64>,
    /// The user's own address rules, and the change that keeps a thief out, if that is known.
    pub addresses: Option<(AddressRules, AddressChange)>,
}

impl Store {
    /// Returns to how many recipients a user has sent for the first time since then. Only
    /// known where [`SendingRules::records_recipients`](super::SendingRules::records_recipients).
    pub fn new_recipients_since(&mut self, username: &Username, since: Time) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM recipients WHERE username = $1 AND first_at >= $2";
        let args = [username.as_str().into(), since.into()];
        Ok(self.number(SQL, &args)?.unsigned_abs())
    }
}

impl Tx<'_> {
    /// Stops the stolen passwords or suspends the user, ends their sessions and changes from
    /// where the user may sign in, in one event.
    pub fn close_user(&mut self, close: UserClose) -> Result<()> {
        const SUSPEND: &str = "UPDATE users SET suspended_at = $2
            WHERE username = $1 AND suspended_at IS NULL";
        let username = close.username;
        for password_id in close.stolen {
            let end = SessionEnd {
                username: Some(username.clone()),
                password_id: Some(password_id.clone()),
                ..SessionEnd::default()
            };
            self.order_session_end(&end)?;
            if close.new.is_some() {
                self.stop_password(username, password_id)?;
            }
        }
        // A suspension ends; they must not work again then.
        self.end_temporary_passwords(username)?;
        if close.new.is_none() {
            let args = [username.as_str().into(), self.stamp.at.into()];
            self.later(SUSPEND, &args)?;
        }
        let stolen: Vec<_> = close.stolen.iter().map(PasswordId::as_str).collect();
        let fields = Fields::default()
            .with_some("reason", close.reason.map(Note::as_str))
            .with("password_ids", stolen)
            .with_some("new_password_id", close.new.map(PasswordId::as_str))
            .with("suspended", close.new.is_none())
            .with_some("sessions", close.sessions);
        let fields = match close.addresses {
            Some((rules, change)) => {
                self.change_addresses(Scope::user(username), rules, &change, fields)?
            }
            None => fields,
        };
        self.event(
            Action::UserClose,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }
}
