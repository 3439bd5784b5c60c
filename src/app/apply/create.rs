//! Creates new users of a plan: all processors hash, several threads deliver, one writes. A
//! user is written once its password has arrived, so a run that is killed at any point
//! leaves no user with an undelivered password; the next run creates the missing ones.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;

use super::differ;
use super::difference::Difference;
use super::room::have_room;
use super::run::{ApplyOutcome, ApplyRun, ApplySummary};
use crate::app::App;
use crate::app::rotation::workers::{PasswordRequest, QUEUE, WorkerEvent, WorkerPool};
use crate::app::rotation::{Delivery, DeliveryResult};
use crate::error::{Error, Result};
use crate::model::delivery::Destination;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::plan::{Plan, UserPlan};
use crate::model::setting::Setting;
use crate::store::{NewPassword, NewUser, Tx};

/// Why the creation of a user is not begun.
const STILL: &str = "a command of an earlier run is still delivering a password to it: try again \
    once that has ended";

/// Users whose passwords are being generated or delivered.
#[derive(Default)]
struct UsersUnderWay {
    numbers: HashMap<Username, usize>,
    hashed: HashMap<Username, NewPassword>,
    /// Users to which a command of a killed run is still delivering: it may overwrite what
    /// is delivered now.
    before: HashSet<String>,
}

impl UsersUnderWay {
    fn remove(&mut self, username: &Username) -> Option<usize> {
        self.hashed.remove(username);
        self.numbers.remove(username)
    }
}

impl App {
    pub(super) fn create_all(
        &mut self,
        run: &mut ApplyRun,
        summary: &mut ApplySummary,
    ) -> Result<()> {
        let differences = run.differences;
        let new = differences
            .iter()
            .enumerate()
            .filter(|(_, d)| d.is_new_user());
        let new: Vec<(usize, &Difference)> = new.collect();
        run.observer.begin(new.len());
        let (hindered, new): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|(_, d)| d.obstacle.is_some());
        for (number, difference) in hindered {
            let reason = difference.obstacle.clone().unwrap_or_default();
            summary.add(run, number, ApplyOutcome::Failed(reason));
        }
        let pool = WorkerPool {
            users: new.len(),
            jobs: run.options.jobs,
            cost: self.store.settings()?.argon2,
            world: self.world,
            deliverer: run.deliverer,
            stop: run.stop,
        };
        let deliverer = run.deliverer;
        pool.work(|channels| {
            let mut left = new.into_iter();
            let mut in_flight = UsersUnderWay {
                before: deliverer.users_in_delivery(),
                ..UsersUnderWay::default()
            };
            loop {
                while in_flight.numbers.len() < channels.max_in_flight
                    && !run.is_stopped()
                    && summary.store.is_none()
                {
                    let free = channels.max_in_flight - in_flight.numbers.len();
                    let some: Vec<_> = left.by_ref().take(free).collect();
                    if some.is_empty() {
                        break;
                    }
                    let works = match self.new_users(run.plan, &some) {
                        Ok(works) => works,
                        Err(error) => {
                            let reason = error.to_string();
                            summary.store = Some(error);
                            for (number, _) in some {
                                summary.add(run, number, ApplyOutcome::Failed(reason.clone()));
                            }
                            break;
                        }
                    };
                    for ((number, _), work) in some.into_iter().zip(works) {
                        match work {
                            Ok(work) if in_flight.before.contains(work.username.as_str()) => {
                                summary.add(run, number, ApplyOutcome::Failed(STILL.into()));
                            }
                            Ok(work) => {
                                let username = work.username.clone();
                                if channels.requests.send(work).is_ok() {
                                    in_flight.numbers.insert(username, number);
                                }
                            }
                            Err(error) => {
                                summary.add(run, number, ApplyOutcome::Failed(error.to_string()));
                                summary.keep(error);
                            }
                        }
                    }
                }
                if in_flight.numbers.is_empty() {
                    break;
                }
                let Ok(first) = channels.events.recv() else {
                    break;
                };
                let more = channels.events.try_iter().take(QUEUE);
                let mut arrived = Vec::new();
                for event in std::iter::once(first).chain(more) {
                    arrived.extend(follow(
                        event,
                        run,
                        summary,
                        &mut in_flight,
                        &channels.deliveries,
                    ));
                }
                self.write_all(&arrived, run, summary, &mut in_flight);
            }
            for (number, _) in left {
                summary.add(run, number, ApplyOutcome::Left);
            }
        });
        Ok(())
    }

    /// Returns the work to make each password, or why it is not made: no password that
    /// cannot be written is delivered.
    fn new_users(
        &mut self,
        plan: &Plan,
        new: &[(usize, &Difference)],
    ) -> Result<Vec<Result<PasswordRequest>>> {
        // A commit of an earlier run may be under way: the file has its user's password.
        self.store.wait_for_commits()?;
        let names: Vec<_> = new.iter().filter_map(|(_, d)| d.username()).collect();
        let domains: Vec<_> = names.iter().map(|name| name.domain()).collect();
        let domains: Vec<_> = domains.iter().collect();
        let servers = self.servers_of(&domains)?;
        let now = self.now();
        let room = have_room(&mut self.store, &names, now)?;
        let works = new
            .iter()
            .zip(servers)
            .zip(room)
            .map(|((new, server), room)| {
                let (_, difference) = new;
                let (Some(username), Some(delivery)) =
                    (difference.username(), difference.delivery.clone())
                else {
                    return Err(Error::NoDelivery("a new user".into()));
                };
                room?;
                let wanted = plan.users.get(username);
                let expires_at = wanted.and_then(|user| user.expires_at.clone());
                Ok(PasswordRequest {
                    destination: delivery,
                    server,
                    expires_at: expires_at.and_then(Setting::value),
                    old_password_id: None,
                    assumed_lost: false,
                    unfinished: false,
                    created_at: None,
                    new_user: true,
                    username: username.clone(),
                })
            });
        Ok(works.collect())
    }

    /// Writes the users whose passwords have arrived.
    fn write_all(
        &mut self,
        arrived: &[(Username, PasswordId)],
        run: &mut ApplyRun,
        summary: &mut ApplySummary,
        in_flight: &mut UsersUnderWay,
    ) {
        if arrived.is_empty() {
            return;
        }
        let outcomes = match self.write_users(run.plan, arrived, &in_flight.hashed) {
            Ok(outcomes) => outcomes,
            // The store refuses one of them: write each alone to find it.
            Err(Error::StoreRefused { .. }) if arrived.len() > 1 => {
                for one in arrived.chunks(1) {
                    self.write_all(one, run, summary, in_flight);
                }
                return;
            }
            Err(error) => return not_written(arrived, error, run, summary, in_flight),
        };
        for (user, outcome) in arrived.iter().zip(outcomes) {
            if let Err(error) = outcome {
                not_written(std::slice::from_ref(user), error, run, summary, in_flight);
                continue;
            }
            let (username, password_id) = user;
            if let Some(delivery) = delivery_of(run, in_flight, username) {
                run.deliverer.confirm_user(delivery, username);
            }
            if let Some(number) = in_flight.remove(username) {
                summary.add(run, number, ApplyOutcome::Done(Some(password_id.clone())));
            }
        }
    }

    /// Writes users in one transaction, or returns why each of them cannot be written.
    fn write_users(
        &mut self,
        plan: &Plan,
        arrived: &[(Username, PasswordId)],
        hashed: &HashMap<Username, NewPassword>,
    ) -> Result<Vec<Result<()>>> {
        let now = self.now();
        let mut tx = self.begin()?;
        let names: Vec<_> = arrived.iter().map(|(username, _)| username).collect();
        let room = have_room(tx.store(), &names, now)?;
        let mut outcomes = Vec::with_capacity(room.len());
        for (username, room) in names.into_iter().zip(room) {
            let known = plan.users.get(username).zip(hashed.get(username));
            outcomes.push(match (room, known) {
                (Ok(()), Some((wanted, password))) => {
                    add_planned(&mut tx, username, wanted, password)?;
                    Ok(())
                }
                (Ok(()), None) => Err(username.not_found()),
                (Err(error), _) => Err(error),
            });
        }
        if outcomes.iter().any(Result::is_ok) {
            tx.commit()?;
        }
        Ok(outcomes)
    }
}

fn add_planned(
    tx: &mut Tx,
    username: &Username,
    wanted: &UserPlan,
    password: &NewPassword,
) -> Result<()> {
    let change = differ::user(None, wanted).change;
    let label = change.user.label.and_then(Setting::value);
    let note = change.user.note.and_then(Setting::value);
    let user = NewUser {
        username,
        label: label.as_ref(),
        copy_of: None,
        note: note.as_ref(),
        tags: &change.user.tags,
        daily_limit: change.user.daily_limit.and_then(Setting::value),
        expires_at: change.user.expires_at.and_then(Setting::value),
        sending: &change.user.sending,
        rotation: &change.user.rotation,
        addresses: &change.user.addresses,
    };
    tx.add_user(&user, password)?;
    if change.suspend == Some(true) {
        tx.suspend_user(username)?;
    }
    Ok(())
}

/// Withdraws delivered passwords that could not be stored.
fn not_written(
    arrived: &[(Username, PasswordId)],
    error: Error,
    run: &mut ApplyRun,
    summary: &mut ApplySummary,
    in_flight: &mut UsersUnderWay,
) {
    // The passwords may be valid.
    let unknown = matches!(error, Error::CommitUnknown { .. });
    let error = if unknown {
        error
    } else {
        Error::NotStored(Box::new(error))
    };
    let reason = error.to_string();
    summary.keep(error);
    for (username, password_id) in arrived {
        if let (Some(delivery), false) = (delivery_of(run, in_flight, username), unknown) {
            run.deliverer.withdraw(delivery, username, password_id);
        }
        if let Some(number) = in_flight.remove(username) {
            summary.add(run, number, ApplyOutcome::Failed(reason.clone()));
        }
    }
}

fn delivery_of<'a>(
    run: &ApplyRun<'a>,
    in_flight: &UsersUnderWay,
    username: &Username,
) -> Option<&'a Destination> {
    let number = in_flight.numbers.get(username)?;
    run.differences.get(*number)?.delivery.as_ref()
}

/// Handles an event, and returns the user and the password ID if a password has arrived.
fn follow(
    event: WorkerEvent,
    run: &mut ApplyRun,
    summary: &mut ApplySummary,
    in_flight: &mut UsersUnderWay,
    deliveries: &Sender<Delivery>,
) -> Option<(Username, PasswordId)> {
    let (username, outcome) = match event {
        WorkerEvent::Output(username, line) => {
            run.observer.said(&username, &line);
            return None;
        }
        WorkerEvent::HandingOver { answer, .. } => {
            // The worker waits for this answer. Nothing is recorded: the user does not exist
            // until the password has arrived.
            let _ = answer.send(true);
            return None;
        }
        WorkerEvent::Generated(made) => {
            let username = made.delivery.credential.username.clone();
            in_flight.hashed.insert(username.clone(), made.password);
            if summary.store.is_none() && deliveries.send(made.delivery).is_ok() {
                return None;
            }
            (
                username,
                ApplyOutcome::Failed("the run ended before the delivery".into()),
            )
        }
        WorkerEvent::NotGenerated(username, error) => {
            (username, ApplyOutcome::Failed(error.to_string()))
        }
        WorkerEvent::DeliveryEnded(username, _, DeliveryResult::NotStarted) => {
            (username, ApplyOutcome::Left)
        }
        WorkerEvent::DeliveryEnded(username, _, DeliveryResult::NotDelivered(reason)) => {
            (username, ApplyOutcome::Failed(reason))
        }
        WorkerEvent::DeliveryEnded(username, _, DeliveryResult::Unknown(reason)) => {
            let reason = format!(
                "{reason}; the user was not created, so a password that arrived does not work"
            );
            (username, ApplyOutcome::Failed(reason))
        }
        WorkerEvent::DeliveryEnded(username, password_id, DeliveryResult::Delivered) => {
            return Some((username, password_id));
        }
    };
    if let Some(number) = in_flight.remove(&username) {
        summary.add(run, number, outcome);
    }
    None
}

impl ApplySummary {
    /// What ends the run, unless it is about one user alone.
    fn keep(&mut self, error: Error) {
        let about = match error {
            Error::NotStored(cause) => *cause,
            error => error,
        };
        let of_one = matches!(
            about,
            Error::UserExists(_)
                | Error::OldNameTaken { .. }
                | Error::DomainNotFound(_)
                | Error::UserLimit { .. }
                | Error::UserNotFound(_)
                | Error::NoDelivery(_)
        );
        if !of_one && self.store.is_none() {
            self.store = Some(about);
        }
    }
}
