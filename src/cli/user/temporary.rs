//! Temporary passwords as they are printed.

use serde::Serialize;

use super::password_record::{ConnectionRecord, PasswordRecord};
use crate::model::text::count;
use crate::model::time::Time;
use crate::model::user::TemporaryPassword;

/// A temporary password.
#[derive(Serialize)]
pub(super) struct TemporaryRecord<'a> {
    pub(super) id: &'a str,
    pub(super) label: Option<&'a str>,
    created_at: Time,
    pub(super) expires_at: Time,
    /// Unless its user is kept from signing in.
    pub(super) works: bool,
    /// Empty: from where its user may sign in.
    pub(super) from: Vec<String>,
    last_connection: Option<ConnectionRecord<'a>>,
    last_sent_at: Option<Time>,
    messages: u64,
    recipients: u64,
}

impl<'a> TemporaryRecord<'a> {
    pub fn new(issued: &'a TemporaryPassword, now: Time) -> Self {
        let record = PasswordRecord::new(&issued.password);
        Self {
            id: record.id,
            label: issued.label.as_deref(),
            created_at: record.created_at,
            // Every one has an end.
            expires_at: record.retires_at.unwrap_or(record.created_at),
            works: issued.is_live(now),
            from: issued.networks.iter().map(ToString::to_string).collect(),
            last_connection: record.last_connection,
            last_sent_at: record.last_sent_at,
            messages: record.messages,
            recipients: record.recipients,
        }
    }

    fn text(&self, now: Time) -> String {
        let used = self
            .last_connection
            .map_or("never used".to_owned(), |last| {
                format!("last used {}", last.text(now))
            });
        let sent = match self.messages {
            0 => String::new(),
            n => format!(", sent {}", count(n, "message")),
        };
        let label = self
            .label
            .map_or(String::new(), |label| format!("{label}, "));
        let until = if self.works { "until" } else { "ended" };
        let from = if self.from.is_empty() {
            String::new()
        } else {
            format!(", only from {}", self.from.join(" "))
        };
        format!(
            "{}  {label}{until} {}{from}, {used}{sent}",
            self.id, self.expires_at
        )
    }
}

/// How many ended ones people see: the latest.
const ENDED: usize = 3;

/// Returns those that work, and the latest that ended, for people; `None` if there is none.
pub(super) fn listed(all: &[TemporaryRecord], now: Time) -> Option<String> {
    let live = all.iter().filter(|one| one.works);
    let ended = all.iter().rev().filter(|one| !one.works).take(ENDED);
    let lines: Vec<_> = live.chain(ended).map(|one| one.text(now)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
