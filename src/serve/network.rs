//! The sockets of the loop: waits for them, accepts, reads, sends and closes. What the lines
//! mean, and when they are answered, is decided elsewhere.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::connection::{Connection, READ, Received, Stream};
use super::connections::{Connections, FIRST_TOKEN, token};
use super::effect::{ClientState, ConnectionId};
use super::listeners::Listeners;
use super::log::Log;
use super::signals::Signals;
use super::sockets::{Listener, Protocol, Purpose};
use crate::error::{Error, Result};

pub struct Network {
    poll: Poll,
    events: Events,
    listeners: Listeners,
    signals: Signals,
    connections: Connections,
    buffer: Vec<u8>,
}

/// What can be done at once.
pub enum Ready {
    /// A signal came, or another thread has a result.
    Woken,
    /// The listener with this number has a connection.
    Accept(usize),
    /// A connection can be read; `closed` means that its peer sends no more.
    Read {
        id: ConnectionId,
        closed: bool,
    },
    /// Someone who scrapes metrics has sent something, or has room for more.
    Scrape(usize),
    /// The peer of a connection reads no more answers.
    Deaf(ConnectionId),
    Broken(ConnectionId),
}

const WAKER: Token = Token(0);
const SIGNALS: usize = 1;
const LISTENERS: usize = 16;
/// The token of the first connection for metrics.
const SCRAPES: usize = 512;

impl Network {
    /// Listens on these. The first connection gets the number after `last`. The waker ends a
    /// poll from another thread.
    pub fn open(listeners: Vec<Listener>, last: u64) -> Result<(Self, Arc<Waker>)> {
        if listeners.len() > SCRAPES - LISTENERS {
            return Err(Error::Usage("too many sockets".into()));
        }
        let poll = Poll::new().map_err(system)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(system)?;
        let network = Self {
            events: Events::with_capacity(1024),
            listeners: Listeners::open(listeners, poll.registry(), LISTENERS)?,
            signals: Signals::listen(poll.registry(), SIGNALS).map_err(system)?,
            connections: Connections::after(last),
            buffer: vec![0; READ],
            poll,
        };
        Ok((network, Arc::new(waker)))
    }

    /// Waits until something is ready, and adds it to `ready`. Sends what peers have room for
    /// by now.
    pub fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(system(e)),
            _ => {}
        }
        for event in &self.events {
            match event.token() {
                WAKER => ready.push(Ready::Woken),
                Token(n) if n < LISTENERS => {
                    self.signals.came(n - SIGNALS);
                    ready.push(Ready::Woken);
                }
                Token(n) if n < SCRAPES => ready.push(Ready::Accept(n - LISTENERS)),
                Token(n) if n < FIRST_TOKEN => ready.push(Ready::Scrape(n - SCRAPES)),
                _ => {
                    let registry = self.poll.registry();
                    ready.extend(of_connection(event, &mut self.connections, registry));
                }
            }
        }
        Ok(())
    }

    /// Returns the signals that have come since the last call.
    pub fn signals(&mut self) -> Vec<i32> {
        self.signals.take()
    }

    /// Returns whether a signal to stop has come since then.
    pub fn signal_ends(&mut self) -> bool {
        self.signals.ends()
    }

    /// Returns where we listen, for the log.
    pub fn names(&self) -> String {
        self.listeners.names()
    }

    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Accepts a connection of the listener with this number.
    pub fn accept(&self, i: usize) -> io::Result<(Stream, Purpose)> {
        self.listeners.accept(i)
    }

    /// Accepts no more; clients wait in the queues of the sockets.
    pub fn stop_accepting(&mut self) {
        self.listeners.deregister(self.poll.registry());
    }

    /// Binds our own sockets again if their files were removed. Returns the connections that
    /// the old sockets had not accepted yet.
    pub fn rebind_removed(&mut self, log: &Log) -> Vec<(Stream, Purpose)> {
        self.listeners.rebind_removed(self.poll.registry(), log)
    }

    /// Adds a connection; returns `None` if it cannot be waited for.
    pub fn add(
        &mut self,
        stream: Stream,
        protocol: Protocol,
        now: Instant,
    ) -> Option<ConnectionId> {
        let registry = self.poll.registry();
        self.connections.insert(stream, protocol, registry, now)
    }

    /// Waits for a connection for metrics, under a number below 512. Returns whether that is
    /// possible.
    pub fn watch_scrape(&self, stream: &mut Stream, number: usize) -> bool {
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let token = Token(SCRAPES + number);
        registry.register(stream, token, both).is_ok()
    }

    pub fn is_full(&self) -> bool {
        self.connections.is_full()
    }

    /// Returns the connection to close for a new one; see [`Connections::idlest`].
    pub fn idlest(
        &self,
        now: Instant,
        state: impl Fn(ConnectionId, Protocol) -> ClientState,
    ) -> Option<ConnectionId> {
        let state = |id, connection: &Connection| state(id, connection.protocol);
        self.connections.idlest(now, state)
    }

    pub fn len(&self) -> usize {
        self.connections.len()
    }

    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Protocol)> {
        let all = self.connections.iter();
        all.map(|(id, connection)| (id, connection.protocol))
    }

    /// Returns whether all answers have left this process.
    pub fn all_sent(&self) -> bool {
        self.connections.iter().all(|(_, one)| one.is_sent())
    }

    pub fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id)
    }

    /// Reads lines; see [`Connection::receive`]. Returns `None` if it is closed.
    pub fn receive(
        &mut self,
        id: ConnectionId,
        closed: bool,
        now: Instant,
        mut each: impl FnMut(Protocol, &[u8]) -> bool,
    ) -> Option<(Received, &Connection)> {
        let connection = self.connections.get_mut(id)?;
        let protocol = connection.protocol;
        let each = |line: &[u8]| each(protocol, line);
        let received = connection.receive(&mut self.buffer, closed, now, each);
        Some((received, connection))
    }

    /// Returns false if a connection does not take its answer.
    pub fn send(&mut self, id: ConnectionId, answer: &str) -> bool {
        let registry = self.poll.registry();
        self.connections
            .get_mut(id)
            .is_none_or(|connection| connection.send(answer, registry, token(id)).is_ok())
    }

    /// Removes a connection, which ends once it is dropped.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.connections.remove(id, self.poll.registry())
    }

    /// Returns the number of the last connection.
    pub const fn last_connection(&self) -> u64 {
        self.connections.last()
    }

    /// Returns the sockets, still listening, for the program that replaces this one.
    pub fn into_listeners(self) -> Vec<Listener> {
        self.listeners.into_listeners()
    }

    /// Closes the sockets and removes the files of our own ones.
    pub fn close(self) {
        self.listeners.close();
    }
}

fn of_connection(
    event: &Event,
    connections: &mut Connections,
    registry: &Registry,
) -> Option<Ready> {
    let id = connections.of_token(event.token().0)?;
    let connection = connections.get_mut(id)?;
    let sent = !event.is_writable()
        || connection.is_sent()
        || connection.send_rest(registry, event.token()).is_ok();
    // A peer that closed its reading side gets no answer; one that closed only its writing
    // side still does.
    let deaf = event.is_write_closed() && connection.protocol == Protocol::Policy;
    let closed = event.is_read_closed();
    if event.is_error() || !sent {
        Some(Ready::Broken(id))
    } else if deaf {
        Some(Ready::Deaf(id))
    } else if event.is_readable() || closed {
        Some(Ready::Read { id, closed })
    } else {
        None
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn system(error: io::Error) -> Error {
    Error::System(format!("cannot wait for connections: {error}"))
}
