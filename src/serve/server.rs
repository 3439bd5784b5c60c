//! The loop. Each turn reads what came, then checks whether the store has changed, then
//! answers: so everything that was committed before a request holds for its answer
//! (promise 3). Decisions are made elsewhere; this carries out their effects. A long file:
//! only its own rooms touch the fields of the server, too.

mod metrics;
mod stopping;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Waker;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGUSR2};

use super::connection::{Received, Stream};
use super::decisions::Decisions;
use super::effect::{ClientState, ConnectionId, Effect, Effects, Turn};
use super::hash_workers::HashWorkers;
use super::housekeeping::{Housekeeping, notify};
use super::log::{Level, Log};
use super::network::{Network, Ready};
use super::restart::{Program, ProgramCheck, listen_to_signals};
use super::scrape_room::ScrapeRoom;
use super::scrapes::MOST as MOST_SCRAPES;
use super::sign_ins::SignIns;
use super::sockets::{Listener, Protocol, Purpose};
use super::timers::{Timer, Timers};
use super::writer_thread::{WriterReply, WriterThread};
use crate::app::World;
use crate::app::relay::{Opener, PendingWrites, Relay};
use crate::error::Result;
use crate::model::text::count;
use crate::protocol::auth::AuthStep;

/// The sockets and threads around the state machines.
pub struct Server {
    network: Network,
    waker: Arc<Waker>,
    /// What the last poll returned.
    ready: Vec<Ready>,
    /// What was received in this turn.
    inputs: Vec<(ConnectionId, Input)>,
    /// Connections to read from again in the next turn, and whether they are closed.
    again: Vec<(ConnectionId, bool)>,
    world: World,
    relay: Relay,
    sign_ins: SignIns,
    decisions: Decisions,
    /// To be carried out.
    effects: Effects,
    timers: Timers,
    hash_workers: HashWorkers,
    writer: WriterThread,
    /// A write is due, and its timer is set.
    write_due: bool,
    /// There was no room for a connection, and the timer to accept again is set.
    accept_due: bool,
    log: Log,
    housekeeping: Housekeeping,
    /// The end of the last poll.
    polled: Instant,
    /// Until then, the loop polls without sleeping.
    awake: Instant,
    stopping: Option<Stopping>,
    /// The program that will replace ours.
    restart: Option<Program>,
    program_check: Option<ProgramCheck>,
    /// Those who scrape metrics, if that is wanted.
    scrapes: Option<ScrapeRoom>,
}

/// What a line asks for.
enum Input {
    Auth(AuthStep),
    /// The queue of the connection has grown.
    Policy,
    HangUp(&'static str),
}

/// The deadlines once we were told to stop.
#[derive(Clone, Copy)]
struct Stopping {
    answers: Instant,
    handshakes: Instant,
}

/// A mail server that was answered asks again at once, and waking up takes longer than an
/// answer: the loop stays awake this long.
const AWAKE: Duration = Duration::from_micros(50);
/// A poll that returns this soon has not slept.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Everything is written to the store within a second.
const WRITE: Duration = Duration::from_millis(500);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const ACCEPT_MORE: Duration = Duration::from_millis(5);
/// How often to look whether someone asks for the open sessions.
const LOOK: Duration = Duration::from_millis(500);
/// How often to check whether all are answered, then.
const TICK: Duration = Duration::from_millis(50);

impl Server {
    /// Registers the sockets and starts the threads. The previous program has accepted this many
    /// `connections`.
    pub fn start(
        listeners: Vec<Listener>,
        connections: u64,
        mut relay: Relay,
        (for_writing, for_metrics): (Opener, Option<Opener>),
        world: World,
        workers: usize,
        log: Log,
    ) -> Result<Self> {
        let (network, waker) = Network::open(listeners, connections)?;
        listen_to_signals();
        // Opens the store before the first client needs it.
        let refreshed = relay.refresh(Instant::now());
        let now = Instant::now();
        let scrapes = for_metrics.map(|open| ScrapeRoom::new(open, world, &waker));
        let mut server = Self {
            hash_workers: HashWorkers::start(workers, world.random, &waker),
            writer: WriterThread::start(for_writing, world, Arc::clone(&waker), log.clone()),
            housekeeping: Housekeeping::new(log.clone()),
            network,
            waker,
            ready: Vec::new(),
            inputs: Vec::new(),
            again: Vec::new(),
            world,
            relay,
            sign_ins: SignIns::default(),
            decisions: Decisions::default(),
            effects: Effects::new(),
            timers: Timers::default(),
            write_due: false,
            accept_due: false,
            log,
            polled: now,
            awake: now,
            stopping: None,
            restart: None,
            program_check: None,
            scrapes,
        };
        let names = server.network.names();
        server.log.say(Level::Info, format!("ready: {names}"));
        notify(&[NotifyState::Ready]);
        server.housekeeping.store_refreshed(&refreshed);
        // Removes old counts and refusals now, and then at each report.
        server.write(false);
        server.report(now);
        server.tell_sessions(now);
        Ok(server)
    }

    /// Runs until it is told to stop and all clients are answered.
    pub fn run(&mut self) -> Result<()> {
        loop {
            let now = Instant::now();
            if let Some(stopping) = self.stopping {
                self.let_go(stopping, now);
                if now >= stopping.answers || self.is_done(stopping, now) {
                    return Ok(());
                }
            }
            self.turn(now)?;
        }
    }

    fn turn(&mut self, now: Instant) -> Result<()> {
        let timeout = if self.again.is_empty() && now >= self.awake {
            let stopping = self
                .stopping
                .map(|stopping| stopping.answers.min(stopping.handshakes.max(now + TICK)));
            let next = [self.timers.next(), stopping].into_iter().flatten().min();
            next.map(|at| at.saturating_duration_since(now))
        } else {
            Some(Duration::ZERO)
        };
        let mut ready = std::mem::take(&mut self.ready);
        self.network.poll(timeout, &mut ready)?;
        // What is readable at once may have come while the previous turn waited for a slow
        // store: deadlines count from there.
        let polled = Instant::now();
        let came = if polled.duration_since(now) < AT_ONCE {
            self.polled
        } else {
            polled
        };
        self.polled = polled;
        for (id, closed) in std::mem::take(&mut self.again) {
            self.receive(id, closed, polled);
        }
        let idle = ready.is_empty() && self.inputs.is_empty();
        for one in ready.drain(..) {
            match one {
                Ready::Woken => {}
                Ready::Accept(i) => self.accept(i, polled),
                Ready::Read { id, closed } => self.receive(id, closed, polled),
                Ready::Scrape(number) => self.scrape(number, polled),
                Ready::Deaf(id) => self.close(id),
                Ready::Broken(id) => self.broken(id),
            }
        }
        self.ready = ready;
        // Everything that was read has come by now: delays count from here.
        let now = if idle { polled } else { Instant::now() };
        if !idle {
            self.answer_all(came, now);
        }
        self.timers(now);
        self.answer_scrapes(now);
        self.sign_in(now, SignIns::hash_next);
        if !self.write_due && self.relay.has_pending() {
            self.write_due = true;
            self.timers.set(now + WRITE, Timer::Write);
        }
        Ok(())
    }

    /// Handles everything that came since the previous turn.
    fn answer_all(&mut self, came: Instant, now: Instant) {
        self.awake = now + AWAKE;
        let refreshed = self.relay.refresh(now);
        self.housekeeping.store_refreshed(&refreshed);
        // First, because an answer that does not arrive frees its room for new requests.
        while let Some(reply) = self.writer.reply() {
            match reply {
                WriterReply::Reserved(ticket, reserved) => {
                    self.decide(now, |one, turn| one.reserved(ticket, reserved, turn));
                }
                WriterReply::Renewed(renewed) => self.relay.renewed(renewed),
            }
        }
        let mut inputs = std::mem::take(&mut self.inputs);
        for (id, input) in inputs.drain(..) {
            self.answer(id, input, came, now);
            self.due_answers(now);
        }
        self.inputs = inputs;
        while let Some(result) = self.hash_workers.result() {
            self.sign_in(now, |one, turn| one.hashed(result, turn));
            self.due_answers(now);
        }
        for signal in self.network.signals() {
            self.signal(signal, now);
        }
        self.replace_program(now);
    }

    /// Gives something to the sign-ins, and carries out what follows.
    fn sign_in(&mut self, now: Instant, input: impl FnOnce(&mut SignIns, &mut Turn<'_>)) {
        let (relay, effects) = (&mut self.relay, &mut self.effects);
        input(
            &mut self.sign_ins,
            &mut Turn {
                relay,
                now,
                effects,
            },
        );
        self.carry_out(now);
    }

    /// Gives something to the policy decisions, and carries out what follows.
    fn decide(&mut self, now: Instant, input: impl FnOnce(&mut Decisions, &mut Turn<'_>)) {
        let (relay, effects) = (&mut self.relay, &mut self.effects);
        input(
            &mut self.decisions,
            &mut Turn {
                relay,
                now,
                effects,
            },
        );
        self.carry_out(now);
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Reply(id, text) => self.send(id, &text),
                Effect::HangUp(id, why) => {
                    if self.network.connection(id).is_some() {
                        self.housekeeping.hung_up(&why, now);
                        self.close(id);
                    }
                }
                Effect::Next(id) => {
                    let (relay, effects) = (&mut self.relay, &mut self.effects);
                    let mut turn = Turn {
                        relay,
                        now,
                        effects,
                    };
                    self.decisions.next(id, now, &mut turn);
                }
                Effect::Drained(id) => self.drained(id),
                Effect::Hash(job) => self.hash_workers.check(*job),
                Effect::OccupyWorker(job, until) => {
                    self.hash_workers.occupy(*job, until);
                    self.timers.set(until, Timer::Unoccupied);
                }
                Effect::Rehash(upgrade, attempt) => self.hash_workers.upgrade(upgrade, &attempt),
                Effect::StoreHash(upgrade, hash) => self.writer.upgrade(upgrade, hash),
                Effect::Reserve(ticket, wanted) => {
                    let (reservation, counts) = *wanted;
                    self.writer.reserve(ticket, reservation, counts);
                }
                Effect::Timer(at, timer) => self.timers.set(at, timer),
                Effect::Log(level, line) => self.log.say(level, line),
            }
        }
    }

    fn accept(&mut self, i: usize, now: Instant) {
        // Anyone on this machine may connect there, as often as they like.
        let mut scrapes = 2 * MOST_SCRAPES;
        while self.stopping.is_none() {
            match self.network.accept(i) {
                Ok((stream, Purpose::Metrics)) => {
                    self.welcome_scrape(stream, now);
                    scrapes -= 1;
                    if scrapes == 0 {
                        return self.accept_later(now + ACCEPT_MORE);
                    }
                }
                Ok((stream, purpose)) => self.welcome(stream, purpose, now),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    self.log
                        .say(Level::Error, format!("cannot accept a connection: {e}"));
                    self.make_room();
                    return self.accept_later(now + ACCEPT_AGAIN);
                }
            }
        }
    }

    fn accept_later(&mut self, at: Instant) {
        if !self.accept_due {
            self.accept_due = true;
            self.timers.set(at, Timer::Accept);
        }
    }

    fn welcome(&mut self, stream: Stream, purpose: Purpose, now: Instant) {
        let Purpose::Mail(protocol) = purpose else {
            return self.welcome_scrape(stream, now);
        };
        if self.network.is_full() {
            self.make_room();
        }
        let peer = stream.peer();
        let Some(id) = self.network.add(stream, protocol, now) else {
            return;
        };
        match protocol {
            Protocol::Auth => {
                let mut cookie = [0; 16];
                // It need not be secret, only new.
                let _ = (self.world.random)(&mut cookie);
                let cookie = u128::from_le_bytes(cookie);
                let pid = std::process::id();
                self.sign_in(now, |one, turn| {
                    one.connected(id, (pid, cookie), peer, turn);
                });
            }
            Protocol::Policy => self.decisions.connected(id, peer),
        }
    }

    fn make_room(&mut self) {
        let state = |id, protocol| self.state(id, protocol);
        if let Some(id) = self.network.idlest(Instant::now(), state) {
            self.close(id);
        }
    }

    fn state(&self, id: ConnectionId, protocol: Protocol) -> ClientState {
        match protocol {
            Protocol::Auth => self.sign_ins.state(id),
            Protocol::Policy => self.decisions.state(id),
        }
    }

    fn receive(&mut self, id: ConnectionId, closed: bool, now: Instant) {
        let (sign_ins, decisions) = (&mut self.sign_ins, &mut self.decisions);
        let inputs = &mut self.inputs;
        let before = inputs.len();
        let received = self.network.receive(id, closed, now, |protocol, line| {
            let input = match protocol {
                Protocol::Auth => match sign_ins.line(id, line, now) {
                    None => return true,
                    Some(AuthStep::HangUp(why)) => Input::HangUp(why),
                    Some(step) => Input::Auth(step),
                },
                Protocol::Policy => match decisions.line(id, line) {
                    Ok(false) => return true,
                    Ok(true) => Input::Policy,
                    Err(why) => Input::HangUp(why),
                },
            };
            let go_on = !matches!(input, Input::HangUp(_));
            inputs.push((id, input));
            go_on
        });
        let Some((received, connection)) = received else {
            return;
        };
        let protocol = connection.protocol;
        if received == Received::TooLong {
            inputs.push((id, Input::HangUp("a line is too long")));
        }
        let gone = match protocol {
            // What it has sent before is still to be answered, perhaps later in this turn.
            Protocol::Auth if connection.let_go => {
                connection.ended && inputs.iter().all(|(other, _)| *other != id)
            }
            // Exim hangs up when its client has given up.
            Protocol::Auth => connection.ended,
            Protocol::Policy => {
                connection.ended && decisions.is_drained(id) && !connection.finished
            }
        };
        let is_sent = connection.is_sent();
        let waits =
            connection.let_go && (!is_sent || self.state(id, protocol) == ClientState::Busy);
        if received == Received::Broken {
            self.inputs.truncate(before);
            self.broken(id);
        } else if gone && !waits {
            self.inputs.truncate(before);
            self.close(id);
        } else if received == Received::More {
            self.again.push((id, closed));
        }
    }

    fn answer(&mut self, id: ConnectionId, input: Input, came: Instant, now: Instant) {
        match input {
            Input::Auth(step) => self.sign_in(now, |one, turn| one.handle(id, step, came, turn)),
            Input::Policy => self.decide(now, |one, turn| one.next(id, came, turn)),
            Input::HangUp(why) => self.decide(now, |_, turn| turn.hang_up(id, why)),
        }
    }

    fn send(&mut self, id: ConnectionId, answer: &str) {
        if !self.network.send(id, answer) {
            self.decisions.not_sent(id, &mut self.relay);
            self.close(id);
        }
    }

    /// Handles the end of all requests of a connection.
    fn drained(&mut self, id: ConnectionId) {
        let has_counted = self.decisions.has_counted(id);
        if let Some(connection) = self.network.connection(id)
            && connection.ended
        {
            match connection.finish(has_counted) {
                Ok(true) => {}
                // It is closed once all is sent, or when we end.
                Ok(false) if connection.let_go && !connection.is_sent() => {}
                Ok(false) => self.close(id),
                Err(_) => self.broken(id),
            }
        }
    }

    /// Handles a broken connection: the last answer did not arrive.
    fn broken(&mut self, id: ConnectionId) {
        self.disconnect(id, false);
    }

    fn close(&mut self, id: ConnectionId) {
        self.disconnect(id, true);
    }

    fn disconnect(&mut self, id: ConnectionId, may_arrive: bool) {
        let Some(connection) = self.network.remove(id) else {
            return;
        };
        match connection.protocol {
            Protocol::Auth => self.sign_ins.disconnected(id, &mut self.relay),
            Protocol::Policy => {
                let arrived = may_arrive && connection.is_sent();
                self.decisions.disconnected(id, arrived, &mut self.relay);
            }
        }
    }

    fn due_answers(&mut self, now: Instant) {
        while let Some(timer) = self.timers.due_answer() {
            self.due(timer, now);
        }
    }

    fn timers(&mut self, now: Instant) {
        self.due_answers(now);
        // The others may read the store.
        if self.timers.next().is_some_and(|at| at <= now) {
            let refreshed = self.relay.refresh(now);
            self.housekeeping.store_refreshed(&refreshed);
        }
        while let Some(timer) = self.timers.due(now) {
            self.due(timer, now);
            self.due_answers(now);
        }
    }

    fn due(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Refuse(ticket) => self.sign_in(now, |one, turn| one.refuse(ticket, turn)),
            Timer::GiveUp(ticket) => {
                self.sign_in(now, |one, turn| {
                    one.give_up(ticket, "no answer in time", turn);
                });
            }
            // Each turn ends with `SignIns::hash_next`.
            Timer::HashNext => {}
            Timer::Unoccupied => {
                for result in self.hash_workers.unoccupied(now) {
                    self.sign_in(now, |one, turn| one.hashed(result, turn));
                }
            }
            Timer::SignInAgain(ticket) => {
                self.sign_in(now, |one, turn| one.decide(ticket, None, turn));
            }
            Timer::DecideAgain(ticket) => {
                self.decide(now, |one, turn| one.decide_again(ticket, turn));
            }
            Timer::ReserveAgain(ticket) => {
                self.decide(now, |one, turn| one.reserve_again(ticket, turn));
            }
            Timer::GiveUpRequest(ticket) => {
                self.decide(now, |one, turn| one.give_up(ticket, turn));
            }
            Timer::Write => {
                self.write_due = false;
                self.write(self.stopping.is_none());
            }
            Timer::Report => self.report(now),
            Timer::Sessions => self.tell_sessions(now),
            Timer::Scrapes => self.look_at_scrapes(now),
            Timer::Accept => {
                self.accept_due = false;
                for i in 0..self.network.listeners() {
                    self.accept(i, now);
                }
            }
        }
    }

    /// Gives the writer what is to be written, and releases the leases. Busy users get new
    /// ones while there is `more` to come.
    fn write(&mut self, more: bool) {
        let busy = if more {
            self.relay.release_to_renew()
        } else {
            self.relay.release_leases();
            Vec::new()
        };
        self.housekeeping.remembering(&self.relay.remembering());
        let pending = self.relay.take_pending();
        if pending.lost > 0 {
            let lost = count(pending.lost, "refused sign-in");
            self.log
                .say(Level::Warning, format!("too many to write down: {lost}"));
        }
        self.writer.note(pending, busy);
    }

    fn report(&mut self, now: Instant) {
        let often = self.housekeeping.report(
            self.network.len(),
            self.sign_ins.len(),
            self.relay.remembering().passwords,
        );
        self.timers.set(now + often, Timer::Report);
        self.rebind_removed(now);
        // Removes old counts and refusals where nothing new is written.
        self.writer.note(PendingWrites::default(), Vec::new());
    }

    /// Writes the open sessions to the store if someone asks for them.
    fn tell_sessions(&mut self, now: Instant) {
        self.timers.set(now + LOOK, Timer::Sessions);
        // An error is logged where it matters more.
        if let Ok(Some(report)) = self.relay.asked_for_sessions() {
            self.writer.tell_sessions(report);
        }
    }

    fn rebind_removed(&mut self, now: Instant) {
        if self.stopping.is_none() {
            for (stream, purpose) in self.network.rebind_removed(&self.log) {
                self.welcome(stream, purpose, now);
            }
        }
    }

    fn signal(&mut self, number: i32, now: Instant) {
        match number {
            SIGHUP => {
                self.relay.reload();
                let line = "reading the store and its settings again";
                self.log.say(Level::Info, line.into());
                self.rebind_removed(now);
            }
            SIGUSR2 => {
                if self.stopping.is_none() && self.program_check.is_none() {
                    let waker = Arc::clone(&self.waker);
                    self.program_check = Some(ProgramCheck::start(waker));
                }
            }
            _ => {
                // Even if it was about to restart.
                self.restart = None;
                self.stop_accepting("stopping", now);
            }
        }
    }
}
