//! The rules about addresses of a domain and of the installation, which are kept for all users:
//! their lists may be long.

use std::sync::Arc;

use crate::model::address_rules::AddressRules;
use crate::model::network::Networks;

/// The rules of a domain and of the installation.
pub struct SharedRules {
    /// The rules, the nearer ones first.
    pub rules: [AddressRules; 2],
    /// Their lists.
    pub lists: [Arc<Networks>; 2],
}

impl SharedRules {
    /// Returns `None` if there are none.
    pub fn new(rules: [AddressRules; 2]) -> Option<Self> {
        let no_rules = AddressRules::default();
        let some = rules.iter().any(|rules| *rules != no_rules);
        some.then(|| Self {
            lists: rules.each_ref().map(|rules| Arc::new(rules.networks())),
            rules,
        })
    }
}
