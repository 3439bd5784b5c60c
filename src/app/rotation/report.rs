//! What a run reports: the outcome of each user's rotation, and of all.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Deliverer, RotationOptions};
use crate::error::Error;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::WaysOut;

/// The result of one user's rotation.
#[derive(Debug)]
pub enum RotationOutcome {
    /// The new password has arrived, by this run or an earlier one.
    Rotated {
        /// The ID of the new password.
        password_id: PasswordId,
        /// An earlier run had delivered it.
        resumed: bool,
    },
    /// Only the old password is live, as before.
    Failed(String),
    /// Both passwords are live: it is unknown whether the new one arrived.
    Unfinished {
        /// Why it is unknown.
        reason: String,
        /// What an admin can do, if the store could be read.
        ways_out: Option<WaysOut>,
    },
}

/// Reports the progress of a run.
pub trait RotationReporter {
    /// Begins a run for this many users.
    fn begin(&mut self, users: usize);
    /// Reports a line that a delivery printed.
    fn output(&mut self, username: &Username, line: &str);
    /// Reports the end of one user's rotation.
    fn done(&mut self, username: &Username, outcome: &RotationOutcome);
}

/// What a run needs.
pub struct RotationRun<'a> {
    /// How to rotate.
    pub options: &'a RotationOptions,
    /// Delivers the new passwords.
    pub deliverer: &'a dyn Deliverer,
    /// Receives the progress.
    pub reporter: &'a mut dyn RotationReporter,
    /// Once set, the run begins with no further user.
    pub stop: &'a AtomicBool,
}

/// The result of a run, in users.
#[derive(Debug, Default)]
pub struct RotationSummary {
    /// New passwords delivered.
    pub rotated: u64,
    /// Rotations that failed or are unfinished.
    pub failed: u64,
    /// Planned, but not begun.
    pub left: u64,
    /// The failure of the store that ended the run.
    pub store: Option<Error>,
}

impl RotationOutcome {
    pub(super) fn unfinished(reason: impl Into<String>) -> Self {
        Self::Unfinished {
            reason: reason.into(),
            ways_out: None,
        }
    }
}

impl RotationRun<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl RotationSummary {
    pub(super) fn add(
        &mut self,
        run: &mut RotationRun,
        username: &Username,
        outcome: &RotationOutcome,
    ) {
        match outcome {
            RotationOutcome::Rotated { .. } => self.rotated += 1,
            RotationOutcome::Failed(_) | RotationOutcome::Unfinished { .. } => self.failed += 1,
        }
        run.reporter.done(username, outcome);
    }
}
