//! The end of the chain of events, as a change knows it.

use crate::model::event_chain::{ChainPlace, EventColumns, EventHash};

/// Where the events of a change continue the chain.
pub(super) struct ChainEnd {
    place: ChainPlace,
    /// In a database, an event that is not by the owner of the tables names this user.
    pub(super) signer: Option<String>,
    /// Whether the store has recorded this end.
    recorded: bool,
}

impl ChainEnd {
    /// Events that another program added use up their numbers.
    pub(super) fn new(head: Option<ChainPlace>, last: i64, signer: Option<String>) -> Self {
        let head = head.unwrap_or_default();
        Self {
            place: ChainPlace {
                id: head.id.max(last),
                hash: head.hash,
            },
            signer,
            recorded: true,
        }
    }

    /// Reads what a database said at the beginning of the change: the number and hash of the
    /// last event (0 and - if there is none), the highest number, and the signer.
    pub(super) fn said(said: &str) -> Option<Self> {
        let mut words = said.splitn(4, ' ');
        let id = words.next()?.parse().ok()?;
        let hash = words.next()?.parse().unwrap_or_default();
        let last = words.next()?.parse().ok()?;
        let signer = words.next().filter(|signer| !signer.is_empty());
        let head = ChainPlace { id, hash };
        Some(Self::new(Some(head), last, signer.map(str::to_owned)))
    }

    /// Returns the number of the next event.
    pub(super) const fn next_id(&self) -> i64 {
        self.place.id + 1
    }

    /// Adds the event with that number, and returns its hash.
    pub(super) fn add(&mut self, event: &EventColumns) -> EventHash {
        let hash = self.place.hash.followed_by(event);
        self.place = ChainPlace { id: event.id, hash };
        self.recorded = false;
        hash
    }

    /// Returns the place to record, once.
    pub(super) fn unrecorded(&mut self) -> Option<ChainPlace> {
        let recorded = std::mem::replace(&mut self.recorded, true);
        (!recorded).then_some(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_says_where_the_chain_ends() {
        let hash = "0a".repeat(32);
        let end = ChainEnd::said(&format!("7 {hash} 9 ana b")).unwrap();
        assert_eq!(end.place.id, 9, "another program has used 8 and 9");
        assert_eq!(end.place.hash.to_string(), hash);
        assert_eq!(end.signer.as_deref(), Some("ana b"));
        let none = ChainEnd::said("0 - 0 ").unwrap();
        assert_eq!((none.next_id(), none.signer), (1, None));
    }
}
