//! Alerts, from their cause until they were sent.

use super::{Store, Tx};
use crate::error::Result;
use crate::model::alert::{Alert, NewAlert};
use crate::model::name::{DomainName, Username};

/// For how long the same matter is not told again, in seconds.
const SAME_MATTER: i64 = 3_600;

impl Store {
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
    /// Raises an alert in the change that causes it. What was told within the last hour is
    /// only counted.
    pub fn raise(&mut self, alert: &NewAlert) -> Result<()> {
        const AGAIN: &str = "UPDATE alerts SET more = more + 1, last_at = $2
            WHERE id = (SELECT max(id) FROM alerts WHERE matter = $1 AND at > $3 AND at <= $2)";
        const NEW: &str = "INSERT INTO alerts
                (at, last_at, kind, domain, username, address, matter, text, next, more)
            VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, 0)";
        let key = alert.key();
        let at = self.stamp.at;
        let since = at.epoch() - SAME_MATTER;
        let args = [key.as_str().into(), at.into(), since.into()];
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
        self.later(NEW, &args)
    }
}
