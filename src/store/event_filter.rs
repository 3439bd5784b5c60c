//! Which events are read, and the statement that does it with an index.

use super::engine::Arg;
use crate::model::event::Action;
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
    /// What was done.
    pub action: Option<Action>,
    /// At this time or later.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
}

macro_rules! columns {
    () => {
        "e.id, e.at, e.actor, e.run_as, e.host, e.action, e.domain, e.username, e.fields, e.hash"
    };
}

/// Events of a domain.
macro_rules! in_domain {
    ($domain:literal) => {
        concat!(
            "(CAST(",
            $domain,
            " AS TEXT) IS NULL OR e.domain = ",
            $domain,
            ")"
        )
    };
}

/// Renames out of a domain, which are events of the other one.
macro_rules! out_of_domain {
    ($domain:literal) => {
        concat!(
            "e.action = 'user.rename' AND e.domain <> ",
            $domain,
            " AND e.fields LIKE '%\"old\":\"%@' || CAST(",
            $domain,
            " AS TEXT) || '\"%'"
        )
    };
}

/// The conditions of a filter besides its first name.
macro_rules! wanted {
    () => {
        " AND (CAST($3 AS TEXT) IS NULL OR e.username = $3)
            AND (CAST($4 AS TEXT) IS NULL OR e.actor = $4) AND e.at >= $5
            AND (CAST($7 AS TEXT) IS NULL OR e.action = $7) AND e.at < $8"
    };
}

macro_rules! behind {
    ($first:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM events e WHERE ",
            $first,
            " AND e.id > $1",
            wanted!(),
            " ORDER BY e.id LIMIT $6"
        )
    };
}

macro_rules! before {
    ($first:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM events e WHERE ",
            $first,
            " AND e.id < $1 AND e.id > $9",
            wanted!(),
            " ORDER BY e.id DESC LIMIT $6"
        )
    };
}

/// The same for the events of a block that have a name: the block has their numbers.
macro_rules! in_block {
    ($domain:expr, $place:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM event_names n CROSS JOIN events e WHERE n.block = $1 AND n.name = $2",
            $place,
            " AND e.id = n.event AND ",
            $domain,
            " AND (CAST($5 AS TEXT) IS NULL OR e.username = $5)
            AND (CAST($6 AS TEXT) IS NULL OR e.actor = $6) AND e.at >= $7
            AND (CAST($9 AS TEXT) IS NULL OR e.action = $9) AND e.at < $10
            ORDER BY n.event ",
            $order,
            " LIMIT $8"
        )
    };
}

/// A filter for one name of the user, or for what left the domain.
pub(super) struct OneFilter {
    filter: EventFilter,
    /// Finds the renames out of the domain in place of the events of the domain.
    left: bool,
}

impl EventFilter {
    /// Returns a filter for each of the names of the user, or only this one, and for renames out
    /// of the domain.
    pub(super) fn parts(&self) -> Vec<OneFilter> {
        let names = std::iter::once(self.username.clone());
        let names = names.chain(self.old_names.iter().cloned().map(Some));
        let mut parts = Vec::new();
        for username in names {
            for left in [false, true] {
                if left && self.domain.is_none() {
                    continue;
                }
                let filter = Self {
                    username: username.clone(),
                    old_names: Vec::new(),
                    ..self.clone()
                };
                parts.push(OneFilter { filter, left });
            }
        }
        parts
    }
}

impl OneFilter {
    /// The rarest name of the filter.
    pub(super) fn name(&self) -> Option<&str> {
        let username = self.filter.username.as_ref().map(Username::as_str);
        let domain = self.filter.domain.as_ref().map(DomainName::as_str);
        username.or(domain).or(self.filter.actor.as_deref())
    }

    /// One statement for each, so that the engine uses its index.
    pub(super) const fn behind(&self) -> &'static str {
        let filter = &self.filter;
        match (&filter.username, &filter.domain, &filter.actor) {
            _ if self.left => behind!(out_of_domain!("$2")),
            (Some(_), _, _) => behind!(concat!("e.username = $3 AND ", in_domain!("$2"))),
            (_, Some(_), _) => behind!("e.domain = $2"),
            (_, _, Some(_)) => behind!(concat!("e.actor = $4 AND ", in_domain!("$2"))),
            _ => behind!(in_domain!("$2")),
        }
    }

    pub(super) const fn before(&self) -> &'static str {
        let filter = &self.filter;
        match (&filter.username, &filter.domain, &filter.actor) {
            _ if self.left => before!(out_of_domain!("$2")),
            (Some(_), _, _) => before!(concat!("e.username = $3 AND ", in_domain!("$2"))),
            (_, Some(_), _) => before!("e.domain = $2"),
            (_, _, Some(_)) => before!(concat!("e.actor = $4 AND ", in_domain!("$2"))),
            _ => before!(in_domain!("$2")),
        }
    }

    pub(super) const fn in_block(&self) -> &'static str {
        if self.left {
            in_block!(out_of_domain!("$4"), " AND n.event > $3", "")
        } else {
            in_block!(in_domain!("$4"), " AND n.event > $3", "")
        }
    }

    pub(super) const fn last_in_block(&self) -> &'static str {
        if self.left {
            in_block!(out_of_domain!("$4"), " AND n.event < $3", "DESC")
        } else {
            in_block!(in_domain!("$4"), " AND n.event < $3", "DESC")
        }
    }

    pub(super) fn args(&self, place: i64, most: u32) -> [Arg<'_>; 8] {
        let filter = &self.filter;
        [
            place.into(),
            filter.domain.as_ref().map(DomainName::as_str).into(),
            filter.username.as_ref().map(Username::as_str).into(),
            filter.actor.as_deref().into(),
            filter.since.map_or(Arg::Int(i64::MIN), Into::into),
            most.into(),
            filter.action.map(Action::name).into(),
            filter.until.map_or(Arg::Int(i64::MAX), Into::into),
        ]
    }
}
