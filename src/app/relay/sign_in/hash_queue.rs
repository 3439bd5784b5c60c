//! Which password is hashed next. The rules, so that no load from strangers keeps an
//! owner out:
//!
//! 1. A remembered password is not hashed. It is answered at once.
//! 2. A generated password that names itself as a live one of its user goes first. It
//!    needs no allowance: it is right unless someone knows the password ID of the user and
//!    has tried 2^47 passwords for it.
//! 3. Any other password waits until its network and its user have an allowance, but
//!    not beyond the latest time for its answer. A wrong password uses up the
//!    allowance; a right one does not. A network has 4 at once, then 1 a second. A user
//!    has 0.5 a second for networks that have guessed within the hour, and 1 for all
//!    others. The answers to the wrong passwords of a network come one a second.
//! 4. An earlier good sign-in from the same address spares the allowance of the user,
//!    not that of the network, until the first wrong password of this pair.
//! 5. Passwords are hashed in order of arrival; each guess counts as a delay of half a
//!    second. Only one password of a user and network is hashed at a time.
//! 6. A client that has guessed never gets the last free worker of two or more. Nor
//!    does a new network while many of them guess and a hash takes long.
//! 7. A password occupies a worker only while it is hashed, not while its answer is
//!    delayed. It is not hashed if its client has hung up.
//! 8. Unknown names are treated like existing ones.
//! 9. A generated password with a wrong checksum takes its turn, its allowance and its
//!    worker like any other, even if nothing is computed: see [`super::hash_job`].
//!
//! Limits of this: a chosen password that is not remembered, from a new address, waits
//! among the guesses of other new networks if these exceed 1 a second at its user or
//! the capacity of the machine. So does one from the same network that guesses at its
//! user. With a single worker, a running hash must finish first. A hash that takes
//! longer than 3 s cannot be done within 3 s. Anyone who can measure the load of the
//! processors, and not only the time of answers, can tell in which cases of rule 9
//! something was computed.

mod pairs;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use pairs::Pairs;

use super::digest::Digest;
use super::throttle::{LATEST, Party, Standing, Throttle};

pub struct HashQueue {
    pub throttle: Throttle,
    workers: usize,
    named: Lane,
    new: Lane,
    guessed: Lane,
    /// The position of each waiting ticket. The server bounds their number.
    places: HashMap<Ticket, (Standing, Position)>,
    pairs: Pairs,
    /// At most one for each worker.
    hashing: Vec<RunningHash>,
    /// Average time of recent hashes.
    each: Duration,
    /// New networks have guessed too much until then.
    flooded: Option<Instant>,
    /// How many hashes were computed.
    pub hashes: u64,
}

/// Identifies a waiting client; the server never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The place in a table; used again later.
    pub number: usize,
    /// Never used again.
    pub serial: u64,
}

/// A password to be hashed.
pub struct HashRequest {
    pub ticket: Ticket,
    pub digest: Digest,
    pub party: Party,
    /// The password names itself as a live one of its user.
    pub named: bool,
    pub since: Instant,
}

type Lane = BTreeMap<Position, Queued>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    /// When it counts as having arrived.
    due: Instant,
    /// At equal times, the client with fewer guesses goes first.
    handicap: Duration,
    since: Instant,
    ticket: Ticket,
}

struct Queued {
    entry: HashRequest,
    /// Not before this time.
    free: Instant,
}

struct RunningHash {
    digest: Digest,
    party: Party,
    standing: Standing,
}

/// The outcome of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashVerdict {
    Right,
    Wrong,
    /// It could not be computed.
    Failed,
}

/// A running hash that takes longer than this is too long to wait for.
const LONG: Duration = Duration::from_millis(250);
/// The shortest wait before checking again for a hash that is running.
const SOON: Duration = Duration::from_millis(1);
/// A guess of a new network is forgotten after the time of this many hashes. While
/// more than two are remembered, new networks do not get the last worker.
const NEW_GUESS: u32 = 8;

impl HashQueue {
    pub fn new(workers: usize) -> Self {
        Self {
            throttle: Throttle::new(workers),
            workers,
            named: Lane::new(),
            new: Lane::new(),
            guessed: Lane::new(),
            places: HashMap::new(),
            pairs: Pairs::default(),
            hashing: Vec::new(),
            each: Duration::from_millis(30),
            flooded: None,
            hashes: 0,
        }
    }

    /// Returns how many passwords are being hashed.
    pub const fn hashing(&self) -> usize {
        self.hashing.len()
    }

    /// Returns false if too many already wait for the same user in the same network.
    pub fn push(&mut self, entry: HashRequest, now: Instant) -> bool {
        self.remove(entry.ticket);
        if !entry.named && !self.pairs.add(entry.party, &entry.digest) {
            return false;
        }
        let (standing, handicap) = self.standing(&entry, now);
        let free = entry.since;
        self.place(entry, standing, handicap, free);
        true
    }

    /// Removes a client that was answered or has gone.
    pub fn remove(&mut self, ticket: Ticket) {
        if let Some((standing, place)) = self.places.remove(&ticket)
            && let Some(waiting) = self.line(standing).remove(&place)
        {
            self.waits_no_more(&waiting.entry);
        }
    }

    fn waits_no_more(&mut self, entry: &HashRequest) {
        if !entry.named {
            self.pairs.remove(entry.party, &entry.digest);
        }
    }

    /// Returns the ticket to hash now. The caller must call [`Self::done`]
    /// afterwards.
    pub fn next(&mut self, now: Instant) -> Option<Ticket> {
        while self.hashing.len() < self.workers {
            let first = self.first(now)?;
            let (place, Queued { entry, free }) = self.line(first).pop_first()?;
            self.places.remove(&place.ticket);
            if now > entry.since + self.patience() {
                // The server closes its connection when its time is over.
                self.waits_no_more(&entry);
                continue;
            }
            // It may have guessed since it arrived.
            let (standing, handicap) = self.standing(&entry, now);
            if handicap > place.handicap || standing.has_guessed() != first.has_guessed() {
                self.place(entry, standing, handicap, free);
                continue;
            }
            match self.may_begin(&entry, standing, now) {
                Ok(()) => {
                    self.waits_no_more(&entry);
                    self.hashing.push(RunningHash {
                        digest: entry.digest,
                        party: entry.party,
                        standing,
                    });
                    return Some(place.ticket);
                }
                Err(free) => self.place(entry, standing, handicap, free),
            }
        }
        None
    }

    /// Returns the time to ask again if it must wait.
    fn may_begin(
        &mut self,
        entry: &HashRequest,
        standing: Standing,
        now: Instant,
    ) -> Result<(), Instant> {
        let HashRequest { digest, party, .. } = entry;
        let mut hashing = self.hashing.iter();
        // The running hash of the same password answers this one, too.
        let waits = hashing.any(|hashing| {
            let pair = standing != Standing::Named && hashing.party.pair() == party.pair();
            pair || hashing.digest == *digest
        });
        if waits {
            return Err(now + self.each.max(SOON));
        }
        self.throttle.spend(*party, standing, now)
    }

    fn standing(&mut self, entry: &HashRequest, now: Instant) -> (Standing, Duration) {
        if entry.named {
            return (Standing::Named, Duration::ZERO);
        }
        self.throttle.standing(entry.party, now)
    }

    /// Returns the line whose turn it is.
    fn first(&self, now: Instant) -> Option<Standing> {
        let free = |line: &Lane| {
            let (place, waiting) = line.first_key_value()?;
            (waiting.free <= now).then_some(*place)
        };
        if free(&self.named).is_some() {
            return Some(Standing::Named);
        }
        let new = free(&self.new).filter(|_| self.may_be_new(now));
        let guessed = free(&self.guessed).filter(|_| self.may_have_guessed());
        match (new, guessed) {
            (Some(new), Some(guessed)) if guessed < new => Some(Standing::Guessed),
            (Some(_), _) => Some(Standing::New),
            (None, guessed) => guessed.map(|_| Standing::Guessed),
        }
    }

    /// Average time of recent hashes.
    pub const fn usual(&self) -> Duration {
        self.each
    }

    /// Returns when to ask for the next one if nothing happens before.
    pub fn look_again(&self, now: Instant) -> Option<Instant> {
        if self.hashing.len() >= self.workers {
            return None;
        }
        let lines = [&self.named, &self.new, &self.guessed].into_iter();
        let free = lines.filter_map(|line| line.first_key_value().map(|(_, first)| first.free));
        // An entry that is free and has not begun waits for a worker.
        free.filter(|free| *free > now).min()
    }

    /// `took` is `None` if there was nothing to compute.
    pub fn done(
        &mut self,
        digest: &Digest,
        verdict: HashVerdict,
        took: Option<Duration>,
        now: Instant,
    ) {
        if let Some(took) = took {
            self.hashes += 1;
            self.each = (self.each * 7 + took) / 8;
        }
        let found = self.hashing.iter().position(|h| h.digest == *digest);
        let Some(found) = found else { return };
        let RunningHash {
            party, standing, ..
        } = self.hashing.swap_remove(found);
        if verdict != HashVerdict::Wrong {
            self.throttle.give_back(party, standing, now);
        } else if standing == Standing::New {
            let guess = self.each * NEW_GUESS;
            let until = self.flooded.map_or(now, |until| until.max(now)) + guess;
            self.flooded = Some(until.min(now + guess * 4));
        }
    }

    /// Guesses leave one worker to all others.
    fn may_have_guessed(&self) -> bool {
        self.strangers() < (self.workers - 1).max(1)
    }

    fn may_be_new(&self, now: Instant) -> bool {
        let many = now + self.each * NEW_GUESS * 2;
        let flooded = self.flooded.is_some_and(|until| until > many);
        !(flooded && self.each > LONG) || self.may_have_guessed()
    }

    fn strangers(&self) -> usize {
        let named = |hashing: &&RunningHash| hashing.standing == Standing::Named;
        self.hashing.len() - self.hashing.iter().filter(named).count()
    }

    /// A hash that begins later than this after arrival would finish too late.
    fn patience(&self) -> Duration {
        LATEST.saturating_sub(self.each).max(LATEST / 4)
    }

    fn place(&mut self, entry: HashRequest, standing: Standing, handicap: Duration, free: Instant) {
        let ticket = entry.ticket;
        let place = Position {
            due: free.max(entry.since + handicap),
            handicap,
            since: entry.since,
            ticket,
        };
        self.places.insert(ticket, (standing, place));
        self.line(standing).insert(place, Queued { entry, free });
    }

    const fn line(&mut self, standing: Standing) -> &mut Lane {
        match standing {
            Standing::Named => &mut self.named,
            Standing::Trusted | Standing::New => &mut self.new,
            Standing::Guessed => &mut self.guessed,
        }
    }
}

#[cfg(test)]
mod simulation;
