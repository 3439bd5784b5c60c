//! Where passwords go: by rules that a plan changes, those of the user, its domain
//! and the installation.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::app::rotation::Courier;
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

/// Files that passwords are written to. One that is written for a second user would
/// be the only place where the first one's was.
#[derive(Default)]
pub struct Places(HashMap<PathBuf, Vec<(Option<String>, Username)>>);

/// A place that another user has already.
pub struct Shared {
    path: String,
    other: Username,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, other } = self;
        write!(f, "would have its password in {path}, as {other} has")
    }
}

impl Places {
    pub fn claim(
        &mut self,
        username: &Username,
        delivery: &Delivery,
        courier: &dyn Courier,
    ) -> Option<Shared> {
        let variable = delivery.env_name.clone().unwrap_or_default();
        let whole = delivery.write_file.as_ref().map(|path| (path, None));
        let line = delivery.write_env.as_ref();
        let line = line.map(|path| (path, Some(variable.as_str().to_owned())));
        let mut shared = None;
        for (path, variable) in whole.into_iter().chain(line) {
            let path = path.of(username);
            let there = self.0.entry(courier.real(Path::new(&path))).or_default();
            let same = there
                .iter()
                .find(|(other, _)| other.is_none() || variable.is_none() || *other == variable);
            if let Some((_, other)) = same {
                let other = other.clone();
                shared = Some(Shared { path, other });
            }
            there.push((variable, username.clone()));
        }
        shared
    }
}
