//! Domains.

use super::dns::{Subject, Verification};
use super::{App, need_domain};
use crate::error::{Error, Result};
use crate::model::dns::Selector;
use crate::model::domain::Domain;
use crate::model::name::DomainName;
use crate::model::password::verification_token;
use crate::store::{DomainChange, Page};

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

    pub fn list_domains(
        &mut self,
        page: &Page,
        each: &mut dyn FnMut(Domain, u64) -> Result<()>,
    ) -> Result<()> {
        self.store.domains(page, each)
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
        let names = tx.store().usernames_of(name)?;
        for username in &names {
            tx.delete_user(username)?;
        }
        tx.remove_domain(name)?;
        tx.commit()?;
        Ok((domain, users))
    }

    /// What is to be found in the DNS about a domain.
    pub fn subject(&mut self, name: &DomainName, selectors: Vec<Selector>) -> Result<Subject> {
        let verified = need_domain(&mut self.store, name)?.verified_at.is_some();
        let host = self.connection_of(name)?.host;
        let verification = if self.store.settings()?.require_verified_domains {
            let token = self.verification_token(name)?;
            Some(Verification { token, verified })
        } else {
            None
        };
        Ok(Subject {
            domain: name.clone(),
            host,
            selectors,
            verification,
        })
    }

    /// The one a domain has, which is made when it is first asked for.
    pub fn verification_token(&mut self, name: &DomainName) -> Result<String> {
        need_domain(&mut self.store, name)?;
        if let Some(token) = self.store.verification_token(name)? {
            return Ok(token);
        }
        let token = verification_token(self.world.random)?;
        let mut tx = self.begin()?;
        tx.set_verification_token(name, &token)?;
        tx.commit()?;
        // Somebody else may have been quicker.
        let stored = self.store.verification_token(name)?;
        stored.ok_or_else(|| Error::DomainNotFound(name.to_string()))
    }

    /// This token was found. While it was looked for, the domain may have become
    /// another one's, with a token of its own.
    pub fn set_verified(&mut self, name: &DomainName, token: &str) -> Result<Domain> {
        let mut tx = self.begin()?;
        need_domain(tx.store(), name)?;
        if !tx.set_verified(name, token)? {
            return Err(Error::DomainNotFound(name.to_string()));
        }
        tx.commit()?;
        need_domain(&mut self.store, name)
    }

    /// Its users cannot send before it is verified.
    pub fn is_kept_from_sending(&mut self, name: &DomainName) -> Result<bool> {
        let required = self.store.settings()?.require_verified_domains;
        Ok(required && need_domain(&mut self.store, name)?.verified_at.is_none())
    }

    /// How many have users that cannot send where domains have to be verified.
    pub fn unverified_domains(&mut self) -> Result<u64> {
        let mut count = 0;
        self.store.domains(&Page::default(), &mut |domain, users| {
            count += u64::from(domain.verified_at.is_none() && users > 0);
            Ok(())
        })?;
        Ok(count)
    }
}
