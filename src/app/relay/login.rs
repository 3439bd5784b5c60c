//! Decides whether the session that sends a message may still do so: it ends when its
//! password does (promise 3).

use super::Relay;
use super::policy::envelope::Envelope;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;

/// What is known about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Unknown,
    Works,
    /// Its password no longer works.
    Ended,
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
        let passwords = self.sessions.of(process, name, envelope.address);
        if passwords.is_empty() {
            return Ok(Login::Unknown);
        }
        if !self.user_exists(username)? {
            return Ok(Login::Ended);
        }
        let Some(user) = self.sign_ins.users.get_mut(username.as_str()) else {
            return Ok(Login::Ended);
        };
        let mut live = user.live(now);
        let works = user.refusal(now).is_none()
            && live.any(|password| passwords.contains(&self.sessions.password(name, &password.id)));
        Ok(if works { Login::Works } else { Login::Ended })
    }
}
