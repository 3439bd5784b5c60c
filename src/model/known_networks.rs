//! Which networks a user keeps after its password was stolen: those known from before.

use super::address_rules::{AddressChange, AddressMode, AddressRules, UnknownAddress};
use super::network::Network;
use super::setting::Setting;
use super::time::Time;

/// What tells the networks of the owner from those of a thief.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNetworks {
    /// Only those that were used or learned before then.
    pub before: Option<Time>,
    /// None that overlaps one of these.
    pub not: Vec<Network>,
}

impl KnownNetworks {
    /// Returns whether a network belongs to the owner that was first used then.
    pub fn keep(&self, network: Network, first_at: Time) -> bool {
        self.before.is_none_or(|before| first_at < before) && !self.leaves_out(network)
    }

    /// Returns the networks that a user keeps: those it used, each with the first time, and those
    /// in its own list. What an admin gave is known whenever it was added.
    pub fn kept(&self, own: &AddressRules, used: &[(Network, Time)]) -> Vec<Network> {
        let used = used.iter().filter(|(network, at)| self.keep(*network, *at));
        let listed = own.allowed.iter().filter(|one| {
            if one.learned {
                self.keep(one.network, one.added_at)
            } else {
                !self.leaves_out(one.network)
            }
        });
        let mut kept: Vec<_> = used.map(|(network, _)| *network).collect();
        kept.extend(listed.map(|one| one.network));
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// Returns what makes a user with these rules keep these networks only. Wider owners' lists
    /// stay as they are.
    pub fn change(&self, rules: &[AddressRules; 3], kept: Vec<Network>) -> AddressChange {
        let own = rules[0].allowed.iter().map(|one| one.network);
        let disallow = own.filter(|network| !kept.contains(network)).collect();
        let nearest = rules.iter().find_map(|rules| rules.unknown);
        let refuses = nearest.is_none_or(|unknown| unknown == UnknownAddress::Refuse);
        AddressChange {
            mode: Some(Setting::Some(AddressMode::Listed)),
            unknown: (!refuses).then_some(Setting::Some(UnknownAddress::Refuse)),
            learn: None,
            allow: kept,
            disallow,
        }
    }

    fn leaves_out(&self, network: Network) -> bool {
        let mut not = self.not.iter();
        not.any(|not| not.covers(&network) || network.covers(not))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address_rules::AllowedNetwork;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn listed(text: &str, learned: bool, added_at: i64) -> AllowedNetwork {
        AllowedNetwork {
            network: text.parse().unwrap(),
            learned,
            added_at: Time::from_epoch(added_at),
        }
    }

    fn used() -> Vec<(Network, Time)> {
        [("192.0.2.0/24", 10), ("203.0.113.0/24", 60)]
            .map(|(text, at)| (text.parse().unwrap(), Time::from_epoch(at)))
            .to_vec()
    }

    #[test]
    fn what_came_after_the_theft_is_not_kept() {
        let own = AddressRules {
            allowed: vec![
                listed("198.51.100.0/24", true, 20),
                listed("10.0.0.0/8", false, 90),
                listed("203.0.113.0/24", true, 60),
            ],
            ..AddressRules::default()
        };
        let known = KnownNetworks {
            before: Some(Time::from_epoch(60)),
            not: Vec::new(),
        };
        let kept = known.kept(&own, &used());
        assert_eq!(
            kept,
            networks(&["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"])
        );
        let wider = AddressRules {
            unknown: Some(UnknownAddress::Alert),
            ..AddressRules::default()
        };
        let change = known.change(&[own, wider, AddressRules::default()], kept);
        assert_eq!(change.mode, Some(Setting::Some(AddressMode::Listed)));
        assert_eq!(change.unknown, Some(Setting::Some(UnknownAddress::Refuse)));
        assert_eq!(change.disallow, networks(&["203.0.113.0/24"]));
    }

    #[test]
    fn a_network_that_overlaps_what_is_left_out_is_not_kept() {
        let own = AddressRules {
            allowed: vec![listed("203.0.0.0/16", false, 1)],
            ..AddressRules::default()
        };
        let known = KnownNetworks {
            before: None,
            not: networks(&["203.0.113.9"]),
        };
        let kept = known.kept(&own, &used());
        assert_eq!(kept, networks(&["192.0.2.0/24"]));
        let change = known.change(
            &[own, AddressRules::default(), AddressRules::default()],
            kept,
        );
        assert_eq!(change.disallow, networks(&["203.0.0.0/16"]));
        assert_eq!(change.unknown, None);
    }
}
