//! The state of each server of a URL, and whether all agree on the primary.

use super::connection::PgConnection;
use super::pg_error::{PgError, PgResult};

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// It is neither in recovery nor set to read-only.
    pub writes: bool,
    /// The time of its start, to the microsecond: the same under each address of a server.
    started: Option<String>,
    timeline: Option<u32>,
    /// A primary and its standbys share it. `None` if this user may not see it.
    system: Option<String>,
}

/// Answers `primary` if the server accepts writes.
pub const STATE: &str = "SELECT CASE WHEN pg_is_in_recovery()
    OR current_setting('transaction_read_only') = 'on' THEN 'standby' ELSE 'primary' END";
/// The same for a session that is read-only.
pub const RECOVERY: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END";
const START_AND_TIMELINE: &str = "SELECT extract(epoch FROM pg_postmaster_start_time())
        || ' ' || CASE WHEN pg_is_in_recovery() THEN '-'
            ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";
const SYSTEM: &str = "SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()";

impl Instance {
    /// Asks in one round trip, unless this user may not see all of it.
    pub fn of(connection: &mut PgConnection) -> PgResult<Self> {
        let mut said = Vec::new();
        for known in [
            [STATE, START_AND_TIMELINE, SYSTEM].as_slice(),
            &[STATE, START_AND_TIMELINE],
            &[STATE],
        ] {
            match connection.simple(&known.join(";")) {
                Err(PgError::Sql(_)) if known.len() > 1 => {}
                answered => {
                    said = answered?;
                    break;
                }
            }
        }
        Ok(Self::read(&said))
    }

    fn read(said: &[String]) -> Self {
        let (started, timeline) = said
            .get(1)
            .and_then(|both| both.split_once(' '))
            .unwrap_or_default();
        Self {
            writes: said.first().is_some_and(|state| state == "primary"),
            started: Some(started.to_owned()).filter(|time| !time.is_empty()),
            timeline: u32::from_str_radix(timeline, 16).ok(),
            system: said.get(2).cloned(),
        }
    }

    /// Returns whether both are known to be different servers.
    fn is_another(&self, other: &Self) -> bool {
        let differ =
            |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        differ(&self.started, &other.started) || self.is_unrelated(other)
    }

    /// Returns whether both are known to belong to different clusters.
    fn is_unrelated(&self, other: &Self) -> bool {
        matches!((&self.system, &other.system), (Some(a), Some(b)) if a != b)
    }

    /// Returns the role of the server, for messages.
    pub fn described(&self) -> String {
        match (self.writes, self.timeline) {
            (true, Some(timeline)) => format!("primary, timeline {timeline}"),
            (true, None) => "primary".into(),
            (false, Some(_)) => "read-only".into(),
            (false, None) => "standby".into(),
        }
    }

    fn named(&self, name: &str) -> String {
        match self.timeline {
            Some(timeline) => format!("{name} (timeline {timeline})"),
            None => name.to_owned(),
        }
    }
}

/// Returns an error unless these servers, which answered under these names, are one primary
/// and its standbys. `ours` is the one in use.
pub fn agree(ours: (&str, &Instance), others: &[(&str, &Instance)]) -> PgResult<()> {
    let (name, own) = ours;
    if let Some((other, _)) = others.iter().find(|(_, one)| own.is_unrelated(one)) {
        return Err(PgError::split(
            format!(
                "{name} and {other} belong to different clusters; name only a primary and its \
                 standbys"
            ),
            "neither is a replica of the other: SELECT system_identifier FROM \
             pg_control_system() differs",
        ));
    }
    let mut primaries = vec![ours];
    for other in others {
        let is_new = primaries.iter().all(|(_, one)| one.is_another(other.1));
        if other.1.writes && is_new {
            primaries.push(*other);
        }
    }
    if primaries.len() < 2 {
        return Ok(());
    }
    primaries.sort_by_key(|(_, one)| one.timeline);
    let names: Vec<_> = primaries
        .iter()
        .map(|(name, one)| one.named(name))
        .collect();
    Err(PgError::split(
        format!(
            "{} accept writes at the same time; fence the old primary: stop PostgreSQL there",
            names.join(" and ")
        ),
        "a password revoked on one of them still works on the other; the one with the highest \
         timeline was promoted last; let the old one return only as a standby (pg_rewind, or \
         the rejoin command of the failover tool)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(writes: bool, started: &str, timeline: &str, system: Option<&str>) -> Instance {
        let state = if writes { "primary" } else { "standby" };
        let mut said = vec![state.to_owned(), format!("{started} {timeline}")];
        said.extend(system.map(str::to_owned));
        Instance::read(&said)
    }

    fn refused(ours: (&str, &Instance), others: &[(&str, &Instance)]) -> String {
        match agree(ours, others) {
            Err(PgError::SplitBrain(split)) => split.reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn p3_two_servers_that_accept_writes_are_named() {
        let old = instance(true, "1.5", "00000001", Some("7"));
        let new = instance(true, "2.5", "0000000A", Some("7"));
        let third = instance(false, "3.5", "-", Some("7"));
        let said = refused(("db1:1", &old), &[("db3:1", &third), ("db2:1", &new)]);
        assert!(
            said.starts_with("db1:1 (timeline 1) and db2:1 (timeline 10) accept writes"),
            "{said}"
        );
    }

    #[test]
    fn a_server_under_several_addresses_is_one() {
        let one = instance(true, "1.5", "00000001", Some("7"));
        assert!(agree(("a", &one), &[("b", &one), ("c", &one)]).is_ok());
        let copy = instance(true, "2.5", "00000001", Some("7"));
        let said = refused(("a", &one), &[("b", &one), ("c", &copy), ("d", &copy)]);
        assert!(
            said.starts_with("a (timeline 1) and c (timeline 1) accept writes"),
            "{said}"
        );
    }

    #[test]
    fn servers_of_different_clusters_are_named_even_if_one_is_a_standby() {
        let ours = instance(true, "1.5", "00000001", Some("7"));
        for writes in [true, false] {
            let other = instance(writes, "2.5", "-", Some("8"));
            let said = refused(("a", &ours), &[("b", &other)]);
            assert!(said.starts_with("a and b belong to different"), "{said}");
        }
    }

    #[test]
    fn what_a_server_does_not_tell_is_not_guessed() {
        let ours = instance(true, "1.5", "00000001", Some("7"));
        let standby = instance(false, "2.5", "-", None);
        assert!(agree(("a", &ours), &[("b", &standby)]).is_ok());
        refused(
            ("a", &ours),
            &[("b", &instance(true, "2.5", "00000002", None))],
        );
        let reticent = Instance::read(&["primary".into()]);
        assert!(agree(("a", &ours), &[("b", &reticent)]).is_ok());
    }
}
