//! What is remembered about guesses, and what follows from it: when a wrong
//! password is answered, and how many more are hashed. Users are never locked out.
//! A third of this file is its tests.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::digest::{KeyedHashes, octets};
use crate::app::relay::carry_over::format::{CarryOverReader, CarryOverWriter};
use crate::app::relay::two_generation_cache::TwoGenerationCache;

pub struct Throttle {
    guesses: TwoGenerationCache<u64, Guesses>,
    /// When the spent part of an allowance is restored; see [`Allowance`].
    spent: TwoGenerationCache<u64, Instant>,
    /// When a network gets its last answer so far.
    answered: TwoGenerationCache<u64, Instant>,
    /// Pairs of a user and the address of a good sign-in.
    trusted: TwoGenerationCache<u64, ()>,
    /// Strangers invent names and addresses. The keys are unpredictable to them and
    /// take less memory than what they stand for.
    keys: KeyedHashes,
    network_at_once: u32,
}

/// The user and address of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Party {
    /// A keyed hash of the name.
    pub user: u64,
    pub address: Option<IpAddr>,
}

/// The standing of a password that must be hashed among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It names itself as a live password of its user.
    Named,
    /// The user has signed in from this address and has not guessed there.
    Trusted,
    /// Its network has not guessed lately.
    New,
    Guessed,
}

impl Standing {
    pub fn has_guessed(self) -> bool {
        self == Self::Guessed
    }
}

#[derive(Clone, Copy, Hash)]
enum Guesser {
    Network(Option<IpAddr>),
    User(u64),
    Pair(Party),
}

/// Distinct wrong passwords; one is forgotten each minute.
#[derive(Clone, Copy)]
struct Guesses {
    count: u32,
    since: Instant,
}

/// Allows this many wrong passwords at once, then one each interval (GCRA, as in
/// ATM).
#[derive(Clone, Copy)]
struct Allowance {
    key: u64,
    at_once: u32,
    interval: Duration,
}

/// Every answer is sent by then. Postfix gives up after 10 s, and a slow store can keep
/// a request waiting for more than 2 s before it is read.
pub const LATEST: Duration = Duration::from_secs(6);
/// Entries of each kind, of about 40 bytes: 6 MB in all, only under attack.
const REMEMBERED: usize = 40_000;
const FORGET: Duration = Duration::from_secs(60);
/// A network that has guessed counts as new again after this time.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// A wrong password is answered after this long, counted from its arrival; it
/// has to hide how long a hash takes.
const DELAY: Duration = Duration::from_secs(1);
/// The limit of one network, whichever users it guesses at. Its answers to wrong
/// passwords have this interval, too, so that it has no more at once either.
const OF_NETWORK: (u32, Duration) = (4, Duration::from_secs(1));
/// The limits at one user, for networks that have guessed and for all others: 1.5 a
/// second together.
const AT_USER: (u32, Duration) = (2, Duration::from_secs(2));
const AT_USER_NEW: (u32, Duration) = (4, Duration::from_secs(1));
/// A client that has guessed is hashed as if it had arrived this much later for each
/// guess.
const HANDICAP: Duration = Duration::from_millis(500);
const MOST_HANDICAPS: u32 = 8;

/// Returns after how long to answer a wrong password that waited this long for its hash:
/// a whole number of seconds, so that the answer does not reveal how long the hash took.
fn answered_after(delay: Duration, waited: Duration) -> Duration {
    let begun = u64::from(waited.subsec_nanos() > 0);
    delay.max(Duration::from_secs(waited.as_secs() + begun))
}

impl Throttle {
    pub fn new(workers: usize) -> Self {
        // Otherwise many users behind one address could not use all workers.
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        Self {
            guesses: TwoGenerationCache::new(REMEMBERED),
            spent: TwoGenerationCache::new(REMEMBERED),
            answered: TwoGenerationCache::new(REMEMBERED),
            trusted: TwoGenerationCache::new(REMEMBERED),
            keys: KeyedHashes::random(),
            network_at_once: OF_NETWORK.0.max(workers),
        }
    }

    /// Writes everything it knows, with times relative to now.
    pub fn carry_over(&self, to: &mut CarryOverWriter<'_>, now: Instant) -> io::Result<()> {
        to.bytes(self.keys.key())?;
        for (key, guesses) in self.guesses.entries() {
            to.u8(1)?;
            to.u64(*key)?;
            to.u32(guesses.count)?;
            write_time(to, guesses.since, now)?;
        }
        to.u8(0)?;
        for times in [&self.spent, &self.answered] {
            for (key, at) in times.entries() {
                to.u8(1)?;
                to.u64(*key)?;
                write_time(to, *at, now)?;
            }
            to.u8(0)?;
        }
        for (key, ()) in self.trusted.entries() {
            to.u8(1)?;
            to.u64(*key)?;
        }
        to.u8(0)
    }

    /// Reads what the previous program knew.
    pub fn carried_over(
        from: &mut CarryOverReader<'_>,
        workers: usize,
        now: Instant,
    ) -> io::Result<Self> {
        let mut read = Self {
            keys: KeyedHashes::with_key(Zeroizing::new(from.array()?)),
            ..Self::new(workers)
        };
        while from.u8()? != 0 {
            let (key, count) = (from.u64()?, from.u32()?);
            if let Some(since) = read_time(from, now)? {
                read.guesses.insert(key, Guesses { count, since });
            }
        }
        for times in [&mut read.spent, &mut read.answered] {
            while from.u8()? != 0 {
                let key = from.u64()?;
                if let Some(at) = read_time(from, now)? {
                    times.insert(key, at);
                }
            }
        }
        while from.u8()? != 0 {
            read.trusted.insert(from.u64()?, ());
        }
        Ok(read)
    }

    /// Returns the standing of a password that does not name itself, and how much
    /// later than its real arrival it counts as having arrived.
    pub fn standing(&mut self, party: Party, now: Instant) -> (Standing, Duration) {
        let own = self.guesses(Guesser::Pair(party.pair()), now);
        if own == 0 && self.is_trusted(party) {
            return (Standing::Trusted, Duration::ZERO);
        }
        let others = self.guesses(party.network(), now).min(1);
        let guesses = own.saturating_add(others).min(MOST_HANDICAPS);
        match guesses {
            0 => (Standing::New, Duration::ZERO),
            guesses => (Standing::Guessed, HANDICAP * guesses),
        }
    }

    /// Takes one from each allowance it depends on, or returns when one will be
    /// available.
    pub fn spend(&mut self, party: Party, standing: Standing, now: Instant) -> Result<(), Instant> {
        let allowances = self.allowances(party, standing);
        let free = allowances.iter().flatten().filter_map(|allowance| {
            let spent = *self.spent.get_mut(&allowance.key)?;
            spent.checked_sub(allowance.interval * (allowance.at_once - 1))
        });
        if let Some(free) = free.max().filter(|free| *free > now) {
            return Err(free);
        }
        for allowance in allowances.into_iter().flatten() {
            let spent = self.spent.get_mut(&allowance.key);
            let spent = spent.map_or(now, |spent| now.max(*spent));
            self.spent.insert(allowance.key, spent + allowance.interval);
        }
        Ok(())
    }

    /// Returns an allowance, because it was not a guess. An allowance that is whole again is
    /// not stored: most users never guess.
    pub fn give_back(&mut self, party: Party, standing: Standing, now: Instant) {
        for allowance in self.allowances(party, standing).into_iter().flatten() {
            let Some(spent) = self.spent.get_mut(&allowance.key) else {
                continue;
            };
            match spent.checked_sub(allowance.interval) {
                Some(before) if before > now => *spent = before,
                _ => drop(self.spent.remove(&allowance.key)),
            }
        }
    }

    fn allowances(&self, party: Party, standing: Standing) -> [Option<Allowance>; 2] {
        let allowance = |key, (at_once, interval)| Allowance {
            key,
            at_once,
            interval,
        };
        let of_network = (self.network_at_once, OF_NETWORK.1);
        let network = allowance(self.key(party.network()), of_network);
        let user = party.user;
        let share = |new: bool| {
            self.keys
                .of(b's', &[user.to_le_bytes().as_slice(), &[new.into()]])
        };
        match standing {
            Standing::Named => [None, None],
            Standing::Trusted => [Some(network), None],
            Standing::New => [Some(network), Some(allowance(share(true), AT_USER_NEW))],
            Standing::Guessed => [Some(network), Some(allowance(share(false), AT_USER))],
        }
    }

    /// Records a wrong password that was not tried before.
    pub fn guessed(&mut self, party: Party, now: Instant) {
        for who in [
            Guesser::Pair(party.pair()),
            party.network(),
            Guesser::User(party.user),
        ] {
            let count = self.count(who, now) + 1;
            let key = self.key(who);
            self.guesses.insert(key, Guesses { count, since: now });
        }
    }

    pub fn trust(&mut self, party: Party) {
        let pair = self.key(Guesser::Pair(party));
        self.trusted.insert(pair, ());
    }

    fn is_trusted(&mut self, party: Party) -> bool {
        let pair = self.key(Guesser::Pair(party));
        self.trusted.get_mut(&pair).is_some()
    }

    /// Returns when to answer what is wrong and has arrived at `since`.
    pub fn answer(&mut self, party: Party, since: Instant, now: Instant) -> Instant {
        let waited = now.duration_since(since);
        since + answered_after(self.delay(party, now), waited)
    }

    /// Returns when to answer a password that was hashed and is refused: in its turn among
    /// those of its network. Later than `latest`, it is not answered.
    pub fn answer_in_turn(
        &mut self,
        party: Party,
        (since, latest): (Instant, Instant),
        now: Instant,
    ) -> Instant {
        let key = self.key(party.network());
        let last = self.answered.get_mut(&key).copied();
        let at = self.answer(party, since, now);
        let at = last.map_or(at, |last| at.max(last + OF_NETWORK.1));
        if at <= latest {
            self.answered.insert(key, at);
        }
        at
    }

    fn delay(&mut self, party: Party, now: Instant) -> Duration {
        if self.is_trusted(party) {
            return DELAY;
        }
        let guesses = [party.network(), Guesser::User(party.user)].map(|who| self.count(who, now));
        // Well before the latest time: others of the network may have to go first.
        match guesses.into_iter().max().unwrap_or(0) {
            0..=3 => DELAY,
            4..=6 => 2 * DELAY,
            7.. => 4 * DELAY,
        }
    }

    /// Counts at least one until the last guess is an hour old.
    fn guesses(&mut self, who: Guesser, now: Instant) -> u32 {
        let key = self.key(who);
        let last = self.guesses.get_mut(&key).map(|guesses| guesses.since);
        match last {
            Some(last) if now.duration_since(last) < QUIET => self.count(who, now).max(1),
            _ => 0,
        }
    }

    fn count(&mut self, who: Guesser, now: Instant) -> u32 {
        let key = self.key(who);
        self.guesses.get_mut(&key).map_or(0, |guesses| {
            let minutes = now.duration_since(guesses.since).as_secs() / FORGET.as_secs();
            guesses
                .count
                .saturating_sub(u32::try_from(minutes).unwrap_or(u32::MAX))
        })
    }

    fn key(&self, who: Guesser) -> u64 {
        match who {
            Guesser::Network(address) => self.keys.of(b'n', &[&octets(address)]),
            Guesser::User(user) => self.keys.of(b'u', &[&user.to_le_bytes()]),
            Guesser::Pair(Party { user, address }) => {
                let parts: [&[u8]; 2] = [&user.to_le_bytes(), &octets(address)];
                self.keys.of(b'p', &parts)
            }
        }
    }
}

/// Writes how many milliseconds after now a time is, or how many before as a negative number.
fn write_time(to: &mut CarryOverWriter<'_>, at: Instant, now: Instant) -> io::Result<()> {
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let after = milliseconds(at.saturating_duration_since(now));
    to.i64(after - milliseconds(now.saturating_duration_since(at)))
}

/// Returns `None` for a time before the machine was started.
fn read_time(from: &mut CarryOverReader<'_>, now: Instant) -> io::Result<Option<Instant>> {
    let milliseconds = from.i64()?;
    let time = Duration::from_millis(milliseconds.unsigned_abs());
    Ok(if milliseconds < 0 {
        now.checked_sub(time)
    } else {
        now.checked_add(time)
    })
}

impl Party {
    fn network(self) -> Guesser {
        Guesser::Network(network(self.address))
    }

    /// Returns the same for all addresses of its network.
    pub fn pair(self) -> Self {
        Self {
            user: self.user,
            address: network(self.address),
        }
    }

    #[cfg(test)]
    pub fn network_key(self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&self.network(), &mut hasher);
        std::hash::Hasher::finish(&hasher)
    }
}

/// The owner of one IPv6 address may have 2^80 of them: sites are given a /48 (RFC
/// 6177).
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    match address {
        Some(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, ..] = v6.segments();
            Some(IpAddr::V6([a, b, c, 0, 0, 0, 0, 0].into()))
        }
        other => other.map(|address| address.to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const AWAY: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)));

    fn within(since: Instant) -> (Instant, Instant) {
        (since, since + LATEST)
    }

    const fn party(user: u64, address: Option<IpAddr>) -> Party {
        Party { user, address }
    }

    #[test]
    fn guesses_are_answered_later_and_later_and_forgotten() {
        let mut throttle = Throttle::new(2);
        let start = Instant::now();
        assert_eq!(throttle.delay(party(1, AWAY), start), DELAY);
        for user in 0..20 {
            throttle.guessed(party(user, AWAY), start);
        }
        assert_eq!(throttle.delay(party(99, AWAY), start), 4 * DELAY);
        assert_eq!(throttle.delay(party(99, HOME), start), DELAY, "another");
        let later = start + Duration::from_secs(20 * 60);
        assert_eq!(throttle.delay(party(99, AWAY), later), DELAY);
    }

    #[test]
    fn answers_of_a_network_come_one_a_second() {
        let mut throttle = Throttle::new(2);
        let start = Instant::now();
        let soon = start + Duration::from_millis(30);
        let mut after = |address, user| {
            let at = throttle.answer_in_turn(party(user, address), within(start), soon);
            at.duration_since(start).as_secs()
        };
        let all: Vec<_> = (0..9).map(|user| after(AWAY, user)).collect();
        assert_eq!(all, [1, 2, 3, 4, 5, 6, 7, 7, 7], "7 s is too late");
        assert_eq!(after(HOME, 1), 1, "another network");
        let known = throttle.answer(party(1, AWAY), start, soon);
        assert_eq!(known, start + DELAY, "tried before");
        let later = start + Duration::from_secs(7);
        let at = throttle.answer_in_turn(party(1, AWAY), within(later), later);
        assert_eq!(at, later + DELAY);
    }

    #[test]
    fn no_answer_tells_how_long_a_hash_took() {
        let answered = |delay, waited| {
            let [delay, waited] = [delay, waited].map(Duration::from_millis);
            answered_after(delay, waited).as_millis()
        };
        for waited in [0, 30, 999, 1000] {
            assert_eq!(answered(1000, waited), 1000, "{waited}");
        }
        for waited in [1001, 1200, 1999, 2000] {
            assert_eq!(answered(1000, waited), 2000, "{waited}");
            assert_eq!(answered(6000, waited), 6000, "{waited}");
        }
    }

    #[test]
    fn trust_lifts_the_delay_and_not_the_cap() {
        let mut throttle = Throttle::new(2);
        let now = Instant::now();
        let home = party(1, HOME);
        throttle.trust(home);
        for user in 0..100 {
            throttle.guessed(party(1, AWAY), now);
            throttle.guessed(party(user + 2, HOME), now);
        }
        assert_eq!(throttle.standing(home, now).0, Standing::Trusted);
        assert_eq!(throttle.standing(party(1, AWAY), now).0, Standing::Guessed);
        assert_eq!(throttle.delay(home, now), DELAY);
        for _ in 0..OF_NETWORK.0 {
            assert_eq!(throttle.spend(home, Standing::Trusted, now), Ok(()));
        }
        let free = throttle.spend(home, Standing::Trusted, now).unwrap_err();
        assert_eq!(free, now + OF_NETWORK.1);
        throttle.guessed(home, now);
        assert_eq!(throttle.standing(home, now).0, Standing::Guessed);
        assert_eq!(throttle.delay(home, now), DELAY);
    }

    #[test]
    fn a_right_password_spends_nothing() {
        let mut throttle = Throttle::new(2);
        let now = Instant::now();
        for _ in 0..1000 {
            assert_eq!(throttle.spend(party(1, AWAY), Standing::New, now), Ok(()));
            throttle.give_back(party(1, AWAY), Standing::New, now);
        }
        assert_eq!(throttle.spent.len(), 0);
    }

    #[test]
    fn networks_that_guess_leave_a_users_share_for_the_others() {
        let mut throttle = Throttle::new(2);
        let now = Instant::now();
        let spend = |throttle: &mut Throttle, last, standing| {
            let address = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, last));
            throttle.spend(party(1, Some(address)), standing, now)
        };
        let begun = (0..100).filter(|last| spend(&mut throttle, *last, Standing::Guessed).is_ok());
        assert_eq!(begun.count(), AT_USER.0 as usize);
        assert_eq!(spend(&mut throttle, 200, Standing::New), Ok(()));
    }

    #[test]
    fn a_network_is_new_again_after_an_hour() {
        let mut throttle = Throttle::new(2);
        let now = Instant::now();
        throttle.guessed(party(1, AWAY), now);
        let mut standing = |minutes: u64| {
            let later = now + Duration::from_secs(60 * minutes);
            throttle.standing(party(2, AWAY), later).0
        };
        assert_eq!(standing(59), Standing::Guessed);
        assert_eq!(standing(60), Standing::New);
    }

    #[test]
    fn a_site_of_ipv6_is_one_network() {
        let [a, b, c] = ["2001:db8:0:1::1", "2001:db8:0:ffff::1", "2001:db8:1::1"]
            .map(|text| network(Some(text.parse().unwrap())));
        assert_eq!(a, b);
        assert_ne!(a, c);
        let mapped = network(Some("::ffff:192.0.2.1".parse().unwrap()));
        assert_eq!(mapped, HOME);
    }
}
