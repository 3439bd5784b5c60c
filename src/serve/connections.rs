//! The open connections of mail servers.

use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slab::Slab;

use super::connection::{Connection, Stream};
use super::effect::{ClientState, ConnectionId};
use super::sockets::Protocol;

/// All open connections.
pub struct Connections {
    slab: Slab<Connection>,
    /// Never used again.
    serial: u64,
    /// The limit of open connections.
    most: usize,
}

/// The token of the first connection.
pub const FIRST_TOKEN: usize = 1024;
/// The limit of connections, where the system allows as many open files.
const CONNECTIONS: u64 = 16_384;
/// Files for other things: the store, pipes, the listeners.
const OTHER_FILES: u64 = 64;
/// The time that mail servers have for their handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(1);

impl Connections {
    /// Returns an empty table, whose first connection gets the number after `last`. Its limit
    /// depends on how many files the process may open.
    pub fn after(last: u64) -> Self {
        Self {
            slab: Slab::new(),
            serial: last,
            most: most_connections(),
        }
    }

    /// Returns the number of the last connection.
    pub const fn last(&self) -> u64 {
        self.serial
    }

    /// Returns the number of open connections.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns whether another connection would exceed the limit.
    pub fn is_full(&self) -> bool {
        self.slab.len() >= self.most
    }

    /// Adds a connection; returns `None` if it cannot be waited for.
    pub fn insert(
        &mut self,
        mut stream: Stream,
        protocol: Protocol,
        registry: &Registry,
        now: Instant,
    ) -> Option<ConnectionId> {
        self.serial += 1;
        let entry = self.slab.vacant_entry();
        let id = ConnectionId {
            number: entry.key(),
            serial: self.serial,
        };
        registry
            .register(&mut stream, token(id), Interest::READABLE)
            .ok()?;
        entry.insert(Connection::new(stream, self.serial, protocol, now));
        Some(id)
    }

    /// Returns the connection of a token of the poll.
    pub fn of_token(&self, token: usize) -> Option<ConnectionId> {
        let number = token.checked_sub(FIRST_TOKEN)?;
        let serial = self.slab.get(number)?.serial;
        Some(ConnectionId { number, serial })
    }

    /// Returns a connection; `None` if it is closed.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.slab.get_mut(id.number)?;
        (connection.serial == id.serial).then_some(connection)
    }

    /// Removes a connection; `None` if it is closed.
    pub fn remove(&mut self, id: ConnectionId, registry: &Registry) -> Option<Connection> {
        self.get_mut(id)?;
        let mut connection = self.slab.remove(id.number);
        // Closing it has the same effect if this fails.
        let _ = registry.deregister(&mut connection.stream);
        Some(connection)
    }

    /// Returns all open connections, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.slab.iter().map(|(number, connection)| {
            let serial = connection.serial;
            (ConnectionId { number, serial }, connection)
        })
    }

    /// Returns the connection to close for a new one: the one that was silent for longest,
    /// of those that wait for no answer. This does no harm, because mail servers connect
    /// again. One that has just connected and has not greeted yet goes last.
    pub fn idlest(
        &self,
        now: Instant,
        state: impl Fn(ConnectionId, &Connection) -> ClientState,
    ) -> Option<ConnectionId> {
        self.iter()
            .map(|(id, connection)| (id, state(id, connection), connection.used))
            .filter(|(_, state, _)| *state != ClientState::Busy)
            .min_by_key(|(_, state, used)| {
                let greeting = *state == ClientState::Greeting;
                (greeting && now.duration_since(*used) < HANDSHAKE, *used)
            })
            .map(|(id, ..)| id)
    }
}

/// Returns the token of a connection in the poll.
pub const fn token(id: ConnectionId) -> Token {
    Token(FIRST_TOKEN + id.number)
}

/// Returns the limit of connections: as many as there may be open files.
fn most_connections() -> usize {
    let wanted = CONNECTIONS + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    if limit.current.is_some_and(|current| current < most) {
        // If this fails, the limit stays as it is.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: limit.maximum,
            },
        );
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    usize::try_from(now.min(wanted).saturating_sub(OTHER_FILES))
        .unwrap_or(1)
        .max(1)
}
