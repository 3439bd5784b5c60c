//! From where users may sign in, and from where they did.

use std::collections::BTreeMap;

use super::{App, need_user};
use crate::error::Result;
use crate::model::address_rules::{AddressPolicy, AddressRules};
use crate::model::name::{DomainName, Username};
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::time::Time;
use crate::store::{NetworkUse, Scope};

/// An owner that has a network in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The network as it is listed.
    pub network: Network,
    /// A username, a domain, or "the installation".
    pub owner: String,
    /// Whether it was learned.
    pub learned: bool,
}

/// A network that a user used, or may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNetwork {
    /// The network: a /24 or /64 if it was used.
    pub network: Network,
    /// All its uses together; `None` if there was none.
    pub used: Option<NetworkUse>,
    /// The passwords it was used with, the last used one first.
    pub passwords: Vec<PasswordId>,
    /// What allows its last address; `None` if nothing does.
    pub listing: Option<Listing>,
}

/// The addresses of a user.
pub struct UserAddresses {
    /// What holds for the user.
    pub policy: AddressPolicy,
    /// Its networks: the last used one first, then those that were not used.
    pub networks: Vec<UserNetwork>,
}

impl App {
    /// Returns what holds for a user. Fails if it does not exist.
    pub fn address_policy(&mut self, username: &Username) -> Result<AddressPolicy> {
        let now = self.now();
        let user = need_user(&mut self.store, username, now)?;
        let rules = self.store.address_rules(username)?;
        Ok(AddressPolicy::nearest(&rules, user.created_at))
    }

    /// Returns from where a user may sign in and from where it did. Fails if it does not exist.
    pub fn user_addresses(&mut self, username: &Username) -> Result<UserAddresses> {
        let now = self.now();
        let user = need_user(&mut self.store, username, now)?;
        let rules = self.store.address_rules(username)?;
        let listings = listings(username, &rules);
        let seen = self.store.network_uses(username)?;
        Ok(UserAddresses {
            policy: AddressPolicy::nearest(&rules, user.created_at),
            networks: together(seen, listings),
        })
    }

    /// Returns everything that lists a network for a user, the nearest owner first.
    pub fn listings(&mut self, username: &Username) -> Result<Vec<Listing>> {
        let rules = self.store.address_rules(username)?;
        Ok(listings(username, &rules))
    }

    /// Returns what a domain says itself about addresses.
    pub fn domain_addresses(&mut self, domain: &DomainName) -> Result<AddressRules> {
        self.store.own_address_rules(Scope::domain(domain))
    }

    /// Returns what the installation says about addresses.
    pub fn installation_addresses(&mut self) -> Result<AddressRules> {
        self.store.own_address_rules(Scope::INSTALLATION)
    }
}

fn listings(username: &Username, rules: &[AddressRules; 3]) -> Vec<Listing> {
    let owners = Scope::all(username).into_iter().zip(rules);
    let listings = owners.flat_map(|(owner, rules)| {
        rules.allowed.iter().map(move |allowed| Listing {
            network: allowed.network,
            owner: owner.name().to_owned(),
            learned: allowed.learned,
        })
    });
    listings.collect()
}

/// Adds up the uses of each network, and adds the listed networks that were not used.
fn together(seen: Vec<(PasswordId, NetworkUse)>, listings: Vec<Listing>) -> Vec<UserNetwork> {
    let mut sums: BTreeMap<Network, (NetworkUse, Vec<(Time, PasswordId)>)> = BTreeMap::new();
    for (password_id, one) in seen {
        let (sum, passwords) = sums.entry(one.network).or_insert((one, Vec::new()));
        if !passwords.is_empty() {
            sum.sign_ins = sum.sign_ins.saturating_add(one.sign_ins);
            sum.first_at = sum.first_at.min(one.first_at);
        }
        if one.last_at > sum.last_at {
            (sum.last_at, sum.address) = (one.last_at, one.address);
        }
        passwords.push((one.last_at, password_id));
    }
    let mut networks: Vec<_> = sums
        .into_values()
        .map(|(used, mut passwords)| {
            passwords.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
            let allows = |listing: &&Listing| listing.network.contains(used.address);
            UserNetwork {
                network: used.network,
                passwords: passwords.into_iter().map(|(_, id)| id).collect(),
                listing: listings.iter().find(allows).cloned(),
                used: Some(used),
            }
        })
        .collect();
    networks.sort_by_key(|one| std::cmp::Reverse(one.used.map(|used| used.last_at)));
    let known: Vec<_> = networks.iter().filter_map(|one| one.used).collect();
    let unused = listings.into_iter().filter(|listing| {
        let mut known = known.iter();
        !known.any(|used| listing.network.contains(used.address))
    });
    networks.extend(unused.map(|listing| UserNetwork {
        network: listing.network,
        used: None,
        passwords: Vec::new(),
        listing: Some(listing),
    }));
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(network: &str, address: &str, first: i64, last: i64) -> NetworkUse {
        NetworkUse {
            network: network.parse().unwrap(),
            address: address.parse().unwrap(),
            first_at: Time::from_epoch(first),
            last_at: Time::from_epoch(last),
            sign_ins: 3,
        }
    }

    #[test]
    fn networks_are_added_up_and_those_not_used_follow() {
        let id = |id: &str| PasswordId::stored(id.into());
        let uses = vec![
            (id("new"), used("192.0.2.0/24", "192.0.2.9", 50, 90)),
            (id("old"), used("192.0.2.0/24", "192.0.2.1", 10, 60)),
            (id("new"), used("203.0.113.0/24", "203.0.113.1", 95, 96)),
        ];
        let listing = |network: &str, owner: &str| Listing {
            network: network.parse().unwrap(),
            owner: owner.into(),
            learned: false,
        };
        let lists = vec![
            listing("192.0.2.9", "a@b.example"),
            listing("192.0.2.0/24", "b.example"),
            listing("10.0.0.0/8", "the installation"),
        ];
        let found = together(uses, lists.clone());
        let names: Vec<_> = found.iter().map(|one| one.network.to_string()).collect();
        assert_eq!(names, ["203.0.113.0/24", "192.0.2.0/24", "10.0.0.0/8"]);
        assert_eq!(found[0].listing, None);
        assert_eq!(found[1].listing.as_ref(), Some(&lists[0]));
        assert_eq!(found[1].passwords, [id("new"), id("old")]);
        let sum = NetworkUse {
            sign_ins: 6,
            ..used("192.0.2.0/24", "192.0.2.9", 10, 90)
        };
        assert_eq!(found[1].used, Some(sum));
        assert_eq!(found[2].used, None);
    }
}
