//! The events: does each fit the one before it?

use super::depth::Depth;
use super::findings::Area;
use crate::app::chain::{verify_chain, verify_latest};
use crate::store::Store;

/// Reports only what is wrong.
pub fn examine(area: &mut Area, store: &mut Store, depth: Depth) {
    let read = match depth.events {
        Some(latest) => verify_latest(store, latest),
        None => verify_chain(store, None),
    };
    match read.map(|report| report.fault) {
        Ok(None) => {}
        Ok(Some(fault)) => area.fail(
            "history",
            &fault.to_string(),
            "find out who can write the store; read all of it: smtpcred audit verify",
        ),
        Err(error) => area.error("history", &error),
    }
}
