//! Alerts about users whose messages do not arrive.

use std::collections::BTreeMap;

use super::recent::{LATELY, RecentMessages};
use crate::app::App;
use crate::error::Result;
use crate::model::alert::{AlertKind, NewAlert};
use crate::model::alert_rules::AlertRules;
use crate::model::duration::Duration;
use crate::model::log_time::LogTime;
use crate::model::name::Username;
use crate::model::text::count;
use crate::store::{Location, MessageStore};

/// Of fewer recipients, a share says little.
const LEAST: u64 = 10;

impl App {
    /// Raises alerts about what bounced or was deferred within the last hour, and about what
    /// waits for long. Raises none if messages are not kept.
    pub fn raise_message_alerts(&mut self, store: &Location) -> Result<()> {
        if self.settings()?.messages.keep.is_none() {
            return Ok(());
        }
        let rules = self.store.alert_rules()?;
        let kinds = [AlertKind::Bounces, AlertKind::Deferred, AlertKind::QueueOld];
        if !kinds.into_iter().any(|kind| rules.is_on(kind)) {
            return Ok(());
        }
        let mut messages = self.messages(store)?;
        let found = troubles(&mut messages, &rules, LogTime::of(self.now()).micros())?;
        let mut alerts = Vec::new();
        for (name, trouble) in found {
            // The log may have the name of a user that was deleted since.
            let Ok(username) = name.parse::<Username>() else {
                continue;
            };
            if self.store.user(&username)?.is_some() {
                alerts.push(trouble.alert(&username));
            }
        }
        if alerts.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin()?;
        for alert in &alerts {
            // Looked at again and again: that is not more of it.
            if !tx.is_told(alert)? {
                tx.raise(alert)?;
            }
        }
        tx.commit()
    }
}

/// What is wrong with the messages of a user.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// This many recipients of all bounced.
    Bounces(u64, u64),
    /// This many recipients of all were deferred.
    Deferred(u64, u64),
    /// This many messages waited in the queue for longer than this.
    QueueOld(u64, Duration),
}

fn troubles(
    messages: &mut MessageStore,
    rules: &AlertRules,
    now: i64,
) -> Result<Vec<(String, Trouble)>> {
    let mut users = BTreeMap::<String, RecentMessages>::new();
    let since = LogTime::from_micros(now.saturating_sub(LATELY));
    for counted in messages.states_by_user(since)? {
        let recent = users.entry(counted.username).or_default();
        recent.add(counted.state, counted.recipients);
    }
    let mut found = Vec::new();
    for (name, recent) in users {
        for trouble in of_the_hour(recent, rules) {
            found.push((name.clone(), trouble));
        }
    }
    if let Some(most) = rules.time(AlertKind::QueueOld) {
        // What became so old within the last hour: the others were told.
        let to = now.saturating_sub(most.seconds().saturating_mul(1_000_000));
        let from = LogTime::from_micros(to.saturating_sub(LATELY));
        for (name, number) in messages.queued_between(from, LogTime::from_micros(to))? {
            found.push((name, Trouble::QueueOld(number, most)));
        }
    }
    Ok(found)
}

/// Returns what is wrong with what a user sent within an hour.
fn of_the_hour(recent: RecentMessages, rules: &AlertRules) -> Vec<Trouble> {
    let RecentMessages {
        sent,
        deferred,
        bounced,
        other,
    } = recent;
    let all = [sent, deferred, bounced, other]
        .into_iter()
        .fold(0_u64, u64::saturating_add);
    let is_many = |kind, number: u64| {
        rules.percent(kind).is_some_and(|percent| {
            number >= LEAST && number.saturating_mul(100) >= all.saturating_mul(percent.into())
        })
    };
    let mut found = Vec::new();
    if is_many(AlertKind::Bounces, bounced) {
        found.push(Trouble::Bounces(bounced, all));
    }
    if is_many(AlertKind::Deferred, deferred) {
        found.push(Trouble::Deferred(deferred, all));
    }
    found
}

impl Trouble {
    fn alert(&self, username: &Username) -> NewAlert {
        let name = username.in_shell();
        let (kind, text, next) = match *self {
            Self::Bounces(number, all) => {
                let all = count(all, "recipient");
                let text = format!(
                    "{number} of {all} to whom {username} sent within an hour bounced: the \
                    addresses are old, or other servers refuse its mail."
                );
                let next =
                    format!("smtpcred messages list --user {name} --state bounced --since 1h");
                (AlertKind::Bounces, text, next)
            }
            Self::Deferred(number, all) => {
                let all = count(all, "recipient");
                let text = format!(
                    "{number} of {all} to whom {username} sent within an hour were deferred: the \
                    mail server tries again."
                );
                let next =
                    format!("smtpcred messages list --user {name} --state deferred --since 1h");
                (AlertKind::Deferred, text, next)
            }
            Self::QueueOld(number, time) => {
                let number = count(number, "message");
                let text = format!(
                    "{number} of {username} waited in the queue for more than {}.",
                    time.exact()
                );
                let next = format!("smtpcred messages list --user {name} --state deferred");
                (AlertKind::QueueOld, text, next)
            }
        };
        NewAlert {
            next: Some(next),
            ..NewAlert::of_user(kind, username, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::followed_message::MessageState::{Bounced, Deferred, Expired, Sent};

    fn found(sent: u64, deferred: u64, bounced: u64) -> Vec<Trouble> {
        let mut recent = RecentMessages::default();
        for (state, number) in [
            (Sent, sent),
            (Deferred, deferred),
            (Bounced, bounced / 2),
            (Expired, bounced - bounced / 2),
        ] {
            recent.add(state, number);
        }
        of_the_hour(recent, &AlertRules::default())
    }

    #[test]
    fn a_share_of_some_recipients_is_an_alert() {
        assert_eq!(found(90, 0, 10), [Trouble::Bounces(10, 100)]);
        assert_eq!(found(91, 0, 10), []);
        assert_eq!(found(0, 9, 9), []);
        assert_eq!(found(10, 10, 0), [Trouble::Deferred(10, 20)]);
        assert_eq!(found(11, 10, 0), []);
        assert_eq!(found(0, 0, 0), []);
        let most = u64::MAX / 2;
        assert_eq!(found(0, 0, most).len(), 1);
    }
}
