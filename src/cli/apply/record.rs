//! The differences from a plan, for programs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::words::{delivery, kind, name};
use crate::app::apply::{ApplyOutcome, ChangeAction, Difference, FieldChange};
use crate::cli::changes::shown_value;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::record::Record;
use crate::model::plan::PlanProblem;

/// The whole output as JSON.
#[derive(Serialize)]
pub struct Document {
    pub changes: Vec<ChangeRecord>,
    pub applied: bool,
}

/// One change.
#[derive(Serialize)]
pub struct ChangeRecord {
    action: &'static str,
    kind: &'static str,
    name: Option<String>,
    fields: Map<String, Value>,
    delivery: Option<String>,
    pub outcome: &'static str,
    password_id: Option<String>,
    reason: Option<String>,
}

impl ChangeRecord {
    pub fn new(difference: &Difference, outcome: Option<&ApplyOutcome>) -> Self {
        let field = |field: &FieldChange| {
            let values = json!({"from": field.from, "to": field.to});
            (field.name.clone(), values)
        };
        let (outcome, password_id, reason) = match outcome {
            None => ("planned", None, difference.obstacle.clone()),
            Some(ApplyOutcome::Done(password_id)) => {
                ("done", password_id.as_ref().map(ToString::to_string), None)
            }
            Some(ApplyOutcome::Unneeded) => ("unneeded", None, None),
            Some(ApplyOutcome::Failed(reason)) => ("failed", None, Some(reason.clone())),
            Some(ApplyOutcome::Left) => ("left", None, None),
        };
        Self {
            action: match difference.action {
                ChangeAction::Create => "create",
                ChangeAction::Change => "change",
                ChangeAction::Delete => "delete",
            },
            kind: kind(&difference.subject),
            name: name(&difference.subject),
            fields: difference.fields.iter().map(field).collect(),
            delivery: delivery(difference),
            outcome,
            password_id,
            reason,
        }
    }
}

impl Record for Document {
    const FIELDS: &'static [&'static str] = &["changes", "applied"];

    fn fields(&self) -> Vec<String> {
        vec![self.changes.len().to_string(), self.applied.to_string()]
    }
}

/// A row of CSV: one for each field, or one for a change without fields.
#[derive(Serialize)]
pub struct FieldRecord(Vec<String>);

impl FieldRecord {
    /// Returns a row for each changed field, as CSV has it.
    pub fn all(change: &ChangeRecord) -> Vec<Self> {
        let plain = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(_) => shown_value(value),
            other => other.to_string(),
        };
        let row = |field: &str, from: String, to: String| {
            let some = |text: &Option<String>| text.clone().unwrap_or_default();
            Self(vec![
                change.action.to_owned(),
                change.kind.to_owned(),
                some(&change.name),
                field.to_owned(),
                from,
                to,
                some(&change.delivery),
                change.outcome.to_owned(),
                some(&change.password_id),
                some(&change.reason),
            ])
        };
        if change.fields.is_empty() {
            return vec![row("", String::new(), String::new())];
        }
        let fields = change.fields.iter();
        fields
            .map(|(name, values)| row(name, plain(&values["from"]), plain(&values["to"])))
            .collect()
    }
}

impl Record for FieldRecord {
    const FIELDS: &'static [&'static str] = &[
        "action",
        "kind",
        "name",
        "field",
        "from",
        "to",
        "delivery",
        "outcome",
        "password_id",
        "reason",
    ];

    fn fields(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// What is wrong with a plan.
#[derive(Serialize)]
pub struct ProblemRecord {
    line: Option<usize>,
    key: String,
    reason: String,
}

impl ProblemRecord {
    pub fn new(problem: &PlanProblem) -> Self {
        Self {
            line: problem.line,
            key: problem.key.clone(),
            reason: problem.reason.clone(),
        }
    }
}

impl Record for ProblemRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Line").right(),
        Column::new("Key"),
        Column::new("Reason").wrap(24),
    ];

    const FIELDS: &'static [&'static str] = &["line", "key", "reason"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.line.map(|line| line.to_string()).unwrap_or_default(),
            self.key.clone(),
            self.reason.clone(),
        ]
    }
}
