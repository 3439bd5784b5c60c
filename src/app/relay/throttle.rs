//! Slowing guesses down without locking anybody out: nobody is refused for
//! what others did. An address or a user with many wrong passwords is answered
//! later, and has fewer checks at the same time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::recent::Recent;

pub struct Throttle {
    guesses: Recent<Who, Guesses>,
    /// Who lately signed in well from where: neither delayed nor counted for
    /// what others at the same address, or about the same user, do.
    /// Of each pair a hash, which nobody outside can foresee, takes less memory.
    trusted: Recent<u64, ()>,
    pairs: RandomState,
    /// Checks under way, the delay of their answers included.
    under_way: HashMap<Who, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Address(Option<IpAddr>),
    /// A hash of the name: strangers make names up.
    User(u64),
}

/// Distinct wrong passwords; one is forgotten each minute.
struct Guesses {
    count: u32,
    since: Instant,
}

/// Held while a check is under way, and handed back by [`Throttle::leave`].
#[derive(Debug)]
#[must_use]
pub struct Ticket([Option<Who>; 2]);

/// How many addresses and users are remembered.
const REMEMBERED: usize = 40_000;
/// How many pairs of a user and its address.
const TRUSTED: usize = 40_000;
const FORGET: Duration = Duration::from_secs(60);
/// At the same time, of one address or one user: before and after it has
/// guessed often.
const UNDER_WAY: u32 = 64;
const UNDER_WAY_SUSPECT: u32 = 8;
const SUSPECT: u32 = 10;
/// A wrong password is answered after this long, counted from its arrival; it
/// has to hide how long a hash takes.
const DELAY: Duration = Duration::from_secs(1);

impl Throttle {
    pub fn new() -> Self {
        Self {
            guesses: Recent::new(REMEMBERED),
            trusted: Recent::new(TRUSTED),
            pairs: RandomState::new(),
            under_way: HashMap::new(),
        }
    }

    /// Nothing if there are too many already: then it cannot be told whether
    /// the password is right.
    pub fn enter(&mut self, user: u64, address: Option<IpAddr>, now: Instant) -> Option<Ticket> {
        if self.is_trusted(user, address) {
            return Some(Ticket([None, None]));
        }
        let who = [Who::Address(network(address)), Who::User(user)];
        for who in who {
            let most = if self.guesses(who, now) >= SUSPECT {
                UNDER_WAY_SUSPECT
            } else {
                UNDER_WAY
            };
            if self.under_way.get(&who).is_some_and(|n| *n >= most) {
                return None;
            }
        }
        for who in who {
            *self.under_way.entry(who).or_default() += 1;
        }
        Some(Ticket(who.map(Some)))
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub fn leave(&mut self, ticket: Ticket) {
        for who in ticket.0.into_iter().flatten() {
            if let Some(n) = self.under_way.get_mut(&who) {
                *n -= 1;
                if *n == 0 {
                    self.under_way.remove(&who);
                }
            }
        }
    }

    /// A wrong password that was not tried before.
    pub fn guessed(&mut self, user: u64, address: Option<IpAddr>, now: Instant) {
        for who in [Who::Address(network(address)), Who::User(user)] {
            let count = self.guesses(who, now) + 1;
            self.guesses.insert(who, Guesses { count, since: now });
        }
    }

    pub fn trust(&mut self, user: u64, address: Option<IpAddr>) {
        self.trusted
            .insert(self.pairs.hash_one((user, address)), ());
    }

    pub fn is_trusted(&mut self, user: u64, address: Option<IpAddr>) -> bool {
        let pair = self.pairs.hash_one((user, address));
        self.trusted.get_mut(&pair).is_some()
    }

    /// Whether the address or the user has seen many guesses.
    pub fn is_suspect(&mut self, user: u64, address: Option<IpAddr>, now: Instant) -> bool {
        !self.is_trusted(user, address)
            && [Who::Address(network(address)), Who::User(user)]
                .into_iter()
                .any(|who| self.guesses(who, now) >= SUSPECT)
    }

    /// How long after its arrival a wrong password is answered.
    pub fn delay(&mut self, user: u64, address: Option<IpAddr>, now: Instant) -> Duration {
        if self.is_trusted(user, address) {
            return DELAY;
        }
        let guesses =
            [Who::Address(network(address)), Who::User(user)].map(|who| self.guesses(who, now));
        // At most 6 s: mail servers give up at 10.
        match guesses.into_iter().max().unwrap_or(0) {
            0..=3 => DELAY,
            4..=6 => 2 * DELAY,
            7..SUSPECT => 4 * DELAY,
            SUSPECT.. => 6 * DELAY,
        }
    }

    fn guesses(&mut self, who: Who, now: Instant) -> u32 {
        self.guesses.get_mut(&who).map_or(0, |guesses| {
            let minutes = now.duration_since(guesses.since).as_secs() / FORGET.as_secs();
            guesses
                .count
                .saturating_sub(u32::try_from(minutes).unwrap_or(u32::MAX))
        })
    }
}

/// Who has one IPv6 address has 2^64 of them (RFC 6177).
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    match address {
        Some(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            Some(IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into()))
        }
        other => other.map(|address| address.to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const AWAY: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)));

    #[test]
    fn guesses_are_answered_later_and_later_and_forgotten() {
        let mut throttle = Throttle::new();
        let start = Instant::now();
        assert_eq!(throttle.delay(1, AWAY, start), DELAY);
        for user in 0..20 {
            throttle.guessed(user, AWAY, start);
        }
        assert_eq!(throttle.delay(99, AWAY, start), 6 * DELAY);
        assert_eq!(throttle.delay(99, HOME, start), DELAY, "another address");
        let later = start + Duration::from_secs(20 * 60);
        assert_eq!(throttle.delay(99, AWAY, later), DELAY);
    }

    #[test]
    fn an_owner_is_never_kept_out_by_others() {
        let mut throttle = Throttle::new();
        let now = Instant::now();
        throttle.trust(1, HOME);
        let mut tickets = Vec::new();
        for _ in 0..1000 {
            throttle.guessed(1, AWAY, now);
            throttle.guessed(1, HOME, now);
            tickets.extend(throttle.enter(1, AWAY, now));
        }
        assert_eq!(tickets.len(), 8);
        assert!(throttle.enter(1, AWAY, now).is_none());
        assert!(throttle.enter(1, HOME, now).is_some());
        assert_eq!(throttle.delay(1, HOME, now), DELAY);
        for ticket in tickets {
            throttle.leave(ticket);
        }
        assert!(throttle.under_way.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]
            .map(|text| network(Some(text.parse().unwrap())));
        assert_eq!(a, b);
        assert_ne!(a, c);
        let mapped = network(Some("::ffff:192.0.2.1".parse().unwrap()));
        assert_eq!(mapped, HOME);
    }
}
