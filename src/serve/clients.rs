//! The connections of mail servers: who comes in, who goes.

use std::io;
use std::time::Instant;

use mio::{Interest, Token};

use super::connection::{Connection, Policy, Received, Side, Stream};
use super::listening::idlest;
use super::log::Level;
use super::server::{ACCEPT_AGAIN, CONNECTIONS, Key, Server};
use super::sockets::Protocol;
use super::timers::Timer;
use crate::protocol::auth::{Conversation, greeting};

impl Server {
    pub(super) fn accept(&mut self, i: usize, now: Instant) {
        while self.stopping.is_none() {
            let stream = match self.open[i].accept() {
                Ok(stream) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => {
                    self.log
                        .say(Level::Error, format!("cannot accept a connection: {e}"));
                    self.make_room();
                    self.timers.set(now + ACCEPT_AGAIN, Timer::Accept);
                    return;
                }
            };
            if self.connections.len() >= self.most {
                self.make_room();
            }
            self.welcome(stream, self.open[i].protocol, now);
        }
    }

    fn welcome(&mut self, mut stream: Stream, protocol: Protocol, now: Instant) {
        self.serial += 1;
        let entry = self.connections.vacant_entry();
        let key = Key {
            number: entry.key(),
            serial: self.serial,
        };
        let token = token(key);
        if self
            .poll
            .registry()
            .register(&mut stream, token, Interest::READABLE)
            .is_err()
        {
            return;
        }
        let side = match protocol {
            Protocol::Auth => Side::Auth(Conversation::default()),
            Protocol::Policy => Side::Policy(Policy::default()),
        };
        entry.insert(Connection::new(stream, self.serial, side, now));
        if protocol == Protocol::Auth {
            let mut cookie = [0; 16];
            // Nothing depends on it being a secret, only on being another one.
            let _ = (self.world.random)(&mut cookie);
            let text = greeting(std::process::id(), self.serial, u128::from_le_bytes(cookie));
            self.send(key, &text);
        }
    }

    fn make_room(&mut self) {
        let found = idlest(self.connections.iter(), Instant::now());
        if let Some(number) = found {
            let serial = self.connections[number].serial;
            self.close(Key { number, serial });
        }
    }

    pub(super) fn receive(&mut self, key: Key, closed: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(key.number) else {
            return;
        };
        if connection.serial != key.serial {
            return;
        }
        let mut asked = std::mem::take(&mut self.spare);
        let received = connection.receive(&mut self.buffer, closed, now, &mut asked);
        let gone = match (&connection.side, received) {
            (_, Received::Gone) => true,
            // Exim hangs up when its client has given up.
            (Side::Auth(_), _) => connection.ended,
            (Side::Policy(policy), _) => {
                connection.ended && policy.queue.is_empty() && connection.busy == 0
            }
        };
        if self.stopping.is_some() && asked.is_empty() && connection.is_idle() {
            self.close(key);
            return;
        }
        if received == Received::More {
            self.again.push((key, closed));
        }
        if gone {
            self.close(key);
            return;
        }
        self.asked.extend(asked.drain(..).map(|asked| (key, asked)));
        self.spare = asked;
    }

    pub(super) fn connection(&mut self, key: Key) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(key.number)?;
        (connection.serial == key.serial).then_some(connection)
    }

    pub(super) fn send(&mut self, key: Key, answer: &str) {
        let Some(connection) = self.connections.get_mut(key.number) else {
            return;
        };
        if connection.serial == key.serial
            && connection
                .send(answer, self.poll.registry(), token(key))
                .is_err()
        {
            self.close(key);
        }
    }

    pub(super) fn close(&mut self, key: Key) {
        if self.connection(key).is_some() {
            let mut connection = self.connections.remove(key.number);
            // Closed with it in any case.
            let _ = self.poll.registry().deregister(&mut connection.stream);
        }
    }
}

const fn token(key: Key) -> Token {
    Token(CONNECTIONS + key.number)
}
