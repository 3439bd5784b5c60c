//! Alerts on their way to the commands and addresses that get them. A relay that sends one moves its
//! `next_at` ahead first, so that several relays send each alert once.

use super::{Store, Tx};
use crate::error::Result;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::AlertWay;
use crate::model::time::Time;

/// `next_at` is never further ahead: a clock was wrong when it was written.
const FAR: i64 = 6 * 3_600;

/// Whether a delivery is due at `$2`, or has an impossible time, after `$3`.
macro_rules! due {
    () => {
        "(next_at <= $2 OR next_at > $3)"
    };
}

/// Consecutive alerts that are sent together, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertClaim {
    /// Where they go.
    pub way: String,
    /// The number of the first.
    pub first: i64,
    /// The number of the last.
    pub last: i64,
    /// Until when no other process sends them.
    pub until: Time,
}

/// What was sent to one command or address lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertPace {
    /// How many alerts, each by itself.
    pub alone: u64,
    /// How many in summaries.
    pub summed_up: u64,
}

/// Where an alert was sent, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertDelivery {
    /// The number of the alert.
    pub alert: i64,
    /// The command or address.
    pub way: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again; `None` if it was sent or given up.
    pub next_at: Option<Time>,
    /// When it was sent.
    pub sent_at: Option<Time>,
    /// Why it was not sent, or that it was summed up.
    pub reason: Option<String>,
}

/// What could not be sent to a command or address since something last was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsentAlerts {
    /// How many alerts.
    pub count: u64,
    /// When the first of them was raised.
    pub since: Time,
    /// Why the last one was not sent.
    pub reason: String,
}

/// What is said of alerts that were sent in a summary.
pub const SUMMED_UP: &str = "in a summary";
/// What is said of alerts for a command or address that was removed.
pub(super) const NO_LONGER_SET: &str = "no longer set";

impl Store {
    /// Returns the commands and addresses to which something is to be sent now.
    pub fn ways_due(&mut self, now: Time) -> Result<Vec<String>> {
        const SQL: &str = "SELECT DISTINCT way FROM alert_deliveries
            WHERE next_at IS NOT NULL AND (next_at <= $1 OR next_at > $2)";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[now.into(), far(now).into()], &mut |row| {
                found.push(row.text(0)?.to_owned());
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns the numbers of the alerts to send there now, by kind, with the first and last.
    pub fn alerts_due(&mut self, way: &str, now: Time) -> Result<Vec<(AlertKind, u64, i64, i64)>> {
        const SQL: &str = concat!(
            "SELECT kind, count(*), min(id), max(id) FROM alert_deliveries
                JOIN alerts ON id = alert WHERE way = $1 AND next_at IS NOT NULL AND ",
            due!(),
            " GROUP BY kind ORDER BY kind"
        );
        let mut found = Vec::new();
        let args = [way.into(), now.into(), far(now).into()];
        self.engine.query(SQL, &args, &mut |row| {
            found.push((
                row.parsed(0)?,
                row.int(1)?.unsigned_abs(),
                row.int(2)?,
                row.int(3)?,
            ));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the alert to send there first: of those that were tried least, the oldest.
    pub fn first_alert_due(&mut self, way: &str, now: Time) -> Result<Option<i64>> {
        const SQL: &str = concat!(
            "SELECT alert FROM alert_deliveries WHERE way = $1 AND next_at IS NOT NULL AND ",
            due!(),
            " ORDER BY tries, alert LIMIT 1"
        );
        let mut found = None;
        let args = [way.into(), now.into(), far(now).into()];
        self.engine.query(SQL, &args, &mut |row| {
            found = Some(row.int(0)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns how much was sent there since a time.
    pub fn alert_pace(&mut self, way: &str, since: Time, now: Time) -> Result<AlertPace> {
        const SQL: &str = "SELECT COALESCE(sum(CASE WHEN reason IS NULL THEN 1 ELSE 0 END), 0),
                COALESCE(sum(CASE WHEN reason IS NULL THEN 0 ELSE 1 END), 0)
            FROM alert_deliveries WHERE sent_at > $2 AND sent_at <= $3 AND way = $1";
        let mut pace = AlertPace::default();
        let args = [way.into(), since.into(), now.into()];
        self.engine.query(SQL, &args, &mut |row| {
            pace.alone = row.int(0)?.unsigned_abs();
            pace.summed_up = row.int(1)?.unsigned_abs();
            Ok(())
        })?;
        Ok(pace)
    }

    /// Returns what could not be sent to a command or address since something last was. What was
    /// given up no longer counts once someone acknowledges it.
    pub fn unsent_alerts(&mut self, way: &AlertWay) -> Result<Option<UnsentAlerts>> {
        const SQL: &str = "SELECT reason, at FROM alert_deliveries JOIN alerts ON id = alert
            WHERE way = $1 AND sent_at IS NULL AND reason <> $2
                AND (next_at IS NOT NULL OR acked_at IS NULL)
                AND alert > (SELECT COALESCE(max(alert), 0) FROM alert_deliveries
                    WHERE way = $1 AND sent_at IS NOT NULL)
            ORDER BY alert DESC";
        let way = way.stored();
        let mut found: Option<UnsentAlerts> = None;
        let args = [way.as_str().into(), NO_LONGER_SET.into()];
        self.engine.query(SQL, &args, &mut |row| {
            let since = row.time(1)?;
            if let Some(found) = &mut found {
                found.count += 1;
                found.since = since;
            } else {
                let reason = row.text(0)?.to_owned();
                found = Some(UnsentAlerts {
                    count: 1,
                    since,
                    reason,
                });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns how much was to be sent by then and is not, and since when; `None` for nothing.
    pub fn alerts_due_by(&mut self, then: Time) -> Result<Option<(u64, Time)>> {
        const SQL: &str = "SELECT count(*), min(next_at) FROM alert_deliveries
            WHERE next_at IS NOT NULL AND next_at <= $1";
        let mut found = None;
        self.engine.query(SQL, &[then.into()], &mut |row| {
            let since = row.opt_time(1)?;
            let count = row.int(0)?.unsigned_abs();
            found = since.map(|since| (count, since));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the deliveries of the alerts between two numbers.
    pub fn alert_deliveries(&mut self, first: i64, last: i64) -> Result<Vec<AlertDelivery>> {
        const SQL: &str = "SELECT alert, way, tries, next_at, sent_at, reason
            FROM alert_deliveries WHERE alert BETWEEN $1 AND $2 ORDER BY alert, way";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[first.into(), last.into()], &mut |row| {
                found.push(AlertDelivery {
                    alert: row.int(0)?,
                    way: row.text(1)?.to_owned(),
                    tries: row.count(2)?,
                    next_at: row.opt_int(3)?.map(Time::from_epoch),
                    sent_at: row.opt_int(4)?.map(Time::from_epoch),
                    reason: row.opt_text(5)?.map(ToOwned::to_owned),
                });
                Ok(())
            })?;
        Ok(found)
    }
}

fn far(now: Time) -> i64 {
    now.epoch() + FAR
}

impl Tx<'_> {
    /// Reserves the alerts of a claim that are due, so that no other process sends them.
    pub fn claim_alerts(&mut self, claim: &AlertClaim) -> Result<()> {
        const SQL: &str = concat!(
            "UPDATE alert_deliveries SET tries = tries + 1, next_at = $4
            WHERE way = $1 AND alert BETWEEN $5 AND $6 AND next_at IS NOT NULL AND ",
            due!()
        );
        let now = self.stamp.at;
        let args = [
            claim.way.as_str().into(),
            now.into(),
            far(now).into(),
            claim.until.into(),
            claim.first.into(),
            claim.last.into(),
        ];
        self.later(SQL, &args)
    }

    /// Marks the alerts of a claim as sent.
    pub fn alerts_sent(&mut self, claim: &AlertClaim, summed_up: bool) -> Result<()> {
        const SQL: &str = "UPDATE alert_deliveries SET next_at = NULL, sent_at = $5, reason = $6
            WHERE way = $1 AND alert BETWEEN $2 AND $3 AND next_at = $4";
        let args = [
            claim.way.as_str().into(),
            claim.first.into(),
            claim.last.into(),
            claim.until.into(),
            self.stamp.at.into(),
            summed_up.then_some(SUMMED_UP).into(),
        ];
        self.later(SQL, &args)
    }

    /// Marks the alerts of a claim as not sent, to be sent at `again`; those that were tried
    /// `most` times are given up. Everything else that is due there waits until then, too.
    pub fn alerts_not_sent(
        &mut self,
        claim: &AlertClaim,
        reason: &str,
        again: Time,
        most: u32,
    ) -> Result<()> {
        const GIVEN_UP: &str = "UPDATE alert_deliveries SET next_at = NULL, reason = $5
            WHERE way = $1 AND alert BETWEEN $2 AND $3 AND next_at = $4 AND tries >= $6";
        const AGAIN: &str = "UPDATE alert_deliveries SET next_at = $6, reason = $5
            WHERE way = $1 AND alert BETWEEN $2 AND $3 AND next_at = $4";
        const OTHERS: &str = "UPDATE alert_deliveries SET next_at = $3
            WHERE way = $1 AND next_at IS NOT NULL AND next_at <= $2";
        let way = claim.way.as_str();
        let mut args = [
            way.into(),
            claim.first.into(),
            claim.last.into(),
            claim.until.into(),
            reason.into(),
            most.into(),
        ];
        self.later(GIVEN_UP, &args)?;
        args[5] = again.into();
        self.later(AGAIN, &args)?;
        self.later(OTHERS, &[way.into(), self.stamp.at.into(), again.into()])
    }
}
