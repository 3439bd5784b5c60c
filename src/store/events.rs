//! The audit trail.

use super::engine::{Arg, Row};
use super::{Page, Store, Tx};
use crate::error::Result;
use crate::model::event::{Action, Event, Fields};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;

#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub domain: Option<DomainName>,
    pub username: Option<Username>,
    pub since: Option<Time>,
}

/// An event, as it is known again. Those that hand over a password have its key,
/// which there is but once.
pub(super) struct Told {
    at: Time,
    action: Action,
    username: Option<String>,
    fields: String,
}

impl Store {
    /// Whether it is among the latest.
    pub(super) fn was_told(&mut self, told: &Told) -> Result<bool> {
        const SQL: &str = "SELECT count(*) FROM events
            WHERE at = $1 AND action = $2 AND fields = $3 AND COALESCE(username, '') = $4
                AND id > (SELECT max(id) FROM events) - 1000";
        let args = [
            told.at.into(),
            told.action.name().into(),
            told.fields.as_str().into(),
            told.username.as_deref().unwrap_or_default().into(),
        ];
        let mut found = 0;
        self.engine.query(SQL, &args, &mut |row| {
            found = row.int(0)?;
            Ok(())
        })?;
        Ok(found > 0)
    }

    /// Oldest first; behind the one of that number, and so many at most.
    pub fn events(
        &mut self,
        filter: &EventFilter,
        mut after: i64,
        most: Option<u32>,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT id, at, actor, run_as, host, action, domain, username, fields
            FROM events
            WHERE id > $1 AND (CAST($2 AS TEXT) IS NULL OR domain = $2)
                AND (CAST($3 AS TEXT) IS NULL OR username = $3) AND at >= $4
            ORDER BY id LIMIT $5";
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let args = [
                after.into(),
                filter.domain.as_ref().map(DomainName::as_str).into(),
                filter.username.as_ref().map(Username::as_str).into(),
                filter.since.map_or(Arg::Int(i64::MIN), Into::into),
                most.into(),
            ];
            let mut found = Vec::new();
            self.engine.query(SQL, &args, &mut |row| {
                found.push(read(row)?);
                Ok(())
            })?;
            pieces.read(found.len());
            after = found.last().map_or(after, |last| last.id);
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }
}

fn read(row: &dyn Row) -> Result<Event> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let fields =
        serde_json::from_str(row.text(8)?).map_err(|_| row.damaged("an event is no JSON"))?;
    Ok(Event {
        id: row.int(0)?,
        at: row.time(1)?,
        actor: row.text(2)?.to_owned(),
        run_as: owned(row.opt_text(3)?),
        host: row.text(4)?.to_owned(),
        action: row.text(5)?.to_owned(),
        domain: owned(row.opt_text(6)?),
        username: owned(row.opt_text(7)?),
        fields,
    })
}

impl Tx<'_> {
    /// Every method that changes something ends with this.
    pub(super) fn event(
        &mut self,
        action: Action,
        domain: Option<&DomainName>,
        username: Option<&Username>,
        fields: &Fields,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO events
            (at, actor, run_as, host, action, domain, username, fields)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let fields = fields.to_json();
        let actor = self.stamp.actor.clone();
        let args = [
            self.stamp.at.into(),
            actor.name.as_str().into(),
            actor.run_as.as_deref().into(),
            actor.host.as_str().into(),
            action.name().into(),
            domain.map(DomainName::as_str).into(),
            username.map(Username::as_str).into(),
            fields.as_str().into(),
        ];
        self.execute(SQL, &args)?;
        self.told = Some(Told {
            at: self.stamp.at,
            action,
            username: username.map(ToString::to_string),
            fields,
        });
        Ok(())
    }

    pub(super) fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize> {
        self.store.engine.execute(sql, args)
    }
}
