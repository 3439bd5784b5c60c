//! What is kept for each connection and for each pending request.

use slab::Slab;

use super::effect::ConnectionId;
use crate::app::relay::Ticket;

/// One value for each connection.
pub struct ByConnection<T>(Vec<Option<(u64, T)>>);

/// Pending requests. A ticket is never used again.
pub struct PendingTable<T> {
    slab: Slab<(u64, T)>,
    serial: u64,
}

impl<T> Default for ByConnection<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for PendingTable<T> {
    fn default() -> Self {
        Self {
            slab: Slab::new(),
            serial: 0,
        }
    }
}

impl<T> ByConnection<T> {
    /// Stores a value, in place of an earlier one.
    pub fn insert(&mut self, id: ConnectionId, value: T) {
        if self.0.len() <= id.number {
            self.0.resize_with(id.number + 1, || None);
        }
        self.0[id.number] = Some((id.serial, value));
    }

    /// Returns the value; `None` if there is none.
    pub fn get(&self, id: ConnectionId) -> Option<&T> {
        let (serial, value) = self.0.get(id.number)?.as_ref()?;
        (*serial == id.serial).then_some(value)
    }

    /// Returns the value, to change it; `None` if there is none.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let (serial, value) = self.0.get_mut(id.number)?.as_mut()?;
        (*serial == id.serial).then_some(value)
    }

    /// Removes and returns the value; `None` if there is none.
    pub fn remove(&mut self, id: ConnectionId) -> Option<T> {
        self.get(id)?;
        self.0[id.number].take().map(|(_, value)| value)
    }
}

impl<T> PendingTable<T> {
    /// Stores a request and returns its ticket.
    pub fn insert(&mut self, value: T) -> Ticket {
        self.serial += 1;
        Ticket {
            number: self.slab.insert((self.serial, value)),
            serial: self.serial,
        }
    }

    /// Returns the request; `None` if it is no longer pending.
    pub fn get(&self, ticket: Ticket) -> Option<&T> {
        let (serial, value) = self.slab.get(ticket.number)?;
        (*serial == ticket.serial).then_some(value)
    }

    /// Returns the request, to change it; `None` if it is no longer pending.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let (serial, value) = self.slab.get_mut(ticket.number)?;
        (*serial == ticket.serial).then_some(value)
    }

    /// Removes and returns the request; `None` if it is no longer pending.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.get(ticket)?;
        Some(self.slab.remove(ticket.number).1)
    }

    /// Returns the tickets of all values that match.
    pub fn tickets(&self, matches: impl Fn(&T) -> bool) -> Vec<Ticket> {
        let found = self.slab.iter().filter(|(_, (_, value))| matches(value));
        let tickets = found.map(|(number, (serial, _))| Ticket {
            number,
            serial: *serial,
        });
        tickets.collect()
    }

    /// Returns whether no request is pending.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Returns the number of pending requests.
    pub fn len(&self) -> usize {
        self.slab.len()
    }
}
