//! The whole of a plan beside the store, before anything is changed.

use std::collections::BTreeMap;

use super::differ::{domain, settings, user};
use super::rules::Rules;
use super::{Action, Comparison, Difference, Options, Subject};
use crate::app::rotation::{Courier, Places};
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::plan::{Plan, Problem, UserPlan};
use crate::model::time::Time;
use crate::store::{Owner, Page, Store, UserFilter};

struct Comparing<'a> {
    /// Without one there is nothing yet.
    store: Option<&'a mut Store>,
    plan: &'a Plan,
    options: &'a Options,
    courier: &'a dyn Courier,
    found: Comparison,
    /// How many users each domain gets, and loses.
    users: BTreeMap<DomainName, (u64, u64)>,
    /// Where passwords are to be.
    places: Places,
}

/// What differs, and all that is in the way.
pub fn compare(
    store: Option<&mut Store>,
    plan: &Plan,
    options: &Options,
    courier: &dyn Courier,
) -> Result<Comparison> {
    let mut comparing = Comparing {
        store,
        plan,
        options,
        courier,
        found: Comparison::default(),
        users: BTreeMap::new(),
        places: Places::default(),
    };
    comparing.settings()?;
    comparing.domains()?;
    if options.prune {
        comparing.superfluous()?;
    }
    let new = comparing.users()?;
    comparing.limits()?;
    comparing.new_users(new)?;
    let mut found = comparing.found;
    found.problems.sort_by_key(|problem| problem.line);
    Ok(found)
}

impl Comparing<'_> {
    fn add(&mut self, action: Action, subject: Subject, fields: Vec<super::Field>) {
        let difference = Difference::new(action, subject, fields);
        self.found.differences.push(difference);
    }

    fn settings(&mut self) -> Result<()> {
        let (fields, _) = settings(self.store.as_deref_mut(), self.plan.settings.as_ref())?;
        if !fields.is_empty() {
            self.add(Action::Change, Subject::Settings, fields);
        }
        Ok(())
    }

    fn domains(&mut self) -> Result<()> {
        for (name, wanted) in &self.plan.domains {
            let found = domain(self.store.as_deref_mut(), name, wanted)?;
            if found.is_as_wanted() {
                continue;
            }
            let action = if found.exists {
                Action::Change
            } else {
                Action::Create
            };
            self.add(action, Subject::Domain(name.clone()), found.fields);
        }
        Ok(())
    }

    fn superfluous(&mut self) -> Result<()> {
        let Some(store) = self.store.as_deref_mut() else {
            return Ok(());
        };
        for name in self.plan.domains.keys() {
            let mut deleted = 0;
            // Whatever time it is: all of them.
            let now = Time::from_epoch(0);
            store.users(&UserFilter::of(name), &Page::default(), now, &mut |user| {
                if self.plan.users.contains_key(&user.username) {
                    return Ok(());
                }
                deleted += 1;
                self.found.differences.push(Difference {
                    created_at: Some(user.created_at),
                    ..Difference::new(Action::Delete, Subject::User(user.username), Vec::new())
                });
                Ok(())
            })?;
            self.users.entry(name.clone()).or_default().1 = deleted;
        }
        Ok(())
    }

    /// Returns those that are new.
    fn users(&mut self) -> Result<Vec<Difference>> {
        let mut new = Vec::new();
        for (name, wanted) in &self.plan.users {
            let found = user(self.store.as_deref_mut(), name, wanted)?;
            if found.exists {
                self.claim(name, wanted)?;
            }
            if found.is_as_wanted() {
                continue;
            }
            let subject = Subject::User(name.clone());
            if found.exists {
                self.add(Action::Change, subject, found.fields);
                continue;
            }
            self.users.entry(name.domain()).or_default().0 += 1;
            new.push(Difference::new(Action::Create, subject, found.fields));
        }
        Ok(new)
    }

    /// For a user that is there, whose next password would be in the way of another's.
    /// Where the plan says so: to ask the store about all takes long.
    fn claim(&mut self, name: &Username, wanted: &UserPlan) -> Result<()> {
        let said = &wanted.common.rotation;
        let Some(store) = self.store.as_deref_mut() else {
            return Ok(());
        };
        if said.write_file.is_none() && said.write_env.is_none() {
            return Ok(());
        }
        let mut rules = store.own_rotation_rules(Owner::user(name))?;
        rules.change(said);
        if let Some(shared) = self.places.claim(name, &rules.delivery, self.courier) {
            let problem = Problem::of(wanted.line, "users", name, shared.to_string());
            self.found.problems.push(problem);
        }
        Ok(())
    }

    /// Of users, by domain.
    fn limits(&mut self) -> Result<()> {
        for (name, (new, deleted)) in &self.users {
            if *new == 0 {
                continue;
            }
            let wanted = self.plan.domains.get(name);
            let (mut has, mut most) = (0, None);
            if let Some(store) = self.store.as_deref_mut() {
                has = store.user_count(name)?;
                most = store.domain(name)?.and_then(|domain| domain.max_users);
            }
            if let Some(max) = wanted.and_then(|wanted| wanted.max_users.as_ref()) {
                most = max.as_ref().value().map(|most| most.get());
            }
            let users = has.saturating_sub(*deleted) + new;
            let Some(most) = most.filter(|most| users > u64::from(*most)) else {
                continue;
            };
            let first = self
                .plan
                .users
                .iter()
                .find(|(user, _)| user.domain() == *name);
            let line = wanted.map(|domain| domain.line);
            let line = line.or(first.map(|(_, user)| user.line)).unwrap_or(1);
            let reason = format!("would have {users} users, and has its limit of {most}");
            let problem = Problem::of(line, "domains", name, reason);
            self.found.problems.push(problem);
        }
        Ok(())
    }

    /// Where their passwords go.
    fn new_users(&mut self, new: Vec<Difference>) -> Result<()> {
        if let (Some(path), true) = (self.options.delivery.shared_file(), new.len() > 1) {
            return Err(Error::Usage(format!(
                "{path} would be written for {} users: it needs {{username}} in it",
                new.len()
            )));
        }
        for mut difference in new {
            let Subject::User(username) = &difference.subject else {
                continue;
            };
            let Some(wanted) = self.plan.users.get(username) else {
                continue;
            };
            let mut problem = |reason: String| {
                let problem = Problem::of(wanted.line, "users", username, reason);
                self.found.problems.push(problem);
            };
            let domain = username.domain();
            let is_there = match self.store.as_deref_mut() {
                _ if self.plan.domains.contains_key(&domain) => true,
                Some(store) => store.domain(&domain)?.is_some(),
                None => false,
            };
            if !is_there {
                problem(format!(
                    "is of a domain that is not there: add [domains.\"{domain}\"]"
                ));
            }
            let delivery = if self.options.delivery.is_empty() {
                let rules = Rules::of(self.store.as_deref_mut(), self.plan, username)?;
                let found = rules.delivery();
                let store = self.store.as_deref_mut();
                let owner = store.and_then(|store| store.foreign_owner());
                // Whoever can write the store would become root.
                if let (Some((_, false)), Some(owner), false) =
                    (&found, owner, self.options.trust_store)
                {
                    return Err(Error::UntrustedDelivery(owner));
                }
                found.map(|(delivery, _)| delivery)
            } else {
                Some(self.options.delivery.clone())
            };
            match delivery {
                None => problem(format!(
                    "{}: set deliver, write_file or write_env, or give --deliver, --write-file, --write-env or --output-dir",
                    Error::NoDelivery(username.to_string())
                )),
                Some(mut delivery) => {
                    delivery.timeout = self.options.delivery.timeout.or(delivery.timeout);
                    let refused = self.courier.refuses(&delivery, username);
                    let claimed = self.places.claim(username, &delivery, self.courier);
                    if let (Some(shared), true) = (claimed, refused.is_empty()) {
                        problem(shared.to_string());
                    }
                    refused.into_iter().for_each(problem);
                    difference.delivery = Some(delivery);
                }
            }
            self.found.differences.push(difference);
        }
        Ok(())
    }
}
