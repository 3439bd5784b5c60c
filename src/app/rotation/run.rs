//! A run: all processors hash, one thread writes, several deliver.
//!
//! What has to be written is gathered while the one before is written, so that
//! many share a transaction. Nothing is delivered that was not committed, and
//! nothing retires that was not delivered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use super::super::App;
use super::plan::stopped;
use super::workers::{Crew, Event, QUEUE, STOPPED, Work};
use super::{Arrival, Courier, Options, Parcel, Planned, need_user};
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::Tx;

/// What became of one user.
#[derive(Debug)]
pub enum Outcome {
    /// The new password has arrived, by this run or an earlier one.
    Rotated { key: KeyId, taken_up: bool },
    /// The old password alone works, as before.
    Failed(String),
    /// Both work, because nobody knows which one arrived.
    Unfinished(String),
}

/// Who is told how it goes.
pub trait Watcher {
    fn begin(&mut self, users: usize);
    /// What a delivery printed.
    fn said(&mut self, username: &Username, line: &str);
    fn done(&mut self, username: &Username, outcome: &Outcome);
}

pub struct Run<'a> {
    pub options: &'a Options,
    pub courier: &'a dyn Courier,
    pub watcher: &'a mut dyn Watcher,
    /// No further user is begun once this is set.
    pub stop: &'a AtomicBool,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub rotated: u64,
    pub failed: u64,
    /// Of those planned, not begun.
    pub left: u64,
    /// The store failed, which ended the run.
    pub store: Option<Error>,
}

/// Nothing has to be done about one that was reset while it was rotated.
pub(super) const RESET: &str = "it was reset meanwhile";

/// What became of an event in a transaction.
enum Written {
    Yes,
    /// The user changed meanwhile.
    No(String),
}

impl App {
    pub fn rotate(&mut self, planned: Vec<Planned>, run: &mut Run) -> Result<Summary> {
        let mut summary = Summary::default();
        run.watcher.begin(planned.len());
        let planned = self.take_up(planned, run, &mut summary)?;
        self.rotate_anew(planned, run, &mut summary)?;
        Ok(summary)
    }

    fn rotate_anew(
        &mut self,
        planned: Vec<Planned>,
        run: &mut Run,
        summary: &mut Summary,
    ) -> Result<()> {
        let crew = Crew {
            users: planned.len(),
            jobs: run.options.jobs,
            cost: self.store.settings()?.argon2,
            world: self.world,
            courier: run.courier,
            stop: run.stop,
        };
        crew.work(|desk| {
            let mut left = planned.into_iter();
            let mut flying = 0;
            loop {
                while flying < desk.most && !run.is_stopped() && summary.store.is_none() {
                    let Some(planned) = left.next() else { break };
                    match self.work(&planned, run.options) {
                        Ok(Ok(work)) => flying += usize::from(desk.works.send(work).is_ok()),
                        Ok(Err(reason)) => {
                            summary.add(run, &planned.username, &Outcome::Failed(reason));
                        }
                        Err(error) => {
                            let reason = Outcome::Failed(error.to_string());
                            summary.add(run, &planned.username, &reason);
                            summary.store = Some(error);
                        }
                    }
                }
                if flying == 0 {
                    break;
                }
                let Ok(first) = desk.told.recv() else { break };
                let more = desk.told.try_iter().take(QUEUE);
                let batch: Vec<Event> = std::iter::once(first).chain(more).collect();
                flying -= self.handle(batch, run, summary, &desk.parcels);
            }
            summary.left = left.count() as u64;
        });
        Ok(())
    }

    /// What is needed to make a new password, or why none is made.
    fn work(
        &mut self,
        planned: &Planned,
        options: &Options,
    ) -> Result<std::result::Result<Work, String>> {
        let username = &planned.username;
        let delivery = match &planned.delivery {
            Ok(delivery) => delivery.clone(),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let user = match need_user(&mut self.store, username) {
            Err(error @ Error::UserNotFound(_)) => return Ok(Err(error.to_string())),
            user => user?,
        };
        if let Some(reason) = refused(&user, options, self.now()) {
            return Ok(Err(reason));
        }
        let old_key = user.live_keys(self.now()).next_back();
        Ok(Ok(Work {
            delivery,
            connection: self.connection_of(&username.domain())?,
            expires_at: user.expires_at,
            old_key: old_key.map(|key| key.id.clone()),
            doubt: planned.doubt,
            new_user: false,
            username: username.clone(),
        }))
    }

    /// Writes a batch down and passes it on; says how many users it was the end
    /// for.
    fn handle(
        &mut self,
        batch: Vec<Event>,
        run: &mut Run,
        summary: &mut Summary,
        parcels: &Sender<Parcel>,
    ) -> usize {
        let outcome = self.write(&batch, run.options);
        let failed = outcome.as_ref().err().map(ToString::to_string);
        let mut written = outcome.unwrap_or_else(|error| {
            summary.store = Some(error);
            Vec::new()
        });
        written.reverse();
        let mut ended = 0;
        for event in batch {
            let reason = match (&failed, written.pop()) {
                (Some(reason), _) => Some(reason.clone()),
                (None, Some(Written::No(reason))) => Some(reason),
                (None, _) => None,
            };
            let (username, outcome) = match (event, reason) {
                (Event::Said(username, line), _) => {
                    run.watcher.said(&username, &line);
                    continue;
                }
                (Event::Handing { answer, .. }, reason) => {
                    // It waits for this.
                    let _ = answer.send(reason.is_none());
                    continue;
                }
                (Event::Made(made), None) => {
                    let username = made.parcel.credential.username.clone();
                    if parcels.send(made.parcel).is_ok() {
                        continue;
                    }
                    (username, Outcome::Failed("nobody delivers any more".into()))
                }
                (Event::Made(made), Some(reason)) => {
                    let username = made.parcel.credential.username.clone();
                    (username, Outcome::Failed(reason))
                }
                (Event::NotMade(username, error), _) => {
                    (username, Outcome::Failed(error.to_string()))
                }
                (Event::Delivered(username, key, Arrival::Arrived), None) => {
                    let taken_up = false;
                    (username, Outcome::Rotated { key, taken_up })
                }
                (Event::Delivered(username, _, Arrival::Stopped), None) => {
                    (username, Outcome::Failed(STOPPED.into()))
                }
                (Event::Delivered(username, _, Arrival::Not(reason)), None) => {
                    (username, Outcome::Failed(reason))
                }
                // Neither of its passwords works any more.
                (Event::Delivered(username, ..), Some(reason)) if failed.is_none() => {
                    (username, Outcome::Failed(reason))
                }
                (Event::Delivered(username, _, Arrival::Unknown(reason)), None)
                | (Event::Delivered(username, ..), Some(reason)) => {
                    (username, Outcome::Unfinished(reason))
                }
            };
            summary.add(run, &username, &outcome);
            ended += 1;
        }
        ended
    }

    fn write(&mut self, batch: &[Event], options: &Options) -> Result<Vec<Written>> {
        let nothing = |event: &Event| matches!(event, Event::Said(..) | Event::NotMade(..));
        if batch.iter().all(nothing) {
            return Ok(Vec::new());
        }
        let now = self.now();
        let mut tx = self.begin()?;
        let written = batch
            .iter()
            .map(|event| write_one(&mut tx, event, options, now))
            .collect::<Result<_>>()?;
        tx.commit()?;
        Ok(written)
    }
}

fn write_one(tx: &mut Tx, event: &Event, options: &Options, now: Time) -> Result<Written> {
    match event {
        Event::Made(made) => {
            let username = &made.parcel.credential.username;
            let Some(user) = tx.store().user(username)? else {
                return Ok(Written::No("it was deleted meanwhile".into()));
            };
            if let Some(reason) = refused(&user, options, now) {
                return Ok(Written::No(reason));
            }
            let delivery = &made.parcel.delivery;
            tx.begin_rotation(username, &made.password, delivery, options.force)?;
        }
        Event::Handing {
            username,
            key,
            settles_at,
            ..
        } => {
            if !tx.hand_over(username, key, *settles_at)? {
                return Ok(Written::No(RESET.into()));
            }
        }
        Event::Delivered(username, key, arrival) => match arrival {
            Arrival::Arrived => {
                if !tx.finish_rotation(username, key, options.retire)? {
                    return Ok(Written::No(RESET.into()));
                }
            }
            Arrival::Stopped => tx.withdraw_rotation(username, key, STOPPED)?,
            Arrival::Not(reason) => tx.withdraw_rotation(username, key, reason)?,
            Arrival::Unknown(reason) => tx.leave_rotation(username, key, reason)?,
        },
        Event::Said(..) | Event::NotMade(..) => {}
    }
    Ok(Written::Yes)
}

/// At most two passwords live at any time, and none is delivered that would not
/// work.
fn refused(user: &User, options: &Options, now: Time) -> Option<String> {
    if let Some(reason) = stopped(user, now) {
        return Some(reason.into());
    }
    let retiring = user.live_keys(now).find_map(|key| key.retires_at);
    match retiring {
        Some(until) if !options.force => Some(format!(
            "an older password works until {until}; --force stops it"
        )),
        _ => None,
    }
}

impl Run<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Summary {
    pub(super) fn add(&mut self, run: &mut Run, username: &Username, outcome: &Outcome) {
        match outcome {
            Outcome::Rotated { .. } => self.rotated += 1,
            Outcome::Failed(_) | Outcome::Unfinished(_) => self.failed += 1,
        }
        run.watcher.done(username, outcome);
    }
}
