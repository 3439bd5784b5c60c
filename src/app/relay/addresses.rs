//! The rules about addresses, as they are when a user is read.

use std::sync::Arc;

use super::Relay;
use super::shared_rules::SharedRules;
use crate::error::Result;
use crate::model::address_rules::{AddressPolicy, AddressRules};
use crate::model::name::Username;
use crate::store::{Scope, SignInRow};

impl Relay {
    /// Returns from where a user may sign in; `None` without any rule.
    pub(super) fn addresses(
        &mut self,
        username: &Username,
        row: &SignInRow,
    ) -> Result<Option<AddressPolicy>> {
        let shared = self.shared_rules(username)?;
        let own = if row.has_address_rules {
            self.store()?.own_address_rules(Scope::user(username))?
        } else if shared.is_some() {
            AddressRules::default()
        } else {
            return Ok(None);
        };
        let list = Arc::new(own.networks());
        let none = [AddressRules::default(), AddressRules::default()];
        let ([domain, all], [of_domain, of_all]) = match shared.as_deref() {
            Some(shared) => (&shared.rules, shared.lists.clone()),
            None => (&none, Default::default()),
        };
        let lists = [list, of_domain, of_all];
        let policy = AddressPolicy::with_lists([&own, domain, all], lists, row.created_at);
        Ok(Some(policy))
    }

    fn shared_rules(&mut self, username: &Username) -> Result<Option<Arc<SharedRules>>> {
        let generation = self.reader.generation();
        let domain = username.domain();
        let known = self.shared_rules.get_mut(domain.as_str());
        if let Some((_, shared)) = known.filter(|(read, _)| *read == generation) {
            return Ok(shared.clone());
        }
        let rules = self.store()?.shared_address_rules(&domain)?;
        let shared = SharedRules::new(rules).map(Arc::new);
        let kept = (generation, shared.clone());
        self.shared_rules.insert(domain.as_str().into(), kept);
        Ok(shared)
    }
}
