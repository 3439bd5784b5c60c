//! Compares a whole plan with the store, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use super::differ::{domain, settings, user};
use super::difference::{
    ApplyOptions, ChangeAction, Comparison, Difference, FieldChange, PlanSubject,
};
use super::rules::PlannedRules;
use crate::app::rotation::{Deliverer, DeliveryTargets};
use crate::app::users::Expiry;
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::plan::{Plan, PlanProblem, UserPlan};
use crate::model::rotation::RotationRules;
use crate::model::setting::Setting;
use crate::model::tag::{self, Tags};
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Page, Store, UserFilter, UserRules};

/// How many users are looked up at once.
const TOGETHER: usize = 256;

struct Comparing<'a> {
    /// `None` if the store does not exist yet.
    store: Option<&'a mut Store>,
    plan: &'a Plan,
    options: &'a ApplyOptions,
    deliverer: &'a dyn Deliverer,
    now: Time,
    found: Comparison,
    /// How many users each domain gains and loses.
    users: BTreeMap<DomainName, (u64, u64)>,
    /// Where passwords are to be.
    targets: DeliveryTargets,
}

/// Returns all differences, and all problems that prevent applying the plan.
pub fn compare(
    store: Option<&mut Store>,
    plan: &Plan,
    options: &ApplyOptions,
    deliverer: &dyn Deliverer,
    now: Time,
) -> Result<Comparison> {
    let mut comparing = Comparing {
        store,
        plan,
        options,
        deliverer,
        now,
        found: Comparison::default(),
        users: BTreeMap::new(),
        targets: DeliveryTargets::default(),
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
    fn add(
        &mut self,
        action: ChangeAction,
        subject: PlanSubject,
        fields: Vec<FieldChange>,
        created_at: Option<Time>,
    ) {
        self.found.differences.push(Difference {
            created_at,
            ..Difference::new(action, subject, fields)
        });
    }

    fn settings(&mut self) -> Result<()> {
        let (fields, _) = settings(self.store.as_deref_mut(), self.plan.settings.as_ref())?;
        if !fields.is_empty() {
            self.add(ChangeAction::Change, PlanSubject::Settings, fields, None);
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
                ChangeAction::Change
            } else {
                ChangeAction::Create
            };
            let subject = PlanSubject::Domain(name.clone());
            self.add(action, subject, found.fields, found.created_at);
        }
        Ok(())
    }

    fn superfluous(&mut self) -> Result<()> {
        let Some(store) = self.store.as_deref_mut() else {
            return Ok(());
        };
        for name in self.plan.domains.keys() {
            let mut deleted = 0;
            // The filter has no time: all users.
            let now = Time::from_epoch(0);
            store.users(&UserFilter::of(name), &Page::default(), now, &mut |user| {
                if self.plan.users.contains_key(&user.username) {
                    return Ok(());
                }
                deleted += 1;
                self.found.differences.push(Difference {
                    created_at: Some(user.created_at),
                    ..Difference::new(
                        ChangeAction::Delete,
                        PlanSubject::User(user.username),
                        Vec::new(),
                    )
                });
                Ok(())
            })?;
            self.users.entry(name.clone()).or_default().1 = deleted;
        }
        Ok(())
    }

    /// Compares the users. Returns those that are new.
    fn users(&mut self) -> Result<Vec<Difference>> {
        let mut new = Vec::new();
        let plan = self.plan;
        let mut all = plan.users.iter();
        loop {
            let piece: Vec<_> = all.by_ref().take(TOGETHER).collect();
            if piece.is_empty() {
                return Ok(new);
            }
            let names: Vec<_> = piece.iter().map(|(name, _)| *name).collect();
            let has = match self.store.as_deref_mut() {
                Some(store) => store.rules_of_users(&names)?,
                None => piece.iter().map(|_| None).collect(),
            };
            for ((name, wanted), has) in piece.into_iter().zip(has) {
                new.extend(self.user(name, wanted, has));
            }
        }
    }

    /// Compares one user, and returns the difference if the user is new.
    fn user(
        &mut self,
        name: &Username,
        wanted: &UserPlan,
        has: Option<UserRules>,
    ) -> Option<Difference> {
        let found = user(has.as_ref(), wanted);
        let no_tags = Tags::new();
        let tags = has.as_ref().map_or(&no_tags, |has| &has.user.tags);
        if let Err(error) = tag::changed(tags, &found.change.user.tags) {
            let mut problem = PlanProblem::of(wanted.line, "users", name, error.to_string());
            problem.key.push_str(".tags");
            self.found.problems.push(problem);
        }
        if let Some(has) = has {
            self.claim(name, wanted, has.rotation);
        }
        if found.is_as_wanted() {
            return None;
        }
        // A planned expiry that has passed is no error: plans can be applied again.
        if let Some(Setting::Some(at)) = found.change.user.expires_at
            && let Err(error) = Expiry::At(at).from(self.now)
        {
            let reason = format!("{error}: `suspended = true` stops it, as `user suspend` does");
            let mut problem = PlanProblem::of(wanted.line, "users", name, reason);
            problem.key.push_str(".expires_at");
            self.found.problems.push(problem);
        }
        let subject = PlanSubject::User(name.clone());
        if found.exists {
            self.add(
                ChangeAction::Change,
                subject,
                found.fields,
                found.created_at,
            );
            return None;
        }
        self.users.entry(name.domain()).or_default().0 += 1;
        Some(Difference::new(ChangeAction::Create, subject, found.fields))
    }

    /// Claims the files of an existing user, so that its next password does not overwrite
    /// another's.
    fn claim(&mut self, name: &Username, wanted: &UserPlan, mut rules: RotationRules) {
        let said = &wanted.common.rotation;
        if said.write_file.is_none() && said.write_env.is_none() {
            return;
        }
        rules.change(said);
        if let Some(conflict) = self.targets.add(name, &rules.delivery, self.deliverer) {
            let problem = PlanProblem::of(wanted.line, "users", name, conflict.to_string());
            self.found.problems.push(problem);
        }
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
            let reason = format!(
                "would have {}, and has its limit of {most}",
                count(users, "user")
            );
            let problem = PlanProblem::of(line, "domains", name, reason);
            self.found.problems.push(problem);
        }
        Ok(())
    }

    /// Where their passwords go.
    fn new_users(&mut self, new: Vec<Difference>) -> Result<()> {
        if let (Some(path), true) = (self.options.delivery.shared_file(), new.len() > 1) {
            return Err(Error::Usage(format!(
                "{path} would be written for {} users: add {{username}} to its name",
                new.len()
            )));
        }
        let there = self.domains_there()?;
        let mut new = new.into_iter();
        loop {
            let piece: Vec<_> = new.by_ref().take(TOGETHER).collect();
            if piece.is_empty() {
                return Ok(());
            }
            let piece = self.without_old_names(piece)?;
            let rules = self.stored_rules(&piece)?;
            for (difference, rules) in piece.into_iter().zip(rules) {
                self.new_user(difference, rules, &there)?;
            }
        }
    }

    /// Reports new users that are old names of others: a plan that was not adapted to a
    /// rename must not create a second user.
    fn without_old_names(&mut self, mut new: Vec<Difference>) -> Result<Vec<Difference>> {
        let names: Vec<_> = new.iter().filter_map(Difference::username).collect();
        let Some(store) = self.store.as_deref_mut() else {
            return Ok(new);
        };
        for old in store.old_names_named(&names)?.into_iter().flatten() {
            new.retain(|new| new.username() != Some(&old.old_name));
            let line = self
                .plan
                .users
                .get(&old.old_name)
                .map_or(1, |user| user.line);
            let (at, now) = (old.renamed_at, &old.username);
            let reason = format!(
                "was renamed to {now} on {at}: use {now} here, or create a new user with the old name: `user create`"
            );
            let problem = PlanProblem::of(line, "users", &old.old_name, reason);
            self.found.problems.push(problem);
        }
        Ok(new)
    }

    fn new_user(
        &mut self,
        mut difference: Difference,
        stored: [RotationRules; 3],
        there: &BTreeSet<DomainName>,
    ) -> Result<()> {
        let PlanSubject::User(username) = &difference.subject else {
            return Ok(());
        };
        let Some(wanted) = self.plan.users.get(username) else {
            return Ok(());
        };
        let mut problem = |reason: String| {
            let problem = PlanProblem::of(wanted.line, "users", username, reason);
            self.found.problems.push(problem);
        };
        let domain = username.domain();
        if !there.contains(&domain) {
            problem(format!(
                "belongs to a domain that does not exist: add [domains.\"{domain}\"]"
            ));
        }
        let delivery = if self.options.delivery.is_empty() {
            let found = PlannedRules::of(stored, self.plan, username).delivery();
            // Otherwise anyone who can write the store becomes root.
            if let (Some((_, false)), Some(store), false) =
                (&found, self.store.as_deref(), self.options.trust_store)
            {
                store.check_deliveries()?;
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
                let found = self.deliverer.obstacles(&delivery, username, true);
                let (passing, refused): (Vec<_>, Vec<_>) =
                    found.into_iter().partition(|one| one.may_pass);
                let passing: Vec<_> = passing.into_iter().map(|one| one.reason).collect();
                difference.obstacle = (!passing.is_empty()).then(|| passing.join("; "));
                let conflict = self.targets.add(username, &delivery, self.deliverer);
                if let (Some(conflict), true) = (conflict, refused.is_empty()) {
                    problem(conflict.to_string());
                }
                refused.into_iter().map(|one| one.reason).for_each(problem);
                difference.delivery = Some(delivery);
            }
        }
        self.found.differences.push(difference);
        Ok(())
    }

    /// Returns the users' domains that exist or will be created.
    fn domains_there(&mut self) -> Result<BTreeSet<DomainName>> {
        let mut there = BTreeSet::new();
        for domain in self.users.keys() {
            let is_there = match self.store.as_deref_mut() {
                _ if self.plan.domains.contains_key(domain) => true,
                Some(store) => store.domain(domain)?.is_some(),
                None => false,
            };
            if is_there {
                there.insert(domain.clone());
            }
        }
        Ok(there)
    }

    /// Returns the store's delivery rules for new users.
    fn stored_rules(&mut self, new: &[Difference]) -> Result<Vec<[RotationRules; 3]>> {
        let names: Vec<_> = new.iter().filter_map(Difference::username).collect();
        match self.store.as_deref_mut() {
            Some(store) => store.all_rotation_rules_of(&names),
            None => Ok(names.iter().map(|_| Default::default()).collect()),
        }
    }
}
