//! Domains.

use super::{App, need_domain};
use crate::error::{Error, Result};
use crate::model::domain::Domain;
use crate::model::name::DomainName;
use crate::store::DomainChange;

impl App {
    pub fn add_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<Domain> {
        let mut tx = self.begin()?;
        tx.add_domain(name, change)?;
        tx.commit()?;
        need_domain(&mut self.store, name)
    }

    pub fn domain(&mut self, name: &DomainName) -> Result<(Domain, u64)> {
        let domain = need_domain(&mut self.store, name)?;
        let users = self.store.user_count(name)?;
        Ok((domain, users))
    }

    pub fn list_domains(&mut self, each: &mut dyn FnMut(Domain, u64) -> Result<()>) -> Result<()> {
        self.store.domains(each)
    }

    pub fn set_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<Domain> {
        let mut tx = self.begin()?;
        need_domain(tx.store(), name)?;
        tx.set_domain(name, change)?;
        tx.commit()?;
        need_domain(&mut self.store, name)
    }

    /// Removes a domain, and its users only if that was said. Returns it as it
    /// was, with how many users went with it.
    pub fn remove_domain(&mut self, name: &DomainName, with_users: bool) -> Result<(Domain, u64)> {
        let mut tx = self.begin()?;
        let domain = need_domain(tx.store(), name)?;
        let users = tx.store().user_count(name)?;
        if users > 0 && !with_users {
            return Err(Error::DomainNotEmpty {
                domain: name.to_string(),
                users,
            });
        }
        let mut names = Vec::new();
        tx.store().users(Some(name), &mut |user| {
            names.push(user.username);
            Ok(())
        })?;
        for username in &names {
            tx.delete_user(username)?;
        }
        tx.remove_domain(name)?;
        tx.commit()?;
        Ok((domain, users))
    }
}
