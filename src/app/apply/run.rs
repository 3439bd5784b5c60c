//! A run that applies a plan, and the outcome of each difference.

use std::sync::atomic::{AtomicBool, Ordering};

use super::difference::{ApplyOptions, Difference};
use crate::app::rotation::Deliverer;
use crate::error::Error;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::plan::Plan;

/// The outcome of a difference.
#[derive(Clone, Debug)]
pub enum ApplyOutcome {
    /// With the ID of a new user's password.
    Done(Option<PasswordId>),
    /// The store is as the plan says by now.
    Unneeded,
    /// Why it failed.
    Failed(String),
    /// It was not begun.
    Left,
}

/// Observes a run.
pub trait ApplyObserver {
    /// Begins a run that delivers this many passwords.
    fn begin(&mut self, passwords: usize);
    /// Reports a line that a delivery printed.
    fn said(&mut self, username: &Username, line: &str);
    /// Reports the outcome of the difference with this number.
    fn done(&mut self, number: usize, outcome: ApplyOutcome);
}

/// What a run needs.
pub struct ApplyRun<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The differences to carry out, from the comparison.
    pub differences: &'a [Difference],
    /// How to carry them out.
    pub options: &'a ApplyOptions,
    /// Delivers the passwords of new users.
    pub deliverer: &'a dyn Deliverer,
    /// Receives the outcome of each difference.
    pub observer: &'a mut dyn ApplyObserver,
    /// Nothing further is begun once this is set.
    pub stop: &'a AtomicBool,
}

/// How many differences had each outcome.
#[derive(Debug, Default)]
pub struct ApplySummary {
    /// Carried out.
    pub done: u64,
    /// Failed; the observer learns why.
    pub failed: u64,
    /// Not begun.
    pub left: u64,
    /// The store failed, which ended the run.
    pub store: Option<Error>,
}

impl ApplyRun<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl ApplySummary {
    pub(super) fn add(&mut self, run: &mut ApplyRun, number: usize, outcome: ApplyOutcome) {
        match &outcome {
            ApplyOutcome::Done(_) => self.done += 1,
            ApplyOutcome::Unneeded => {}
            ApplyOutcome::Failed(_) => self.failed += 1,
            ApplyOutcome::Left => self.left += 1,
        }
        run.observer.done(number, outcome);
    }
}
