//! What the state machines [`super::sign_ins`] and [`super::decisions`] ask for. They touch
//! no socket, thread or clock; [`super::server`] carries their effects out, in order.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::log::Level;
use super::timers::Timer;
use crate::app::relay::{Attempt, HashJob, PendingWrites, Relay, Reservation, Ticket, Upgrade};
use crate::model::hash::Hash;

/// Identifies a connection; it may be closed by the time it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    pub number: usize,
    /// Never used again, unlike the number.
    pub serial: u64,
}

/// What the server does after an input was handled.
pub enum Effect {
    /// Send this. A connection that does not take it is closed.
    Reply(ConnectionId, String),
    /// Log why and close the connection: the only way to say "cannot tell".
    HangUp(ConnectionId, Cow<'static, str>),
    /// Look at the next request of this connection.
    Next(ConnectionId),
    /// All requests of this connection are answered.
    Drained(ConnectionId),
    Hash(Box<HashJob>),
    /// Occupy a worker until then, without computing anything.
    OccupyWorker(Box<HashJob>, Instant),
    /// Hash a right password again, at a higher cost, once no client waits.
    Rehash(Upgrade, Arc<Attempt>),
    /// Write the new hash of a password.
    StoreHash(Upgrade, Hash),
    /// Ask the writer, which replies with the ticket.
    Reserve(Ticket, Box<(Reservation, PendingWrites)>),
    Timer(Instant, Timer),
    Log(Level, String),
}

/// In the order in which they are carried out.
pub type Effects = VecDeque<Effect>;

/// What an input is handled with.
pub struct Turn<'a> {
    pub relay: &'a mut Relay,
    pub now: Instant,
    pub effects: &'a mut Effects,
}

impl Turn<'_> {
    /// Adds an effect.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Sends a text.
    pub fn reply(&mut self, connection: ConnectionId, text: String) {
        self.effect(Effect::Reply(connection, text));
    }

    /// Logs why and closes the connection.
    pub fn hang_up(&mut self, connection: ConnectionId, why: impl Into<Cow<'static, str>>) {
        self.effect(Effect::HangUp(connection, why.into()));
    }

    /// Sets a timer.
    pub fn timer(&mut self, at: Instant, timer: Timer) {
        self.effect(Effect::Timer(at, timer));
    }
}

/// What a connection is doing, as far as closing it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// It waits for an answer.
    Busy,
    /// It has not finished its handshake, or is about to answer a question. Postfix takes a
    /// connection that is closed before for a server that does not exist, and gives up.
    Greeting,
    Idle,
}
