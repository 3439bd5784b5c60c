//! The servers of a PostgreSQL cluster: warns of each that could be an unnoticed second
//! primary.

use super::findings::Area;
use crate::store::Replica;

/// Adds a finding for each server. One that is down is no fault: another takes over.
pub fn examine(area: &mut Area, servers: &[Replica]) {
    for server in servers {
        let found = format!("{}: {}", server.name, server.found);
        if server.hides {
            let advice = "a second primary there goes unnoticed: let this database user connect, or \
                          remove the server from the URL";
            area.warn("server", &found, advice);
        } else {
            area.ok("server", &found);
        }
    }
}
