//! Tests of the sign-ins of `serve`, without a socket. One long file, because every test starts
//! from the same clients.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::app::relay::testing::TestStore;
use crate::error::Place;
use crate::model::hash::Hasher;
use crate::serve::effect::Effects;

const SHOP: &str = "shop@example.com";
const PASSWORD: &str = "vague-Otter-61";
const FIRST: ConnectionId = id(0);
const SECOND: ConnectionId = id(1);

const fn id(number: usize) -> ConnectionId {
    ConnectionId { number, serial: 7 }
}

/// Sign-ins without sockets, at a time that only the tests move.
struct Machine {
    sign_ins: SignIns,
    relay: Relay,
    now: Instant,
    /// The earliest time at which a line may have arrived, if it is not now.
    came: Option<Instant>,
    effects: Effects,
    store: TestStore,
}

impl Machine {
    fn new() -> Self {
        let mut store = TestStore::new();
        store.add_user(SHOP, PASSWORD);
        let mut machine = Self {
            sign_ins: SignIns::default(),
            relay: store.relay(),
            now: Instant::now(),
            came: None,
            effects: Effects::new(),
            store,
        };
        for connection in [FIRST, SECOND] {
            machine.with(|one, turn| one.connected(connection, (1, 2), None, turn));
            machine.line(connection, "VERSION\t1\t2");
            machine.line(connection, "CPID\t5");
        }
        machine.effects.clear();
        machine
    }

    fn with(&mut self, input: impl FnOnce(&mut SignIns, &mut Turn<'_>)) {
        let (relay, effects) = (&mut self.relay, &mut self.effects);
        let now = self.now;
        input(
            &mut self.sign_ins,
            &mut Turn {
                relay,
                now,
                effects,
            },
        );
    }

    fn line(&mut self, connection: ConnectionId, line: &str) {
        let now = self.now;
        if let Some(step) = self.sign_ins.line(connection, line.as_bytes(), now) {
            let came = self.came.unwrap_or(now);
            self.with(|one, turn| one.handle(connection, step, came, turn));
        }
    }

    fn auth(&mut self, connection: ConnectionId, number: u32, password: &str) {
        let response = STANDARD.encode(format!("\0{SHOP}\0{password}"));
        let line = format!("AUTH\t{number}\tPLAIN\tsecured\trip=192.0.2.1\tresp={response}");
        self.line(connection, &line);
    }

    /// Returns the replies and jobs of this turn, and forgets the rest.
    fn take(&mut self) -> (Vec<(ConnectionId, String)>, Vec<HashJob>) {
        let (mut replies, mut jobs) = (Vec::new(), Vec::new());
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Reply(connection, text) => replies.push((connection, text)),
                Effect::Hash(job) => jobs.push(*job),
                _ => {}
            }
        }
        (replies, jobs)
    }

    /// Returns when which refusals are sent, and forgets the rest.
    fn take_refusals(&mut self) -> Vec<(Instant, Ticket)> {
        let effects = self.effects.drain(..);
        let refusals = effects.filter_map(|effect| match effect {
            Effect::Timer(at, Timer::Refuse(ticket)) => Some((at, ticket)),
            Effect::Reply(..) => panic!("answered at once"),
            _ => None,
        });
        refusals.collect()
    }

    /// Hashes what has its turn. Returns how many hashes that took.
    fn hash(&mut self) -> usize {
        let jobs = self.begin();
        let count = jobs.len();
        self.end(jobs);
        count
    }

    /// Returns what has its turn to be hashed.
    fn begin(&mut self) -> Vec<HashJob> {
        self.with(SignIns::hash_next);
        self.take().1
    }

    fn end(&mut self, jobs: Vec<HashJob>) {
        for job in jobs {
            let outcome = job.run(&mut Hasher::default());
            let result = HashResult::Checked(job, outcome, None);
            self.with(|one, turn| one.hashed(result, turn));
        }
    }

    fn reset(&mut self, password: &str) {
        self.store.reset(SHOP, password);
        self.relay.refresh(self.now).unwrap();
    }

    fn only_ticket(&self) -> Ticket {
        let tickets = self.sign_ins.pending.tickets(|_| true);
        let [ticket] = tickets[..] else {
            panic!("{} sign-ins", tickets.len());
        };
        ticket
    }

    /// Another process has locked the store when this sign-in is decided.
    fn find_locked(&mut self, ticket: Ticket) {
        let busy = Error::StoreBusy(Place::File("smtpcred.db".into()));
        self.with(|one, turn| one.decided(ticket, Err(busy), turn));
    }
}

#[test]
fn a_cold_sign_in_is_hashed_and_the_next_one_answered_at_once() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    assert_eq!(machine.sign_ins.state(FIRST), ClientState::Busy);
    assert_eq!(machine.hash(), 1);
    let ok = |connection, number| (connection, format!("OK\t{number}\tuser={SHOP}\n"));
    assert_eq!(machine.take().0, [ok(FIRST, 1)]);
    assert_eq!(machine.sign_ins.state(FIRST), ClientState::Idle);
    machine.auth(SECOND, 2, PASSWORD);
    assert_eq!(machine.take().0, [ok(SECOND, 2)]);
    assert!(machine.sign_ins.is_empty());
}

#[test]
fn two_clients_with_the_same_password_share_a_hash() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.auth(SECOND, 1, PASSWORD);
    assert_eq!(machine.hash(), 1);
    assert_eq!(machine.take().0.len(), 2);
}

#[test]
fn a_refusal_waits_for_its_timer_and_is_logged_before() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, "wrong-Otter-61");
    machine.hash();
    let logged = |effect: &Effect| matches!(effect, Effect::Log(_, line) if line.contains("reason=wrong-password"));
    assert!(machine.effects.iter().any(logged));
    let [(at, ticket)] = machine.take_refusals()[..] else {
        panic!("not one refusal");
    };
    assert_eq!(at, machine.now + Duration::from_secs(1));
    machine.with(|one, turn| one.refuse(ticket, turn));
    assert_eq!(machine.take().0, [(FIRST, "FAIL\t1\n".to_owned())]);
}

#[test]
fn p9_a_refusal_comes_a_second_after_it_was_read_whenever_it_may_have_arrived() {
    let mut machine = Machine::new();
    // The turn before took this long: a request may have arrived at its end.
    machine.came = machine.now.checked_sub(Duration::from_millis(1500));
    for (connection, line) in [
        (FIRST, "AUTH\t1\tPLAIN\tresp=AHgAeQ=="),
        (SECOND, "AUTH\t1\tPLAIN\tsecured\tresp=!"),
    ] {
        machine.line(connection, line);
        let refusals = machine.take_refusals();
        assert_eq!(refusals.len(), 1, "{line}");
        assert_eq!(refusals[0].0, machine.now + Duration::from_secs(1));
    }
    machine.auth(FIRST, 2, "wrong-Otter-61");
    machine.hash();
    let (hashed, _) = machine.take_refusals()[0];
    assert_eq!(hashed, machine.now + Duration::from_secs(1));
    machine.auth(SECOND, 2, "wrong-Otter-61");
    let (known, _) = machine.take_refusals()[0];
    assert_eq!(known, machine.now + Duration::from_secs(1));
}

#[test]
fn the_latest_time_of_an_answer_counts_from_when_it_may_have_arrived() {
    let mut machine = Machine::new();
    let came = machine.now.checked_sub(Duration::from_millis(1500));
    machine.came = came;
    machine.auth(FIRST, 1, PASSWORD);
    let latest = machine.effects.iter().find_map(|effect| match effect {
        Effect::Timer(at, Timer::GiveUp(_)) => Some(*at),
        _ => None,
    });
    assert_eq!(latest, came.map(|came| came + LATEST));
}

#[test]
fn the_password_of_a_client_that_hung_up_is_not_hashed() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.sign_ins.disconnected(FIRST, &mut machine.relay);
    assert_eq!(machine.hash(), 0);
    assert!(machine.sign_ins.is_empty());
}

#[test]
fn a_cancelled_request_gets_no_answer() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.line(FIRST, "CANCEL\t1");
    assert_eq!(machine.hash(), 0);
    assert!(machine.take().0.is_empty() && machine.sign_ins.is_empty());
}

#[test]
fn p4_what_cannot_be_decided_closes_the_connection() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.effects.clear();
    machine.with(SignIns::hash_next);
    let (_, jobs) = machine.take();
    for job in jobs {
        let failed = Err(Error::System("no memory".into()));
        machine.with(|one, turn| one.hashed(HashResult::Checked(job, failed, None), turn));
    }
    let mut effects = machine.effects.drain(..);
    assert!(
        effects.any(|effect| matches!(effect, Effect::HangUp(FIRST, why) if why == "no memory"))
    );
}

#[test]
fn p3_a_shared_hash_accepts_no_client_after_a_reset() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.auth(SECOND, 1, PASSWORD);
    let jobs = machine.begin();
    assert_eq!(jobs.len(), 1);
    machine.reset("other-Otter-62");
    machine.end(jobs);
    assert!(machine.take().0.is_empty());
    // Both are compared with the new hash, once.
    let jobs = machine.begin();
    assert_eq!(jobs.len(), 1);
    machine.end(jobs);
    let refusals = machine.take_refusals();
    assert_eq!(refusals.len(), 2);
}

#[test]
fn p3_the_hash_of_a_client_that_hung_up_is_not_remembered_after_a_reset() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    let jobs = machine.begin();
    machine.sign_ins.disconnected(FIRST, &mut machine.relay);
    machine.reset("other-Otter-62");
    machine.end(jobs);
    machine.auth(SECOND, 1, PASSWORD);
    assert!(machine.take().0.is_empty());
    assert_eq!(machine.hash(), 1);
    assert_eq!(machine.take_refusals().len(), 1);
}

#[test]
fn p4_a_client_waits_for_a_locked_store_until_its_latest_time() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    let ticket = machine.only_ticket();
    machine.effects.clear();
    machine.find_locked(ticket);
    let again = machine.now + TRY_AGAIN;
    let tried = |effect: &Effect| {
        matches!(effect, Effect::Timer(at, Timer::SignInAgain(one))
            if (*at, *one) == (again, ticket))
    };
    assert!(machine.effects.drain(..).any(|effect| tried(&effect)));
    machine.with(|one, turn| one.decide(ticket, None, turn));
    assert_eq!(machine.hash(), 1);
    assert_eq!(machine.take().0.len(), 1);

    machine.auth(SECOND, 2, "wrong-Otter-61");
    let ticket = machine.only_ticket();
    machine.now += LATEST;
    machine.find_locked(ticket);
    let mut effects = machine.effects.drain(..);
    assert!(effects.any(|effect| matches!(effect, Effect::HangUp(SECOND, _))));
}

#[test]
fn a_refused_sign_in_is_recorded_once() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, "wrong-Otter-61");
    let ticket = machine.only_ticket();
    machine.find_locked(ticket);
    machine.hash();
    assert_eq!(machine.take_refusals().len(), 1);
    machine.with(|one, turn| one.decide(ticket, None, turn));
    assert!(machine.effects.is_empty());
}

#[test]
fn p10_cancelled_requests_and_closed_connections_occupy_no_worker() {
    let mut machine = Machine::new();
    for number in 1..10 {
        machine.auth(FIRST, number, "wrong-Otter-61");
        machine.line(FIRST, &format!("CANCEL\t{number}"));
        assert_eq!(machine.hash(), 0);
    }
    let connect = |one: &mut SignIns, turn: &mut Turn<'_>| one.connected(FIRST, (1, 2), None, turn);
    for _ in 0..10 {
        machine.sign_ins.disconnected(FIRST, &mut machine.relay);
        machine.with(connect);
        machine.line(FIRST, "VERSION\t1\t2");
        machine.line(FIRST, "CPID\t5");
        machine.auth(FIRST, 1, "wrong-Otter-61");
    }
    machine.auth(SECOND, 1, PASSWORD);
    // One at a time for each user and network.
    assert_eq!(machine.hash(), 1);
    machine.now += Duration::from_millis(100);
    assert_eq!(machine.hash(), 1);
    assert_eq!(machine.take().0.len(), 1);
}

#[test]
fn the_queue_is_looked_at_again_when_an_allowance_is_restored() {
    let mut machine = Machine::new();
    for number in 1..=8 {
        machine.auth(FIRST, number, &format!("wrong-Otter-6{number}"));
    }
    while machine.hash() > 0 {}
    machine.effects.clear();
    let at = machine.sign_ins.hash_at.expect("some wait");
    machine.with(SignIns::hash_next);
    assert!(machine.effects.is_empty(), "the timer is already set");
    machine.now = at;
    assert_eq!(machine.hash(), 1);
}

#[test]
fn p9_a_mistyped_password_of_an_unknown_user_takes_its_time_and_is_wrong() {
    let mut machine = Machine::new();
    let response = STANDARD.encode("\0nobody@example.com\0smtpc_AAAAAAAA_0000000000");
    machine.line(FIRST, &format!("AUTH\t1\tPLAIN\tsecured\tresp={response}"));
    machine.effects.clear();
    machine.with(SignIns::hash_next);
    let mut occupied = None;
    for effect in machine.effects.drain(..) {
        match effect {
            Effect::OccupyWorker(job, until) => occupied = Some((job, until)),
            Effect::Hash(_) => panic!("hashed"),
            _ => {}
        }
    }
    let (job, until) = occupied.expect("a worker is occupied");
    assert!(until > machine.now);
    let since = machine.now;
    machine.now = until;
    let outcome = job.wrong();
    let result = HashResult::Checked(*job, Ok(outcome), None);
    machine.with(|one, turn| one.hashed(result, turn));
    assert_eq!(machine.take_refusals()[0].0, since + Duration::from_secs(1));
}

#[test]
fn p4_without_its_store_nothing_is_accepted_from_memory_or_refused() {
    let mut machine = Machine::new();
    machine.auth(FIRST, 1, PASSWORD);
    machine.auth(SECOND, 1, "wrong-Otter-61");
    assert_eq!(machine.hash(), 1);
    machine.now += Duration::from_millis(100);
    assert_eq!(machine.hash(), 1);
    machine.effects.clear();
    machine.store.remove();
    assert!(machine.relay.refresh(machine.now).is_err());
    // Both are known by now, and an unknown user needs no hash of its own.
    let unknown = STANDARD.encode("\0nobody@example.com\0wrong-Otter-61");
    machine.auth(FIRST, 2, PASSWORD);
    machine.auth(FIRST, 3, "wrong-Otter-61");
    machine.line(SECOND, &format!("AUTH\t2\tPLAIN\tsecured\tresp={unknown}"));
    let hung_up = machine.effects.drain(..).filter_map(|effect| match effect {
        Effect::HangUp(connection, _) => Some(connection),
        Effect::Reply(..) | Effect::Hash(_) | Effect::Timer(..) => panic!("decided"),
        _ => None,
    });
    assert_eq!(hung_up.collect::<Vec<_>>(), [FIRST, FIRST, SECOND]);
}
