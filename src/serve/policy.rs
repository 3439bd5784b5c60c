//! Policy requests on their way: ruled on, counted, answered in their order.

use std::time::{Duration, Instant};

use slab::Slab;

use super::connection::Side;
use super::log::Level;
use super::server::{Key, Server};
use super::timers::{Slot, Timer};
use crate::app::relay::{Envelope, Refusal, Reservation, Reserved, Ruling, Stage};
use crate::error::{Error, Result};
use crate::model::limits::OnLimit;
use crate::protocol::policy::{Action, Request, State};

#[derive(Default)]
pub struct Rulings {
    waiting: Slab<Waiting>,
}

struct Waiting {
    serial: u64,
    connection: Key,
    envelope: Envelope,
    /// What the keeper was asked for.
    reservation: Option<Reservation>,
    /// It was hung up on.
    late: bool,
}

/// Mail servers wait longer, but their clients need not.
const LATEST: Duration = Duration::from_secs(8);
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// Other relays hand back twice a second.
const HELD_AGAIN: Duration = Duration::from_millis(100);

impl Rulings {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Server {
    /// Answers the connection's next request, unless one is being looked at.
    pub(super) fn next_ruling(&mut self, key: Key, now: Instant) {
        loop {
            let Some(connection) = self.connection(key) else {
                return;
            };
            let ended = connection.ended;
            let Side::Policy(policy) = &mut connection.side else {
                return;
            };
            if connection.busy > 0 {
                return;
            }
            let Some(request) = policy.queue.pop_front() else {
                if ended {
                    self.close(key);
                }
                return;
            };
            let Some(envelope) = envelope(*request) else {
                self.send(key, &Action::Dunno.to_reply());
                continue;
            };
            match self.relay.rule(&envelope) {
                Ok(Ruling::Allow) => self.send(key, &Action::Dunno.to_reply()),
                Ok(Ruling::Refuse(refusal)) => self.refuse_sending(key, &envelope, &refusal),
                ruling => {
                    self.busy(key, 1);
                    self.serial += 1;
                    let serial = self.serial;
                    let number = self.rulings.waiting.insert(Waiting {
                        serial,
                        connection: key,
                        envelope,
                        reservation: None,
                        late: false,
                    });
                    let slot = Slot { number, serial };
                    self.timers.set(now + LATEST, Timer::GiveUpRuling(slot));
                    self.ruled(slot, ruling, now);
                    return;
                }
            }
        }
    }

    fn ruled(&mut self, slot: Slot, ruling: Result<Ruling>, now: Instant) {
        let Some(waiting) = self.rulings.waiting.get_mut(slot.number) else {
            return;
        };
        let key = waiting.connection;
        match ruling {
            Ok(Ruling::Reserve(reservation)) => {
                waiting.reservation = Some(reservation.clone());
                let counts = self.relay.found.take_counts();
                self.keeping.reserve(slot.number, reservation, counts);
            }
            Ok(Ruling::ReserveLater(reservation)) => {
                waiting.reservation = Some(reservation);
                self.timers.set(now + HELD_AGAIN, Timer::ReserveAgain(slot));
            }
            Ok(Ruling::Allow) => {
                self.rulings.waiting.remove(slot.number);
                self.busy(key, -1);
                self.send(key, &Action::Dunno.to_reply());
                self.next_ruling(key, now);
            }
            Ok(Ruling::Refuse(refusal)) => {
                let waiting = self.rulings.waiting.remove(slot.number);
                self.busy(key, -1);
                self.refuse_sending(key, &waiting.envelope, &refusal);
                self.next_ruling(key, now);
            }
            Err(Error::StoreBusy(_)) if waiting.reservation.is_none() => {
                self.timers.set(now + TRY_AGAIN, Timer::RuleAgain(slot));
            }
            Err(error) => {
                self.rulings.waiting.remove(slot.number);
                // An answer would be a guess; without one the mail server puts
                // the message off.
                self.hang_up(
                    key,
                    &format!("cannot tell whether a message may pass: {error}"),
                );
            }
        }
    }

    pub(super) fn rule_again(&mut self, slot: Slot, now: Instant) {
        if let Some(waiting) = self.rulings.waiting.get(slot.number)
            && waiting.serial == slot.serial
        {
            let ruling = self.relay.rule(&waiting.envelope);
            self.ruled(slot, ruling, now);
        }
    }

    pub(super) fn reserve_again(&mut self, slot: Slot) {
        if let Some(waiting) = self.rulings.waiting.get(slot.number)
            && waiting.serial == slot.serial
            && let Some(reservation) = waiting.reservation.clone()
        {
            let counts = self.relay.found.take_counts();
            self.keeping.reserve(slot.number, reservation, counts);
        }
    }

    pub(super) fn reserved(&mut self, number: usize, reserved: Result<Reserved>, now: Instant) {
        // Kept until the keeper has answered, also where nobody waits.
        let Some(waiting) = self.rulings.waiting.get_mut(number) else {
            return;
        };
        let Some(reservation) = waiting.reservation.take() else {
            return;
        };
        let serial = waiting.serial;
        if waiting.late {
            let waiting = self.rulings.waiting.remove(number);
            self.relay
                .unwanted(&waiting.envelope, &reservation, &reserved);
            return;
        }
        let ruling = self
            .relay
            .reserved(&waiting.envelope, &reservation, reserved);
        self.ruled(Slot { number, serial }, ruling, now);
    }

    pub(super) fn give_up_ruling(&mut self, slot: Slot) {
        let Some(waiting) = self.rulings.waiting.get_mut(slot.number) else {
            return;
        };
        if waiting.serial != slot.serial {
            return;
        }
        let key = waiting.connection;
        waiting.late = true;
        if waiting.reservation.is_none() {
            self.rulings.waiting.remove(slot.number);
        }
        self.hang_up(key, "the store did not answer in time");
    }

    fn refuse_sending(&mut self, key: Key, envelope: &Envelope, refusal: &Refusal) {
        let code = match refusal {
            Refusal::NotOwned => "553 5.7.1",
            Refusal::Stopped | Refusal::Unverified => "554 5.7.1",
            Refusal::Limit { action, over, .. } => match action {
                OnLimit::Defer if over.frees_at.is_some() => "450 4.7.1",
                _ => "554 5.7.1",
            },
        };
        let text = refusal.text();
        self.send(
            key,
            &Action::Refuse {
                code,
                text: text.clone(),
            }
            .to_reply(),
        );
        let address = crate::app::relay::address_name(envelope.address);
        let sender = crate::model::text::quoted(&envelope.sender);
        let username = crate::model::text::quoted(&envelope.username);
        self.log.say(
            Level::Notice,
            format!("sending refused: address={address} user={username} sender={sender}: {text}"),
        );
    }
}

/// What is to be ruled on; nothing where there is nobody who signed in, or
/// nothing to say at this stage.
fn envelope(request: Request) -> Option<Envelope> {
    if request.username.is_empty() {
        return None;
    }
    let stage = match request.state {
        State::Mail | State::Data => Stage::Sender,
        State::Rcpt => Stage::Recipient,
        State::EndOfMessage => Stage::Message,
        State::Other => return None,
    };
    Some(Envelope {
        stage,
        instance: request.instance,
        username: request.username,
        sender: request.sender,
        recipient: request.recipient,
        recipients: request.recipient_count,
        bytes: request.size,
        address: request.address,
    })
}
