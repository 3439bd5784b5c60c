//! Where passwords go: by rules that a plan changes, those of the user, its domain
//! and the installation.

use crate::error::Result;
use crate::model::delivery::Delivery;
use crate::model::name::Username;
use crate::model::plan::Plan;
use crate::model::rotation::{RotationRules, RulesChange};
use crate::store::{Owner, Store};

/// As they will be; each with whether all of it stands in the plan.
pub struct Rules([(RotationRules, bool); 3]);

impl Rules {
    pub fn of(store: Option<&mut Store>, plan: &Plan, username: &Username) -> Result<Self> {
        let mut stored = [const { None }; 3];
        if let Some(store) = store {
            for (rules, owner) in stored.iter_mut().zip(Owner::all(username)) {
                *rules = Some(store.own_rotation_rules(owner)?);
            }
        }
        let [user, domain, installation] = stored.map(Option::unwrap_or_default);
        let wanted = plan.users.get(username).map(|user| &user.common);
        let of_domain = plan.domains.get(&username.domain());
        let of_all = plan.settings.as_ref();
        Ok(Self([
            with(user, wanted.map(|common| &common.rotation)),
            with(domain, of_domain.map(|domain| &domain.common.rotation)),
            with(installation, of_all.map(|all| &all.common.rotation)),
        ]))
    }

    /// The nearest, as a whole, and whether it is the plan's own.
    pub fn delivery(self) -> Option<(Delivery, bool)> {
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
