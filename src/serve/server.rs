//! The loop. Each turn reads what came, then looks whether the store changed,
//! then answers: so whatever was committed before somebody asked holds for the
//! answer (promise 3).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use slab::Slab;

use super::auth::SignIns;
use super::connection::{Asked, Connection, READ};
use super::hashing::Hashing;
use super::keeping::{Keeping, Kept};
use super::listening::{Open, most_connections};
use super::log::{Level, Log};
use super::policy::Rulings;
use super::reports::notify;
use super::restart::listen_to_signals;
use super::signals::{Signal, signal_pipe};
use super::sockets::Listener;
use super::timers::{Timer, Timers};
use super::{End, Restart};
use crate::app::World;
use crate::app::relay::{Opener, Relay};
use crate::error::{Error, Result};

pub struct Server {
    pub(super) poll: Poll,
    pub(super) events: Option<Events>,
    pub(super) open: Vec<Open>,
    pub(super) signals: Vec<Signal>,
    pub(super) connections: Slab<Connection>,
    pub(super) most: usize,
    pub(super) buffer: Vec<u8>,
    /// What came in this turn.
    pub(super) asked: Vec<(Key, Asked)>,
    /// Empty; kept for its memory.
    pub(super) spare: Vec<Asked>,
    /// Read on in the next turn.
    pub(super) again: Vec<(Key, bool)>,
    pub(super) relay: Relay,
    pub(super) world: World,
    pub(super) hashing: Hashing,
    pub(super) keeping: Keeping,
    pub(super) timers: Timers,
    pub(super) log: Log,
    pub(super) sign_ins: SignIns,
    pub(super) rulings: Rulings,
    pub(super) serial: u64,
    /// Until when it is looked for more without going to sleep.
    awake: Instant,
    /// Until when answers are waited for, once we were told to stop.
    pub(super) stopping: Option<Instant>,
    /// Until when handshakes are, then.
    pub(super) greeting: Instant,
    pub(super) restart: bool,
    /// The store could not be read; said once.
    pub(super) lost: bool,
    pub(super) complained: Option<Instant>,
    pub(super) unsaid: u64,
    pub(super) note_set: bool,
    pub(super) watchdog: Option<Duration>,
}

/// A connection that may be gone by the time it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub number: usize,
    pub serial: u64,
}

const WAKER: Token = Token(0);
const SIGNALS: usize = 1;
const LISTENERS: usize = 16;
pub(super) const CONNECTIONS: usize = 1024;
/// A mail server that was answered asks on at once, and being woken takes longer
/// than to answer: for so long it is waited for awake.
const AWAKE: Duration = Duration::from_micros(50);
/// What was found out is written down this often, which is within a second.
const NOTE: Duration = Duration::from_millis(500);
pub(super) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// After being told to stop: as long as any answer takes.
pub(super) const DRAIN: Duration = Duration::from_secs(8);
/// And for mail servers that have just come in.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(1);
/// How often it is looked whether all is done, then.
const TICK: Duration = Duration::from_millis(50);

impl Server {
    pub fn start(
        listeners: Vec<Listener>,
        openers: [Opener; 2],
        world: World,
        workers: usize,
        log: Log,
    ) -> Result<Self> {
        if listeners.len() > CONNECTIONS - LISTENERS {
            return Err(Error::Usage("too many sockets".into()));
        }
        let poll = Poll::new().map_err(system)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(system)?);
        let mut open = Vec::new();
        for (i, listener) in listeners.into_iter().enumerate() {
            let mut listening = Open::new(listener)?;
            listening.register(poll.registry(), Token(LISTENERS + i))?;
            open.push(listening);
        }
        let mut signals = Vec::new();
        for (i, signal) in [SIGTERM, SIGINT, SIGHUP, SIGUSR2].into_iter().enumerate() {
            let mut pipe = signal_pipe(signal).map_err(system)?;
            poll.registry()
                .register(&mut pipe, Token(SIGNALS + i), Interest::READABLE)
                .map_err(system)?;
            signals.push(Signal {
                number: signal,
                pipe,
                came: false,
            });
        }
        listen_to_signals();
        let [for_reading, for_writing] = openers;
        let mut relay = Relay::new(for_reading, world)?;
        let now = Instant::now();
        // Found at once, and not by the first who wants to sign in.
        let fresh = relay.refresh(now);
        let mut server = Self {
            hashing: Hashing::start(workers, world.random, &waker),
            keeping: Keeping::start(for_writing, world, waker, log.clone()),
            poll,
            events: Some(Events::with_capacity(1024)),
            open,
            signals,
            connections: Slab::new(),
            most: most_connections(),
            buffer: vec![0; READ],
            asked: Vec::new(),
            spare: Vec::new(),
            again: Vec::new(),
            relay,
            world,
            timers: Timers::default(),
            log,
            sign_ins: SignIns::default(),
            rulings: Rulings::default(),
            serial: 0,
            stopping: None,
            awake: now,
            greeting: now,
            restart: false,
            lost: false,
            complained: None,
            unsaid: 0,
            note_set: false,
            watchdog: sd_notify::watchdog_enabled(),
        };
        let names: Vec<_> = server.open.iter().map(Open::name).collect();
        server
            .log
            .say(Level::Info, format!("ready: {}", names.join(" ")));
        notify(&[NotifyState::Ready]);
        server.say_if_lost(&fresh);
        // Old counts and refusals are forgotten now, and then and again.
        server.note(false);
        server.report(now);
        Ok(server)
    }

    /// Until it is told to stop, and everybody is answered.
    pub fn run(&mut self) -> Result<()> {
        loop {
            let now = Instant::now();
            if self
                .stopping
                .is_some_and(|until| now >= until || self.is_done(now))
            {
                return Ok(());
            }
            self.turn(now)?;
        }
    }

    /// Nobody waits for anything.
    fn is_done(&self, now: Instant) -> bool {
        let greeted = || {
            let mut connections = self.connections.iter();
            connections.all(|(_, connection)| connection.is_idle())
        };
        let answered = self.sign_ins.is_empty() && self.rulings.is_empty();
        answered && !self.relay.is_renewing() && (now >= self.greeting || greeted())
    }

    fn turn(&mut self, now: Instant) -> Result<()> {
        let timeout = if self.again.is_empty() && now >= self.awake {
            let stopping = self
                .stopping
                .map(|until| until.min(self.greeting.max(now + TICK)));
            let next = [self.timers.next(), stopping].into_iter().flatten().min();
            next.map(|at| at.saturating_duration_since(now))
        } else {
            Some(Duration::ZERO)
        };
        let mut events = self
            .events
            .take()
            .unwrap_or_else(|| Events::with_capacity(1024));
        match self.poll.poll(&mut events, timeout) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(system(e)),
            _ => {}
        }
        let now = Instant::now();
        for (key, closed) in std::mem::take(&mut self.again) {
            self.receive(key, closed, now);
        }
        for event in &events {
            self.event(event, now);
        }
        let idle = events.is_empty();
        self.events = Some(events);
        if idle && self.asked.is_empty() {
            self.timers(now);
            return Ok(());
        }
        self.awake = now + AWAKE;

        let fresh = self.relay.refresh(now);
        self.say_if_lost(&fresh);
        let mut asked = std::mem::take(&mut self.asked);
        for (key, asked) in asked.drain(..) {
            self.answer(key, asked, now);
        }
        self.asked = asked;
        let done: Vec<_> = self.hashing.done().collect();
        for done in done {
            self.hashed(done, now);
        }
        let done: Vec<_> = self.keeping.done().collect();
        for kept in done {
            match kept {
                Kept::Reserved(number, reserved) => self.reserved(number, reserved, now),
                Kept::Renewed(renewed) => self.relay.renewed(renewed),
            }
        }
        self.obey();
        self.timers(now);
        if !self.note_set && self.relay.has_news() {
            self.note_set = true;
            self.timers.set(now + NOTE, Timer::Note);
        }
        Ok(())
    }

    fn timers(&mut self, now: Instant) {
        // What comes of one may look at the store.
        if self.timers.next().is_some_and(|at| at <= now) {
            let fresh = self.relay.refresh(now);
            self.say_if_lost(&fresh);
        }
        while let Some(timer) = self.timers.due(now) {
            self.due(timer, now);
        }
    }

    fn event(&mut self, event: &Event, now: Instant) {
        match event.token() {
            WAKER => {}
            Token(n) if n < LISTENERS => self.signals[n - SIGNALS].came = true,
            Token(n) if n < CONNECTIONS => self.accept(n - LISTENERS, now),
            Token(n) => {
                let number = n - CONNECTIONS;
                let Some(connection) = self.connections.get_mut(number) else {
                    return;
                };
                let key = Key {
                    number,
                    serial: connection.serial,
                };
                let sent = !event.is_writable()
                    || connection.is_sent()
                    || connection
                        .send_rest(self.poll.registry(), event.token())
                        .is_ok();
                if event.is_error() || !sent {
                    self.close(key);
                } else if event.is_readable() || event.is_read_closed() {
                    self.receive(key, event.is_read_closed(), now);
                }
            }
        }
    }

    fn answer(&mut self, key: Key, asked: Asked, now: Instant) {
        if self.stopping.is_some() {
            // Not looked at any more; but what was asked before is answered.
            if self
                .connection(key)
                .is_some_and(|connection| connection.busy == 0)
            {
                self.close(key);
            }
            return;
        }
        match asked {
            Asked::Auth(step) => self.step(key, step, now),
            Asked::Policy => self.next_ruling(key, now),
            Asked::HangUp(why) => self.hang_up(key, why),
        }
    }

    fn due(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Refuse(slot) => self.refuse(slot),
            Timer::GiveUp(slot) => self.give_up(slot, "no answer in time"),
            Timer::SignInAgain(slot) => self.sign_in(slot, None, now),
            Timer::RuleAgain(slot) => self.rule_again(slot, now),
            Timer::ReserveAgain(slot) => self.reserve_again(slot),
            Timer::GiveUpRuling(slot) => self.give_up_ruling(slot),
            Timer::Note => {
                self.note_set = false;
                self.note(self.stopping.is_none());
            }
            Timer::Report => self.report(now),
            Timer::Accept => {
                for i in 0..self.open.len() {
                    self.accept(i, now);
                }
            }
        }
    }

    /// After the loop: everything that can be written down is.
    pub fn stop(mut self, outcome: Result<()>) -> Result<End> {
        self.note(false);
        self.connections.clear();
        self.hashing.stop();
        self.keeping.stop();
        self.log.say(Level::Info, "stopped".into());
        outcome?;
        if self.restart {
            let listeners = self.open.into_iter().map(Open::into_listener).collect();
            return Ok(End::Restart(Restart { listeners }));
        }
        for open in self.open {
            open.close();
        }
        Ok(End::Stopped)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn system(error: io::Error) -> Error {
    Error::System(format!("cannot wait for connections: {error}"))
}
