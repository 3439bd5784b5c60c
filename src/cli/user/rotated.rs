//! The progress and the result of a rotation, as they are printed.

use serde::Serialize;

use crate::app::rotation::{PlannedRotation, RotationOutcome, RotationReporter, RotationSummary};
use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::output::{Output, OutputFormat};
use crate::cli::terminal::progress::Progress;
use crate::cli::terminal::record::Record;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::rotation::Retire;

/// Prints the progress on stderr and keeps the outcomes.
pub struct RotationPrinter<'a> {
    out: &'a Output,
    progress: Option<Progress>,
    retire: Retire,
    users: Vec<UserOutcome>,
}

impl<'a> RotationPrinter<'a> {
    /// Returns a printer that has not printed anything.
    pub const fn new(out: &'a Output, retire: Retire) -> Self {
        Self {
            out,
            progress: None,
            retire,
            users: Vec::new(),
        }
    }

    fn say(&self, print: impl FnOnce(&Output)) {
        match &self.progress {
            Some(progress) => progress.aside(|| print(self.out)),
            None => print(self.out),
        }
    }

    /// Ends the display of progress and returns the outcomes.
    pub fn end(self) -> Vec<UserOutcome> {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        self.users
    }
}

impl RotationReporter for RotationPrinter<'_> {
    fn begin(&mut self, users: usize) {
        self.progress = Progress::begin(self.out, users);
    }

    fn output(&mut self, username: &Username, line: &str) {
        self.say(|out| out.note(&format!("{username}: {line}")));
    }

    fn done(&mut self, username: &Username, outcome: &RotationOutcome) {
        self.say(|out| match outcome {
            RotationOutcome::Rotated { password_id, resumed: true } => out.note(&format!(
                "finished {username}: the new password (password ID {password_id}) of an earlier run has arrived"
            )),
            RotationOutcome::Rotated { password_id, .. } => {
                out.note(&format!(
                    "rotated {username} (password ID {password_id}); {}",
                    self.retire
                ));
            }
            RotationOutcome::Failed(reason) => {
                out.warn(&format!("{username} was not rotated: {reason}"));
            }
            RotationOutcome::Unfinished { reason, ways_out } => {
                let ways_out = ways_out.as_ref().map(|ways| format!("; {ways}"));
                out.warn(&format!(
                    "the rotation of {username} is unfinished and both passwords work: {reason}{}",
                    ways_out.unwrap_or_default()
                ));
            }
        });
        if let Some(progress) = &self.progress {
            progress.step();
        }
        if self.out.format() == OutputFormat::Json {
            self.users.push(UserOutcome::new(username, outcome));
        }
    }
}

/// Fails if not all rotations of a run ended well.
pub fn all_done(summary: RotationSummary) -> Result<()> {
    if let Some(error) = summary.store {
        return Err(error);
    }
    if summary.left > 0 {
        return Err(Error::Stopped(summary.left));
    }
    if summary.failed > 0 {
        return Err(Error::RotationsFailed(summary.failed));
    }
    Ok(())
}

/// What a run did for one user.
#[derive(Serialize)]
pub struct UserOutcome {
    username: String,
    outcome: &'static str,
    password_id: Option<String>,
    reason: Option<String>,
}

impl UserOutcome {
    fn new(username: &Username, outcome: &RotationOutcome) -> Self {
        let (name, password_id, reason) = match outcome {
            RotationOutcome::Rotated { password_id, .. } => {
                ("rotated", Some(password_id.to_string()), None)
            }
            RotationOutcome::Failed(reason) => ("failed", None, Some(reason.clone())),
            RotationOutcome::Unfinished { reason, .. } => {
                ("unfinished", None, Some(reason.clone()))
            }
        };
        Self {
            username: username.to_string(),
            outcome: name,
            password_id,
            reason,
        }
    }
}

/// What a run did.
#[derive(Serialize)]
pub struct RunRecord {
    pub rotated: u64,
    pub failed: u64,
    pub left: u64,
    pub users: Vec<UserOutcome>,
}

impl RunRecord {
    /// Returns the summary for people.
    pub fn line(&self) -> String {
        let mut line = format!("rotated {}, failed {}", self.rotated, self.failed);
        if self.left > 0 {
            line = format!("{line}, not started {}", self.left);
        }
        line
    }
}

impl Record for RunRecord {
    const FIELDS: &'static [&'static str] = &["rotated", "failed", "left"];

    fn fields(&self) -> Vec<String> {
        [self.rotated, self.failed, self.left]
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

/// A user that would be rotated.
#[derive(Serialize)]
pub struct PlanRecord {
    username: String,
    why: String,
    delivery: Option<String>,
    problem: Option<String>,
}

impl PlanRecord {
    pub fn new(planned: &PlannedRotation) -> Self {
        Self {
            username: planned.username.to_string(),
            why: planned.why.clone(),
            delivery: planned.destination.as_ref().ok().map(ToString::to_string),
            problem: match &planned.destination {
                Err(error) => Some(error.to_string()),
                Ok(_) => planned.obstacle.clone(),
            },
        }
    }
}

impl Record for PlanRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("Why").rank(1).wrap(16).times(TimeForm::Text),
        Column::new("Delivery").wrap(24).times(TimeForm::Text),
    ];

    fn cells(&self) -> Vec<Cell> {
        let delivery = self.delivery.clone().unwrap_or_default();
        vec![
            self.username.as_str().into(),
            self.why.as_str().into(),
            match &self.problem {
                None => delivery.into(),
                Some(problem) => Cell::new(problem, Tone::Bad),
            },
        ]
    }

    const FIELDS: &'static [&'static str] = &["username", "why", "delivery", "problem"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.why.clone(),
            self.delivery.clone().unwrap_or_default(),
            self.problem.clone().unwrap_or_default(),
        ]
    }
}
