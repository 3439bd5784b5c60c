//! What was sent, and who was refused: what a running relay wrote down.

use super::{App, need_domain, need_user};
use crate::error::Result;
use crate::model::domain::Domain;
use crate::model::duration::Duration;
use crate::model::limits::{Limits, OnLimit};
use crate::model::name::{DomainName, Username};
use crate::model::refusal::Refusals;
use crate::model::rotation::{RotationRules, Unfinished};
use crate::model::time::Time;
use crate::model::usage::{Usage, UsageBy};
use crate::model::user::User;
use crate::store::{Owner, Page, RefusalKey, SendingRules};

/// A user with all that is known of it.
pub struct Detail {
    pub user: User,
    pub rules: SendingRules,
    /// Refused sign-ins, the latest first.
    pub refusals: Vec<Refusals>,
    pub rotation: RotationRules,
    pub unfinished: Option<Unfinished>,
}

/// A domain with all that is known of it.
pub struct DomainDetail {
    pub domain: Domain,
    pub users: u64,
    pub limits: Limits,
    pub on_limit: Option<OnLimit>,
    pub rotation: RotationRules,
    pub must_be_verified: bool,
}

impl App {
    pub fn user_detail(&mut self, username: &Username) -> Result<Detail> {
        let user = need_user(&mut self.store, username)?;
        let rules = self.store.sending_rules(username)?;
        let Some(rules) = rules else {
            // Deleted between the two.
            return Err(crate::error::Error::UserNotFound(username.to_string()));
        };
        Ok(Detail {
            user,
            rules,
            refusals: self.refusals(username)?,
            rotation: self.store.rotation_rules(username)?,
            unfinished: self.store.unfinished(username)?,
        })
    }

    /// Refused sign-ins of a user, the latest first.
    pub(super) fn refusals(&mut self, username: &Username) -> Result<Vec<Refusals>> {
        let mut refusals = Vec::new();
        self.list_refusals(Some(username), None, None, None, &mut |found| {
            refusals.push(found);
            Ok(())
        })?;
        Ok(refusals)
    }

    pub fn domain_detail(&mut self, name: &DomainName) -> Result<DomainDetail> {
        let domain = need_domain(&mut self.store, name)?;
        Ok(DomainDetail {
            users: self.store.user_count(name)?,
            limits: self.store.limits(Owner::domain(name))?,
            on_limit: self.store.domain_on_limit(name)?,
            rotation: self.store.own_rotation_rules(Owner::domain(name))?,
            must_be_verified: self.store.settings()?.require_verified_domains,
            domain,
        })
    }

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
        // Today counts: 1d is today alone.
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

    pub fn list_refusals(
        &mut self,
        username: Option<&Username>,
        within: Option<Duration>,
        after: Option<RefusalKey>,
        most: Option<u32>,
        each: &mut dyn FnMut(Refusals) -> Result<()>,
    ) -> Result<()> {
        let since = within.map_or(0, |d| self.now().epoch() - d.seconds());
        self.store.refusals(
            username.map(Username::as_str),
            Time::from_epoch(since),
            after,
            most,
            each,
        )
    }
}
