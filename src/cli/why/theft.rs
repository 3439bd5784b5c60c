//! What `why` tells of alerts, open sessions and closed cases.

use serde::Serialize;

use crate::app::why::Diagnosis;
use crate::cli::session::SessionRecord;
use crate::cli::terminal::column::{Cell, Tone};
use crate::model::alert::Alert;
use crate::model::event::Event;
use crate::model::text::in_shell;
use crate::model::time::Time;

/// How many alerts and sessions are shown to people.
const SHOWN: usize = 3;

/// Signs of a theft, and what was done about one.
#[derive(Serialize)]
pub struct TheftRecord {
    alerts: AlertsRecord,
    /// As last reported; `None` if no relay reports.
    sessions: Option<Vec<SessionRecord>>,
    last_close: Option<CloseRecord>,
}

#[derive(Serialize)]
struct AlertsRecord {
    open: u64,
    latest: Vec<AlertRecord>,
}

#[derive(Serialize)]
struct AlertRecord {
    id: i64,
    at: Time,
    kind: &'static str,
    text: String,
}

#[derive(Serialize)]
struct CloseRecord {
    at: Time,
    by: String,
    reason: Option<String>,
    suspended: bool,
}

impl TheftRecord {
    pub fn new(answer: &Diagnosis) -> Self {
        let sessions = answer.sessions.as_ref().map(|sessions| {
            let sessions = sessions.iter();
            sessions
                .map(|session| SessionRecord::new(session, answer.now))
                .collect()
        });
        Self {
            alerts: AlertsRecord {
                open: answer.alerts.count,
                latest: answer.alerts.latest.iter().map(AlertRecord::new).collect(),
            },
            sessions,
            last_close: answer.last_close.as_ref().map(CloseRecord::new),
        }
    }

    /// Returns how many alerts are open.
    pub const fn open_alerts(&self) -> u64 {
        self.alerts.open
    }

    /// Returns lines for people, if there is anything to tell.
    pub fn lines(&self, username: &str) -> Vec<(&'static str, Cell)> {
        let mut lines = Vec::new();
        let shown = self.alerts.latest.iter().take(SHOWN);
        let shown = shown.map(|alert| format!("{} {}: {}", alert.at, alert.kind, alert.text));
        let text = and_more(shown.collect(), self.alerts.open, "smtpcred alert list");
        lines.extend(text.map(|text| ("Alerts", Cell::new(text, Tone::Warning))));
        let sessions = self.sessions.as_deref().unwrap_or_default();
        let shown = sessions.iter().take(SHOWN).map(SessionRecord::text);
        let command = format!("smtpcred session list --user {}", in_shell(username));
        let text = and_more(shown.collect(), sessions.len() as u64, &command);
        lines.extend(text.map(|text| ("Sessions", text.into())));
        lines.extend(
            self.last_close
                .as_ref()
                .map(|close| ("Case closed", close.text().into())),
        );
        lines
    }
}

/// Returns the first of several, one on each line, and how many more there are; `None` for none.
fn and_more(mut shown: Vec<String>, all: u64, command: &str) -> Option<String> {
    let more = all.saturating_sub(shown.len() as u64);
    if more > 0 {
        shown.push(format!("and {more} more: {command}"));
    }
    (!shown.is_empty()).then(|| shown.join("\n"))
}

impl AlertRecord {
    fn new(alert: &Alert) -> Self {
        Self {
            id: alert.id,
            at: alert.at,
            kind: alert.kind.name(),
            text: alert.text.clone(),
        }
    }
}

impl CloseRecord {
    fn new(event: &Event) -> Self {
        Self {
            at: event.at,
            by: event.actor.clone(),
            reason: event.fields["reason"].as_str().map(str::to_owned),
            suspended: event.fields["suspended"] == true,
        }
    }

    fn text(&self) -> String {
        let how = if self.suspended {
            "suspended"
        } else {
            "a new password was delivered"
        };
        let reason = self.reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        format!("{} by {}: {how}{reason}", self.at, self.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_shown_and_the_others_counted() {
        let three = || ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(and_more(Vec::new(), 0, "x"), None);
        assert_eq!(and_more(three(), 3, "x"), Some("a\nb\nc".into()));
        assert_eq!(
            and_more(three(), 5, "x"),
            Some("a\nb\nc\nand 2 more: x".into())
        );
    }
}
