//! Values of a plan and of the store, as differences show them.

use serde_json::Value;

use crate::model::delivery::VariableName;
use crate::model::duration::Duration;
use crate::model::sender::Sender;
use crate::model::setting::{LimitValue, Setting};

pub fn texts<T: ToString>(value: &T) -> Value {
    Value::String(value.to_string())
}

pub fn text<T: ToString>(value: Option<&T>) -> Value {
    value.map_or(Value::Null, texts)
}

pub fn every<T: ToString>(all: &[T]) -> Value {
    if all.is_empty() {
        return Value::Null;
    }
    all.iter().map(texts).collect()
}

pub fn of_setting<T>(setting: &Setting<T>, value: impl Fn(&T) -> Value) -> Value {
    setting.as_ref().value().map_or(Value::Null, value)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "as all values are passed"
)]
pub fn number(limit: &LimitValue) -> Value {
    limit.get().into()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "as all values are passed"
)]
pub fn span(duration: &Duration) -> Value {
    duration.exact().into()
}

pub fn name(variable: &VariableName) -> Value {
    variable.as_str().into()
}

pub fn senders(all: &[Sender]) -> Value {
    if all.is_empty() {
        return Value::Null;
    }
    all.iter().map(Sender::as_str).collect()
}
