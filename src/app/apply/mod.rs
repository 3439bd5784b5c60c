//! Plans: what differs from the store, and how it becomes the same.
//!
//! Each change is a transaction of its own, which compares again first: nothing is
//! written over that somebody else changed since the difference was shown. A new
//! user's password is delivered in full before the user is written (promise 2).

mod compare;
mod create;
mod differ;
mod rules;

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use self::differ::{domain, settings, user};
use super::App;
use super::rotation::Courier;
use crate::error::{Error, Result};
use crate::model::delivery::Delivery;
use crate::model::name::{DomainName, Username};
use crate::model::password::KeyId;
use crate::model::plan::{Plan, Problem};
use crate::model::time::Time;

pub use compare::compare;

/// How a plan is compared and carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of new users' passwords: before what the plan and the store say.
    pub delivery: Delivery,
    /// Users that the plan does not name are deleted, of the domains it names.
    pub prune: bool,
    /// Deliveries of the store may run though another user can write it.
    pub trust_store: bool,
    /// Deliveries at the same time.
    pub jobs: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Settings,
    Domain(DomainName),
    User(Username),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Change,
    Delete,
}

/// Null stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub from: Value,
    pub to: Value,
}

/// One thing that is not as the plan says.
#[derive(Clone, Debug)]
pub struct Difference {
    pub action: Action,
    pub subject: Subject,
    pub fields: Vec<Field>,
    /// Of a new user's password.
    pub delivery: Option<Delivery>,
    /// Of a user to be deleted: one that comes back under the same name is another.
    created_at: Option<Time>,
}

/// Differences in the order in which they are carried out, or why they cannot be.
#[derive(Debug, Default)]
pub struct Comparison {
    pub differences: Vec<Difference>,
    pub problems: Vec<Problem>,
}

/// What became of a difference.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With the key of a new user's password.
    Done(Option<KeyId>),
    /// Somebody else has done the same meanwhile.
    Unneeded,
    Failed(String),
    /// It was not begun.
    Left,
}

/// Who is told how it goes.
pub trait Watcher {
    /// So many passwords will be delivered.
    fn begin(&mut self, passwords: usize);
    /// What a delivery printed.
    fn said(&mut self, username: &Username, line: &str);
    /// Of the difference with this number.
    fn done(&mut self, number: usize, outcome: Outcome);
}

pub struct Run<'a> {
    pub plan: &'a Plan,
    pub differences: &'a [Difference],
    pub options: &'a Options,
    pub courier: &'a dyn Courier,
    pub watcher: &'a mut dyn Watcher,
    /// Nothing further is begun once this is set.
    pub stop: &'a AtomicBool,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub done: u64,
    pub failed: u64,
    /// Not begun.
    pub left: u64,
    /// The store failed, which ended the run.
    pub store: Option<Error>,
}

const MEANWHILE: &str = "it was changed meanwhile, and was left as it is now";

impl Difference {
    fn new(action: Action, subject: Subject, fields: Vec<Field>) -> Self {
        Self {
            action,
            subject,
            fields,
            delivery: None,
            created_at: None,
        }
    }

    pub const fn is_new_user(&self) -> bool {
        matches!(
            (self.action, &self.subject),
            (Action::Create, Subject::User(_))
        )
    }
}

impl App {
    /// Carries out what was found to differ.
    pub fn apply(&mut self, run: &mut Run) -> Result<Summary> {
        let mut summary = Summary::default();
        let new = run.differences.iter().filter(|d| d.is_new_user()).count();
        // Two that deliver would write each other's files.
        let _alone = if new > 0 {
            Some(self.store.lock_rotation()?)
        } else {
            None
        };
        for (number, difference) in run.differences.iter().enumerate() {
            if difference.is_new_user() {
                continue;
            }
            let outcome = if run.is_stopped() || summary.store.is_some() {
                Outcome::Left
            } else {
                self.carry_out(run.plan, difference)
                    .unwrap_or_else(|error| {
                        let reason = error.to_string();
                        summary.store = Some(error);
                        Outcome::Failed(reason)
                    })
            };
            summary.add(run, number, outcome);
        }
        if new > 0 {
            self.create_all(run, &mut summary)?;
        }
        Ok(summary)
    }

    fn carry_out(&mut self, plan: &Plan, planned: &Difference) -> Result<Outcome> {
        let mut tx = self.begin()?;
        let store = tx.store();
        let meanwhile = || Ok(Outcome::Failed(MEANWHILE.into()));
        match (&planned.subject, planned.action) {
            (Subject::Settings, _) => {
                let (fields, change) = settings(Some(store), plan.settings.as_ref())?;
                if fields.is_empty() {
                    return Ok(Outcome::Unneeded);
                }
                if fields != planned.fields {
                    return meanwhile();
                }
                tx.set_settings(&change)?;
            }
            (Subject::Domain(name), action) => {
                let Some(wanted) = plan.domains.get(name) else {
                    return Ok(Outcome::Unneeded);
                };
                let found = domain(Some(store), name, wanted)?;
                if found.is_as_wanted() {
                    return Ok(Outcome::Unneeded);
                }
                if found.exists == (action == Action::Create) || found.fields != planned.fields {
                    return meanwhile();
                }
                if found.exists {
                    tx.set_domain(name, &found.change)?;
                } else {
                    tx.add_domain(name, &found.change)?;
                }
            }
            (Subject::User(name), Action::Delete) => match store.user(name)? {
                None => return Ok(Outcome::Unneeded),
                Some(found) if Some(found.created_at) != planned.created_at => {
                    return meanwhile();
                }
                Some(_) => tx.delete_user(name)?,
            },
            (Subject::User(name), _) => {
                let Some(wanted) = plan.users.get(name) else {
                    return Ok(Outcome::Unneeded);
                };
                let found = user(Some(store), name, wanted)?;
                if found.is_as_wanted() {
                    return Ok(Outcome::Unneeded);
                }
                if !found.exists || found.fields != planned.fields {
                    return meanwhile();
                }
                if !found.change.is_empty() {
                    tx.set_user(name, &found.change.user)?;
                }
                match found.change.suspend {
                    Some(true) => tx.suspend_user(name)?,
                    Some(false) => tx.resume_user(name)?,
                    None => {}
                }
            }
        }
        tx.commit()?;
        Ok(Outcome::Done(None))
    }
}

impl Run<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Summary {
    fn add(&mut self, run: &mut Run, number: usize, outcome: Outcome) {
        match &outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Unneeded => {}
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Left => self.left += 1,
        }
        run.watcher.done(number, outcome);
    }
}
