//! Lists what was sent and which sign-ins were refused, as a running relay recorded it.

use super::{App, need_domain, need_user, not_found};
use crate::error::Result;
use crate::model::address_rules::{AddressPolicy, AddressRules};
use crate::model::delivery::Destination;
use crate::model::domain::Domain;
use crate::model::duration::Duration;
use crate::model::limits::{Limits, OnLimit};
use crate::model::name::{DomainName, Username};
use crate::model::network::Network;
use crate::model::old_name::OldName;
use crate::model::refused_sign_ins::RefusedSignIns;
use crate::model::rotation::{RotationRules, Unfinished};
use crate::model::since::Since;
use crate::model::stranger::WrittenName;
use crate::model::time::Time;
use crate::model::usage::{Usage, UsageBy};
use crate::model::user::User;
use crate::store::{Page, RefusalKey, Scope, SendingRules};

/// Everything about a user.
pub struct Detail {
    /// The user.
    pub user: User,
    /// The rules for its mail, from all levels.
    pub rules: SendingRules,
    /// Refused sign-ins, the latest first.
    pub refusals: Vec<RefusedSignIns>,
    /// Its old names.
    pub old_names: Vec<OldName>,
    /// What holds for its addresses.
    pub addresses: AddressPolicy,
    /// The networks that are listed for it, on all levels.
    pub allowed: Vec<Network>,
    /// The rules of its rotation, from all levels.
    pub rotation: RotationRules,
    /// Its rotation that did not finish, if any.
    pub unfinished: Option<Unfinished>,
}

/// Everything about a domain.
pub struct DomainDetail {
    /// The domain.
    pub domain: Domain,
    /// How many users it has.
    pub users: u64,
    /// The domain's own limits.
    pub limits: Limits,
    /// What happens at a limit; `None` if the installation decides.
    pub on_limit: Option<OnLimit>,
    /// The domain's own rules about addresses.
    pub addresses: AddressRules,
    /// The domain's own rules of rotation.
    pub rotation: RotationRules,
    /// Its users cannot send until it is verified.
    pub must_be_verified: bool,
}

impl App {
    /// Returns everything about a user. Fails if it does not exist.
    pub fn user_detail(&mut self, username: &Username) -> Result<Detail> {
        let now = self.now();
        let user = need_user(&mut self.store, username, now)?;
        let rules = self.store.sending_rules(username)?;
        let Some(rules) = rules else {
            // It was deleted between the two statements.
            return Err(not_found(&mut self.store, username, now));
        };
        let addresses = self.store.address_rules(username)?;
        Ok(Detail {
            addresses: AddressPolicy::nearest(&addresses, user.created_at),
            allowed: AddressRules::listed(&addresses),
            user,
            rules,
            refusals: self.refusals(username)?,
            old_names: self.store.old_names_of(username)?,
            rotation: {
                let rules = self.store.rotation_rules(username)?;
                self.shown(rules)
            },
            unfinished: self.store.unfinished(username)?,
        })
    }

    /// Returns rules as the holder of a role may see them: without commands and paths.
    fn shown(&self, rules: RotationRules) -> RotationRules {
        match self.store.restricted_to() {
            None => rules,
            Some(_) => RotationRules {
                delivery: Destination::default(),
                ..rules
            },
        }
    }

    /// Returns refused sign-ins that were meant for a user, the latest first.
    pub(super) fn refusals(&mut self, username: &Username) -> Result<Vec<RefusedSignIns>> {
        let mut refusals = Vec::new();
        self.list_refusals(Some(username), None, None, None, &mut |found| {
            refusals.push(found);
            Ok(())
        })?;
        Ok(refusals)
    }

    /// Returns everything about a domain. Fails if it does not exist.
    pub fn domain_detail(&mut self, name: &DomainName) -> Result<DomainDetail> {
        let domain = need_domain(&mut self.store, name)?;
        Ok(DomainDetail {
            users: self.store.user_count(name)?,
            limits: self.store.limits(Scope::domain(name))?,
            on_limit: self.store.domain_on_limit(name)?,
            addresses: self.domain_addresses(name)?,
            rotation: {
                let rules = self.store.own_rotation_rules(Scope::domain(name))?;
                self.shown(rules)
            },
            must_be_verified: self.store.settings()?.require_verified_domains,
            domain,
        })
    }

    /// Passes the usage within this time to the callback, today included. By days, the page
    /// begins after a date.
    pub fn usage(
        &mut self,
        by: UsageBy,
        within: Duration,
        page: &Page,
        each: &mut dyn FnMut(Usage) -> Result<()>,
    ) -> Result<()> {
        const DAY: i64 = 86_400;
        let day = self.store.settings()?.day;
        let today = Usage::day_of(self.now(), &day);
        // Today is included, so 1d means only today.
        let mut first = (today - within.seconds().div_euclid(DAY) + 1).min(today);
        let after = (!page.after.is_empty()).then_some(page.after);
        if by == UsageBy::Day
            && let Some(after) = after
        {
            let midnight: Time = after.parse()?;
            first = first.max(midnight.epoch().div_euclid(DAY) + 1);
        }
        let most = page.most.unwrap_or(i32::MAX.unsigned_abs());
        self.store.usage(by, first, after, most, each)
    }

    /// Passes refused sign-ins to the callback, the latest first: those meant for a user,
    /// or all of them; those since then; at most `most` after a given one.
    pub fn list_refusals(
        &mut self,
        username: Option<&Username>,
        since: Option<Since>,
        after: Option<RefusalKey>,
        most: Option<u32>,
        each: &mut dyn FnMut(RefusedSignIns) -> Result<()>,
    ) -> Result<()> {
        let since = since.map_or(Time::from_epoch(0), |since| since.at(self.now()));
        let Some(username) = username else {
            return self.store.refusals(since, after, most, each);
        };
        // Old names, too: an application may still use them.
        let old_names = self.store.old_names_of(username)?;
        let means = |name: &WrittenName| {
            name.means(username) || old_names.iter().any(|old| name.means(&old.old_name))
        };
        // Looks at all of them, which are few: the name may have been typed with a
        // trailing space.
        let mut left = most.unwrap_or(u32::MAX);
        self.store.refusals(since, after, None, &mut |refusals| {
            if left == 0 || !means(&refusals.username) {
                return Ok(());
            }
            left -= 1;
            each(refusals)
        })
    }
}
