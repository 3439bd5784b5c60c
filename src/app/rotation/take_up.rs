//! Rotations that an earlier run left: did the new password arrive?
//!
//! Both work until that is known. Who could tell: a sign-in with the new one; a
//! file with the new one in it; a sign-in with the old one, when nobody was
//! handing over the new one any more. Without any of these it stays as it is.

use super::{App, Courier, Planned};
use crate::error::Result;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::rotation::{Stage, Unfinished};
use crate::model::time::Time;

/// What to do about an unfinished rotation.
pub(super) enum Judgement {
    /// There is none.
    None,
    /// It has arrived.
    Finish,
    /// It has not: begin anew.
    Anew,
    /// Ask again: somebody may still be handing it over, or about to sign in.
    Wait,
}

/// In seconds: sign-ins are written down within one, and times are whole ones.
const SETTLED: i64 = 2;
/// How long a run waits for a sign-in after that.
const PATIENCE: i64 = 3;

impl App {
    pub(super) fn judge(&mut self, planned: &Planned, courier: &dyn Courier) -> Result<Judgement> {
        let username = &planned.username;
        let Some(unfinished) = self.store.unfinished(username)? else {
            return Ok(Judgement::None);
        };
        let Some(key) = unfinished.key.clone() else {
            return Ok(Judgement::Anew);
        };
        let user = super::need_user(&mut self.store, username)?;
        let (mut with_new, mut with_old) = (None, None);
        for live in user.keys.iter().filter(|live| !live.erased) {
            let at = live.last_connection.as_ref().map(|last| last.at);
            let seen = if live.id == key {
                &mut with_new
            } else {
                &mut with_old
            };
            *seen = at.max(*seen);
        }
        if with_new.is_some() {
            return Ok(Judgement::Finish);
        }
        if self.lies_in_file(planned, &unfinished, courier)? {
            return Ok(Judgement::Finish);
        }
        if unfinished.stage == Stage::Live {
            return Ok(Judgement::Anew);
        }
        let Some(settled) = self.settled(username, &key, &unfinished, courier)? else {
            return Ok(Judgement::Wait);
        };
        Ok(match with_old {
            Some(at) if at.epoch() >= settled.epoch() + SETTLED => Judgement::Anew,
            _ => Judgement::Wait,
        })
    }

    /// Until when a run asks again.
    pub(super) fn last_judgement(&mut self, username: &Username) -> Result<Time> {
        let unfinished = self.store.unfinished(username)?;
        let settles = unfinished.and_then(|unfinished| unfinished.settles_at);
        let settles = settles.map_or(0, Time::epoch);
        Ok(Time::from_epoch(settles + SETTLED + PATIENCE))
    }

    /// Since when nobody hands it over any more.
    fn settled(
        &mut self,
        username: &Username,
        key: &KeyId,
        unfinished: &Unfinished,
        courier: &dyn Courier,
    ) -> Result<Option<Time>> {
        let now = self.now();
        let Some(settles_at) = unfinished.settles_at else {
            return Ok(Some(unfinished.began_at));
        };
        if settles_at <= now {
            return Ok(Some(settles_at));
        }
        if unfinished.pid.is_some_and(|pid| !courier.is_running(pid)) {
            let mut tx = self.begin()?;
            tx.leave_rotation(username, key, "whoever delivered it was killed")?;
            tx.commit()?;
            return Ok(Some(now));
        }
        Ok(None)
    }

    /// Files are written last of all where no command follows, and in one piece.
    fn lies_in_file(
        &mut self,
        planned: &Planned,
        unfinished: &Unfinished,
        courier: &dyn Courier,
    ) -> Result<bool> {
        let (Ok(delivery), Some(key)) = (&planned.delivery, &unfinished.key) else {
            return Ok(false);
        };
        if delivery.command.is_some() {
            return Ok(false);
        }
        let hashes = self.store.hashes(&planned.username)?;
        let stored = hashes.iter().find(|stored| stored.key == *key);
        let Some(hash) = stored.and_then(|stored| Hash::stored(&stored.hash)) else {
            return Ok(false);
        };
        let found = courier.found(delivery, &planned.username);
        let files = [&delivery.write_file, &delivery.write_env];
        let wanted = files.iter().filter(|file| file.is_some()).count();
        let mut same = 0;
        for password in &found {
            same += usize::from(self.hasher.verify(password, &hash)?);
        }
        Ok(same == wanted)
    }
}
