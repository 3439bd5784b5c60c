//! Where passwords go after a plan is applied: the rules of a user, its domain and the
//! installation.

use crate::model::delivery::Destination;
use crate::model::name::Username;
use crate::model::plan::Plan;
use crate::model::rotation::{RotationRules, RulesChange};

/// The rules after the plan, each with whether the plan sets all of it.
pub struct PlannedRules([(RotationRules, bool); 3]);

impl PlannedRules {
    pub fn of(stored: [RotationRules; 3], plan: &Plan, username: &Username) -> Self {
        let [user, domain, installation] = stored;
        let wanted = plan.users.get(username).map(|user| &user.common);
        let of_domain = plan.domains.get(&username.domain());
        let of_all = plan.settings.as_ref();
        Self([
            with(user, wanted.map(|common| &common.rotation)),
            with(domain, of_domain.map(|domain| &domain.common.rotation)),
            with(installation, of_all.map(|all| &all.common.rotation)),
        ])
    }

    /// Returns the nearest destination, and whether the plan sets all of it.
    pub fn delivery(self) -> Option<(Destination, bool)> {
        let mut all = self.0.into_iter();
        all.find(|(rules, _)| !rules.delivery.is_empty())
            .map(|(rules, own)| (rules.delivery, own))
    }
}

fn with(mut stored: RotationRules, change: Option<&RulesChange>) -> (RotationRules, bool) {
    let mut said = RotationRules::default();
    if let Some(change) = change {
        said.change(change);
        stored.change(change);
    }
    let own = said.delivery == stored.delivery;
    (stored, own)
}
