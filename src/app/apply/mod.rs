//! Plans: what differs from the store, and how it becomes the same.
//!
//! Batches of changes share a transaction, which compares again first: it overwrites
//! nothing that others changed since the difference was shown. A new user's password
//! is delivered before the user is written (promise 2).

mod compare;
mod create;
mod differ;
mod difference;
mod room;
mod rules;
mod run;
mod single;
mod values;

use std::time::Instant;

use self::differ::{domain, settings, user};
use super::App;
use super::pause::let_others;
use crate::error::{Error, Result};
use crate::model::plan::Plan;
use crate::model::tag;
use crate::store::{Tx, UserRules};

pub use compare::compare;
pub use difference::{
    ApplyOptions, ChangeAction, Comparison, Difference, FieldChange, PlanSubject,
};
pub(super) use single::{domain_changes, settings_changes, user_changes};

pub use run::{ApplyObserver, ApplyOutcome, ApplyRun, ApplySummary};

/// How many changes share a transaction, which locks the store for some milliseconds.
const TOGETHER: usize = 250;

const MEANWHILE: &str = "it was changed meanwhile, and was left as it is now";

impl App {
    /// Carries out the differences. An error of the store that ends the run early is in the
    /// summary.
    pub fn apply(&mut self, run: &mut ApplyRun) -> Result<ApplySummary> {
        let mut summary = ApplySummary::default();
        let new = run.differences.iter().filter(|d| d.is_new_user()).count();
        // Two runs that deliver would overwrite each other's files.
        let _alone = if new > 0 {
            Some(self.store.lock_rotation()?)
        } else {
            None
        };
        let numbered = run.differences.iter().enumerate();
        let others: Vec<_> = numbered.filter(|(_, d)| !d.is_new_user()).collect();
        let mut began = Instant::now();
        for (nth, piece) in others.chunks(TOGETHER).enumerate() {
            if nth > 0 {
                let_others(began);
            }
            began = Instant::now();
            let outcomes = if run.is_stopped() || summary.store.is_some() {
                piece.iter().map(|_| ApplyOutcome::Left).collect()
            } else {
                self.carry_out(run.plan, piece, &mut summary)
            };
            for ((number, _), outcome) in piece.iter().zip(outcomes) {
                summary.add(run, *number, outcome);
            }
        }
        if new > 0 {
            self.create_all(run, &mut summary)?;
        }
        Ok(summary)
    }

    /// Applies a batch of differences.
    fn carry_out(
        &mut self,
        plan: &Plan,
        piece: &[(usize, &Difference)],
        summary: &mut ApplySummary,
    ) -> Vec<ApplyOutcome> {
        let error = match self.change_all(plan, piece) {
            Ok(outcomes) => return outcomes,
            Err(error) => error,
        };
        // The store refuses one of them: apply each alone to find it.
        if let (Error::StoreRefused { .. }, true) = (&error, piece.len() > 1) {
            let singly = piece.chunks(1).flat_map(|one| match summary.store {
                None => self.carry_out(plan, one, summary),
                Some(_) => vec![ApplyOutcome::Left],
            });
            return singly.collect();
        }
        let reason = error.to_string();
        summary.store = Some(error);
        piece
            .iter()
            .map(|_| ApplyOutcome::Failed(reason.clone()))
            .collect()
    }

    fn change_all(
        &mut self,
        plan: &Plan,
        piece: &[(usize, &Difference)],
    ) -> Result<Vec<ApplyOutcome>> {
        let mut tx = self.begin()?;
        let names: Vec<_> = piece.iter().filter_map(|(_, d)| d.username()).collect();
        let mut users = tx.store().rules_of_users(&names)?.into_iter();
        let mut outcomes = Vec::with_capacity(piece.len());
        for (_, planned) in piece {
            let has = planned.username().and_then(|_| users.next().flatten());
            outcomes.push(write_one(&mut tx, plan, planned, has)?);
        }
        if outcomes.iter().any(|o| matches!(o, ApplyOutcome::Done(_))) {
            tx.commit()?;
        }
        Ok(outcomes)
    }
}

/// Writes one difference. `has` is its user, if that exists.
fn write_one(
    tx: &mut Tx,
    plan: &Plan,
    planned: &Difference,
    has: Option<UserRules>,
) -> Result<ApplyOutcome> {
    let meanwhile = || Ok(ApplyOutcome::Failed(MEANWHILE.into()));
    match (&planned.subject, planned.action) {
        (PlanSubject::Settings, _) => {
            let (fields, change) = settings(Some(tx.store()), plan.settings.as_ref())?;
            if fields.is_empty() {
                return Ok(ApplyOutcome::Unneeded);
            }
            if fields != planned.fields {
                return meanwhile();
            }
            tx.set_settings(&change)?;
        }
        (PlanSubject::Domain(name), action) => {
            let Some(wanted) = plan.domains.get(name) else {
                return Ok(ApplyOutcome::Unneeded);
            };
            let found = domain(Some(tx.store()), name, wanted)?;
            if found.is_as_wanted() {
                return Ok(ApplyOutcome::Unneeded);
            }
            if found.exists == (action == ChangeAction::Create)
                || found.created_at != planned.created_at
                || found.fields != planned.fields
            {
                return meanwhile();
            }
            if found.exists {
                tx.set_domain(name, &found.change)?;
            } else {
                tx.add_domain(name, &found.change)?;
            }
        }
        (PlanSubject::User(name), ChangeAction::Delete) => match has {
            None => return Ok(ApplyOutcome::Unneeded),
            Some(has) if Some(has.user.created_at) != planned.created_at => return meanwhile(),
            Some(_) => tx.delete_user(name)?,
        },
        (PlanSubject::User(name), _) => {
            let Some(wanted) = plan.users.get(name) else {
                return Ok(ApplyOutcome::Unneeded);
            };
            let found = user(has.as_ref(), wanted);
            if found.is_as_wanted() {
                return Ok(ApplyOutcome::Unneeded);
            }
            let Some(has) = has.filter(|_| {
                found.created_at == planned.created_at && found.fields == planned.fields
            }) else {
                return meanwhile();
            };
            if let Err(error) = tag::changed(&has.user.tags, &found.change.user.tags) {
                return Ok(ApplyOutcome::Failed(error.to_string()));
            }
            if !found.change.is_empty() {
                tx.set_read_user(&has, &found.change.user)?;
            }
            match found.change.suspend {
                Some(true) => tx.suspend_user(name)?,
                Some(false) => tx.resume_user(name)?,
                None => {}
            }
        }
    }
    Ok(ApplyOutcome::Done(None))
}
