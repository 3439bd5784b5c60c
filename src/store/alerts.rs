//! Alerts, from their cause until they were sent.

use super::{Store, Tx};
use crate::error::Result;
use crate::model::alert::{Alert, NewAlert};
use crate::model::event::{Action, Fields};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;

/// For how long the same matter is not told again, in seconds.
const SAME_MATTER: i64 = 3_600;

/// How old and how new alerts are deleted at once, in a piece.
macro_rules! old_alerts {
    () => {
        "(at < $1 OR id <= (SELECT max(id) FROM alerts) - $2)"
    };
}

impl Store {
    /// Counts alerts from before `first`, and all but the latest `most`.
    pub fn old_alerts(&mut self, first: Time, most: u32) -> Result<u64> {
        const SQL: &str = concat!("SELECT count(*) FROM alerts WHERE ", old_alerts!());
        self.count_rows(SQL, &[first.into(), most.into()])
    }

    /// Counts the alerts that nobody acknowledged, and returns when the latest was raised.
    pub fn open_alerts(&mut self) -> Result<(u64, Option<Time>)> {
        const SQL: &str = "SELECT count(*), max(at) FROM alerts WHERE acked_at IS NULL";
        let mut found = (0, None);
        self.engine.query(SQL, &[], &mut |row| {
            found = (
                row.int(0)?.unsigned_abs(),
                row.opt_int(1)?.map(Time::from_epoch),
            );
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the latest alerts up to a limit, newest first: those before a number.
    pub fn alerts(&mut self, before: i64, most: u32) -> Result<Vec<Alert>> {
        const SQL: &str = "SELECT id, at, last_at, kind, domain, username, address, text, next,
                more, acked_at
            FROM alerts WHERE id < $1 ORDER BY id DESC LIMIT $2";
        let mut found = Vec::new();
        let args = [before.into(), most.into()];
        self.engine.query(SQL, &args, &mut |row| {
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

    /// Raises an alert in the change that causes it, unless its kind is off, with a delivery for
    /// each command and address. What was told within the last hour is only counted.
    pub fn raise(&mut self, alert: &NewAlert) -> Result<()> {
        const AGAIN: &str = "UPDATE alerts SET more = more + 1, last_at = $2
            WHERE id = (SELECT max(id) FROM alerts WHERE matter = $1 AND at > $3 AND at < $4)";
        const NEW: &str = "INSERT INTO alerts
                (at, last_at, kind, domain, username, address, matter, text, next, more)
            VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, 0)";
        const DELIVERY: &str = "INSERT INTO alert_deliveries (alert, way, tries, next_at)
            VALUES ((SELECT max(id) FROM alerts WHERE matter = $1), $2, 0, $3)";
        let rules = self.store.alert_rules()?;
        if !rules.is_on(alert.kind) {
            return Ok(());
        }
        let key = alert.key();
        let at = self.stamp.at;
        // Up to an hour ahead, too: the clock may have been set back since.
        let (since, until) = (at.epoch() - SAME_MATTER, at.epoch() + SAME_MATTER);
        let args = [key.as_str().into(), at.into(), since.into(), until.into()];
        if self.execute(AGAIN, &args)? > 0 {
            return Ok(());
        }
        let args = [
            at.into(),
            alert.kind.name().into(),
            alert.domain.as_ref().map(DomainName::as_str).into(),
            alert.username.as_ref().map(Username::as_str).into(),
            alert.address.as_deref().into(),
            key.as_str().into(),
            alert.text.as_str().into(),
            alert.next.as_deref().into(),
        ];
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
}
