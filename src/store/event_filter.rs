//! Which events are read, and the statement that does it with an index.

use super::engine::Arg;
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;

/// Which events: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// The domain they are about.
    pub domain: Option<DomainName>,
    /// The user they are about.
    pub username: Option<Username>,
    /// Its old names: events about them match, too.
    pub old_names: Vec<Username>,
    /// The person who did it.
    pub actor: Option<String>,
    /// At this time or later.
    pub since: Option<Time>,
}

macro_rules! columns {
    () => {
        "e.id, e.at, e.actor, e.run_as, e.host, e.action, e.domain, e.username, e.fields"
    };
}

/// The conditions of a filter besides its first name.
macro_rules! wanted {
    () => {
        " AND (CAST($2 AS TEXT) IS NULL OR e.domain = $2)
            AND (CAST($3 AS TEXT) IS NULL OR e.username = $3)
            AND (CAST($4 AS TEXT) IS NULL OR e.actor = $4) AND e.at >= $5"
    };
}

macro_rules! behind {
    ($first:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM events e WHERE ",
            $first,
            "e.id > $1",
            wanted!(),
            " ORDER BY e.id LIMIT $6"
        )
    };
}

macro_rules! before {
    ($first:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM events e WHERE ",
            $first,
            "e.id < $1 AND e.id > $7",
            wanted!(),
            " ORDER BY e.id DESC LIMIT $6"
        )
    };
}

/// The same for the events of a block that have a name: the block has their numbers.
macro_rules! in_block {
    ($columns:expr, $place:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM event_names n CROSS JOIN events e WHERE n.block = $1 AND n.name = $2",
            $place,
            " AND e.id = n.event AND (CAST($4 AS TEXT) IS NULL OR e.domain = $4)
            AND (CAST($5 AS TEXT) IS NULL OR e.username = $5)
            AND (CAST($6 AS TEXT) IS NULL OR e.actor = $6) AND e.at >= $7
            ORDER BY n.event ",
            $order,
            " LIMIT $8"
        )
    };
}

pub(super) const IN_BLOCK: &str = in_block!(columns!(), " AND n.event > $3", "");
pub(super) const LAST_IN_BLOCK: &str = in_block!(columns!(), " AND n.event < $3", "DESC");

impl EventFilter {
    /// Returns a filter for each of the names of the user, or only this one.
    pub(super) fn of_each_name(&self) -> Vec<Self> {
        let of = |username: Option<Username>| Self {
            username,
            old_names: Vec::new(),
            ..self.clone()
        };
        let old = self.old_names.iter().cloned().map(Some);
        std::iter::once(self.username.clone())
            .chain(old)
            .map(of)
            .collect()
    }

    /// The rarest name of the filter.
    pub(super) fn name(&self) -> Option<&str> {
        let username = self.username.as_ref().map(Username::as_str);
        let domain = self.domain.as_ref().map(DomainName::as_str);
        username.or(domain).or(self.actor.as_deref())
    }

    /// One statement for each, so that the engine uses its index.
    pub(super) const fn behind(&self) -> &'static str {
        match (&self.username, &self.domain, &self.actor) {
            (Some(_), _, _) => behind!("e.username = $3 AND "),
            (_, Some(_), _) => behind!("e.domain = $2 AND "),
            (_, _, Some(_)) => behind!("e.actor = $4 AND "),
            _ => behind!(""),
        }
    }

    pub(super) const fn before(&self) -> &'static str {
        match (&self.username, &self.domain, &self.actor) {
            (Some(_), _, _) => before!("e.username = $3 AND "),
            (_, Some(_), _) => before!("e.domain = $2 AND "),
            (_, _, Some(_)) => before!("e.actor = $4 AND "),
            _ => before!(""),
        }
    }

    pub(super) fn args(&self, place: i64, most: u32) -> [Arg<'_>; 6] {
        [
            place.into(),
            self.domain.as_ref().map(DomainName::as_str).into(),
            self.username.as_ref().map(Username::as_str).into(),
            self.actor.as_deref().into(),
            self.since.map_or(Arg::Int(i64::MIN), Into::into),
            most.into(),
        ]
    }
}
