//! Alerts, from their cause until they were sent.

use std::rc::Rc;

use super::engine::{Arg, Right};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::alert::{Alert, AlertKind, NewAlert};
use crate::model::alert_rules::AlertRules;
use crate::model::event::{Action, Fields};
use crate::model::name::{DomainName, Username};
use crate::model::text::escaped;
use crate::model::time::Time;

/// For how long the same matter is not told again, in seconds.
const SAME_MATTER: i64 = 3_600;

/// How old and how new alerts are deleted at once, in a piece.
macro_rules! old_alerts {
    () => {
        "(at < $1 OR id <= (SELECT max(id) FROM alerts) - $2)"
    };
}

/// How many alerts no one acknowledged, and the number of the latest.
pub(super) const OPEN_ALERTS: &str = "SELECT count(*), max(id) FROM alerts WHERE acked_at IS NULL";

macro_rules! alert_columns {
    () => {
        "id, at, last_at, kind, domain, username, address, text, next, more, acked_at"
    };
}

/// Alerts that no one acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenAlerts {
    /// How many there are.
    pub count: u64,
    /// The latest of them, newest first.
    pub latest: Vec<Alert>,
}

impl Store {
    /// Counts alerts from before `first`, and all but the latest `most`.
    pub fn old_alerts(&mut self, first: Time, most: u32) -> Result<u64> {
        const SQL: &str = concat!("SELECT count(*) FROM alerts WHERE ", old_alerts!());
        self.count_rows(SQL, &[first.into(), most.into()])
    }

    /// Counts the alerts that no one acknowledged, and returns the latest.
    pub fn open_alerts(&mut self) -> Result<OpenAlerts> {
        let mut counted = (0, None);
        self.engine.query(OPEN_ALERTS, &[], &mut |row| {
            counted = (row.int(0)?.unsigned_abs(), row.opt_int(1)?);
            Ok(())
        })?;
        let (count, latest) = counted;
        let latest = match latest {
            Some(id) => self.alerts(id.saturating_add(1), 1)?,
            None => Vec::new(),
        };
        Ok(OpenAlerts { count, latest })
    }

    /// Counts those about a user, and returns the latest up to a limit, newest first.
    pub fn open_alerts_of(&mut self, username: &Username, most: u32) -> Result<OpenAlerts> {
        const COUNT: &str = "SELECT count(*) FROM alerts
            WHERE acked_at IS NULL AND username = $1";
        const LATEST: &str = concat!(
            "SELECT ",
            alert_columns!(),
            " FROM alerts WHERE acked_at IS NULL AND username = $1 ORDER BY id DESC LIMIT $2"
        );
        let name = username.as_str();
        Ok(OpenAlerts {
            count: self.count_rows(COUNT, &[name.into()])?,
            latest: self.read_alerts(LATEST, &[name.into(), most.into()])?,
        })
    }

    /// Returns the latest alerts up to a limit, newest first: those before a number.
    pub fn alerts(&mut self, before: i64, most: u32) -> Result<Vec<Alert>> {
        const SQL: &str = concat!(
            "SELECT ",
            alert_columns!(),
            " FROM alerts WHERE id < $1 ORDER BY id DESC LIMIT $2"
        );
        self.read_alerts(SQL, &[before.into(), most.into()])
    }

    fn read_alerts(&mut self, sql: &'static str, args: &[Arg]) -> Result<Vec<Alert>> {
        let mut found = Vec::new();
        self.engine.query(sql, args, &mut |row| {
            found.push(Alert {
                id: row.int(0)?,
                at: row.time(1)?,
                last_at: row.time(2)?,
                kind: row.parsed(3)?,
                domain: row.opt_parsed(4)?,
                username: row.opt_parsed(5)?,
                address: row.opt_text(6)?.map(ToOwned::to_owned),
                text: row.text(7)?.to_owned(),
                next: row.opt_text(8)?.map(ToOwned::to_owned),
                more: row.int(9)?,
                acked_at: row.opt_time(10)?,
            });
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Acknowledges the alerts between two numbers; returns how many were not yet.
    pub fn ack_alerts(&mut self, first: i64, last: i64) -> Result<u64> {
        const SQL: &str = "UPDATE alerts SET acked_at = $3, acked_by = $4
            WHERE id BETWEEN $1 AND $2 AND acked_at IS NULL";
        let by = self.stamp.actor.name.clone();
        let args = [
            first.into(),
            last.into(),
            self.stamp.at.into(),
            by.as_str().into(),
        ];
        let acked = self.execute(SQL, &args)? as u64;
        if acked > 0 {
            let fields = Fields::default().with("first", first).with("last", last);
            self.event(Action::AlertAck, None, None, &fields.with("alerts", acked))?;
        }
        Ok(acked)
    }

    /// Returns whether alerts can be deleted: a relay may only be allowed to raise them.
    pub fn may_delete_alerts(&mut self) -> Result<bool> {
        self.store.engine.may(Right::DeleteAlerts)
    }

    /// Deletes alerts from before `first`, and all but the latest `most`: up to `limit`, the
    /// oldest first. Returns how many.
    pub fn forget_old_alerts(&mut self, first: Time, most: u32, limit: u32) -> Result<u64> {
        // Only the oldest rows are read.
        const SQL: &str = concat!(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM
                (SELECT id, at FROM alerts ORDER BY id LIMIT $3) AS oldest WHERE ",
            old_alerts!(),
            ")"
        );
        let forgotten = self.execute(SQL, &[first.into(), most.into(), limit.into()])?;
        Ok(forgotten as u64)
    }

    /// Returns whether the matter of an alert was told within the last hour.
    pub fn is_told(&mut self, alert: &NewAlert) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM alerts WHERE matter = $1 AND at > $2 LIMIT 1";
        let since = self.stamp.at.epoch() - SAME_MATTER;
        let mut told = false;
        let key = alert.key();
        let args = [key.as_str().into(), since.into()];
        self.store.engine.query(SQL, &args, &mut |_| {
            told = true;
            Ok(())
        })?;
        Ok(told)
    }

    /// Raises an alert in the change that causes it, unless its kind is off, with a delivery for
    /// each command and address. What was told within the last hour is only counted.
    pub fn raise(&mut self, alert: &NewAlert) -> Result<()> {
        const AGAIN: &str = "UPDATE alerts SET more = more + 1, last_at = $2
            WHERE id = (SELECT max(id) FROM alerts WHERE matter = $1 AND at > $3 AND at < $4)";
        // Distinct from what is told again, which counts at least one more.
        const NEW: &str = "INSERT INTO alerts
                (at, last_at, kind, domain, username, address, matter, text, next, more)
            SELECT CAST($2 AS BIGINT), CAST($2 AS BIGINT), CAST($5 AS TEXT), CAST($6 AS TEXT),
                CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($1 AS TEXT), CAST($9 AS TEXT),
                CAST($10 AS TEXT), 0
            WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE matter = $1 AND at > $3 AND at < $4)";
        const DELIVERY: &str = "INSERT INTO alert_deliveries (alert, way, tries, next_at)
            SELECT max(id), CAST($2 AS TEXT), 0, CAST($3 AS BIGINT) FROM alerts
            WHERE matter = $1 AND at = $3 AND more = 0 HAVING max(id) IS NOT NULL";
        let rules = self.alert_rules()?;
        if !rules.is_on(alert.kind) {
            return Ok(());
        }
        let key = alert.key();
        // It may tell what a command said, or the name of a file.
        let text = escaped(&alert.text);
        let at = self.stamp.at;
        // Up to an hour ahead, too: the clock may have been set back since.
        let (since, until) = (at.epoch() - SAME_MATTER, at.epoch() + SAME_MATTER);
        let args = [
            key.as_str().into(),
            at.into(),
            since.into(),
            until.into(),
            alert.kind.name().into(),
            alert.domain.as_ref().map(DomainName::as_str).into(),
            alert.username.as_ref().map(Username::as_str).into(),
            alert.address.as_deref().into(),
            text.as_str().into(),
            alert.next.as_deref().into(),
        ];
        self.later(AGAIN, &args[..4])?;
        self.later(NEW, &args)?;
        for way in rules.ways() {
            let way = way.stored();
            self.later(
                DELIVERY,
                &[key.as_str().into(), way.as_str().into(), at.into()],
            )?;
        }
        Ok(())
    }

    /// Returns the rules, which are read once in a change.
    fn alert_rules(&mut self) -> Result<Rc<AlertRules>> {
        if let Some(rules) = &self.alert_rules {
            return Ok(Rc::clone(rules));
        }
        let rules = Rc::new(self.store.alert_rules()?);
        self.alert_rules = Some(Rc::clone(&rules));
        Ok(rules)
    }

    /// Returns how many wrong passwords of a user within an hour are an alert, if any are.
    pub fn guesses_per_hour(&mut self) -> Result<Option<u32>> {
        Ok(self.alert_rules()?.per_hour(AlertKind::Guesses))
    }

    /// Raises an alert about each user that expires soon, once for each time of expiry.
    pub fn raise_expiring(&mut self) -> Result<()> {
        const SQL: &str = "SELECT username, expires_at FROM users
            WHERE expires_at > $1 AND expires_at <= $2 AND suspended_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM alerts
                    WHERE matter = 'expiring ' || username || ' ' || CAST(expires_at AS TEXT))
            ORDER BY expires_at LIMIT 1000";
        let now = self.stamp.at;
        let Some(before) = self.alert_rules()?.time(AlertKind::Expiring) else {
            return Ok(());
        };
        let mut found = Vec::new();
        let args = [now.into(), now.plus(before).into()];
        self.store.engine.query(SQL, &args, &mut |row| {
            found.push((row.parsed::<Username>(0)?, row.time(1)?));
            Ok(())
        })?;
        for (username, at) in found {
            self.raise(&NewAlert::expiring(&username, at, now))?;
        }
        Ok(())
    }
}
