//! Roles: what those may do who are not the store's owner.

use super::{App, need_domain, need_user};
use crate::error::{Error, Result};
use crate::model::holder::{GivenRole, HolderName, HolderRole, Reach};
use crate::model::name::{DomainName, Username};

/// A role to grant.
#[derive(Debug)]
pub struct RoleRequest {
    /// Its future holder.
    pub holder: HolderName,
    /// What it allows.
    pub role: HolderRole,
    /// In these domains; empty for all.
    pub domains: Vec<DomainName>,
    /// For this user, which only one role has.
    pub user: Option<Username>,
    /// The most changes within an hour; `None` for the usual number.
    pub hourly_changes: Option<u32>,
}

impl RoleRequest {
    /// Returns what the role is about. Fails if that does not fit the role.
    fn reach(&self) -> Result<Reach> {
        let refused = |what: &str| Err(Error::Usage(what.into()));
        match (self.role, &self.user) {
            (HolderRole::Own, None) => refused("--role self needs --user"),
            (HolderRole::Own, Some(_)) if !self.domains.is_empty() => {
                refused("--role self is about one user: omit --domain")
            }
            (HolderRole::Own, Some(user)) => Ok(Reach::User(user.clone())),
            (_, Some(_)) => refused("--user is for --role self; the other roles have --domain"),
            (_, None) if self.domains.is_empty() => Ok(Reach::All),
            (_, None) => {
                let mut domains = self.domains.clone();
                domains.sort_unstable();
                domains.dedup();
                Ok(Reach::Domains(domains))
            }
        }
    }
}

impl App {
    /// Grants a role in place of the one that the holder had. Fails if its domains or its user
    /// do not exist.
    pub fn grant_role(&mut self, request: &RoleRequest) -> Result<GivenRole> {
        let reach = request.reach()?;
        let now = self.now().plausible()?;
        let given = GivenRole {
            holder: request.holder.clone(),
            role: request.role,
            hourly_changes: request.hourly_changes.unwrap_or(GivenRole::HOURLY_CHANGES),
            reach,
            granted_at: now,
        };
        let mut tx = self.begin()?;
        match &given.reach {
            Reach::All => {}
            Reach::Domains(domains) => {
                for domain in domains {
                    need_domain(tx.store(), domain)?;
                }
            }
            Reach::User(username) => {
                need_user(tx.store(), username, now)?;
            }
        }
        tx.grant_role(&given)?;
        tx.commit()?;
        Ok(given)
    }

    /// Revokes the role of a holder. Fails if there is none.
    pub fn revoke_role(&mut self, holder: &HolderName) -> Result<()> {
        let mut tx = self.begin()?;
        if !tx.revoke_role(holder)? {
            return Err(Error::RoleNotFound(holder.to_string()));
        }
        tx.commit()
    }

    /// Returns all roles, by the names of their holders.
    pub fn given_roles(&mut self) -> Result<Vec<GivenRole>> {
        self.store.given_roles()
    }
}
