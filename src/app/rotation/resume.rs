//! Unfinished rotations of earlier runs: did the new password arrive?
//!
//! Both passwords stay live until that is known. Proof is a sign-in with the new password,
//! or the content of the files it was written to; a sign-in with the old one, after the
//! handover ended, is a strong hint that it did not arrive. Without any of these the
//! rotation stays unfinished.

use std::thread;

use super::record::RESET;
use super::report::{RotationOutcome, RotationRun, RotationSummary};
use super::{App, Deliverer, PlannedRotation};
use crate::error::Result;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::{Retire, RotationStage, Unfinished};
use crate::model::time::Time;
use crate::model::user::User;

/// What to do about an unfinished rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResumeDecision {
    /// The new password has arrived: retire the old one.
    Finish,
    /// The new password has not arrived, or the user is gone: rotate again.
    StartOver,
    /// The application still uses the old password, but may have the new one ready for its
    /// next start: rotate again, and say so.
    AssumeLost,
    /// Not known yet: a command may still be running, or a sign-in may follow.
    Wait,
}

/// What is known about an unfinished rotation. Each fact is false or unknown until it has
/// been looked at.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct ResumeFacts {
    /// A client has signed in with the new password.
    new_used: bool,
    files: FileEvidence,
    /// The run that left the rotation recorded a reason: the delivery failed somewhere.
    reported: bool,
    /// A command delivers the password, and was not started.
    never_handed_over: bool,
    /// A client has signed in with the old password after the handover ended.
    old_used_since: bool,
}

/// What the files of a rotation hold, if they alone deliver it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FileEvidence {
    /// All hold the new password.
    New,
    /// All hold the old password.
    Old,
    /// They differ or cannot be read: the folder of a volume that is not mounted is empty.
    #[default]
    Unknown,
}

/// In seconds. Sign-ins are recorded within one second, and times are whole seconds.
const RECORDED_WITHIN: i64 = 2;
/// How long a run waits for a sign-in after that, in seconds.
const PATIENCE: i64 = 3;
/// How often it looks.
const POLL: std::time::Duration = std::time::Duration::from_millis(100);

impl ResumeFacts {
    const fn decide(self) -> ResumeDecision {
        match self {
            Self { new_used: true, .. } => ResumeDecision::Finish,
            // Something else went wrong after the files were written, such as the proof.
            Self {
                files: FileEvidence::New,
                reported: true,
                ..
            } => ResumeDecision::Wait,
            Self {
                files: FileEvidence::New,
                ..
            } => ResumeDecision::Finish,
            // Files are replaced in one piece, and the run that did so has ended.
            Self {
                files: FileEvidence::Old,
                ..
            }
            | Self {
                never_handed_over: true,
                ..
            } => ResumeDecision::StartOver,
            Self {
                old_used_since: true,
                ..
            } => ResumeDecision::AssumeLost,
            _ => ResumeDecision::Wait,
        }
    }
}

impl App {
    /// Decides about unfinished rotations, waiting a few seconds where sign-ins may decide.
    /// Returns those that need a new password.
    pub(super) fn resume(
        &mut self,
        planned: Vec<PlannedRotation>,
        run: &mut RotationRun,
        summary: &mut RotationSummary,
    ) -> Result<Vec<PlannedRotation>> {
        // A sign-in of this moment may not be recorded yet.
        let earliest = Time::from_epoch(self.now().epoch() + PATIENCE);
        let mut start_over = Vec::with_capacity(planned.len());
        let mut open = planned;
        loop {
            let mut waiting = Vec::new();
            let names: Vec<_> = open.iter().map(|planned| &planned.username).collect();
            let found = self.store.unfinished_of(&names)?;
            for (planned, unfinished) in open.into_iter().zip(found) {
                let decision = match unfinished {
                    Some(unfinished) => {
                        self.decide(&planned.username, &unfinished, run.deliverer)?
                    }
                    None => ResumeDecision::StartOver,
                };
                match decision {
                    ResumeDecision::StartOver => start_over.push(planned),
                    ResumeDecision::AssumeLost => start_over.push(assumed_lost(planned)),
                    ResumeDecision::Finish => {
                        let outcome = self.finish_earlier(&planned.username, run.options.retire)?;
                        summary.add(run, &planned.username, &outcome);
                    }
                    ResumeDecision::Wait => waiting.push(planned),
                }
            }
            open = Vec::new();
            for planned in waiting {
                let until = self.wait_until(&planned.username)?.max(earliest);
                if self.now() < until && !run.is_stopped() {
                    open.push(planned);
                } else if run.options.force {
                    start_over.push(assumed_lost(planned));
                } else {
                    let reason = "it is unknown whether the new password arrived, as no client has signed in since the run ended";
                    let outcome = RotationOutcome::unfinished(reason);
                    let outcome = self.with_ways_out(&planned.username, outcome);
                    summary.add(run, &planned.username, &outcome);
                }
            }
            if open.is_empty() {
                return Ok(start_over);
            }
            thread::sleep(POLL);
        }
    }

    fn finish_earlier(&mut self, username: &Username, retire: Retire) -> Result<RotationOutcome> {
        let unfinished = self.store.unfinished(username)?;
        let Some(password_id) = unfinished.and_then(|unfinished| unfinished.password_id) else {
            return Ok(RotationOutcome::Failed(RESET.into()));
        };
        let mut tx = self.begin()?;
        tx.finish_rotation(username, &password_id, retire)?;
        tx.commit()?;
        Ok(RotationOutcome::Rotated {
            password_id,
            resumed: true,
        })
    }

    /// Gathers facts in the order of their cost, until they decide.
    fn decide(
        &mut self,
        username: &Username,
        unfinished: &Unfinished,
        deliverer: &dyn Deliverer,
    ) -> Result<ResumeDecision> {
        let Some(password_id) = &unfinished.password_id else {
            return Ok(ResumeDecision::StartOver);
        };
        let Some(user) = self.store.user(username)? else {
            return Ok(ResumeDecision::StartOver);
        };
        let (new_used, old_used) = last_used(&user, password_id);
        let mut facts = ResumeFacts {
            new_used: new_used.is_some(),
            reported: unfinished.reason.is_some(),
            never_handed_over: unfinished.stage == RotationStage::Live && unfinished.with_command,
            ..ResumeFacts::default()
        };
        if facts.decide() == ResumeDecision::Wait {
            facts.files = self.file_evidence(username, password_id, unfinished, deliverer)?;
        }
        if facts.decide() == ResumeDecision::Wait
            && let Some(ended) = self.handover_end(username, password_id, unfinished, deliverer)?
        {
            let recorded = ended.epoch() + RECORDED_WITHIN;
            facts.old_used_since = old_used.is_some_and(|at| at.epoch() >= recorded);
        }
        Ok(facts.decide())
    }

    /// Returns until when a run waits for a sign-in.
    fn wait_until(&mut self, username: &Username) -> Result<Time> {
        let unfinished = self.store.unfinished(username)?;
        let settles = unfinished.and_then(|unfinished| unfinished.settles_at);
        let settles = settles.map_or(0, Time::epoch);
        Ok(Time::from_epoch(settles + RECORDED_WITHIN + PATIENCE))
    }

    /// Returns when the handover ended, or `None` if a command may still be running. Records
    /// the end of a run that was killed.
    fn handover_end(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        unfinished: &Unfinished,
        deliverer: &dyn Deliverer,
    ) -> Result<Option<Time>> {
        let now = self.now();
        let Some(settles_at) = unfinished.settles_at else {
            return Ok(Some(unfinished.began_at));
        };
        if unfinished.reason.is_some() {
            // The run was not killed, so it recorded the time itself.
            return Ok(Some(settles_at));
        }
        match deliverer.is_delivering(password_id) {
            Some(true) => Ok(None),
            None if now < settles_at => Ok(None),
            None => Ok(Some(settles_at)),
            Some(false) => {
                let mut tx = self.begin()?;
                tx.leave_rotation(username, password_id, "the run was killed")?;
                tx.commit()?;
                Ok(Some(now))
            }
        }
    }

    /// Looks into the files. They prove nothing where a command delivers as well.
    fn file_evidence(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        unfinished: &Unfinished,
        deliverer: &dyn Deliverer,
    ) -> Result<FileEvidence> {
        let files = unfinished.files.files();
        if unfinished.with_command || files == 0 {
            return Ok(FileEvidence::Unknown);
        }
        let hashes = self.store.hashes(username)?;
        let (mut new, mut old) = (0, 0);
        for (_, password) in &deliverer.passwords_in(&unfinished.files, username) {
            for stored in &hashes {
                let Some(hash) = Hash::stored(&stored.hash) else {
                    continue;
                };
                if self.hasher.verify(password, &hash)? {
                    let count = if stored.password_id == *password_id {
                        &mut new
                    } else {
                        &mut old
                    };
                    *count += 1;
                }
            }
        }
        Ok(if new == files {
            FileEvidence::New
        } else if old == files {
            FileEvidence::Old
        } else {
            FileEvidence::Unknown
        })
    }
}

fn assumed_lost(planned: PlannedRotation) -> PlannedRotation {
    PlannedRotation {
        assumed_lost: true,
        ..planned
    }
}

/// Returns when clients last signed in with the new password and with an older one.
fn last_used(user: &User, new: &PasswordId) -> (Option<Time>, Option<Time>) {
    let last = |is_new: bool| {
        let passwords = user.passwords.iter().filter(|live| !live.erased);
        passwords
            .filter(|live| (live.id == *new) == is_new)
            .filter_map(|live| live.last_connection.as_ref())
            .map(|connection| connection.at)
            .max()
    };
    (last(true), last(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [false, true];

    fn all_facts() -> Vec<ResumeFacts> {
        let mut all = Vec::new();
        for new_used in BOTH {
            for files in [FileEvidence::New, FileEvidence::Old, FileEvidence::Unknown] {
                for reported in BOTH {
                    for never_handed_over in BOTH {
                        for old_used_since in BOTH {
                            all.push(ResumeFacts {
                                new_used,
                                files,
                                reported,
                                never_handed_over,
                                old_used_since,
                            });
                        }
                    }
                }
            }
        }
        all
    }

    /// The old password retires only with proof that the new one arrived, and the new one
    /// is revoked only without such proof.
    #[test]
    fn p6_facts_decide_about_an_unfinished_rotation() {
        for facts in all_facts() {
            let arrived = facts.new_used || facts.files == FileEvidence::New && !facts.reported;
            let open = facts.files == FileEvidence::New;
            let missed = facts.files == FileEvidence::Old || facts.never_handed_over;
            let expected = match (arrived, open, missed, facts.old_used_since) {
                (true, ..) => ResumeDecision::Finish,
                (_, true, ..) => ResumeDecision::Wait,
                (_, _, true, _) => ResumeDecision::StartOver,
                (.., true) => ResumeDecision::AssumeLost,
                (.., false) => ResumeDecision::Wait,
            };
            assert_eq!(facts.decide(), expected, "{facts:?}");
        }
    }

    /// The facts are gathered one after the other: nothing is decided by one that is not known
    /// yet.
    #[test]
    fn p6_nothing_known_is_nothing_decided() {
        assert_eq!(ResumeFacts::default().decide(), ResumeDecision::Wait);
        let reported = ResumeFacts {
            reported: true,
            ..ResumeFacts::default()
        };
        assert_eq!(reported.decide(), ResumeDecision::Wait);
    }
}
