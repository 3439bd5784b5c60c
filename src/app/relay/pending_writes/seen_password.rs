//! With which passwords users signed in, and from which networks.

use std::net::IpAddr;

use crate::model::address_rules::{AddressVerdict, MOST_SEEN};
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::time::Time;
use crate::store::NetworkUse;

/// The good sign-ins with one password.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenPassword {
    /// The password.
    pub id: PasswordId,
    /// The last sign-in.
    pub at: Time,
    /// The last address, if it is known.
    pub address: Option<IpAddr>,
    /// The networks they came from.
    pub networks: Vec<SeenNetwork>,
}

/// Good sign-ins from one network.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenNetwork {
    /// What is counted.
    pub used: NetworkUse,
    /// It is to be added to the user's list.
    pub learn: bool,
    /// The admin is told if it is new.
    pub tell: bool,
}

/// One good sign-in.
pub struct SignIn {
    /// When it was.
    pub at: Time,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
    /// What follows from that.
    pub verdict: AddressVerdict,
}

/// How many networks are kept apart for a password until they are written.
const MOST_NETWORKS: usize = MOST_SEEN as usize;

impl SeenPassword {
    /// Begins with a sign-in, which is not yet counted.
    pub const fn new(id: PasswordId, first: &SignIn) -> Self {
        Self {
            id,
            at: first.at,
            address: first.address,
            networks: Vec::new(),
        }
    }

    /// Counts a sign-in.
    pub fn add(&mut self, one: &SignIn) {
        (self.at, self.address) = (one.at, one.address);
        let Some(address) = one.address else { return };
        let (learn, tell) = match one.verdict {
            AddressVerdict::Learn { tell } => (true, tell),
            verdict => (false, verdict == AddressVerdict::AcceptAndTell),
        };
        if let Some(last) = self.networks.last_mut()
            && last.used.address == address
        {
            // The usual case: nothing to look up.
            last.used.last_at = one.at;
            last.used.sign_ins = last.used.sign_ins.saturating_add(1);
            last.learn |= learn;
            last.tell |= tell;
            return;
        }
        self.add_network(SeenNetwork {
            used: NetworkUse {
                network: Network::group(address),
                address,
                first_at: one.at,
                last_at: one.at,
                sign_ins: 1,
            },
            learn,
            tell,
        });
    }

    fn add_network(&mut self, newer: SeenNetwork) {
        let mut known = self.networks.iter_mut();
        if let Some(known) = known.find(|known| known.used.network == newer.used.network) {
            let (used, found) = (&mut known.used, newer.used);
            (used.address, used.last_at) = (found.address, found.last_at);
            used.sign_ins = used.sign_ins.saturating_add(found.sign_ins);
            known.learn |= newer.learn;
            known.tell |= newer.tell;
        } else if self.networks.len() < MOST_NETWORKS {
            self.networks.push(newer);
        }
    }

    /// Adds newer sign-ins.
    pub fn merge(&mut self, newer: Self) {
        (self.at, self.address) = (newer.at, newer.address);
        for network in newer.networks {
            self.add_network(network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in(address: &str, at: i64, verdict: AddressVerdict) -> SignIn {
        SignIn {
            at: Time::from_epoch(at),
            address: address.parse().ok(),
            verdict,
        }
    }

    #[test]
    fn sign_ins_are_counted_by_network() {
        let first = sign_in("192.0.2.1", 1, AddressVerdict::Accept);
        let mut seen = SeenPassword::new(PasswordId::stored("AAAAAAAA".into()), &first);
        seen.add(&first);
        seen.add(&sign_in("192.0.2.1", 2, AddressVerdict::AcceptAndTell));
        seen.add(&sign_in(
            "198.51.100.1",
            3,
            AddressVerdict::Learn { tell: false },
        ));
        let mut newer = SeenPassword::new(PasswordId::stored("AAAAAAAA".into()), &first);
        newer.add(&sign_in("192.0.2.77", 4, AddressVerdict::Accept));
        newer.add(&sign_in("", 5, AddressVerdict::Accept));
        seen.merge(newer);
        assert_eq!((seen.at.epoch(), seen.address), (5, None));
        let networks: Vec<_> = seen
            .networks
            .iter()
            .map(|one| {
                let used = &one.used;
                let times = (used.first_at.epoch(), used.last_at.epoch());
                (
                    used.address.to_string(),
                    times,
                    used.sign_ins,
                    one.learn,
                    one.tell,
                )
            })
            .collect();
        assert_eq!(
            networks,
            [
                ("192.0.2.77".to_owned(), (1, 4), 3, false, true),
                ("198.51.100.1".to_owned(), (3, 3), 1, true, false),
            ]
        );
    }

    #[test]
    fn networks_are_bounded() {
        let one = |n: usize| {
            sign_in(
                &format!("10.{}.{}.1", n / 256, n % 256),
                1,
                AddressVerdict::Accept,
            )
        };
        let mut seen = SeenPassword::new(PasswordId::stored("AAAAAAAA".into()), &one(0));
        for n in 0..2 * MOST_NETWORKS {
            seen.add(&one(n));
        }
        assert_eq!(seen.networks.len(), MOST_NETWORKS);
    }
}
