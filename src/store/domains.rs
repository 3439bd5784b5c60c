//! Domains.

use super::engine::Row;
use super::{Owner, Page, SendingChange, Store, Tx};
use crate::error::{Error, Result};
use crate::model::domain::Domain;
use crate::model::event::{Action, Fields};
use crate::model::name::{DomainName, HostName};
use crate::model::rotation::RulesChange;
use crate::model::settings::{Limit, Setting};

/// What to set; absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    pub host: Option<Setting<HostName>>,
    pub max_users: Option<Setting<Limit>>,
    pub daily_limit: Option<Setting<Limit>>,
    pub sending: SendingChange,
    pub rotation: RulesChange,
}

impl Store {
    pub fn domain(&mut self, name: &DomainName) -> Result<Option<Domain>> {
        const SQL: &str = "SELECT name, host, max_users, daily_limit, created_at, verified_at
            FROM domains WHERE name = $1";
        let mut found = None;
        self.engine
            .query(SQL, &[name.as_str().into()], &mut |row| {
                found = Some(read(row)?);
                Ok(())
            })?;
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
            FROM domains d WHERE d.name > $1 ORDER BY d.name LIMIT $2";
        let mut pieces = page.pieces();
        let mut after = page.after.to_owned();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            let args = [after.as_str().into(), most.into()];
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

    pub fn user_count(&mut self, domain: &DomainName) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM users WHERE domain = $1";
        let mut count = 0;
        self.engine
            .query(SQL, &[domain.as_str().into()], &mut |row| {
                count = row.int(0)?.unsigned_abs();
                Ok(())
            })?;
        Ok(count)
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
    pub fn add_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<()> {
        const SQL: &str = "INSERT INTO domains (name, created_at) VALUES ($1, $2)
            ON CONFLICT DO NOTHING";
        let at = self.stamp.at;
        if self.execute(SQL, &[name.as_str().into(), at.into()])? == 0 {
            return Err(Error::DomainExists(name.to_string()));
        }
        let fields = self.update_domain(name, change)?;
        self.event(Action::DomainAdd, Some(name), None, &fields)
    }

    pub fn set_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<()> {
        let fields = self.update_domain(name, change)?;
        self.event(Action::DomainSet, Some(name), None, &fields)
    }

    /// The users have to be gone before: see [`Tx::delete_user`].
    pub fn remove_domain(&mut self, name: &DomainName) -> Result<()> {
        const SQL: &str = "DELETE FROM domains WHERE name = $1";
        self.execute(SQL, &[name.as_str().into()])?;
        self.forget_limits(Owner::domain(name))?;
        self.forget_rotation_rules(Owner::domain(name))?;
        self.event(Action::DomainRemove, Some(name), None, &Fields::default())
    }

    /// Only where there is none: it stays the same for good.
    pub fn set_verification_token(&mut self, name: &DomainName, token: &str) -> Result<()> {
        const SQL: &str = "UPDATE domains SET verification_token = $2
            WHERE name = $1 AND verification_token IS NULL";
        if self.execute(SQL, &[name.as_str().into(), token.into()])? == 0 {
            return Ok(());
        }
        // Everybody may read it: it is published.
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

    fn update_domain(&mut self, domain: &DomainName, change: &DomainChange) -> Result<Fields> {
        const HOST: &str = "UPDATE domains SET host = $2 WHERE name = $1";
        const MAX_USERS: &str = "UPDATE domains SET max_users = $2 WHERE name = $1";
        const DAILY_LIMIT: &str = "UPDATE domains SET daily_limit = $2 WHERE name = $1";
        let name = domain.as_str();
        if let Some(host) = &change.host {
            let host = host.as_ref().value().map(HostName::as_str);
            self.execute(HOST, &[name.into(), host.into()])?;
        }
        for (sql, limit) in [
            (MAX_USERS, &change.max_users),
            (DAILY_LIMIT, &change.daily_limit),
        ] {
            if let Some(limit) = limit {
                self.execute(
                    sql,
                    &[name.into(), limit.as_ref().value().map(|l| l.get()).into()],
                )?;
            }
        }
        let owner = Owner::domain(domain);
        let fields = self.change_sending(owner, &change.sending, change.fields())?;
        self.change_rotation_rules(owner, &change.rotation, fields)
    }
}

impl SendingChange {
    pub fn is_empty(&self) -> bool {
        self.senders.is_none() && self.limits.is_empty() && self.on_limit.is_none()
    }
}

impl DomainChange {
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty() && self.sending.is_empty() && self.rotation.is_empty()
    }

    fn fields(&self) -> Fields {
        let limit = |setting: &Option<Setting<Limit>>| {
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
