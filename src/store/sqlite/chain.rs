//! Chains the events of a version without a chain, in the change that migrates the store:
//! some seconds for a million.

use rusqlite::Connection;

use crate::model::event_chain::{ChainPlace, EventColumns};

/// Rows read at a time.
const PIECE: u32 = 10_000;

/// Gives each event its hash, and records where the chain began.
pub fn chain_events(store: &Connection) -> rusqlite::Result<()> {
    const READ: &str = "SELECT id, at, actor, run_as, host, action, domain, username, fields
        FROM events WHERE id > ?1 ORDER BY id LIMIT ?2";
    const WRITE: &str = "UPDATE events SET hash = ?2 WHERE id = ?1";
    const MARK: &str = "INSERT INTO event_marks (mark, event, hash, at)
        SELECT value, ?1, ?2, unixepoch() FROM json_each('[\"begun\", \"head\"]')";
    let (mut read, mut write) = (store.prepare(READ)?, store.prepare(WRITE)?);
    let mut last = ChainPlace::default();
    loop {
        let (mut places, mut read_rows) = (Vec::new(), 0);
        let mut rows = read.query((last.id, PIECE))?;
        while let Some(row) = rows.next()? {
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let opt_text = |column| {
                let value = row.get_ref(column)?.as_str_or_null();
                value.map_err(rusqlite::Error::from)
            };
            let event = EventColumns {
                id: row.get(0)?,
                at: row.get(1)?,
                actor: text(2)?,
                run_as: opt_text(3)?,
                host: text(4)?,
                action: text(5)?,
                domain: opt_text(6)?,
                username: opt_text(7)?,
                fields: text(8)?,
            };
            let hash = last.hash.followed_by(&event);
            last = ChainPlace { id: event.id, hash };
            places.push(last);
            read_rows += 1;
        }
        drop(rows);
        for ChainPlace { id, hash } in &places {
            write.execute((id, hash.to_string()))?;
        }
        if read_rows < PIECE {
            break;
        }
    }
    if last.id > 0 {
        store.execute(MARK, (last.id, last.hash.to_string()))?;
    }
    Ok(())
}
