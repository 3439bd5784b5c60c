//! From which addresses users may sign in: the rules and lists of users, domains and the
//! installation.

use super::{Scope, Store, Tx};
use crate::error::{Error, Result};
use crate::model::address_rules::{
    AddressChange, AddressMode, AddressRules, AllowedNetwork, MOST_ALLOWED, MOST_LEARNED,
    UnknownAddress,
};
use crate::model::duration::Duration;
use crate::model::event::Fields;
use crate::model::name::{DomainName, Username};
use crate::model::network::Network;

impl Store {
    /// Returns what one owner says itself.
    pub fn own_address_rules(&mut self, owner: Scope) -> Result<AddressRules> {
        let found = self.own_address_rules_of(&[owner])?.pop();
        Ok(found.unwrap_or_default())
    }

    /// Returns the rules that each owner has itself.
    pub fn own_address_rules_of(&mut self, owners: &[Scope]) -> Result<Vec<AddressRules>> {
        const RULES: &str = "SELECT addresses, unknown_address, learn, learning_since
            FROM address_rules WHERE owner = $1";
        const ALLOWED: &str = "SELECT network, learned, added_at FROM allowed_addresses
            WHERE owner = $1";
        let args: Vec<_> = owners.iter().map(|o| vec![o.as_str().into()]).collect();
        let mut rules = vec![AddressRules::default(); owners.len()];
        self.engine.query_each(RULES, &args, &mut |number, row| {
            rules[number] = AddressRules {
                mode: row.opt_parsed(0)?,
                unknown: row.opt_parsed(1)?,
                learn: row.opt_duration(2)?,
                learning_since: row.opt_time(3)?,
                allowed: Vec::new(),
            };
            Ok(())
        })?;
        self.engine.query_each(ALLOWED, &args, &mut |number, row| {
            rules[number].allowed.push(AllowedNetwork {
                network: row.parsed(0)?,
                learned: row.int(1)? != 0,
                added_at: row.time(2)?,
            });
            Ok(())
        })?;
        for rules in &mut rules {
            rules.allowed.sort_by_key(|allowed| allowed.network);
        }
        Ok(rules)
    }

    /// Returns the rules of a domain and of the installation.
    pub fn shared_address_rules(&mut self, domain: &DomainName) -> Result<[AddressRules; 2]> {
        let owners = [Scope::domain(domain), Scope::INSTALLATION];
        let mut rules = self.own_address_rules_of(&owners)?.into_iter();
        let mut next = || rules.next().unwrap_or_default();
        Ok([next(), next()])
    }

    /// Returns the rules of a user, of its domain and of the installation.
    pub fn address_rules(&mut self, username: &Username) -> Result<[AddressRules; 3]> {
        let mut rules = self
            .own_address_rules_of(&Scope::all(username))?
            .into_iter();
        let mut next = || rules.next().unwrap_or_default();
        Ok([next(), next(), next()])
    }
}

impl Tx<'_> {
    /// `rules` are the owner's own, as they are now.
    pub(super) fn change_addresses(
        &mut self,
        owner: Scope,
        mut rules: AddressRules,
        change: &AddressChange,
        mut fields: Fields,
    ) -> Result<Fields> {
        const SET: &str = "INSERT INTO address_rules
            (owner, addresses, unknown_address, learn, learning_since) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (owner) DO UPDATE SET addresses = excluded.addresses,
                unknown_address = excluded.unknown_address, learn = excluded.learn,
                learning_since = excluded.learning_since";
        const UNSET: &str = "DELETE FROM address_rules WHERE owner = $1";
        if change.sets_rules() {
            rules.change(change, self.stamp.at);
            let mode = rules.mode.map(AddressMode::name);
            let unknown = rules.unknown.map(UnknownAddress::name);
            let learn = rules.learn.map(Duration::seconds);
            if rules.is_empty() {
                self.later(UNSET, &[owner.as_str().into()])?;
            } else {
                let args = [
                    owner.as_str().into(),
                    mode.into(),
                    unknown.into(),
                    learn.into(),
                    rules.learning_since.into(),
                ];
                self.later(SET, &args)?;
            }
            if change.mode.is_some() {
                fields = fields.with("addresses", mode);
            }
            if change.unknown.is_some() {
                fields = fields.with("unknown_address", unknown);
            }
            if change.learn.is_some() {
                fields = fields.with("learn", learn);
            }
        }
        self.change_list(owner, &mut rules, change, fields)
    }

    fn change_list(
        &mut self,
        owner: Scope,
        rules: &mut AddressRules,
        change: &AddressChange,
        mut fields: Fields,
    ) -> Result<Fields> {
        const ALLOW: &str = "INSERT INTO allowed_addresses (owner, network, learned, added_at)
            VALUES ($1, $2, 0, $3)
            ON CONFLICT (owner, network) DO UPDATE SET learned = 0, added_at = excluded.added_at";
        const DISALLOW: &str = "DELETE FROM allowed_addresses WHERE owner = $1 AND network = $2";
        let gone = rules.within(&change.disallow);
        for network in &gone {
            let network = network.to_string();
            self.later(DISALLOW, &[owner.as_str().into(), network.as_str().into()])?;
        }
        rules
            .allowed
            .retain(|allowed| !gone.contains(&allowed.network));
        let new = rules.not_given(&change.allow);
        let learned = rules
            .allowed
            .iter()
            .filter(|allowed| new.contains(&allowed.network));
        if rules.allowed.len() + new.len() - learned.count() > MOST_ALLOWED {
            return Err(Error::TooManyAddresses {
                owner: owner.name().to_owned(),
                most: MOST_ALLOWED,
            });
        }
        for network in &new {
            let network = network.to_string();
            let at = self.stamp.at;
            self.later(
                ALLOW,
                &[owner.as_str().into(), network.as_str().into(), at.into()],
            )?;
        }
        for (name, networks) in [("disallow", gone), ("allow", new)] {
            if !networks.is_empty() {
                let networks: Vec<_> = networks.iter().map(Network::to_string).collect();
                fields = fields.with(name, networks);
            }
        }
        Ok(fields)
    }

    /// Deletes the rules and the list of a deleted user or domain.
    pub(super) fn forget_addresses(&mut self, owner: Scope) -> Result<()> {
        const RULES: &str = "DELETE FROM address_rules WHERE owner = $1";
        const ALLOWED: &str = "DELETE FROM allowed_addresses WHERE owner = $1";
        self.later(RULES, &[owner.as_str().into()])?;
        self.later(ALLOWED, &[owner.as_str().into()])
    }

    /// Adds a network to the list of a user, because of a good sign-in; but not more than
    /// [`MOST_LEARNED`]. Measured, not changed by an admin: no event.
    pub fn learn_network(&mut self, username: &Username, network: Network) -> Result<()> {
        const SQL: &str = "INSERT INTO allowed_addresses (owner, network, learned, added_at)
            SELECT username, $2, 1, $3 FROM users WHERE username = $1
                AND (SELECT count(*) FROM allowed_addresses
                    WHERE owner = $1 AND learned = 1) < $4
            ON CONFLICT (owner, network) DO NOTHING";
        let (network, most) = (
            network.to_string(),
            i64::try_from(MOST_LEARNED).unwrap_or(0),
        );
        let args = [
            username.as_str().into(),
            network.as_str().into(),
            self.stamp.at.into(),
            most.into(),
        ];
        self.later(SQL, &args)
    }
}
