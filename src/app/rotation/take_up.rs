//! Rotations that an earlier run left: did the new password arrive?
//!
//! Both work until that is known. Who could tell: a sign-in with the new one; a
//! file with the new one in it; a sign-in with the old one, when nobody was
//! handing over the new one any more. Without any of these it stays as it is.

use std::thread;
use std::time::Duration as Pause;

use super::run::{Outcome, RESET, Run, Summary};
use super::{App, Courier, Planned};
use crate::error::Result;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::rotation::{Retire, Stage, Unfinished};
use crate::model::time::Time;

/// What to do about an unfinished rotation.
enum Judgement {
    /// There is none.
    None,
    /// It has arrived.
    Finish,
    /// It has not: begin anew.
    Anew,
    /// The same, as far as can be seen: an application that goes on with the old one
    /// may have the new one ready for its next start.
    Doubt,
    /// Ask again: somebody may still be handing it over, or about to sign in.
    Wait,
}

/// In seconds: sign-ins are written down within one, and times are whole ones.
const SETTLED: i64 = 2;
/// How long a run waits for a sign-in after that.
const PATIENCE: i64 = 3;

impl App {
    /// Decides what can be decided of earlier rotations; returns whom a new
    /// password is made for.
    pub(super) fn take_up(
        &mut self,
        planned: Vec<Planned>,
        run: &mut Run,
        summary: &mut Summary,
    ) -> Result<Vec<Planned>> {
        const POLL: Pause = Pause::from_millis(100);
        // A sign-in of just now may not be written down yet.
        let earliest = Time::from_epoch(self.now().epoch() + PATIENCE);
        let mut anew = Vec::with_capacity(planned.len());
        let mut open = planned;
        loop {
            let mut waiting = Vec::new();
            for planned in open {
                match self.judge(&planned, run.courier)? {
                    Judgement::None | Judgement::Anew => anew.push(planned),
                    Judgement::Doubt => anew.push(Planned {
                        doubt: true,
                        ..planned
                    }),
                    Judgement::Finish => {
                        let outcome = self.finish_earlier(&planned.username, run.options.retire)?;
                        summary.add(run, &planned.username, &outcome);
                    }
                    Judgement::Wait => waiting.push(planned),
                }
            }
            open = Vec::new();
            for planned in waiting {
                let last = self.last_judgement(&planned.username)?.max(earliest);
                if self.now() < last && !run.is_stopped() {
                    open.push(planned);
                } else if run.options.force {
                    anew.push(Planned {
                        doubt: true,
                        ..planned
                    });
                } else {
                    let reason = "nobody has signed in since it was left, so it cannot be told whether the new password arrived";
                    let outcome = Outcome::Unfinished(reason.into());
                    summary.add(run, &planned.username, &outcome);
                }
            }
            if open.is_empty() {
                return Ok(anew);
            }
            thread::sleep(POLL);
        }
    }

    fn finish_earlier(&mut self, username: &Username, retire: Retire) -> Result<Outcome> {
        let unfinished = self.store.unfinished(username)?;
        let Some(key) = unfinished.and_then(|unfinished| unfinished.key) else {
            return Ok(Outcome::Failed(RESET.into()));
        };
        let mut tx = self.begin()?;
        tx.finish_rotation(username, &key, retire)?;
        tx.commit()?;
        let taken_up = true;
        Ok(Outcome::Rotated { key, taken_up })
    }

    fn judge(&mut self, planned: &Planned, courier: &dyn Courier) -> Result<Judgement> {
        let username = &planned.username;
        let Some(unfinished) = self.store.unfinished(username)? else {
            return Ok(Judgement::None);
        };
        let Some(key) = unfinished.key.clone() else {
            return Ok(Judgement::Anew);
        };
        let Some(user) = self.store.user(username)? else {
            // Deleted meanwhile: whoever makes its password says so.
            return Ok(Judgement::None);
        };
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
        match self.in_files(username, &key, &unfinished, courier)? {
            // A run that left it found fault with it: only a sign-in is proof then.
            InFiles::All if unfinished.reason.is_some() => return Ok(Judgement::Wait),
            InFiles::All => return Ok(Judgement::Finish),
            // Files are replaced in one piece, and who did it is gone.
            InFiles::None => return Ok(Judgement::Anew),
            InFiles::Unknown => {}
        }
        if unfinished.stage == Stage::Live && unfinished.with_command {
            return Ok(Judgement::Anew);
        }
        let Some(settled) = self.settled(username, &key, &unfinished, courier)? else {
            return Ok(Judgement::Wait);
        };
        Ok(match with_old {
            Some(at) if at.epoch() >= settled.epoch() + SETTLED => Judgement::Doubt,
            _ => Judgement::Wait,
        })
    }

    /// Until when a run asks again.
    fn last_judgement(&mut self, username: &Username) -> Result<Time> {
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
        if unfinished.reason.is_some() {
            // A run that was not killed has written down when.
            return Ok(Some(settles_at));
        }
        match courier.is_delivering(key) {
            Some(true) => Ok(None),
            None if now < settles_at => Ok(None),
            None => Ok(Some(settles_at)),
            Some(false) => {
                let mut tx = self.begin()?;
                tx.leave_rotation(username, key, "the run was killed")?;
                tx.commit()?;
                Ok(Some(now))
            }
        }
    }

    /// Of those that were to have it, and no command.
    fn in_files(
        &mut self,
        username: &Username,
        key: &KeyId,
        unfinished: &Unfinished,
        courier: &dyn Courier,
    ) -> Result<InFiles> {
        let files = unfinished.files.files();
        if unfinished.with_command || files == 0 {
            return Ok(InFiles::Unknown);
        }
        let hashes = self.store.hashes(username)?;
        let (mut new, mut old) = (0, 0);
        for (_, password) in &courier.found(&unfinished.files, username) {
            for stored in &hashes {
                let Some(hash) = Hash::stored(&stored.hash) else {
                    continue;
                };
                if self.hasher.verify(password, &hash)? {
                    *(if stored.key == *key {
                        &mut new
                    } else {
                        &mut old
                    }) += 1;
                }
            }
        }
        // Where neither lies in it nobody knows: the folder of a volume that is not
        // there now is empty.
        Ok(if new == files {
            InFiles::All
        } else if old == files {
            InFiles::None
        } else {
            InFiles::Unknown
        })
    }
}

enum InFiles {
    All,
    /// The old one lies in all of them.
    None,
    Unknown,
}
