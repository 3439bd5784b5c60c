//! Domains.

use super::engine::Row;
use super::{Page, Scope, SendingChange, Store, Tx};
use crate::error::{Error, Result};
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::domain::Domain;
use crate::model::event::{Action, Fields};
use crate::model::limit_kind::LimitKind;
use crate::model::name::{DomainName, HostName};
use crate::model::rotation::{RotationRules, RulesChange};
use crate::model::setting::{LimitValue, Setting};

/// A change of a domain; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// The name of the mail server for its users.
    pub host: Option<Setting<HostName>>,
    /// The most users.
    pub max_users: Option<Setting<LimitValue>>,
    /// The most messages a day of all its users.
    pub daily_limit: Option<Setting<LimitValue>>,
    /// Its limits.
    pub sending: SendingChange,
    /// Its rotation rules.
    pub rotation: RulesChange,
    /// From where its users may sign in.
    pub addresses: AddressChange,
}

impl Store {
    /// Returns a domain; `None` if it does not exist.
    pub fn domain(&mut self, name: &DomainName) -> Result<Option<Domain>> {
        Ok(self.domains_named(&[name])?.pop().flatten())
    }

    /// Returns each of these domains in their order; `None` for one that does not exist.
    pub fn domains_named(&mut self, names: &[&DomainName]) -> Result<Vec<Option<Domain>>> {
        const SQL: &str = "SELECT name, host, max_users, daily_limit, created_at, verified_at
            FROM domains WHERE name = $1";
        let mut found: Vec<_> = names.iter().map(|_| None).collect();
        let args: Vec<_> = names.iter().map(|n| vec![n.as_str().into()]).collect();
        self.engine.query_each(SQL, &args, &mut |number, row| {
            found[number] = Some(read(row)?);
            Ok(())
        })?;
        let hidden = found.iter_mut().zip(names);
        for (found, _) in hidden.filter(|(_, name)| !self.shows_domain(name)) {
            *found = None;
        }
        Ok(found)
    }

    /// By name, each with the number of its users.
    pub fn domains(
        &mut self,
        page: &Page,
        each: &mut dyn FnMut(Domain, u64) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str =
            "SELECT d.name, d.host, d.max_users, d.daily_limit, d.created_at, d.verified_at,
                (SELECT count(*) FROM users u WHERE u.domain = d.name)
            FROM domains d WHERE d.name > $1 AND (CAST($3 AS TEXT) IS NULL
                OR d.name IN (SELECT r.domain FROM role_domains r WHERE r.holder = $3))
            ORDER BY d.name LIMIT $2";
        let mut pieces = page.pieces();
        let mut after = page.after.to_owned();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            let holder = self.lists_for().map(str::to_owned);
            let args = [after.as_str().into(), most.into(), holder.as_deref().into()];
            self.engine.query(SQL, &args, &mut |row| {
                found.push((read(row)?, row.int(6)?.unsigned_abs()));
                Ok(())
            })?;
            pieces.read(found.len());
            if let Some((last, _)) = found.last() {
                after = last.name.to_string();
            }
            for (domain, users) in found {
                each(domain, users)?;
            }
        }
        Ok(())
    }

    /// Up to `limit` names that begin so, for completion.
    pub fn domain_names(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>> {
        const SQL: &str = "SELECT name FROM domains
            WHERE name >= $1 AND name < $2 ORDER BY name LIMIT $3";
        self.names(SQL, prefix, limit)
    }

    /// What is to be found in the domain's DNS, if it was ever asked for.
    pub fn verification_token(&mut self, name: &DomainName) -> Result<Option<String>> {
        const SQL: &str = "SELECT verification_token FROM domains WHERE name = $1";
        let mut found = None;
        self.engine
            .query(SQL, &[name.as_str().into()], &mut |row| {
                found = row.opt_text(0)?.map(str::to_owned);
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns how many users a domain has.
    pub fn user_count(&mut self, domain: &DomainName) -> Result<u64> {
        Ok(self.user_counts(&[domain])?.pop().unwrap_or_default())
    }

    /// Returns how many users each of these domains has, in their order.
    pub fn user_counts(&mut self, names: &[&DomainName]) -> Result<Vec<u64>> {
        const SQL: &str = "SELECT count(*) FROM users WHERE domain = $1";
        let mut counts = vec![0; names.len()];
        let args: Vec<_> = names.iter().map(|n| vec![n.as_str().into()]).collect();
        self.engine.query_each(SQL, &args, &mut |number, row| {
            counts[number] = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(counts)
    }
}

fn read(row: &dyn Row) -> Result<Domain> {
    Ok(Domain {
        name: row.parsed(0)?,
        host: row.opt_parsed(1)?,
        max_users: row.opt_limit(2)?,
        daily_limit: row.opt_limit(3)?,
        created_at: row.time(4)?,
        verified_at: row.opt_time(5)?,
    })
}

impl Tx<'_> {
    /// Creates a domain. Returns an error if it exists.
    pub fn add_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<()> {
        const SQL: &str = "INSERT INTO domains (name, created_at) VALUES ($1, $2)
            ON CONFLICT DO NOTHING";
        let at = self.stamp.at;
        let exists = Error::DomainExists(name.to_string());
        self.change_later(SQL, &[name.as_str().into(), at.into()], exists)?;
        // An earlier domain of the same name left no rules.
        let (rules, addresses) = (RotationRules::default(), AddressRules::default());
        let fields = self.update_domain(name, change, rules, addresses)?;
        self.event(Action::DomainAdd, Some(name), None, &fields)
    }

    /// Changes a domain.
    pub fn set_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<()> {
        let rules = self.store.own_rotation_rules(Scope::domain(name))?;
        let addresses = self.store.own_address_rules(Scope::domain(name))?;
        let fields = self.update_domain(name, change, rules, addresses)?;
        self.event(Action::DomainSet, Some(name), None, &fields)
    }

    /// The users have to be gone before: see [`Tx::delete_user`].
    pub fn remove_domain(&mut self, name: &DomainName) -> Result<()> {
        self.erase_domain(name)?;
        self.event(Action::DomainRemove, Some(name), None, &Fields::default())
    }

    /// Does the same as a part of another change, whose event says so.
    pub(super) fn erase_domain(&mut self, name: &DomainName) -> Result<()> {
        const SQL: &str = "DELETE FROM domains WHERE name = $1";
        self.later(SQL, &[name.as_str().into()])?;
        self.delete_limits(Scope::domain(name))?;
        self.forget_rotation_rules(Scope::domain(name))?;
        self.forget_addresses(Scope::domain(name))?;
        self.stop_old_names_in(name)?;
        self.end_roles_in_domain(name)
    }

    /// Only where there is none: it stays the same for good.
    pub fn set_verification_token(&mut self, name: &DomainName, token: &str) -> Result<()> {
        const SQL: &str = "UPDATE domains SET verification_token = $2
            WHERE name = $1 AND verification_token IS NULL";
        if self.execute(SQL, &[name.as_str().into(), token.into()])? == 0 {
            return Ok(());
        }
        // It is published, so not secret.
        let fields = Fields::default().with("verification_token", token);
        self.event(Action::DomainSet, Some(name), None, &fields)
    }

    /// Its token was found in the DNS; whether it still has that one.
    pub fn set_verified(&mut self, name: &DomainName, token: &str) -> Result<bool> {
        const SQL: &str = "UPDATE domains SET verified_at = $2
            WHERE name = $1 AND verification_token = $3";
        let at = self.stamp.at;
        let changed = self.execute(SQL, &[name.as_str().into(), at.into(), token.into()])?;
        if changed == 0 {
            return Ok(false);
        }
        self.event(Action::DomainVerify, Some(name), None, &Fields::default())?;
        Ok(true)
    }

    fn update_domain(
        &mut self,
        domain: &DomainName,
        change: &DomainChange,
        rules: RotationRules,
        addresses: AddressRules,
    ) -> Result<Fields> {
        const HOST: &str = "UPDATE domains SET host = $2 WHERE name = $1";
        const MAX_USERS: &str = "UPDATE domains SET max_users = $2 WHERE name = $1";
        const DAILY_LIMIT: &str = "UPDATE domains SET daily_limit = $2 WHERE name = $1";
        let name = domain.as_str();
        if let Some(host) = &change.host {
            let host = host.as_ref().value().map(HostName::as_str);
            self.later(HOST, &[name.into(), host.into()])?;
        }
        for (sql, limit) in [
            (MAX_USERS, &change.max_users),
            (DAILY_LIMIT, &change.daily_limit),
        ] {
            if let Some(limit) = limit {
                self.later(
                    sql,
                    &[name.into(), limit.as_ref().value().map(|l| l.get()).into()],
                )?;
            }
        }
        let owner = Scope::domain(domain);
        if let Some(limit) = &change.daily_limit {
            let limit = limit.as_ref().value().map(|l| l.get());
            self.look_at_limit(owner, LimitKind::MESSAGES_A_DAY, limit)?;
        }
        let fields = self.change_sending(owner, &change.sending, change.fields())?;
        let fields = self.change_rotation_rules(owner, rules, &change.rotation, fields)?;
        self.change_addresses(owner, addresses, &change.addresses, fields)
    }
}

impl SendingChange {
    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.senders.is_none() && self.limits.is_empty() && self.on_limit.is_none()
    }
}

impl DomainChange {
    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty()
            && self.sending.is_empty()
            && self.rotation.is_empty()
            && self.addresses.is_empty()
    }

    fn fields(&self) -> Fields {
        let limit = |setting: &Option<Setting<LimitValue>>| {
            setting
                .as_ref()
                .map(|s| s.as_ref().value().map(|l| l.get()))
        };
        let host = self.host.as_ref();
        Fields::default()
            .with_some(
                "host",
                host.map(|h| h.as_ref().value().map(HostName::as_str)),
            )
            .with_some("max_users", limit(&self.max_users))
            .with_some("daily_limit", limit(&self.daily_limit))
    }
}
