//! Sign-ins on their way: asked for, hashed, delayed, answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::connection::Side;
use super::hashing::Done;
use super::log::Level;
use super::server::{Key, Server};
use super::timers::{Slot, Timer};
use crate::app::relay::{Accepted, Attempt, Digest, Next, Outcome, Ticket, address_name};
use crate::error::{Error, Result};
use crate::model::refusal::Reason;
use crate::protocol::auth::{Request, Step};
use crate::protocol::sasl::Credentials;

#[derive(Default)]
pub struct SignIns {
    waiting: Slab<Waiting>,
    /// Who waits for the same hash.
    together: HashMap<Digest, Vec<Slot>>,
}

struct Waiting {
    serial: u64,
    connection: Key,
    id: u32,
    attempt: Arc<Attempt>,
    since: Instant,
    ticket: Option<Ticket>,
    /// Only its delay is waited for.
    refused: bool,
}

/// In all: beyond, it is hung up.
const MOST: usize = 20_000;
/// Every answer is out by then: Postfix gives up at 10 s.
const LATEST: Duration = Duration::from_secs(8);
/// How long a store that is locked is waited for, and how often it is tried.
const LOCKED: Duration = Duration::from_secs(6);
const TRY_AGAIN: Duration = Duration::from_millis(50);

impl SignIns {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    fn get(&self, slot: Slot) -> Option<&Waiting> {
        let waiting = self.waiting.get(slot.number)?;
        (waiting.serial == slot.serial).then_some(waiting)
    }
}

impl Server {
    pub(super) fn step(&mut self, key: Key, step: Step, now: Instant) {
        match step {
            Step::Reply(text) => self.send(key, &text),
            Step::Check(request, credentials) => self.check(key, &request, credentials, now),
            Step::Malformed(request) => self.malformed(key, &request, now),
            Step::Nothing | Step::HangUp(_) => {}
        }
    }

    fn check(&mut self, key: Key, request: &Request, credentials: Credentials, now: Instant) {
        let attempt = Arc::new(Attempt {
            username: credentials.username,
            password: credentials.password,
            address: request.address,
            secured: request.secured,
        });
        // Nearly all are answered here and now.
        match self.relay.sign_in(&attempt, None, now) {
            Ok(Next::Accept(accepted)) => {
                self.busy(key, 1);
                self.accept_sign_in(key, request.id, accepted, &attempt);
            }
            next => {
                if let Some(slot) = self.wait(key, request.id, attempt, now) {
                    self.go_on(slot, next, now);
                }
            }
        }
    }

    fn malformed(&mut self, key: Key, request: &Request, now: Instant) {
        let attempt = Arc::new(Attempt {
            username: String::new(),
            password: Vec::new().into(),
            address: request.address,
            secured: request.secured,
        });
        let delay = self.relay.malformed(request.address, now);
        if let Some(slot) = self.wait(key, request.id, attempt, now) {
            self.go_on(slot, Ok(Next::Refuse(Reason::Malformed, delay)), now);
        }
    }

    /// Remembers who is to be answered later.
    fn wait(&mut self, key: Key, id: u32, attempt: Arc<Attempt>, now: Instant) -> Option<Slot> {
        if self.sign_ins.len() >= MOST {
            self.hang_up(key, "too many sign-ins at the same time");
            return None;
        }
        self.busy(key, 1);
        self.serial += 1;
        let serial = self.serial;
        let number = self.sign_ins.waiting.insert(Waiting {
            serial,
            connection: key,
            id,
            attempt,
            since: now,
            ticket: None,
            refused: false,
        });
        Some(Slot { number, serial })
    }

    /// Looks again at one that waits.
    pub(super) fn sign_in(&mut self, slot: Slot, outcome: Option<&Outcome>, now: Instant) {
        if let Some(waiting) = self.sign_ins.get(slot) {
            let attempt = Arc::clone(&waiting.attempt);
            let next = self.relay.sign_in(&attempt, outcome, now);
            self.go_on(slot, next, now);
        }
    }

    fn go_on(&mut self, slot: Slot, next: Result<Next>, now: Instant) {
        let Some(waiting) = self.sign_ins.get(slot) else {
            return;
        };
        let (key, since) = (waiting.connection, waiting.since);
        match next {
            Ok(Next::Accept(accepted)) => {
                let (attempt, id) = (Arc::clone(&waiting.attempt), waiting.id);
                self.forget(slot);
                self.accept_sign_in(key, id, accepted, &attempt);
            }
            Ok(Next::Refuse(reason, delay)) => {
                self.note_refusal(slot, reason);
                if let Some(waiting) = self.sign_ins.waiting.get_mut(slot.number) {
                    waiting.refused = true;
                }
                self.timers
                    .set(since + delay.min(LATEST), Timer::Refuse(slot));
            }
            Ok(Next::Hash(digest)) => {
                self.timers.set(since + LATEST, Timer::GiveUp(slot));
                self.hash(slot, digest, now);
            }
            Err(Error::StoreBusy(_)) if now.duration_since(since) < LOCKED => {
                self.timers.set(now + TRY_AGAIN, Timer::SignInAgain(slot));
            }
            Err(error) => {
                let why = format!("cannot tell whether a password is right: {error}");
                self.give_up(slot, &why);
            }
        }
    }

    /// The same password for the same user is hashed once, however many ask.
    fn hash(&mut self, slot: Slot, digest: Digest, now: Instant) {
        if let Some(others) = self.sign_ins.together.get_mut(&digest) {
            others.push(slot);
            return;
        }
        let Some(waiting) = self.sign_ins.get(slot) else {
            return;
        };
        let attempt = Arc::clone(&waiting.attempt);
        let Some(ticket) = self.relay.enter(&attempt, now) else {
            self.give_up(slot, "too many guesses at the same time");
            return;
        };
        if let Some(waiting) = self.sign_ins.waiting.get_mut(slot.number)
            && let Some(old) = waiting.ticket.replace(ticket)
        {
            // Of an earlier round: the user changed meanwhile.
            self.relay.leave(old);
        }
        match self.relay.job(&attempt, digest, now) {
            Ok(job) => {
                if self.hashing.check(job) {
                    self.sign_ins.together.insert(digest, vec![slot]);
                } else {
                    self.give_up(slot, "too many passwords wait to be hashed");
                }
            }
            Err(error) => self.go_on(slot, Err(error), now),
        }
    }

    pub(super) fn hashed(&mut self, done: Done, now: Instant) {
        match done {
            Done::Checked(digest, outcome) => {
                let waiting = self.sign_ins.together.remove(&digest).unwrap_or_default();
                for slot in waiting {
                    match &outcome {
                        Ok(outcome) => self.sign_in(slot, Some(outcome), now),
                        Err(error) => self.give_up(slot, &error.to_string()),
                    }
                }
            }
            Done::Upgraded(upgrade, hash) => self.keeping.upgrade(upgrade, hash),
        }
    }

    fn accept_sign_in(
        &mut self,
        key: Key,
        id: u32,
        mut accepted: Accepted,
        attempt: &Arc<Attempt>,
    ) {
        self.busy(key, -1);
        let Some(connection) = self.connection(key) else {
            return;
        };
        let Side::Auth(conversation) = &mut connection.side else {
            return;
        };
        if let Some(answer) = conversation.answer(id, Some(accepted.username.as_str())) {
            self.send(key, &answer);
            let at = (self.world.now)();
            if let Some(upgrade) = accepted.upgrade.take() {
                self.hashing.upgrade(upgrade, attempt);
            }
            self.relay.found.signed_in(accepted, attempt.address, at);
        }
    }

    fn note_refusal(&mut self, slot: Slot, reason: Reason) {
        let Some(waiting) = self.sign_ins.get(slot) else {
            return;
        };
        let attempt = Arc::clone(&waiting.attempt);
        let at = (self.world.now)();
        let username = self.relay.found.refused(&attempt, reason, at);
        // The address before the name: a name cannot pass for an address.
        let line = format!(
            "sign-in refused: address={} reason={} user={username}",
            address_name(attempt.address),
            reason.name()
        );
        self.log.say(Level::Notice, line);
    }

    pub(super) fn refuse(&mut self, slot: Slot) {
        let Some(waiting) = self.sign_ins.get(slot) else {
            return;
        };
        let (key, id) = (waiting.connection, waiting.id);
        self.forget(slot);
        self.busy(key, -1);
        if let Some(connection) = self.connection(key)
            && let Side::Auth(conversation) = &mut connection.side
            && let Some(answer) = conversation.answer(id, None)
        {
            self.send(key, &answer);
        }
    }

    pub(super) fn refuse_all(&mut self) {
        let refused: Vec<_> = self
            .sign_ins
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.refused)
            .map(|(number, waiting)| Slot {
                number,
                serial: waiting.serial,
            })
            .collect();
        for slot in refused {
            self.refuse(slot);
        }
    }

    /// The only way to say "cannot tell": mail servers then put the client off.
    pub(super) fn give_up(&mut self, slot: Slot, why: &str) {
        if let Some(waiting) = self.sign_ins.get(slot) {
            let key = waiting.connection;
            self.forget(slot);
            self.hang_up(key, why);
        }
    }

    pub(super) fn hang_up(&mut self, key: Key, why: &str) {
        if self.connection(key).is_some() {
            self.complain(why);
            self.close(key);
        }
    }

    fn forget(&mut self, slot: Slot) {
        if let Some(mut waiting) = self.sign_ins.waiting.try_remove(slot.number)
            && let Some(ticket) = waiting.ticket.take()
        {
            self.relay.leave(ticket);
        }
    }

    pub(super) fn busy(&mut self, key: Key, by: i32) {
        if let Some(connection) = self.connection(key) {
            connection.busy = connection.busy.saturating_add_signed(by);
        }
    }
}
