//! Sign-ins in progress: received, hashed, delayed, answered. A state machine without
//! sockets. A long file: one attempt is followed from its line to its answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effect::{ClientState, ConnectionId, Effect, Turn};
use super::hash_workers::HashResult;
use super::log::Level;
use super::tables::{ByConnection, PendingTable};
use super::timers::Timer;
use crate::app::metrics::relay::SignInCounts;
use crate::app::relay::{
    Accepted, Attempt, Digest, HashJob, HashOutcome, LATEST, Relay, Service, SignInDecision, Ticket,
};
use crate::error::{Error, Result};
use crate::model::refused_sign_ins::RefusalReason;
use crate::protocol::auth::{AuthConversation, AuthRequest, AuthStep, greeting};
use crate::protocol::cache_status;
use crate::protocol::sasl::SaslCredentials;

/// Decides on sign-ins. Has no socket: it takes inputs and returns effects.
#[derive(Default)]
pub struct SignIns {
    clients: ByConnection<AuthClient>,
    pending: PendingTable<PendingSignIn>,
    /// The time at which the queue is looked at again.
    hash_at: Option<Instant>,
    /// For metrics.
    pub counts: SignInCounts,
}

#[derive(Default)]
struct AuthClient {
    conversation: AuthConversation,
    /// The process at the other end, if it is one of this machine.
    peer: Option<u32>,
    /// How many of its sign-ins are in progress.
    pending: u32,
}

struct PendingSignIn {
    connection: ConnectionId,
    /// The number that the mail server gave the request.
    id: u32,
    attempt: Arc<Attempt>,
    /// To be hashed, until its turn comes.
    job: Option<Box<HashJob>>,
    /// The hash it waits for. Other clients may wait for the same one.
    digest: Option<Digest>,
    /// It is refused, and only its answer is delayed.
    refused: bool,
}

/// The limit of sign-ins in progress. Beyond it, connections are closed.
const MOST: usize = 20_000;
/// How often a locked store is tried.
const TRY_AGAIN: Duration = Duration::from_millis(50);

impl SignIns {
    /// Returns whether no sign-in waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns how many sign-ins wait for an answer.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns what a connection is doing.
    pub fn state(&self, connection: ConnectionId) -> ClientState {
        match self.clients.get(connection) {
            Some(client) if client.pending > 0 => ClientState::Busy,
            Some(client) if !client.conversation.is_ready() => ClientState::Greeting,
            Some(client) if client.conversation.is_asked() => ClientState::Greeting,
            _ => ClientState::Idle,
        }
    }

    /// Greets a new connection. `cookie` must be new, too; `peer` is the process at the other
    /// end, if that is known.
    pub fn connected(
        &mut self,
        connection: ConnectionId,
        (pid, cookie): (u32, u128),
        peer: Option<u32>,
        turn: &mut Turn<'_>,
    ) {
        let client = AuthClient {
            peer,
            ..AuthClient::default()
        };
        self.clients.insert(connection, client);
        turn.reply(connection, greeting(pid, connection.serial, cookie));
    }

    /// Forgets a connection that is closed: a client that hangs up is not hashed.
    pub fn disconnected(&mut self, connection: ConnectionId, relay: &mut Relay) {
        let client = self.clients.remove(connection);
        if client.is_some_and(|client| client.pending > 0) {
            for ticket in self.pending.tickets(|one| one.connection == connection) {
                self.forget(ticket, relay);
            }
        }
    }

    /// Parses a line. Returns what to [`handle`](Self::handle), if anything.
    pub fn line(
        &mut self,
        connection: ConnectionId,
        line: &[u8],
        now: Instant,
    ) -> Option<AuthStep> {
        match self
            .clients
            .get_mut(connection)?
            .conversation
            .line(line, now)
        {
            AuthStep::Nothing => None,
            step => Some(step),
        }
    }

    /// Handles a line that was read before now, and may have arrived since `came`.
    pub fn handle(
        &mut self,
        connection: ConnectionId,
        step: AuthStep,
        came: Instant,
        turn: &mut Turn<'_>,
    ) {
        if self.clients.get(connection).is_none() {
            return;
        }
        match step {
            AuthStep::Nothing => {}
            AuthStep::Reply(text) => turn.reply(connection, text),
            AuthStep::Check(request, credentials) => {
                let attempt = attempt(&request, credentials, came, turn.now);
                self.check(connection, request.id, attempt, turn);
            }
            AuthStep::Malformed(request) => {
                let nothing = SaslCredentials {
                    username: String::new(),
                    password: Vec::new().into(),
                };
                let attempt = attempt(&request, nothing, came, turn.now);
                self.malformed(connection, request.id, attempt, turn);
            }
            AuthStep::Remembering => {
                let text = cache_status::answer(&turn.relay.remembering());
                turn.reply(connection, text);
            }
            AuthStep::HangUp(why) => turn.hang_up(connection, why),
        }
    }

    fn check(
        &mut self,
        connection: ConnectionId,
        id: u32,
        attempt: Arc<Attempt>,
        turn: &mut Turn<'_>,
    ) {
        // Nearly all are answered here.
        match turn.relay.sign_in(&attempt, None, turn.now) {
            Ok(SignInDecision::Accept(accepted)) => {
                self.accept(connection, id, accepted, &attempt, turn);
            }
            decision => {
                if let Some(ticket) = self.wait(connection, id, attempt, turn) {
                    self.decided(ticket, decision, turn);
                }
            }
        }
    }

    fn malformed(
        &mut self,
        connection: ConnectionId,
        id: u32,
        attempt: Arc<Attempt>,
        turn: &mut Turn<'_>,
    ) {
        let answer = turn.relay.malformed(attempt.address, turn.now);
        if let Some(ticket) = self.wait(connection, id, attempt, turn) {
            let decision = SignInDecision::Refuse(RefusalReason::Malformed, answer);
            self.decided(ticket, Ok(decision), turn);
        }
    }

    fn wait(
        &mut self,
        connection: ConnectionId,
        id: u32,
        attempt: Arc<Attempt>,
        turn: &mut Turn<'_>,
    ) -> Option<Ticket> {
        if self.pending.len() >= MOST {
            self.counts.deferred();
            turn.hang_up(connection, "too many sign-ins at the same time");
            return None;
        }
        self.clients.get_mut(connection)?.pending += 1;
        Some(self.pending.insert(PendingSignIn {
            connection,
            id,
            attempt,
            job: None,
            digest: None,
            refused: false,
        }))
    }

    /// Decides about a pending sign-in again: its hash is done, or the store was locked. One
    /// that is refused by now stays refused, and is recorded once.
    pub fn decide(&mut self, ticket: Ticket, outcome: Option<&HashOutcome>, turn: &mut Turn<'_>) {
        if let Some(one) = self.pending.get(ticket).filter(|one| !one.refused) {
            let decision = turn.relay.sign_in(&one.attempt, outcome, turn.now);
            self.decided(ticket, decision, turn);
        }
    }

    fn decided(&mut self, ticket: Ticket, decision: Result<SignInDecision>, turn: &mut Turn<'_>) {
        let Some(one) = self.pending.get_mut(ticket) else {
            return;
        };
        let latest = one.attempt.latest;
        match decision {
            Ok(SignInDecision::Accept(accepted)) => {
                if let Some(one) = self.forget(ticket, turn.relay) {
                    self.accept(one.connection, one.id, accepted, &one.attempt, turn);
                }
            }
            Ok(SignInDecision::Refuse(reason, answer)) => {
                one.refused = true;
                (one.job, one.digest) = (None, None);
                turn.relay.cancel_hash(ticket);
                self.counts.refused(reason);
                let line = turn.relay.record_refused(&one.attempt, reason);
                turn.effect(Effect::Log(Level::Notice, line));
                let timer = if answer <= latest {
                    Timer::Refuse(ticket)
                } else {
                    Timer::GiveUp(ticket)
                };
                turn.timer(answer.min(latest), timer);
            }
            Ok(SignInDecision::Hash(job)) => {
                turn.timer(latest, Timer::GiveUp(ticket));
                let is_queued = turn.relay.queue_hash(ticket, &job, turn.now);
                one.digest = Some(job.digest);
                one.job = Some(job);
                if !is_queued {
                    self.give_up(ticket, "too many guesses at the same time", turn);
                }
            }
            Err(Error::StoreBusy(_)) if turn.now < latest => {
                turn.timer(turn.now + TRY_AGAIN, Timer::SignInAgain(ticket));
            }
            Err(error) => {
                let why = format!("cannot tell whether a password is right: {error}");
                self.give_up(ticket, why, turn);
            }
        }
    }

    /// Gives free workers something to do: at the end of each turn. Sets a timer for a turn
    /// in which more can be done.
    pub fn hash_next(&mut self, turn: &mut Turn<'_>) {
        self.hash_at.take_if(|at| *at <= turn.now);
        while let Some(ticket) = turn.relay.next_hash(turn.now) {
            let Some(one) = self.pending.get_mut(ticket) else {
                continue;
            };
            let Some(job) = one.job.take() else { continue };
            let client = self.clients.get(one.connection);
            if !client.is_some_and(|client| client.conversation.is_awaited(one.id)) {
                // A cancelled request: frees its number without an answer.
                turn.relay.hash_failed(&job.digest, turn.now);
                self.refuse(ticket, turn);
            } else if job.may_match {
                turn.effect(Effect::Hash(job));
            } else {
                let until = turn.now + turn.relay.usual_hash_time();
                turn.effect(Effect::OccupyWorker(job, until));
            }
        }
        if let Some(at) = turn.relay.next_hash_at(turn.now)
            && self.hash_at.is_none_or(|set| at < set)
        {
            self.hash_at = Some(at);
            turn.timer(at, Timer::HashNext);
        }
    }

    /// Handles what a worker has computed: once for all clients that wait for the same
    /// password of the same user.
    pub fn hashed(&mut self, result: HashResult, turn: &mut Turn<'_>) {
        match result {
            HashResult::Checked(job, outcome, took) => {
                turn.relay.hash_done(&job, &outcome, took, turn.now);
                let waiting = self.pending.tickets(|one| one.digest == Some(job.digest));
                if let (Ok(outcome), true) = (&outcome, waiting.is_empty()) {
                    // All clients have hung up; the outcome is remembered nevertheless.
                    let _ = turn.relay.sign_in(&job.attempt, Some(outcome), turn.now);
                }
                for ticket in waiting {
                    turn.relay.cancel_hash(ticket);
                    match &outcome {
                        Ok(outcome) => self.decide(ticket, Some(outcome), turn),
                        Err(error) => self.give_up(ticket, error.to_string(), turn),
                    }
                }
            }
            HashResult::Upgraded(upgrade, attempt, hash) => {
                turn.relay.upgraded(&upgrade, &attempt, &hash);
                turn.effect(Effect::StoreHash(upgrade, hash));
            }
        }
    }

    fn accept(
        &mut self,
        connection: ConnectionId,
        id: u32,
        mut accepted: Accepted,
        attempt: &Arc<Attempt>,
        turn: &mut Turn<'_>,
    ) {
        let Some(client) = self.clients.get_mut(connection) else {
            return;
        };
        let process = client.conversation.process();
        let service = Service {
            process,
            is_here: process.is_some() && process == client.peer,
            connection: connection.serial,
        };
        // Mail servers name the session by it, and ask about its messages under it.
        let name = accepted.name.as_str();
        if let Some(answer) = client.conversation.answer(id, Some(name)) {
            turn.reply(connection, answer);
            self.counts
                .accepted((turn.now + LATEST).saturating_duration_since(attempt.latest));
            if let Some(upgrade) = accepted.upgrade.take() {
                turn.effect(Effect::Rehash(upgrade, Arc::clone(attempt)));
            }
            turn.relay
                .record_accepted(accepted, service, attempt.address);
        }
    }

    /// Answers "wrong".
    pub fn refuse(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(one) = self.forget(ticket, turn.relay) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(one.connection)
            && let Some(answer) = client.conversation.answer(one.id, None)
        {
            turn.reply(one.connection, answer);
        }
    }

    /// Answers all delayed refusals now.
    pub fn refuse_all(&mut self, turn: &mut Turn<'_>) {
        for ticket in self.pending.tickets(|one| one.refused) {
            self.refuse(ticket, turn);
        }
    }

    /// Hangs up: mail servers then defer the client.
    pub fn give_up(
        &mut self,
        ticket: Ticket,
        why: impl Into<Cow<'static, str>>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(one) = self.forget(ticket, turn.relay) {
            if !one.refused {
                self.counts.deferred();
            }
            turn.hang_up(one.connection, why);
        }
    }

    fn forget(&mut self, ticket: Ticket, relay: &mut Relay) -> Option<PendingSignIn> {
        let one = self.pending.remove(ticket)?;
        relay.cancel_hash(ticket);
        if let Some(client) = self.clients.get_mut(one.connection) {
            client.pending = client.pending.saturating_sub(1);
        }
        Some(one)
    }
}

fn attempt(
    request: &AuthRequest,
    credentials: SaslCredentials,
    came: Instant,
    now: Instant,
) -> Arc<Attempt> {
    Arc::new(Attempt {
        username: credentials.username,
        password: credentials.password,
        address: request.address,
        secured: request.secured,
        since: now,
        latest: came + LATEST,
    })
}

#[cfg(test)]
mod tests;
