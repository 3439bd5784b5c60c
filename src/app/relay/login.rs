//! Decides whether the session that sends a message may still do so: it ends when its
//! password does (promise 3).

use super::Relay;
use super::policy::envelope::Envelope;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::model::user::SentMail;

/// What is known about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Unknown,
    Works,
    /// Its password no longer works.
    Ended,
    EndedByAdmin,
}

impl Relay {
    /// Returns whether the password that the session of a message signed in with still works.
    ///
    /// `name` is what the session signed in with: the name of the user, or an old one.
    pub(super) fn login(
        &mut self,
        name: &Username,
        username: &Username,
        envelope: &Envelope,
        now: Time,
    ) -> Result<Login> {
        let Some(process) = envelope.process else {
            return Ok(Login::Unknown);
        };
        let mut sessions = self.sessions.of(process, name, envelope.address);
        if sessions.next().is_none() {
            return Ok(Login::Unknown);
        }
        drop(sessions);
        if !self.user_exists(username)? {
            return Ok(Login::Ended);
        }
        self.read_session_ends()?;
        let Some(user) = self.sign_ins.users.get_mut(username.as_str()) else {
            return Ok(Login::Ended);
        };
        if user.refusal(now).is_some() {
            return Ok(Login::Ended);
        }
        let mut login = Login::Ended;
        for session in self.sessions.of(process, name, envelope.address) {
            let mut live = user.live(now);
            let is_live = live.any(|password| password.id == session.password_id);
            if is_live && !self.ends.ended(session, [name, username]) {
                session.is_alive(now);
                login = Login::Works;
            } else if is_live && login == Login::Ended {
                login = Login::EndedByAdmin;
            }
        }
        Ok(login)
    }

    /// Counts a message for the password that its session signed in with, and returns that.
    /// `None` if that is not known: then it is counted for none.
    pub(super) fn count_for_password(
        &mut self,
        username: &Username,
        envelope: &Envelope,
        amount: Count,
    ) -> Option<PasswordId> {
        let name = envelope.username.parse().ok()?;
        let address = envelope.address;
        let password_id = self
            .sessions
            .count(envelope.process?, &name, address, amount)?;
        let sent = SentMail {
            last_at: Some((self.world.now)()),
            messages: amount.messages.into(),
            recipients: amount.recipients.into(),
        };
        self.pending.sent_with(username, &password_id, &sent);
        Some(password_id)
    }
}
