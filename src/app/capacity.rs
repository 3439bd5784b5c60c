//! Counts places for new users in domains. The domains are looked up together, within a
//! change or before it, to find early what it would refuse.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::name::DomainName;
use crate::store::Store;

#[derive(Debug, Default)]
pub struct DomainCapacity {
    known: BTreeMap<DomainName, Option<Places>>,
    /// How many users will be deleted, by domain.
    leaving: BTreeMap<DomainName, u64>,
}

/// An existing domain.
#[derive(Debug, Default)]
struct Places {
    most: Option<u32>,
    /// Existing and new users; only new ones if the domain has no limit.
    users: u64,
}

impl DomainCapacity {
    pub fn without(leaving: BTreeMap<DomainName, u64>) -> Self {
        Self {
            leaving,
            ..Self::default()
        }
    }

    pub fn look_up<'a>(
        &mut self,
        store: &mut Store,
        domains: impl Iterator<Item = &'a DomainName>,
    ) -> Result<()> {
        let mut new: Vec<_> = domains.filter(|d| !self.known.contains_key(d)).collect();
        new.sort_unstable();
        new.dedup();
        let mut limited = Vec::new();
        for (name, found) in new.iter().zip(store.domains_named(&new)?) {
            let most = found.map(|domain| domain.max_users);
            limited.extend(most.flatten().map(|_| *name));
            let room = most.map(|most| Places { most, users: 0 });
            self.known.insert((*name).clone(), room);
        }
        for (name, users) in limited.iter().zip(store.user_counts(&limited)?) {
            if let Some(Some(room)) = self.known.get_mut(name) {
                let leaving = self.leaving.get(name).copied();
                room.users = users.saturating_sub(leaving.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Takes a place in a domain that was looked up or added.
    pub fn take(&mut self, name: &DomainName) -> Result<()> {
        let Some(Some(room)) = self.known.get_mut(name) else {
            return Err(Error::DomainNotFound(name.to_string()));
        };
        match room.most {
            Some(limit) if room.users >= limit.into() => Err(Error::UserLimit {
                domain: name.to_string(),
                limit,
            }),
            _ => {
                room.users += 1;
                Ok(())
            }
        }
    }

    pub fn has(&self, name: &DomainName) -> bool {
        self.known.get(name).is_some_and(Option::is_some)
    }

    /// Adds a new domain, which has no limit.
    pub fn add(&mut self, name: &DomainName) {
        self.known.insert(name.clone(), Some(Places::default()));
    }

    /// Forgets domains without a limit: there may be many, and they can be looked up again.
    pub fn forget_unlimited(&mut self) {
        let limited = |room: &Option<Places>| room.as_ref().is_some_and(|r| r.most.is_some());
        self.known.retain(|_, room| limited(room));
    }
}
