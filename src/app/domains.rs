//! Domains.

use std::time::Instant;

use super::apply::{FieldChange, domain_changes};
use super::dns::{Subject, Verification};
use super::pause::let_others;
use super::users::delete_same;
use super::{App, need_domain};
use crate::error::{Error, Result};
use crate::model::dns::Selector;
use crate::model::domain::Domain;
use crate::model::name::{DomainName, Username};
use crate::model::old_name::OldName;
use crate::model::password::verification_token;
use crate::model::time::Time;
use crate::store::{DomainChange, Page, Store};

/// How many users are deleted in one transaction, which takes some milliseconds.
const PIECE: usize = 500;

/// What is removed with a domain.
#[derive(Debug)]
pub struct Removal {
    /// The domain.
    pub domain: Domain,
    /// Its users with their creation times, which tell a user from a later one of the same
    /// name.
    pub users: Vec<(Username, Time)>,
    /// Old names in it that users of other domains can still sign in with; they stop.
    pub old_names: Vec<OldName>,
}

impl PartialEq for Removal {
    /// Changed settings do not make it another domain.
    fn eq(&self, other: &Self) -> bool {
        self.domain.created_at == other.domain.created_at && self.users == other.users
    }
}

/// Returns the current state of a domain that was seen before.
pub(super) fn need_same_domain(store: &mut Store, seen: &Domain) -> Result<Domain> {
    let domain = need_domain(store, &seen.name)?;
    if domain.created_at == seen.created_at {
        return Ok(domain);
    }
    Err(Error::ChangedMeanwhile(format!(
        "{} was removed and added again meanwhile",
        seen.name
    )))
}

fn removal(store: &mut Store, name: &DomainName, with_users: bool, now: Time) -> Result<Removal> {
    let domain = need_domain(store, name)?;
    let users = store.users_of(name)?;
    if !users.is_empty() && !with_users {
        return Err(Error::DomainNotEmpty {
            domain: name.to_string(),
            users: users.len() as u64,
        });
    }
    let old_names = store.old_names_left_in(name, now)?;
    if !old_names.is_empty() && !with_users {
        let names = old_names.iter().map(|old| (&old.old_name, &old.username));
        return Err(Error::OldNamesWork {
            domain: name.to_string(),
            names: names
                .map(|(old, new)| (old.to_string(), new.to_string()))
                .collect(),
        });
    }
    Ok(Removal {
        domain,
        users,
        old_names,
    })
}

impl App {
    /// Adds a domain and returns it. Fails if it exists.
    pub fn add_domain(&mut self, name: &DomainName, change: &DomainChange) -> Result<Domain> {
        let mut tx = self.begin()?;
        tx.add_domain(name, change)?;
        tx.commit()?;
        need_domain(&mut self.store, name)
    }

    /// Returns a domain and how many users it has. Fails if it does not exist.
    pub fn domain(&mut self, name: &DomainName) -> Result<(Domain, u64)> {
        let domain = need_domain(&mut self.store, name)?;
        let users = self.store.user_count(name)?;
        Ok((domain, users))
    }

    /// Passes domains, by name, and their numbers of users to the callback.
    pub fn list_domains(
        &mut self,
        page: &Page,
        each: &mut dyn FnMut(Domain, u64) -> Result<()>,
    ) -> Result<()> {
        self.store.domains(page, each)
    }

    /// Changes a domain. Returns the fields that differ now; nothing is written if none does.
    /// Fails if the domain does not exist.
    pub fn set_domain(
        &mut self,
        name: &DomainName,
        change: &DomainChange,
    ) -> Result<Vec<FieldChange>> {
        let mut tx = self.begin()?;
        need_domain(tx.store(), name)?;
        let fields = domain_changes(tx.store(), name, change)?;
        if !fields.is_empty() {
            tx.set_domain(name, change)?;
            tx.commit()?;
        }
        Ok(fields)
    }

    /// Returns a domain and the users that would be removed with it, to ask for
    /// confirmation.
    pub fn plan_removal(&mut self, name: &DomainName, with_users: bool) -> Result<Removal> {
        let now = self.now();
        removal(&mut self.store, name, with_users, now)
    }

    /// Removes a domain, and its users only if requested; if a person confirmed, only
    /// the users that person saw. Returns what was removed.
    pub fn remove_domain(
        &mut self,
        name: &DomainName,
        with_users: bool,
        seen: Option<&Removal>,
    ) -> Result<Removal> {
        let now = self.now();
        let removal = removal(&mut self.store, name, with_users, now)?;
        if let Some(seen) = seen.filter(|seen| **seen != removal) {
            let (now, then) = (removal.users.len(), seen.users.len());
            need_same_domain(&mut self.store, &seen.domain)?;
            let text = if now == then {
                format!("the users of {name} are not the ones that you confirmed")
            } else {
                format!("users of {name}: {now} now, {then} when you confirmed")
            };
            return Err(Error::ChangedMeanwhile(text));
        }
        let mut done = 0;
        let outcome = self.remove(&removal, &mut done);
        match outcome {
            Err(cause) if done > 0 => Err(Error::PartlyDone {
                what: "deleted",
                done,
                left: (removal.users.len() as u64).saturating_sub(done),
                cause: Box::new(cause),
            }),
            outcome => outcome.map(|()| removal),
        }
    }

    /// Removes users in batches that let others write, and the domain with the last batch.
    fn remove(&mut self, removal: &Removal, done: &mut u64) -> Result<()> {
        let name = &removal.domain.name;
        let mut left = &removal.users[..];
        while left.len() > PIECE {
            let began = Instant::now();
            let (piece, rest) = left.split_at(PIECE);
            *done += self.delete_users(piece)?;
            left = rest;
            let_others(began);
        }
        let mut tx = self.begin()?;
        need_same_domain(tx.store(), &removal.domain)?;
        if tx.store().users_of(name)? != left {
            return Err(Error::ChangedMeanwhile(format!(
                "the users of {name} have changed meanwhile"
            )));
        }
        delete_same(&mut tx, left)?;
        tx.remove_domain(name)?;
        tx.commit()
    }

    /// Returns what the DNS should say about a domain.
    pub fn subject(&mut self, name: &DomainName, selectors: Vec<Selector>) -> Result<Subject> {
        let verified = need_domain(&mut self.store, name)?.verified_at.is_some();
        let host = self.server_of(name)?.host;
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

    /// Returns the verification token of a domain; generates it the first time.
    pub fn verification_token(&mut self, name: &DomainName) -> Result<String> {
        need_domain(&mut self.store, name)?;
        if let Some(token) = self.store.verification_token(name)? {
            return Ok(token);
        }
        let token = verification_token(self.world.random)?;
        let mut tx = self.begin()?;
        tx.set_verification_token(name, &token)?;
        tx.commit()?;
        // Another process may have stored one first.
        let stored = self.store.verification_token(name)?;
        stored.ok_or_else(|| Error::DomainNotFound(name.to_string()))
    }

    /// Marks a domain as verified by a token found in the DNS. Fails if the domain was
    /// removed meanwhile and added again, with another token.
    pub fn set_verified(&mut self, name: &DomainName, token: &str) -> Result<Domain> {
        let mut tx = self.begin()?;
        need_domain(tx.store(), name)?;
        if !tx.set_verified(name, token)? {
            return Err(Error::DomainNotFound(name.to_string()));
        }
        tx.commit()?;
        need_domain(&mut self.store, name)
    }

    /// Returns whether its users cannot send because it is not verified.
    pub fn is_kept_from_sending(&mut self, name: &DomainName) -> Result<bool> {
        let required = self.store.settings()?.require_verified_domains;
        Ok(required && need_domain(&mut self.store, name)?.verified_at.is_none())
    }

    /// Counts unverified domains with users, who cannot send if verification is required.
    pub fn unverified_domains(&mut self) -> Result<u64> {
        let mut count = 0;
        self.store.domains(&Page::default(), &mut |domain, users| {
            count += u64::from(domain.verified_at.is_none() && users > 0);
            Ok(())
        })?;
        Ok(count)
    }
}
