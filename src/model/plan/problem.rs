//! What is wrong with a plan.

use std::fmt::Display;

use toml::de::DeValue;

/// What is wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The line, from 1; `None` if it belongs to none.
    pub line: Option<usize>,
    /// As TOML names it, such as `users."shop@example.com".label`. Escaped.
    pub key: String,
    /// What is wrong; escaped, because it may quote the plan.
    pub reason: String,
}

impl PlanProblem {
    /// Makes a problem of one table: `tables` is `domains` or `users`, `name` was checked.
    pub fn of(line: usize, tables: &str, name: impl Display, reason: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            key: format!("{tables}.\"{name}\""),
            reason: reason.into(),
        }
    }
}

/// Names the kind of a value, for people.
pub(super) const fn kind_of(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
