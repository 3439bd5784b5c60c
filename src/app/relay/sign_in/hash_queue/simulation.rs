//! Simulates attacks on the queue in virtual time: a hundred sessions guess while
//! owners sign in from new addresses, at every cost of a hash. A long file: the clients,
//! the clock and the attacks only make sense together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

const OWNER: u64 = 1;
const SESSIONS: u32 = 100;
const OWNERS: u32 = 100;
/// By then each network has guessed once and no longer counts as new.
const SETTLED: Duration = Duration::from_secs(600);
const IN_TIME: Duration = Duration::from_secs(3);

/// Describes an attack.
#[derive(Clone, Copy)]
struct Attack {
    name: &'static str,
    /// The user and network of the nth guess of a session.
    guess: fn(session: u32, n: u32) -> Party,
    /// A session waits for its answer, or hangs up after this time.
    hangs_up: Option<Duration>,
    /// Its user has signed in from this address before.
    trusted: bool,
    /// How long the attack lasts before the first owner comes.
    lasted: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimulatedEvent {
    Guess(u32),
    HangUp(u32, Ticket),
    Owner(u32),
    Hashed(Ticket),
    Answer(u32),
    GiveUp(Ticket),
    Look,
}

struct Tried {
    party: Party,
    digest: Digest,
    since: Instant,
    who: SimulatedClient,
}

#[derive(Clone, Copy)]
enum SimulatedClient {
    Session(u32),
    Owner(u32),
}

struct Simulation {
    queue: HashQueue,
    attack: Attack,
    hash: Duration,
    named: bool,
    now: Instant,
    serial: u64,
    events: BTreeMap<(Instant, u64), SimulatedEvent>,
    tried: HashMap<Ticket, Tried>,
    under_way: HashMap<Ticket, Tried>,
    /// When the queue is polled again.
    look: Option<Instant>,
    guesses: Vec<u32>,
    /// When guesses were hashed.
    hashed: Vec<(Instant, Party)>,
    /// When guesses were answered.
    answered: Vec<(Instant, Party)>,
    /// How long each owner waited; none if the sign-in failed.
    waits: Vec<Option<Duration>>,
}

impl Simulation {
    fn run(attack: Attack, workers: usize, hash: Duration, named: bool) -> Self {
        let now = Instant::now();
        let mut simulation = Self {
            queue: HashQueue::new(workers),
            attack,
            hash,
            named,
            now,
            serial: 0,
            events: BTreeMap::new(),
            tried: HashMap::new(),
            under_way: HashMap::new(),
            look: None,
            guesses: vec![0; SESSIONS as usize],
            hashed: Vec::new(),
            answered: Vec::new(),
            waits: vec![None; OWNERS as usize],
        };
        for session in 0..SESSIONS {
            simulation.at(
                Duration::from_millis(session.into()),
                SimulatedEvent::Guess(session),
            );
        }
        // At intervals unrelated to those of the attack.
        let each = Duration::from_millis(571) + hash * 6 / 5;
        for owner in 0..OWNERS {
            let at = attack.lasted + each * owner;
            simulation.at(at, SimulatedEvent::Owner(owner));
        }
        let end = attack.lasted + each * OWNERS + LATEST;
        while let Some(((at, _), event)) = simulation.events.pop_first() {
            if at > now + end {
                break;
            }
            simulation.now = at;
            simulation.happens(event);
            simulation.begin();
        }
        simulation
    }

    fn at(&mut self, later: Duration, event: SimulatedEvent) {
        self.serial += 1;
        self.events.insert((self.now + later, self.serial), event);
    }

    fn happens(&mut self, event: SimulatedEvent) {
        match event {
            SimulatedEvent::Guess(session) => {
                let n = &mut self.guesses[session as usize];
                *n += 1;
                let party = (self.attack.guess)(session, *n);
                if self.attack.trusted && *n == 1 {
                    self.queue.throttle.trust(party);
                }
                let ticket = self.wait(party, SimulatedClient::Session(session), false);
                if let Some(after) = self.attack.hangs_up {
                    self.at(after, SimulatedEvent::HangUp(session, ticket));
                }
            }
            SimulatedEvent::HangUp(session, ticket) => {
                self.queue.remove(ticket);
                self.tried.remove(&ticket);
                self.at(Duration::from_millis(1), SimulatedEvent::Guess(session));
            }
            SimulatedEvent::Owner(n) => {
                let address = Ipv4Addr::new(198, 51, 100, u8::try_from(n).unwrap()).into();
                let party = Party {
                    user: OWNER,
                    address: Some(address),
                };
                self.wait(party, SimulatedClient::Owner(n), self.named);
            }
            SimulatedEvent::Hashed(ticket) => self.is_hashed(ticket),
            SimulatedEvent::Answer(session) => self.happens(SimulatedEvent::Guess(session)),
            SimulatedEvent::GiveUp(ticket) => {
                self.queue.remove(ticket);
                let waited = self.tried.remove(&ticket);
                if let Some(SimulatedClient::Session(session)) = waited.map(|tried| tried.who)
                    && self.attack.hangs_up.is_none()
                {
                    self.happens(SimulatedEvent::Guess(session));
                }
            }
            SimulatedEvent::Look => self.look = None,
        }
    }

    fn wait(&mut self, party: Party, who: SimulatedClient, named: bool) -> Ticket {
        self.serial += 1;
        let ticket = Ticket {
            number: 0,
            serial: self.serial,
        };
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.serial.to_le_bytes());
        let since = self.now;
        let tried = Tried {
            party,
            digest,
            since,
            who,
        };
        self.tried.insert(ticket, tried);
        let entry = HashRequest {
            ticket,
            digest,
            party,
            named,
            since,
        };
        if !self.queue.push(entry, self.now) {
            // A session that is hung up on tries again.
            self.at(Duration::from_millis(50), SimulatedEvent::GiveUp(ticket));
            return ticket;
        }
        self.at(LATEST, SimulatedEvent::GiveUp(ticket));
        ticket
    }

    fn begin(&mut self) {
        while let Some(ticket) = self.queue.next(self.now) {
            let tried = self.tried.remove(&ticket).unwrap();
            if matches!(tried.who, SimulatedClient::Session(_)) {
                self.hashed.push((self.now, tried.party));
            }
            self.under_way.insert(ticket, tried);
            self.at(self.hash, SimulatedEvent::Hashed(ticket));
        }
        if let Some(at) = self.queue.look_again(self.now)
            && self.look.is_none_or(|look| at < look)
        {
            self.look = Some(at);
            self.at(at - self.now, SimulatedEvent::Look);
        }
    }

    fn is_hashed(&mut self, ticket: Ticket) {
        let tried = self.under_way.remove(&ticket).unwrap();
        let hashed = match tried.who {
            SimulatedClient::Owner(_) => HashVerdict::Right,
            SimulatedClient::Session(_) => HashVerdict::Wrong,
        };
        let took = Some(self.hash);
        self.queue.done(&tried.digest, hashed, took, self.now);
        match tried.who {
            SimulatedClient::Owner(n) => self.waits[n as usize] = Some(self.now - tried.since),
            SimulatedClient::Session(session) => {
                let Tried { party, since, .. } = tried;
                let throttle = &mut self.queue.throttle;
                throttle.guessed(party, self.now);
                let answer = throttle.answer_in_turn(party, (since, since + LATEST), self.now);
                if self.attack.hangs_up.is_none() {
                    let latest = since + LATEST;
                    if answer <= latest {
                        self.answered.push((answer, party));
                    }
                    self.at(
                        answer.min(latest) - self.now,
                        SimulatedEvent::Answer(session),
                    );
                }
            }
        }
    }

    /// Also checks that guesses are hashed at no more than two a second, and that those
    /// of a network are answered no faster in any second, from the first one on.
    fn owners_are_in(&self) {
        let what = format!(
            "{}, {:?}, named: {}",
            self.attack.name, self.hash, self.named
        );
        let in_time = |wait: &&Option<Duration>| wait.is_some_and(|wait| wait <= IN_TIME);
        let in_time = self.waits.iter().filter(in_time).count();
        assert!(in_time >= 99, "{what}: {:?}", self.waits);
        let at_user = self.rate(|party| party.user);
        assert!(at_user <= 2.0, "{what}: {at_user} a second at a user");
        let of_network = self.rate(|party| party.network_key());
        assert!(
            of_network <= 2.0,
            "{what}: {of_network} a second of a network"
        );
        let answered = most_of_a_network(&self.answered, Duration::from_secs(1));
        assert!(answered <= 2, "{what}: {answered} answers in a second");
        let hashed = most_of_a_network(&self.hashed, Duration::from_secs(4));
        assert!(hashed <= 8, "{what}: {hashed} hashed in four seconds");
    }

    /// The highest rate, in guesses a second, at any single user or network.
    fn rate(&self, of: impl Fn(&Party) -> u64) -> f64 {
        let mut counts = HashMap::new();
        for (_, party) in &self.hashed {
            *counts.entry(of(party)).or_insert(0u32) += 1;
        }
        let most = counts.into_values().max().unwrap_or(0);
        f64::from(most) / (self.now - self.hashed[0].0).as_secs_f64()
    }
}

/// The most guesses of one network within any such time.
fn most_of_a_network(guesses: &[(Instant, Party)], within: Duration) -> usize {
    let mut of_networks: HashMap<u64, Vec<Instant>> = HashMap::new();
    for (at, party) in guesses {
        let of_network = of_networks.entry(party.network_key()).or_default();
        of_network.push(*at);
    }
    let mut most = 0;
    for mut all in of_networks.into_values() {
        all.sort_unstable();
        for (i, at) in all.iter().enumerate() {
            let end = all.partition_point(|other| *other <= *at + within);
            most = most.max(end - i);
        }
    }
    most
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

/// Another /64 of the same /48.
fn v6(n: u32) -> IpAddr {
    let n = u16::try_from(n % 65_536).unwrap();
    Ipv6Addr::new(0x2001, 0xdb8, 0, n, 0, 0, 0, 1).into()
}

const fn party(user: u64, address: IpAddr) -> Party {
    Party {
        user,
        address: Some(address),
    }
}

fn made_up(session: u32, n: u32) -> u64 {
    1000 + u64::from(session) * 1_000_000 + u64::from(n)
}

const fn attack(name: &'static str, guess: fn(u32, u32) -> Party) -> Attack {
    Attack {
        name,
        guess,
        hangs_up: None,
        trusted: false,
        lasted: Duration::from_secs(12),
    }
}

/// Attacks in which an owner differs from the attackers.
fn attacks() -> Vec<Attack> {
    let at_owner = |_, _| party(OWNER, v4(1));
    let at_made_up = |session, n| party(made_up(session, n), v4(1));
    let hopping = |session, n| party(OWNER, v6(session * 1000 + n));
    let hopping_made_up = |session, n| party(made_up(session, n), v6(session * 1000 + n));
    let many_networks = |session, _| party(OWNER, v4(session % 30));
    let many_networks_many_users = |session, n| party(u64::from(n % 40) + 2, v4(session % 30));
    let own_account = |_, _| party(77, v4(1));
    let own_accounts = |session, _| party(100 + u64::from(session % 30), v4(session % 30));
    vec![
        attack("one network, the owner's name", at_owner),
        attack("one network, made-up names", at_made_up),
        attack("/64s of a /48, the owner's name", hopping),
        attack("/64s of a /48, made-up names", hopping_made_up),
        Attack {
            lasted: SETTLED,
            ..attack("30 networks, the owner's name", many_networks)
        },
        Attack {
            lasted: SETTLED,
            ..attack("30 networks, 40 users", many_networks_many_users)
        },
        Attack {
            trusted: true,
            ..attack("an own account from its address", own_account)
        },
        Attack {
            trusted: true,
            lasted: SETTLED,
            ..attack("30 own accounts from their addresses", own_accounts)
        },
        Attack {
            hangs_up: Some(Duration::from_millis(100)),
            ..attack("hangs up at once", at_owner)
        },
        Attack {
            hangs_up: Some(Duration::from_millis(500)),
            ..attack("hangs up soon, made-up names", at_made_up)
        },
    ]
}

/// Attacks in which only a password that names itself identifies the owner.
fn botnets() -> Vec<Attack> {
    let at_owner = |session, n| party(OWNER, v4(session * 100_000 + n));
    let at_made_up = |session, n| party(made_up(session, n), v4(session * 100_000 + n));
    vec![
        attack("ever new networks, the owner's name", at_owner),
        attack("ever new networks, made-up names", at_made_up),
        Attack {
            hangs_up: Some(Duration::from_millis(100)),
            ..attack("ever new networks, hangs up at once", at_made_up)
        },
    ]
}

/// Six colleagues mistype at once, and another one is right.
#[test]
fn behind_the_address_of_an_office_nobody_waits_long() {
    const RIGHT: u64 = 6;
    let start = Instant::now();
    let mut queue = HashQueue::new(2);
    for user in 0..=RIGHT {
        let entry = HashRequest {
            ticket: Ticket {
                number: 0,
                serial: user,
            },
            digest: [u8::try_from(user).unwrap(); 32],
            party: party(user, v4(1)),
            named: false,
            since: start,
        };
        assert!(queue.push(entry, start));
    }
    let mut answers = Vec::new();
    let mut now = start;
    let waited = loop {
        let Some(ticket) = queue.next(now) else {
            now += Duration::from_millis(10);
            continue;
        };
        let digest = [u8::try_from(ticket.serial).unwrap(); 32];
        let took = Some(Duration::from_millis(30));
        if ticket.serial == RIGHT {
            queue.done(&digest, HashVerdict::Right, took, now);
            break now - start;
        }
        queue.done(&digest, HashVerdict::Wrong, took, now);
        let party = party(ticket.serial, v4(1));
        queue.throttle.guessed(party, now);
        answers.push(
            queue
                .throttle
                .answer_in_turn(party, (start, start + LATEST), now),
        );
    };
    assert!(waited <= IN_TIME, "{waited:?}");
    assert!(answers.len() == 6 && answers.iter().all(|at| *at <= start + LATEST));
}

#[test]
fn p10_an_owner_at_a_new_address_is_in_within_three_seconds() {
    for attack in attacks() {
        for hash in [30, 800, 2400].map(Duration::from_millis) {
            for named in [true, false] {
                Simulation::run(attack, 2, hash, named).owners_are_in();
            }
        }
    }
}

#[test]
fn p10_a_password_that_names_itself_comes_in_through_any_botnet() {
    for attack in botnets() {
        for hash in [30, 2400].map(Duration::from_millis) {
            Simulation::run(attack, 2, hash, true).owners_are_in();
        }
    }
}

#[test]
fn with_one_worker_an_owner_waits_for_the_running_hash() {
    for attack in attacks() {
        Simulation::run(attack, 1, Duration::from_millis(800), true).owners_are_in();
    }
}
