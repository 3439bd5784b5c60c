//! How a rotation goes, and what came of it, as it is printed.

use serde::Serialize;

use crate::app::rotation::{Outcome, Planned, Watcher};
use crate::cli::output::{Format, Output, Record};
use crate::cli::progress::Progress;
use crate::model::name::Username;

/// Says on stderr how it goes, and keeps what came of it.
pub struct Told<'a> {
    pub out: &'a Output,
    pub progress: Option<Progress>,
    pub users: Vec<UserOutcome>,
}

impl Told<'_> {
    fn say(&self, print: impl FnOnce(&Output)) {
        match &self.progress {
            Some(progress) => progress.aside(|| print(self.out)),
            None => print(self.out),
        }
    }

    pub fn end(self) -> Vec<UserOutcome> {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        self.users
    }
}

impl Watcher for Told<'_> {
    fn begin(&mut self, users: usize) {
        self.progress = Progress::begin(self.out, users);
    }

    fn said(&mut self, username: &Username, line: &str) {
        self.say(|out| out.note(&format!("{username}: {line}")));
    }

    fn done(&mut self, username: &Username, outcome: &Outcome) {
        self.say(|out| match outcome {
            Outcome::Rotated {
                key,
                taken_up: true,
            } => out.note(&format!(
                "finished {username}: the new password (key {key}) of an earlier run has arrived"
            )),
            Outcome::Rotated { key, .. } => out.note(&format!("rotated {username} (key {key})")),
            Outcome::Failed(reason) => {
                out.warn(&format!("{username} was not rotated: {reason}"));
            }
            Outcome::Unfinished(reason) => {
                out.warn(&format!(
                    "the rotation of {username} is unfinished, both passwords work: {reason}"
                ));
            }
        });
        if let Some(progress) = &self.progress {
            progress.step();
        }
        if self.out.format() != Format::Table {
            self.users.push(UserOutcome::new(username, outcome));
        }
    }
}

#[derive(Serialize)]
pub struct UserOutcome {
    username: String,
    outcome: &'static str,
    key_id: Option<String>,
    reason: Option<String>,
}

impl UserOutcome {
    fn new(username: &Username, outcome: &Outcome) -> Self {
        let (name, key_id, reason) = match outcome {
            Outcome::Rotated { key, .. } => ("rotated", Some(key.to_string()), None),
            Outcome::Failed(reason) => ("failed", None, Some(reason.clone())),
            Outcome::Unfinished(reason) => ("unfinished", None, Some(reason.clone())),
        };
        Self {
            username: username.to_string(),
            outcome: name,
            key_id,
            reason,
        }
    }
}

#[derive(Serialize)]
pub struct RunRecord {
    pub rotated: u64,
    pub failed: u64,
    pub left: u64,
    pub users: Vec<UserOutcome>,
}

impl RunRecord {
    pub fn line(&self) -> String {
        let mut line = format!("rotated {}, failed {}", self.rotated, self.failed);
        if self.left > 0 {
            line = format!("{line}, not begun {}", self.left);
        }
        line
    }
}

impl Record for RunRecord {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["rotated", "failed", "left"];

    fn fields(&self) -> Vec<String> {
        [self.rotated, self.failed, self.left]
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

/// What a run would do.
#[derive(Serialize)]
pub struct PlanRecord {
    username: String,
    why: String,
    delivery: Option<String>,
    problem: Option<String>,
}

impl PlanRecord {
    pub fn new(planned: &Planned) -> Self {
        Self {
            username: planned.username.to_string(),
            why: planned.why.clone(),
            delivery: planned.delivery.as_ref().ok().map(ToString::to_string),
            problem: planned.delivery.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Record for PlanRecord {
    const COLUMNS: &'static [&'static str] = &["Username", "Why", "Delivery"];

    fn cells(&self) -> Vec<String> {
        let problem = self.problem.as_ref();
        let delivery = self.delivery.clone();
        vec![
            self.username.clone(),
            self.why.clone(),
            delivery.unwrap_or_else(|| problem.cloned().unwrap_or_default()),
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
