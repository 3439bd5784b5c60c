//! The audit trail.

use std::cmp::Reverse;

use super::engine::{Arg, Row};
use super::event_filter::{EventFilter, OneFilter};
use super::event_mark::EventMark;
use super::event_names::BLOCK;
use super::{Page, Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Event, Fields};
use crate::model::event_chain::EventColumns;
use crate::model::name::{DomainName, Username};

impl Store {
    /// Whether it is among the latest.
    pub(super) fn has_event(&mut self, mark: &EventMark) -> Result<bool> {
        const SQL: &str = "SELECT count(*) FROM events
            WHERE at = $1 AND action = $2 AND fields = $3 AND COALESCE(username, '') = $4
                AND id > (SELECT max(id) FROM events) - 1000";
        let args = [
            mark.at.into(),
            mark.action.name().into(),
            mark.fields.as_str().into(),
            mark.username.as_deref().unwrap_or_default().into(),
        ];
        let mut found = 0;
        self.engine.query(SQL, &args, &mut |row| {
            found = row.int(0)?;
            Ok(())
        })?;
        Ok(found > 0)
    }

    /// Reads events, oldest first: those behind one of them, up to a limit.
    pub fn events(
        &mut self,
        filter: &EventFilter,
        after: i64,
        most: Option<u32>,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let blocks = self.event_blocks()?;
        let filters = filter.parts();
        let mut after = after.max(self.first_since(filter, blocks)?);
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            for filter in &filters {
                found.extend(self.next_events(filter, blocks, after, most)?);
            }
            if filters.len() > 1 {
                found.sort_by_key(|event| event.id);
                found.truncate(most as usize);
            }
            pieces.read(found.len());
            after = found.last().map_or(after, |last| last.id);
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    /// Returns up to a number of events.
    fn next_events(
        &mut self,
        filter: &OneFilter,
        blocks: i64,
        mut after: i64,
        most: u32,
    ) -> Result<Vec<Event>> {
        let mut found = Vec::new();
        let left = |found: &Vec<Event>| most - u32::try_from(found.len()).unwrap_or(most);
        if let Some(name) = filter.name() {
            let first = after.max(0) / BLOCK;
            for block in first..blocks {
                let key = [block.into(), name.into()];
                let args = [&key[..], &filter.args(after, left(&found))].concat();
                self.engine.query(filter.in_block(), &args, &mut |row| {
                    found.push(read(row)?);
                    Ok(())
                })?;
                if left(&found) == 0 {
                    return Ok(found);
                }
                after = (block + 1) * BLOCK;
            }
        }
        let args = filter.args(after, left(&found));
        self.engine.query(filter.behind(), &args, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the number before that of the first of the latest `most` events.
    pub fn before_latest(&mut self, filter: &EventFilter, most: u32) -> Result<i64> {
        let (mut first, mut found) = (0, 0);
        self.events_back(filter, Some(most), &mut |event| {
            first = event.id;
            found += 1;
            Ok(())
        })?;
        // There may be fewer events than asked for.
        Ok(if found < most { 0 } else { first - 1 })
    }

    /// Reads the latest events up to a limit, newest first.
    pub fn events_back(
        &mut self,
        filter: &EventFilter,
        most: Option<u32>,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let blocks = self.event_blocks()?;
        let earliest = self.first_since(filter, blocks)?;
        let filters = filter.parts();
        let mut before = i64::MAX;
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            for filter in &filters {
                found.extend(self.previous_events(filter, blocks, (earliest, before), most)?);
            }
            if filters.len() > 1 {
                found.sort_by_key(|event| Reverse(event.id));
                found.truncate(most as usize);
            }
            pieces.read(found.len());
            before = found.last().map_or(before, |last| last.id);
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    /// Returns up to a number of events between two numbers, newest first.
    fn previous_events(
        &mut self,
        filter: &OneFilter,
        blocks: i64,
        (earliest, before): (i64, i64),
        most: u32,
    ) -> Result<Vec<Event>> {
        let mut found = Vec::new();
        let left = |found: &Vec<Event>| most - u32::try_from(found.len()).unwrap_or(most);
        let name = filter.name();
        // The events of a name are found by the blocks, as far as those go.
        let first = earliest.max(name.map_or(0, |_| blocks * BLOCK));
        let args = [&filter.args(before, most)[..], &[first.into()]].concat();
        self.engine.query(filter.before(), &args, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        let Some(name) = name else {
            return Ok(found);
        };
        for block in (earliest / BLOCK..blocks).rev() {
            if left(&found) == 0 {
                break;
            }
            if block * BLOCK >= before {
                continue;
            }
            let key = [block.into(), name.into()];
            let args = [&key[..], &filter.args(before, left(&found))].concat();
            self.engine
                .query(filter.last_in_block(), &args, &mut |row| {
                    found.push(read(row)?);
                    Ok(())
                })?;
        }
        Ok(found)
    }
}

fn read(row: &dyn Row) -> Result<Event> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let fields =
        serde_json::from_str(row.text(8)?).map_err(|_| row.damaged("an event is not JSON"))?;
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
        hash: row.opt_text(9)?.and_then(|hash| hash.parse().ok()),
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
            (id, at, actor, run_as, host, action, domain, username, fields, hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let fields = self.permit(action, domain, username, fields)?.to_json();
        let (at, actor) = (self.stamp.at, self.stamp.actor.clone());
        let end = self.chain_end()?;
        let actor = match &end.signer {
            Some(signer) => actor.signed_by(signer),
            None => actor,
        };
        let event = EventColumns {
            id: end.next_id(),
            at: at.epoch(),
            actor: &actor.name,
            run_as: actor.run_as.as_deref(),
            host: &actor.host,
            action: action.name(),
            domain: domain.map(DomainName::as_str),
            username: username.map(Username::as_str),
            fields: &fields,
        };
        let hash = end.add(&event).to_string();
        let args = [
            event.id.into(),
            event.at.into(),
            event.actor.into(),
            event.run_as.into(),
            event.host.into(),
            event.action.into(),
            event.domain.into(),
            event.username.into(),
            event.fields.into(),
            hash.as_str().into(),
        ];
        self.later(SQL, &args)?;
        self.last_event = Some(EventMark {
            at,
            action,
            username: username.map(ToString::to_string),
            fields,
        });
        Ok(())
    }

    pub(super) fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize> {
        self.store.engine.execute(sql, args)
    }

    /// Defers a statement whose count of rows does not matter: a distant database gets
    /// many at once.
    pub(super) fn later(&mut self, sql: &'static str, args: &[Arg]) -> Result<()> {
        self.store.engine.execute_later(sql, args, None)
    }

    /// The same for a statement that must change a row.
    pub(super) fn change_later(
        &mut self,
        sql: &'static str,
        args: &[Arg],
        unless_changed: Error,
    ) -> Result<()> {
        let unless_changed = Some(unless_changed);
        self.store.engine.execute_later(sql, args, unless_changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Access, Location};

    /// In a file: no statement scans or sorts events.
    #[test]
    fn events_are_found_by_an_index_and_not_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("data").join("smtpcred.db"));
        let mut store = Store::open(&file, Access::Create).unwrap();
        let all = EventFilter::default();
        let of_user = EventFilter {
            username: "shop@example.com".parse().ok(),
            ..EventFilter::default()
        };
        let of_domain = EventFilter {
            domain: "example.com".parse().ok(),
            ..EventFilter::default()
        };
        let parts = [all, of_user, of_domain].map(|filter| filter.parts());
        let statements = parts.iter().flatten().flat_map(|part| {
            [
                part.behind(),
                part.before(),
                part.in_block(),
                part.last_in_block(),
            ]
        });
        for sql in statements {
            let mut plan = Vec::new();
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into());
            let places = (1..=10).filter(|place| sql.contains(&format!("${place}")));
            let none = vec![Arg::Null; places.count()];
            store
                .engine
                .query(explain, &none, &mut |row| {
                    plan.push(row.text(3)?.to_owned());
                    Ok(())
                })
                .unwrap();
            assert!(!plan.is_empty());
            for step in plan {
                assert!(step.starts_with("SEARCH"), "{sql}: {step}");
            }
        }
    }
}
