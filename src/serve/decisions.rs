//! Policy requests in progress: decided, counted, answered in order. A long file: one request is
//! followed from its lines to its answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::effect::{ClientState, ConnectionId, Effect, Turn};
use super::log::Level;
use super::tables::{ByConnection, PendingTable};
use super::timers::Timer;
use crate::app::metrics::relay::PolicyCounts;
use crate::app::relay::{
    Charge, Decision, Envelope, PolicyStage, Refusal, Relay, Requester, Reservation,
    ReservationOutcome, Ticket, address_name,
};
use crate::error::{Error, Result};
use crate::model::limits::OnLimit;
use crate::model::text::quoted;
use crate::protocol::policy::{PolicyAction, PolicyReader, PolicyRequest, ProtocolState};

/// Decides on policy requests. Has no socket: it takes inputs and returns effects.
#[derive(Default)]
pub struct Decisions {
    clients: ByConnection<PolicyClient>,
    pending: PendingTable<PendingRequest>,
    /// For metrics.
    pub counts: PolicyCounts,
}

#[derive(Default)]
struct PolicyClient {
    reader: PolicyReader,
    /// Answered in the order they came.
    queue: VecDeque<Box<PolicyRequest>>,
    /// The process at the other end, according to the kernel.
    peer: Option<u32>,
    /// It has shown that it serves the sessions it asks about.
    serves: bool,
    /// The request in progress.
    pending: Option<Ticket>,
    /// Only the next request shows that the last answer was read.
    last: Option<LastAnswer>,
}

/// What an answer has changed, in case that it does not arrive.
enum LastAnswer {
    Counted(Box<Charge>),
    /// The same as an earlier answer for the message.
    Repeated(Box<Envelope>),
    Refused(Box<Envelope>),
}

struct PendingRequest {
    connection: ConnectionId,
    envelope: Envelope,
    /// What the writer was asked for.
    reservation: Option<Reservation>,
}

/// Exim waits a second longer, so it gets an answer that is sent at this time.
const LATEST: Duration = Duration::from_secs(7);
const TOO_LATE: &str = "the store did not answer in time";
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// Other relays release their leases twice a second.
const RESERVE_AGAIN: Duration = Duration::from_millis(100);
/// Policy requests that wait on one connection. Postfix sends one at a time.
const MAX_QUEUE: usize = 64;

impl PolicyClient {
    /// Returns the process of the mail server that serves the session. Before MAIL FROM,
    /// Postfix omits it: it is the other end of the socket if that was the process before.
    fn process(&mut self, request: &PolicyRequest) -> Option<u32> {
        let given = request.process();
        if given.is_some() {
            self.serves = given == self.peer;
        }
        given.or(self.peer.filter(|_| self.serves))
    }
}

impl Decisions {
    /// Returns whether no request waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns what a connection is doing.
    pub fn state(&self, connection: ConnectionId) -> ClientState {
        match self.clients.get(connection) {
            Some(client) if client.pending.is_some() => ClientState::Busy,
            _ => ClientState::Idle,
        }
    }

    /// Returns whether a connection has no request that is not answered.
    pub fn is_drained(&self, connection: ConnectionId) -> bool {
        let client = self.clients.get(connection);
        client.is_none_or(|client| client.queue.is_empty() && client.pending.is_none())
    }

    /// Returns whether a count depends on the arrival of the last answer.
    pub fn has_counted(&self, connection: ConnectionId) -> bool {
        let client = self.clients.get(connection);
        client.is_some_and(|client| matches!(client.last, Some(LastAnswer::Counted(_))))
    }

    /// Adds a connection; `peer` is the process at its other end, if that is known.
    pub fn connected(&mut self, connection: ConnectionId, peer: Option<u32>) {
        let client = PolicyClient {
            peer,
            ..PolicyClient::default()
        };
        self.clients.insert(connection, client);
    }

    /// Forgets a closed connection. `arrived` is whether its last answer was sent.
    pub fn disconnected(&mut self, connection: ConnectionId, arrived: bool, relay: &mut Relay) {
        let Some(client) = self.clients.remove(connection) else {
            return;
        };
        if let Some(ticket) = client.pending
            && let Some(one) = self.pending.get(ticket)
        {
            one.envelope.requester.leaves();
            // If the writer was asked, it stays until the reply.
            if one.reservation.is_none() {
                self.pending.remove(ticket);
            }
        }
        if let (Some(LastAnswer::Counted(charge)), false) = (client.last, arrived) {
            self.refund(*charge, relay);
        }
    }

    fn refund(&mut self, charge: Charge, relay: &mut Relay) {
        if let Some(user) = relay.refund(charge) {
            self.counts.undone(&user);
        }
    }

    /// Undoes what the last answer has changed: it could not be sent.
    pub fn not_sent(&mut self, connection: ConnectionId, relay: &mut Relay) {
        let Some(client) = self.clients.get_mut(connection) else {
            return;
        };
        match client.last.take() {
            Some(LastAnswer::Counted(charge)) => self.refund(*charge, relay),
            Some(LastAnswer::Repeated(envelope)) => relay.keep_answered(&envelope),
            Some(LastAnswer::Refused(envelope)) => relay.forget_refusal(&envelope),
            None => {}
        }
    }

    /// Parses a line. Returns whether the connection has a new request, or why to hang up.
    pub fn line(
        &mut self,
        connection: ConnectionId,
        line: &[u8],
    ) -> std::result::Result<bool, &'static str> {
        let Some(client) = self.clients.get_mut(connection) else {
            return Ok(false);
        };
        let Some(request) = client.reader.line(line)? else {
            return Ok(false);
        };
        if client.queue.len() >= MAX_QUEUE {
            return Err("too many requests at the same time");
        }
        client.queue.push_back(request);
        Ok(true)
    }

    /// Decides about the next request of a connection, unless another one is in progress. It
    /// may have arrived since `came`.
    pub fn next(&mut self, connection: ConnectionId, came: Instant, turn: &mut Turn<'_>) {
        let Some(client) = self.clients.get_mut(connection) else {
            return;
        };
        if client.pending.is_some() {
            return;
        }
        let Some(request) = client.queue.pop_front() else {
            turn.effect(Effect::Drained(connection));
            return;
        };
        // A mail server that sends the next request has read the last answer.
        client.last = None;
        let process = client.process(&request);
        let latest = came + LATEST;
        let Some(envelope) = envelope(*request, process, latest) else {
            turn.reply(connection, PolicyAction::Dunno.to_reply());
            turn.effect(Effect::Next(connection));
            return;
        };
        match turn.relay.decide(&envelope) {
            Ok(Decision::Allow(charge)) => self.allow(connection, envelope, charge, turn),
            Ok(Decision::Refuse(refusal)) => self.refuse(connection, envelope, &refusal, turn),
            decision => {
                let ticket = self.pending.insert(PendingRequest {
                    connection,
                    envelope,
                    reservation: None,
                });
                client.pending = Some(ticket);
                turn.timer(latest, Timer::GiveUpRequest(ticket));
                self.decided(ticket, decision, turn);
            }
        }
    }

    fn decided(&mut self, ticket: Ticket, decision: Result<Decision>, turn: &mut Turn<'_>) {
        let Some(one) = self.pending.get_mut(ticket) else {
            return;
        };
        match decision {
            Ok(Decision::Reserve(reservation)) => {
                one.reservation = Some(reservation.clone());
                reserve(ticket, reservation, turn);
            }
            Ok(Decision::ReserveLater(reservation)) => {
                one.reservation = Some(reservation);
                turn.timer(turn.now + RESERVE_AGAIN, Timer::ReserveAgain(ticket));
            }
            Ok(Decision::Allow(charge)) => {
                if let Some(one) = self.answered(ticket) {
                    self.allow(one.connection, one.envelope, charge, turn);
                }
            }
            Ok(Decision::Refuse(refusal)) => {
                if let Some(one) = self.answered(ticket) {
                    self.refuse(one.connection, one.envelope, &refusal, turn);
                }
            }
            Err(Error::StoreBusy(_)) if one.reservation.is_none() => {
                turn.timer(turn.now + TRY_AGAIN, Timer::DecideAgain(ticket));
            }
            Err(error) => {
                // An answer would be a guess; without one the mail server defers the message.
                if let Some(one) = self.answered(ticket) {
                    self.counts.deferred();
                    let why = format!("cannot tell whether a message may pass: {error}");
                    turn.hang_up(one.connection, why);
                }
            }
        }
    }

    fn answered(&mut self, ticket: Ticket) -> Option<PendingRequest> {
        let one = self.pending.remove(ticket)?;
        if let Some(client) = self.clients.get_mut(one.connection) {
            client.pending = None;
        }
        Some(one)
    }

    /// Decides again: the store was locked.
    pub fn decide_again(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Some(one) = self.pending.get(ticket) {
            let decision = turn.relay.decide(&one.envelope);
            self.decided(ticket, decision, turn);
        }
    }

    /// Asks the writer again.
    pub fn reserve_again(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Some(one) = self.pending.get(ticket)
            && let Some(reservation) = one.reservation.clone()
        {
            reserve(ticket, reservation, turn);
        }
    }

    /// Handles the writer's reply. A request is kept until then, even if its client has left.
    pub fn reserved(
        &mut self,
        ticket: Ticket,
        reserved: Result<ReservationOutcome>,
        turn: &mut Turn<'_>,
    ) {
        let Some(one) = self.pending.get_mut(ticket) else {
            return;
        };
        let Some(reservation) = one.reservation.take() else {
            return;
        };
        if one.envelope.requester.is_gone() {
            if let Some(one) = self.answered(ticket) {
                turn.relay
                    .refund_abandoned(&one.envelope, &reservation, reserved);
                turn.hang_up(one.connection, TOO_LATE);
            }
            return;
        }
        let decision = turn.relay.reserved(&one.envelope, &reservation, reserved);
        self.decided(ticket, decision, turn);
    }

    /// Hangs up on a request that was not answered in time.
    pub fn give_up(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Some(one) = self.pending.get(ticket) {
            self.counts.deferred();
            turn.hang_up(one.connection, TOO_LATE);
        }
    }

    fn allow(
        &mut self,
        connection: ConnectionId,
        envelope: Envelope,
        charge: Option<Box<Charge>>,
        turn: &mut Turn<'_>,
    ) {
        let user = charge.as_ref().and_then(|charge| charge.message_of());
        self.counts.allowed(user);
        let last = match charge {
            Some(charge) => Some(LastAnswer::Counted(charge)),
            None => about_message(envelope).map(LastAnswer::Repeated),
        };
        self.reply(connection, &PolicyAction::Dunno, last, turn);
    }

    fn refuse(
        &mut self,
        connection: ConnectionId,
        envelope: Envelope,
        refusal: &Refusal,
        turn: &mut Turn<'_>,
    ) {
        let code = match refusal {
            // Mail servers hang up after it.
            Refusal::Ended | Refusal::SessionEnded => "421 4.7.0",
            Refusal::NotOwned => "553 5.7.1",
            Refusal::Stopped | Refusal::Unverified => "554 5.7.1",
            Refusal::Limit {
                action,
                exceeded,
                has_recipients,
                ..
            } => match action {
                // The others get a separate message (RFC 5321 §4.5.3.1.10).
                OnLimit::Defer if *has_recipients => "452 4.5.3",
                OnLimit::Defer if exceeded.frees_at.is_some() => "450 4.7.1",
                _ => "554 5.7.1",
            },
        };
        self.counts.refused(refusal);
        let text = refusal.text();
        let line = refused_line(turn.relay, &envelope, &text);
        let last = about_message(envelope).map(LastAnswer::Refused);
        self.reply(connection, &PolicyAction::Refuse { code, text }, last, turn);
        turn.effect(Effect::Log(Level::Notice, line));
    }

    fn reply(
        &mut self,
        connection: ConnectionId,
        action: &PolicyAction,
        last: Option<LastAnswer>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(client) = self.clients.get_mut(connection) {
            client.last = last;
        }
        turn.reply(connection, action.to_reply());
        turn.effect(Effect::Next(connection));
    }
}

/// Returns the envelope if its answer was about a whole message.
fn about_message(envelope: Envelope) -> Option<Box<Envelope>> {
    (envelope.stage == PolicyStage::Message).then(|| Box::new(envelope))
}

fn reserve(ticket: Ticket, reservation: Reservation, turn: &mut Turn<'_>) {
    let counts = turn.relay.pending.take_counts();
    turn.effect(Effect::Reserve(ticket, Box::new((reservation, counts))));
}

fn refused_line(relay: &mut Relay, envelope: &Envelope, text: &str) -> String {
    let address = address_name(envelope.address);
    let sender = match envelope.sender.as_str() {
        "" => "''".to_owned(),
        sender => quoted(relay.written_name(sender).as_str()),
    };
    let username = quoted(relay.written_name(&envelope.username).as_str());
    format!("sending refused: address={address} user={username} sender={sender}: {text}")
}

/// Returns what to decide about; `None` if no user signed in or nothing is decided now.
fn envelope(request: PolicyRequest, process: Option<u32>, until: Instant) -> Option<Envelope> {
    if request.username.is_empty() {
        return None;
    }
    let stage = match request.state {
        ProtocolState::Mail | ProtocolState::Data => PolicyStage::Sender,
        ProtocolState::Rcpt => PolicyStage::Recipient,
        ProtocolState::EndOfMessage => PolicyStage::Message,
        ProtocolState::Other => return None,
    };
    Some(Envelope {
        stage,
        process,
        requester: Requester::until(until),
        instance: request.instance,
        username: request.username,
        sender: request.sender,
        recipient: request.recipient,
        recipients: request.recipient_count,
        bytes: request.size,
        address: request.address,
    })
}

#[cfg(test)]
mod tests;
