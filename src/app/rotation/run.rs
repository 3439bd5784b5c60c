//! A run: all processors hash, one thread writes to the store, several deliver. Its users are
//! planned and rotated in rounds.
//!
//! Events gather while the previous batch is recorded, so that many share a transaction.
//! No password is delivered before it is committed, and no old password retires before the
//! new one is delivered.

use std::sync::mpsc::Sender;

use super::super::App;
use super::record::{REPLACED, Recorded, gone, refusal};
use super::report::{RotationOutcome, RotationRun, RotationSummary};
use super::step::{NextStep, next_step};
use super::workers::{PasswordRequest, QUEUE, WorkerEvent, WorkerPool};
use super::{Delivery, PlannedRotation, RotationOptions, RotationRounds};
use crate::error::Result;
use crate::model::name::Username;

/// Why there is no new password for a user.
enum NotBegun {
    Refused(String),
    /// It could not be delivered; this is recorded, so that `report` still shows it later.
    Hindered(String),
}

impl App {
    /// Rotates the users of the first round, then those of all others. Once new passwords are
    /// being made, a failure of the store is in the summary.
    pub fn rotate(
        &mut self,
        first: Vec<PlannedRotation>,
        rounds: &mut RotationRounds,
        run: &mut RotationRun,
    ) -> Result<RotationSummary> {
        let mut summary = RotationSummary::default();
        let mut unplanned = self.count_unplanned(rounds)?;
        run.reporter.begin(first.len() + unplanned);
        self.rotate_round(first, run, &mut summary)?;
        while !rounds.is_at_end() && !run.is_stopped() && summary.store.is_none() {
            let outcome = self.plan_round(rounds).and_then(|planned| {
                unplanned = unplanned.saturating_sub(planned.len());
                self.rotate_round(planned, run, &mut summary)
            });
            if let Err(error) = outcome {
                summary.store = Some(error);
            }
        }
        if !rounds.is_at_end() {
            summary.left += unplanned as u64;
        }
        Ok(summary)
    }

    fn rotate_round(
        &mut self,
        planned: Vec<PlannedRotation>,
        run: &mut RotationRun,
        summary: &mut RotationSummary,
    ) -> Result<()> {
        let planned = self.resume(planned, run, summary)?;
        self.make_and_deliver(planned, run, summary)
    }

    fn make_and_deliver(
        &mut self,
        planned: Vec<PlannedRotation>,
        run: &mut RotationRun,
        summary: &mut RotationSummary,
    ) -> Result<()> {
        let pool = WorkerPool {
            users: planned.len(),
            jobs: run.options.jobs,
            cost: self.store.settings()?.argon2,
            world: self.world,
            deliverer: run.deliverer,
            stop: run.stop,
        };
        pool.work(|channels| {
            let mut left = planned.into_iter();
            let mut in_flight = 0;
            loop {
                while in_flight < channels.max_in_flight
                    && !run.is_stopped()
                    && summary.store.is_none()
                {
                    let some: Vec<_> = left
                        .by_ref()
                        .take(channels.max_in_flight - in_flight)
                        .collect();
                    if some.is_empty() {
                        break;
                    }
                    in_flight += self.begin_users(&some, run, summary, &channels.requests);
                }
                if in_flight == 0 {
                    break;
                }
                let Ok(first) = channels.events.recv() else {
                    break;
                };
                let more = channels.events.try_iter().take(QUEUE);
                let batch: Vec<WorkerEvent> = std::iter::once(first).chain(more).collect();
                in_flight -= self.handle(batch, run, summary, &channels.deliveries);
            }
            summary.left += left.count() as u64;
        });
        Ok(())
    }

    /// Requests new passwords. Returns for how many users.
    fn begin_users(
        &mut self,
        some: &[PlannedRotation],
        run: &mut RotationRun,
        summary: &mut RotationSummary,
        requests: &Sender<PasswordRequest>,
    ) -> usize {
        let found = self.requests(some, run.options).and_then(|found| {
            self.record_hindered(some, &found)?;
            Ok(found)
        });
        match found {
            Ok(found) => {
                let mut begun = 0;
                for (planned, request) in some.iter().zip(found) {
                    match request {
                        Ok(request) => begun += usize::from(requests.send(request).is_ok()),
                        Err(NotBegun::Refused(reason) | NotBegun::Hindered(reason)) => {
                            summary.add(run, &planned.username, &RotationOutcome::Failed(reason));
                        }
                    }
                }
                begun
            }
            Err(error) => {
                let outcome = RotationOutcome::Failed(error.to_string());
                for planned in some {
                    summary.add(run, &planned.username, &outcome);
                }
                summary.store = Some(error);
                0
            }
        }
    }

    /// Records the rotations whose passwords could not have been delivered, for `report`.
    fn record_hindered(
        &mut self,
        some: &[PlannedRotation],
        found: &[std::result::Result<PasswordRequest, NotBegun>],
    ) -> Result<()> {
        let hindered = some.iter().zip(found);
        let hindered: Vec<_> = hindered
            .filter_map(|(planned, found)| match found {
                Err(NotBegun::Hindered(reason)) => Some((planned, reason)),
                _ => None,
            })
            .collect();
        if hindered.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin()?;
        for (planned, reason) in hindered {
            tx.refuse_rotation(&planned.username, planned.created_at, reason)?;
        }
        tx.commit()
    }

    /// Returns a request for each new password, or why there is none.
    fn requests(
        &mut self,
        some: &[PlannedRotation],
        options: &RotationOptions,
    ) -> Result<Vec<std::result::Result<PasswordRequest, NotBegun>>> {
        let now = self.now();
        let names: Vec<_> = some.iter().map(|planned| &planned.username).collect();
        let domains: Vec<_> = names.iter().map(|name| name.domain()).collect();
        let users = self.store.users_named(&names)?;
        let unfinished = self.store.unfinished_of(&names)?;
        let servers = self.servers_of(&domains.iter().collect::<Vec<_>>())?;
        let found = users.into_iter().zip(unfinished).zip(servers);
        let requests = some.iter().zip(found).map(|(planned, found)| {
            let ((user, unfinished), server) = found;
            let username = &planned.username;
            let destination = match &planned.destination {
                Ok(destination) => destination.clone(),
                Err(error) => return Err(NotBegun::Refused(error.to_string())),
            };
            let user = user.ok_or_else(|| NotBegun::Refused(gone(&mut self.store, username)))?;
            if user.created_at != planned.created_at {
                return Err(NotBegun::Refused(REPLACED.into()));
            }
            if let Some(reason) = refusal(&user, options, now) {
                return Err(NotBegun::Refused(reason));
            }
            // A new password of an earlier run that may have arrived is decided about as usual.
            let live = unfinished.as_ref().and_then(|it| it.password_id.as_ref());
            if let (Some(obstacle), None) = (&planned.obstacle, live) {
                let obstacle = obstacle.clone();
                // Recorded, a typo on the command line would make the user due.
                return Err(if planned.named {
                    NotBegun::Refused(obstacle)
                } else {
                    NotBegun::Hindered(obstacle)
                });
            }
            Ok(PasswordRequest {
                destination,
                server,
                expires_at: user.expires_at,
                old_password_id: user.password().map(|password_id| password_id.id.clone()),
                assumed_lost: planned.assumed_lost,
                unfinished: unfinished.is_some(),
                created_at: Some(user.created_at),
                new_user: false,
                username: username.clone(),
            })
        });
        Ok(requests.collect())
    }

    /// Adds the ways out of a rotation that stays unfinished.
    pub(super) fn with_ways_out(
        &mut self,
        username: &Username,
        outcome: RotationOutcome,
    ) -> RotationOutcome {
        match outcome {
            RotationOutcome::Unfinished { reason, .. } => RotationOutcome::Unfinished {
                reason,
                // Without them, the message is still right.
                ways_out: self.ways_out(username).ok().flatten(),
            },
            other => other,
        }
    }

    /// Records a batch of events and acts on them. Returns for how many users the rotation
    /// has ended.
    fn handle(
        &mut self,
        batch: Vec<WorkerEvent>,
        run: &mut RotationRun,
        summary: &mut RotationSummary,
        deliveries: &Sender<Delivery>,
    ) -> usize {
        let recorded = match self.record(&batch, run.options, run.is_stopped()) {
            Ok(recorded) => recorded,
            Err(error) => {
                let reason = error.to_string();
                summary.store = Some(error);
                vec![Recorded::StoreFailed(reason); batch.len()]
            }
        };
        let mut ended = 0;
        for (event, recorded) in batch.into_iter().zip(recorded) {
            let (username, outcome) = match next_step(event, recorded) {
                NextStep::Show(username, line) => {
                    run.reporter.output(&username, &line);
                    continue;
                }
                NextStep::Answer(answer, may_hand_over) => {
                    // A worker that has ended needs no answer.
                    let _ = answer.send(may_hand_over);
                    continue;
                }
                NextStep::Deliver(delivery) => {
                    let username = delivery.credential.username.clone();
                    if deliveries.send(*delivery).is_ok() {
                        continue;
                    }
                    let reason = "the run ended before the delivery".to_owned();
                    (username, RotationOutcome::Failed(reason))
                }
                NextStep::Skip => {
                    summary.left += 1;
                    ended += 1;
                    continue;
                }
                NextStep::End(username, outcome) => (username, outcome),
            };
            let outcome = match summary.store {
                None => self.with_ways_out(&username, outcome),
                Some(_) => outcome,
            };
            summary.add(run, &username, &outcome);
            ended += 1;
        }
        ended
    }
}
