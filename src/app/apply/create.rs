//! New users: all processors hash, several deliver, one thread writes. A user is
//! written once its password has arrived, so that whatever is killed when, nobody
//! exists whose password nobody has; the next run makes those that are missing.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;

use super::differ;
use super::{Difference, Outcome, Run, Subject, Summary};
use crate::app::rotation::workers::{Crew, Event, Work};
use crate::app::rotation::{Arrival, Parcel};
use crate::app::users::limit_reached;
use crate::app::{App, need_domain};
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::plan::Plan;
use crate::model::settings::Setting;
use crate::store::{NewPassword, NewUser, Store};

/// Why nothing is begun for a user.
const STILL: &str = "a command of an earlier run is still taking a password to it: try again \
    once that has ended";

/// Users whose passwords are made or under way.
#[derive(Default)]
struct Flying {
    numbers: HashMap<Username, usize>,
    hashed: HashMap<Username, NewPassword>,
    /// Those that a command of a run that was killed is still delivering to: it may
    /// write over what is delivered now.
    before: HashSet<String>,
}

impl Flying {
    fn land(&mut self, username: &Username) -> Option<usize> {
        self.hashed.remove(username);
        self.numbers.remove(username)
    }
}

impl App {
    pub(super) fn create_all(&mut self, run: &mut Run, summary: &mut Summary) -> Result<()> {
        let differences = run.differences;
        let new = differences
            .iter()
            .enumerate()
            .filter(|(_, d)| d.is_new_user());
        let new: Vec<(usize, &Difference)> = new.collect();
        run.watcher.begin(new.len());
        let crew = Crew {
            users: new.len(),
            jobs: run.options.jobs,
            cost: self.store.settings()?.argon2,
            world: self.world,
            courier: run.courier,
            stop: run.stop,
        };
        let courier = run.courier;
        crew.work(|desk| {
            let mut left = new.into_iter();
            let mut flying = Flying {
                before: courier.under_way(),
                ..Flying::default()
            };
            loop {
                while flying.numbers.len() < desk.most
                    && !run.is_stopped()
                    && summary.store.is_none()
                {
                    let Some((number, difference)) = left.next() else {
                        break;
                    };
                    match self.new_user(run.plan, difference) {
                        Ok(work) if flying.before.contains(work.username.as_str()) => {
                            summary.add(run, number, Outcome::Failed(STILL.into()));
                        }
                        Ok(work) => {
                            let username = work.username.clone();
                            if desk.works.send(work).is_ok() {
                                flying.numbers.insert(username, number);
                            }
                        }
                        Err(error) => {
                            summary.add(run, number, Outcome::Failed(error.to_string()));
                            summary.keep(error);
                        }
                    }
                }
                if flying.numbers.is_empty() {
                    break;
                }
                let Ok(event) = desk.told.recv() else { break };
                self.follow(event, run, summary, &mut flying, &desk.parcels);
            }
            for (number, _) in left {
                summary.add(run, number, Outcome::Left);
            }
        });
        Ok(())
    }

    /// What is needed to make its password, or why none is made: nobody gets to
    /// know one that could not be written.
    fn new_user(&mut self, plan: &Plan, difference: &Difference) -> Result<Work> {
        let (Subject::User(username), Some(delivery)) =
            (&difference.subject, difference.delivery.clone())
        else {
            return Err(Error::NoDelivery("a new user".into()));
        };
        // That of an earlier run may be under way, whose user has the password that
        // stands in the file.
        self.store.wait_for_commits()?;
        has_room(&mut self.store, username)?;
        let wanted = plan.users.get(username);
        let expires_at = wanted.and_then(|user| user.expires_at.clone());
        Ok(Work {
            delivery,
            connection: self.connection_of(&username.domain())?,
            expires_at: expires_at.and_then(Setting::value),
            old_key: None,
            doubt: false,
            new_user: true,
            username: username.clone(),
        })
    }

    fn follow(
        &mut self,
        event: Event,
        run: &mut Run,
        summary: &mut Summary,
        flying: &mut Flying,
        parcels: &Sender<Parcel>,
    ) {
        let (username, outcome) = match event {
            Event::Said(username, line) => return run.watcher.said(&username, &line),
            Event::Handing { answer, .. } => {
                // It waits for this. There is nothing to write down: until it has
                // arrived there is no user.
                let _ = answer.send(true);
                return;
            }
            Event::Made(made) => {
                let username = made.parcel.credential.username.clone();
                flying.hashed.insert(username.clone(), made.password);
                let goes = summary.store.is_none() && parcels.send(made.parcel).is_ok();
                if goes {
                    return;
                }
                (username, Outcome::Failed("the run ended before".into()))
            }
            Event::NotMade(username, error) => (username, Outcome::Failed(error.to_string())),
            Event::Delivered(username, _, Arrival::Stopped) => (username, Outcome::Left),
            Event::Delivered(username, _, Arrival::Not(reason)) => {
                (username, Outcome::Failed(reason))
            }
            Event::Delivered(username, _, Arrival::Unknown(reason)) => {
                let reason = format!("{reason}; if a password arrived, it is not valid");
                (username, Outcome::Failed(reason))
            }
            Event::Delivered(username, key, Arrival::Arrived) => {
                let outcome = match self.write_user(run.plan, &username, &flying.hashed) {
                    Ok(()) => {
                        let number = flying.numbers.get(&username);
                        let difference = number.and_then(|at| run.differences.get(*at));
                        if let Some(delivery) = difference.and_then(|d| d.delivery.as_ref()) {
                            run.courier.settled(delivery, &username);
                        }
                        Outcome::Done(Some(key))
                    }
                    Err(error) => {
                        let error = match error {
                            // It may be valid.
                            unknown @ Error::CommitUnknown { .. } => unknown,
                            error => Error::NotStored(Box::new(error)),
                        };
                        let reason = error.to_string();
                        summary.keep(error);
                        Outcome::Failed(reason)
                    }
                };
                (username, outcome)
            }
        };
        if let Some(number) = flying.land(&username) {
            summary.add(run, number, outcome);
        }
    }

    fn write_user(
        &mut self,
        plan: &Plan,
        username: &Username,
        hashed: &HashMap<Username, NewPassword>,
    ) -> Result<()> {
        let (Some(wanted), Some(password)) = (plan.users.get(username), hashed.get(username))
        else {
            return Err(Error::UserNotFound(username.to_string()));
        };
        let mut tx = self.begin()?;
        has_room(tx.store(), username)?;
        let change = differ::user(Some(tx.store()), username, wanted)?.change;
        let label = change.user.label.and_then(Setting::value);
        let user = NewUser {
            username,
            label: label.as_ref(),
            daily_limit: change.user.daily_limit.and_then(Setting::value),
            expires_at: change.user.expires_at.and_then(Setting::value),
            sending: &change.user.sending,
            rotation: &change.user.rotation,
        };
        tx.add_user(&user, password)?;
        if change.suspend == Some(true) {
            tx.suspend_user(username)?;
        }
        tx.commit()
    }
}

/// There is a place for a user of this name.
fn has_room(store: &mut Store, username: &Username) -> Result<()> {
    if store.user(username)?.is_some() {
        return Err(Error::UserExists(username.to_string()));
    }
    let domain = need_domain(store, &username.domain())?;
    limit_reached(store, &domain)
}

impl Summary {
    /// What ends the run, unless it is about one user alone.
    fn keep(&mut self, error: Error) {
        let about = match error {
            Error::NotStored(cause) => *cause,
            error => error,
        };
        let of_one = matches!(
            about,
            Error::UserExists(_)
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
