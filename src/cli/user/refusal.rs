//! Refused sign-ins as they are printed.

use serde::Serialize;

use crate::cli::terminal::column::{Cell, Column, TimeForm};
use crate::cli::terminal::record::Record;
use crate::model::refused_sign_ins::RefusedSignIns;
use crate::model::text::times;
use crate::model::time::Time;

/// Refused sign-ins, as they are printed.
#[derive(Serialize)]
pub struct RefusalRecord<'a> {
    username: &'a str,
    #[serde(skip)]
    shown: String,
    address: &'a str,
    reason: &'static str,
    count: i64,
    first_at: Time,
    last_at: Time,
}

impl<'a> RefusalRecord<'a> {
    pub fn new(refusals: &'a RefusedSignIns) -> Self {
        Self {
            username: refusals.username.as_str(),
            shown: refusals.username.to_string(),
            address: &refusals.address,
            reason: refusals.reason.name(),
            count: refusals.count,
            first_at: refusals.first_at,
            last_at: refusals.last_at,
        }
    }

    pub(super) fn text(&self, now: Time) -> String {
        let ago = now.since(self.last_at);
        let (reason, address) = (self.reason, self.address);
        let times = times(self.count.unsigned_abs());
        let name = typed_as(&self.shown);
        format!("{reason}, {times} from {address}{name}, last {ago} ago")
    }
}

/// Returns " as NAME" if what was typed differs from the username, and "" otherwise.
pub fn typed_as(shown: &str) -> String {
    if shown.starts_with('\'') {
        format!(" as {shown}")
    } else {
        String::new()
    }
}

impl Record for RefusalRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Last").times(TimeForm::Stamp),
        Column::new("Username"),
        Column::new("Address"),
        Column::new("Reason").rank(1),
        Column::new("Count").right(),
        Column::new("First").rank(2).times(TimeForm::Stamp),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            self.last_at.to_string().into(),
            self.shown.as_str().into(),
            self.address.into(),
            self.reason.into(),
            self.count.to_string().into(),
            self.first_at.to_string().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "username", "address", "reason", "count", "first_at", "last_at",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.to_owned(),
            self.address.to_owned(),
            self.reason.to_owned(),
            self.count.to_string(),
            self.first_at.to_string(),
            self.last_at.to_string(),
        ]
    }
}
