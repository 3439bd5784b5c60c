//! The roles of those who are not the store's owner.

use super::engine::Row;
use super::holder_state::HourOfChanges;
use super::{Store, Tx};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::holder::{GivenRole, HolderName, HolderRole, Reach};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;

/// The value of `reach` for all domains, for some, and for one user.
const ALL: &str = "all";
const DOMAINS: &str = "domains";
const USER: &str = "user";

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT r.holder, r.role, r.reach, r.username, r.hourly_changes, r.granted_at,
                r.hour_from, r.changes, d.domain
            FROM roles r LEFT JOIN role_domains d ON d.holder = r.holder ",
            $where,
            " ORDER BY r.holder, d.domain"
        )
    };
}

impl Store {
    /// Returns all roles, by the names of their holders.
    pub fn given_roles(&mut self) -> Result<Vec<GivenRole>> {
        let mut found = Vec::new();
        self.engine.query(select!(""), &[], &mut |row| {
            collect(&mut found, row).map(|_| ())
        })?;
        Ok(found)
    }

    /// Returns the role of a holder; `None` if there is none.
    pub fn given_role(&mut self, holder: &HolderName) -> Result<Option<GivenRole>> {
        Ok(self.role_in_use(holder)?.map(|(role, _)| role))
    }

    /// Returns the same with what was used of its changes.
    pub(super) fn role_in_use(
        &mut self,
        holder: &HolderName,
    ) -> Result<Option<(GivenRole, HourOfChanges)>> {
        const SQL: &str = select!("WHERE r.holder = $1");
        let (mut found, mut hour) = (Vec::new(), None);
        self.engine
            .query(SQL, &[holder.as_str().into()], &mut |row| {
                hour = Some(collect(&mut found, row)?);
                Ok(())
            })?;
        Ok(found.pop().zip(hour))
    }
}

/// Adds what a row says: a role, or one more domain of the last one.
fn collect(found: &mut Vec<GivenRole>, row: &dyn Row) -> Result<HourOfChanges> {
    let holder: HolderName = row.parsed(0)?;
    if found.last().is_none_or(|last| last.holder != holder) {
        let reach = match row.text(2)? {
            ALL => Reach::All,
            DOMAINS => Reach::Domains(Vec::new()),
            USER => Reach::User(row.parsed(3)?),
            other => return Err(row.not_valid(other)),
        };
        found.push(GivenRole {
            holder,
            role: row.parsed::<HolderRole>(1)?,
            reach,
            hourly_changes: row.count(4)?,
            granted_at: row.time(5)?,
        });
    }
    if let Some(domain) = row.opt_parsed::<DomainName>(8)?
        && let Some(Reach::Domains(domains)) = found.last_mut().map(|last| &mut last.reach)
    {
        domains.push(domain);
    }
    Ok(HourOfChanges {
        from: row.time(6)?,
        changes: row.count(7)?,
    })
}

impl Tx<'_> {
    /// Gives a role to its holder, in place of the one before.
    pub fn grant_role(&mut self, given: &GivenRole) -> Result<()> {
        const FORGET: &str = "DELETE FROM roles WHERE holder = $1";
        const ROLE: &str = "INSERT INTO roles (holder, role, reach, username, granted_at,
                hourly_changes, hour_from, changes)
            VALUES ($1, $2, $3, $4, $5, $6, 0, 0)";
        const DOMAIN: &str = "INSERT INTO role_domains (holder, domain) VALUES ($1, $2)";
        let holder = given.holder.as_str();
        let (reach, domains, username) = match &given.reach {
            Reach::All => (ALL, &[][..], None),
            Reach::Domains(domains) => (DOMAINS, &domains[..], None),
            Reach::User(username) => (USER, &[][..], Some(username)),
        };
        self.later(FORGET, &[holder.into()])?;
        let args = [
            holder.into(),
            given.role.name().into(),
            reach.into(),
            username.map(Username::as_str).into(),
            given.granted_at.into(),
            given.hourly_changes.into(),
        ];
        self.later(ROLE, &args)?;
        for domain in domains {
            self.later(DOMAIN, &[holder.into(), domain.as_str().into()])?;
        }
        let names: Vec<_> = domains.iter().map(DomainName::as_str).collect();
        let fields = Fields::default()
            .with("holder", holder)
            .with("role", given.role.name())
            .with("reach", reach)
            .with_some("domains", (!names.is_empty()).then_some(names))
            .with("hourly_changes", given.hourly_changes);
        let domain = username.map(Username::domain);
        self.event(Action::RoleGrant, domain.as_ref(), username, &fields)
    }

    /// Takes the role of a holder away. Returns whether there was one.
    pub fn revoke_role(&mut self, holder: &HolderName) -> Result<bool> {
        const SQL: &str = "DELETE FROM roles WHERE holder = $1";
        if self.execute(SQL, &[holder.as_str().into()])? == 0 {
            return Ok(false);
        }
        let fields = Fields::default().with("holder", holder.as_str());
        self.event(Action::RoleRevoke, None, None, &fields)?;
        Ok(true)
    }

    /// Ends the roles about a deleted user: a later one of the same name is another.
    pub(super) fn end_roles_of_user(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM roles WHERE username = $1";
        self.later(SQL, &[username.as_str().into()])
    }

    /// Takes a removed domain out of the roles.
    pub(super) fn end_roles_in_domain(&mut self, domain: &DomainName) -> Result<()> {
        const SQL: &str = "DELETE FROM role_domains WHERE domain = $1";
        self.later(SQL, &[domain.as_str().into()])
    }

    /// Counts a change of a holder.
    pub(super) fn count_change(
        &mut self,
        holder: &HolderName,
        from: Time,
        changes: u32,
    ) -> Result<()> {
        const SQL: &str = "UPDATE roles SET hour_from = $2, changes = $3 WHERE holder = $1";
        self.later(SQL, &[holder.as_str().into(), from.into(), changes.into()])
    }
}
