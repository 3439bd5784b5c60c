//! Which alerts are sent now, one by one or in a summary, when one that was not
//! sent is tried again, and what admins do with them.

use std::sync::Arc;

use super::App;
use crate::error::{Error, Result};
use crate::model::alert::{Alert, AlertDocument, AlertKind, NewAlert};
use crate::model::alert_rules::{AlertRules, AlertWay};
use crate::model::duration::Duration;
use crate::model::time::Time;
use crate::store::{AlertClaim, AlertDelivery, AlertPace};

/// Sends an alert somewhere. Fails with the reason.
pub trait AlertSender: Send + Sync {
    /// Sends it, within half a minute.
    fn send(&self, way: &AlertWay, document: &AlertDocument) -> std::result::Result<(), String>;
}

/// A sender that several threads use.
pub type SharedSender = Arc<dyn AlertSender>;

/// An alert, or the summary of several, on its way.
pub struct OutgoingAlert {
    /// Where it goes.
    pub way: AlertWay,
    /// What is sent.
    pub document: AlertDocument,
    claim: AlertClaim,
    /// How often it was tried, with this time.
    tries: u32,
    summed_up: bool,
}

/// What to send of the alerts that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextStep {
    /// One by itself.
    One,
    /// A summary of all.
    Summary,
    /// Nothing: there was a summary within the minute.
    Wait,
}

/// How many alerts a minute are sent by themselves.
const ALONE: u64 = 20;
/// How long no other process sends what one relay does: longer than sending takes.
const LEASE: Duration = Duration::MINUTE;
const MINUTE: Duration = Duration::MINUTE;
/// The longest pause, in seconds.
const LONGEST: i64 = 4 * 3_600;
/// How often it is tried, which takes about a day.
const TRIES: u32 = 13;

fn next_step(due: u64, pace: AlertPace) -> NextStep {
    match pace {
        AlertPace { alone, .. } if alone < ALONE => NextStep::One,
        AlertPace { summed_up: 0, .. } if due > 0 => NextStep::Summary,
        _ => NextStep::Wait,
    }
}

/// Returns how many seconds to wait after this many failed tries.
fn pause(tries: u32) -> i64 {
    let doubled = 60_i64 << tries.saturating_sub(1).min(20);
    doubled.min(LONGEST)
}

impl App {
    /// Claims what is to be sent now: one document for each way that is not busy.
    pub fn claim_alerts(&mut self, busy: &[AlertWay]) -> Result<Vec<OutgoingAlert>> {
        let now = self.now().plausible()?;
        let due = self.store.ways_due(now)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let rules = self.safe_alert_rules()?;
        let ways = rules.ways();
        let mut found = Vec::new();
        for way in ways.filter(|way| !busy.contains(way) && due.contains(&way.stored())) {
            found.extend(self.claim_one(way, now)?);
        }
        Ok(found)
    }

    /// Returns the rules. As root, fails if others can write the store and so decide what root runs.
    pub fn safe_alert_rules(&mut self) -> Result<AlertRules> {
        let rules = self.store.alert_rules()?;
        if !rules.commands.is_empty() {
            self.store.check_deliveries()?;
        }
        Ok(rules)
    }

    fn claim_one(&mut self, way: AlertWay, now: Time) -> Result<Option<OutgoingAlert>> {
        let stored = way.stored();
        let mut tx = self.begin()?;
        let kinds = tx.store().alerts_due(&stored, now)?;
        let Some(oldest) = tx.store().first_alert_due(&stored, now)? else {
            return Ok(None);
        };
        let due = kinds.iter().map(|(_, number, ..)| number).sum();
        let pace = tx.store().alert_pace(&stored, now.minus(MINUTE), now)?;
        let step = next_step(due, pace);
        let (first, last) = match step {
            NextStep::One => (oldest, oldest),
            NextStep::Summary => {
                let first = kinds.iter().map(|(.., first, _)| *first).min();
                let last = kinds.iter().map(|(.., last)| *last).max();
                (first.unwrap_or(oldest), last.unwrap_or(oldest))
            }
            NextStep::Wait => return Ok(None),
        };
        let claim = AlertClaim {
            way: stored,
            first,
            last,
            until: now.plus(LEASE),
        };
        tx.claim_alerts(&claim)?;
        tx.flush()?;
        let document = if step == NextStep::One {
            let alert = tx.store().alerts(oldest + 1, 1)?.pop();
            let alert = alert.filter(|alert| alert.id == oldest);
            AlertDocument::of(&alert.ok_or_else(gone)?)
        } else {
            let kinds: Vec<_> = kinds.iter().map(|(kind, n, ..)| (*kind, *n)).collect();
            AlertDocument::summary(now, &kinds)
        };
        let claimed = tx.store().alert_deliveries(first, last)?;
        let is_ours =
            |one: &&AlertDelivery| one.way == claim.way && one.next_at == Some(claim.until);
        let tries = claimed.iter().filter(is_ours).map(|one| one.tries).max();
        tx.commit()?;
        Ok(Some(OutgoingAlert {
            way,
            document,
            claim,
            tries: tries.unwrap_or(1),
            summed_up: step == NextStep::Summary,
        }))
    }

    /// Records whether it was sent. What was not is tried again, and given up after a day.
    pub fn settle_alert(
        &mut self,
        sent: &OutgoingAlert,
        outcome: &std::result::Result<(), String>,
    ) -> Result<()> {
        let now = self.now().plausible()?;
        let mut tx = self.begin()?;
        match outcome {
            Ok(()) => tx.alerts_sent(&sent.claim, sent.summed_up)?,
            Err(reason) => {
                let again = Time::from_epoch(now.epoch() + pause(sent.tries));
                tx.alerts_not_sent(&sent.claim, reason, again, TRIES)?;
            }
        }
        tx.commit()
    }

    /// Reads alerts, newest first: those before a number, up to a limit, and only those that
    /// no one acknowledged unless `all`. Each comes with where it was sent.
    pub fn list_alerts(
        &mut self,
        mut before: i64,
        most: Option<u32>,
        all: bool,
        each: &mut dyn FnMut(&Alert, &[AlertDelivery]) -> Result<()>,
    ) -> Result<()> {
        const PIECE: u32 = 500;
        let mut left = most.unwrap_or(u32::MAX);
        while left > 0 {
            let found = self.store.alerts(before, PIECE)?;
            let (Some(newest), Some(oldest)) = (found.first(), found.last()) else {
                return Ok(());
            };
            let deliveries = self.store.alert_deliveries(oldest.id, newest.id)?;
            before = oldest.id;
            for alert in found.iter().filter(|alert| all || alert.acked_at.is_none()) {
                let first = deliveries.partition_point(|one| one.alert < alert.id);
                let end = deliveries.partition_point(|one| one.alert <= alert.id);
                each(alert, &deliveries[first..end])?;
                left -= 1;
                if left == 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Acknowledges alerts, or all. Returns how many were not acknowledged before; fails if
    /// there is none of one of these numbers.
    pub fn ack_alerts(&mut self, ids: &[i64]) -> Result<u64> {
        let mut tx = self.begin()?;
        let mut acked = 0;
        for id in ids {
            let found = tx.store().alerts(id.saturating_add(1), 1)?.pop();
            if found.is_none_or(|alert| alert.id != *id) {
                return Err(Error::Usage(format!("there is no alert {id}")));
            }
            acked += tx.ack_alerts(*id, *id)?;
        }
        tx.commit()?;
        Ok(acked)
    }

    /// Acknowledges all alerts. Returns how many were not acknowledged before.
    pub fn ack_all_alerts(&mut self) -> Result<u64> {
        let Some(last) = self.store.alerts(i64::MAX, 1)?.pop() else {
            return Ok(0);
        };
        let mut tx = self.begin()?;
        let acked = tx.ack_alerts(0, last.id)?;
        tx.commit()?;
        Ok(acked)
    }
}

impl App {
    /// Raises the alert about a store that could not be used, once it can be again.
    pub fn store_is_back(&mut self, seconds: u64) -> Result<()> {
        let mut tx = self.begin()?;
        tx.raise(&NewAlert {
            kind: AlertKind::StoreTrouble,
            domain: None,
            username: None,
            address: None,
            matter: String::new(),
            text: format!("The store could not be used for {seconds} s. It works again."),
            next: Some("smtpcred doctor".into()),
        })?;
        tx.commit()
    }
}

fn gone() -> Error {
    Error::System("an alert is gone".into())
}

/// Returns what is sent as a test.
pub fn test_document(now: Time) -> AlertDocument {
    let text = "This is a test: alerts of smtpcred arrive here.".to_owned();
    AlertDocument::general(AlertDocument::TEST, now, text, None)
}

/// Returns what is sent while the store cannot be used.
pub fn store_trouble(now: Time, reason: &str) -> AlertDocument {
    let text = format!("The store cannot be used: {reason}. Sign-ins may be deferred.");
    let next = Some("smtpcred doctor".to_owned());
    AlertDocument::general(AlertKind::StoreTrouble.name(), now, text, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_sent_alone_and_many_in_a_summary_a_minute() {
        let step = |due, alone, summed_up| next_step(due, AlertPace { alone, summed_up });
        assert_eq!(step(1, 0, 0), NextStep::One);
        assert_eq!(step(10_000, 19, 0), NextStep::One);
        assert_eq!(step(9_980, 20, 0), NextStep::Summary);
        assert_eq!(step(1, 20, 9_980), NextStep::Wait);
        // A minute later.
        assert_eq!(step(1, 0, 0), NextStep::One);
    }

    #[test]
    fn pauses_grow_for_a_day() {
        let pauses: Vec<_> = (1..TRIES).map(pause).collect();
        assert_eq!(pauses[..4], [60, 120, 240, 480]);
        assert_eq!(pauses.last(), Some(&LONGEST));
        let hours = pauses.iter().sum::<i64>() / 3_600;
        assert!((20..28).contains(&hours), "{hours}");
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
