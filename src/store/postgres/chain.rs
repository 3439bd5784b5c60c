//! Chains the events of a version without a chain, in the change that migrates the tables.

use std::fmt::Write as _;

use super::Postgres;
use super::row::PostgresRow;
use crate::error::Result;
use crate::model::event_chain::{ChainPlace, EventColumns};
use crate::store::engine::{Arg, Row as _};

/// The first version with a chain.
pub const CHAINED: i64 = 13;
/// Rows read at a time.
const PIECE: i64 = 5000;

/// Gives each event its hash, and records where the chain began.
pub fn chain_events(engine: &mut Postgres) -> Result<()> {
    let mut last = ChainPlace::default();
    loop {
        let places = following(engine, last)?;
        let mut values = String::new();
        for ChainPlace { id, hash } in &places {
            let comma = if values.is_empty() { "" } else { "," };
            let _ = write!(values, "{comma}({id},'{hash}')");
        }
        let Some(end) = places.last() else {
            break;
        };
        last = *end;
        let sql = format!(
            "UPDATE smtpcred.events e SET hash = v.hash
            FROM (VALUES {values}) AS v (id, hash) WHERE e.id = v.id"
        );
        engine.ask(|connection| connection.simple(&sql))?;
    }
    if last.id == 0 {
        return Ok(());
    }
    let ChainPlace { id, hash } = last;
    let sql = format!(
        "INSERT INTO smtpcred.event_marks (mark, event, hash, at)
        SELECT mark, {id}, '{hash}', CAST(extract(epoch FROM now()) AS bigint)
        FROM (VALUES ('begun'), ('head')) AS marks (mark)"
    );
    engine.ask(|connection| connection.simple(&sql)).map(|_| ())
}

/// Returns the places of the next events.
fn following(engine: &mut Postgres, mut last: ChainPlace) -> Result<Vec<ChainPlace>> {
    const SQL: &str = "SELECT id, at, actor, run_as, host, action, domain, username, fields
        FROM smtpcred.events WHERE id > $1 ORDER BY id LIMIT $2";
    let args = [Arg::Int(last.id), Arg::Int(PIECE)];
    let mut rows = engine.ask(|connection| connection.query(SQL, &args))?;
    let mut fetched = Vec::new();
    let mut places = Vec::new();
    loop {
        let end = engine.ask(|connection| connection.more(&mut rows, &mut fetched))?;
        for row in fetched.drain(..) {
            let row = PostgresRow {
                row: &row,
                store: &engine.store,
            };
            let event = EventColumns {
                id: row.int(0)?,
                at: row.int(1)?,
                actor: row.text(2)?,
                run_as: row.opt_text(3)?,
                host: row.text(4)?,
                action: row.text(5)?,
                domain: row.opt_text(6)?,
                username: row.opt_text(7)?,
                fields: row.text(8)?,
            };
            let hash = last.hash.followed_by(&event);
            last = ChainPlace { id: event.id, hash };
            places.push(last);
        }
        if end {
            return Ok(places);
        }
    }
}
