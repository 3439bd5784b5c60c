//! A store that is open for the holder of a role: what the role is not about does not exist,
//! and each change is checked where it is made.

use super::holder_state::{HourOfChanges, Restriction};
use super::{Store, Tx};
use crate::error::{Error, Result};
use crate::model::duration::Duration;
use crate::model::event::{Action, Fields};
use crate::model::holder::{GivenRole, HolderName, HolderRole, Reach};
use crate::model::limit_kind::LimitKind;
use crate::model::name::{DomainName, Username};
use crate::model::setting::{LimitValue, Setting};
use crate::model::time::Time;
use crate::store::{Scope, SendingChange};

impl HolderRole {
    /// Returns whether the role allows a change.
    const fn may(self, action: Action) -> bool {
        match self {
            Self::Viewer => false,
            Self::Own => matches!(action, Action::UserReset),
            Self::Operator => {
                matches!(
                    action,
                    Action::UserCreate
                        | Action::UserReset
                        | Action::UserIssue
                        | Action::UserRetire
                        | Action::UserSet
                        | Action::UserSuspend
                        | Action::UserResume
                        | Action::UserDelete
                ) || is_of_rotation(action)
            }
        }
    }
}

/// A rotation that began has to end, whatever the count says.
const fn is_of_rotation(action: Action) -> bool {
    matches!(
        action,
        Action::RotationBegin
            | Action::UserRotate
            | Action::RotationWithdraw
            | Action::RotationUnfinished
    )
}

impl Store {
    /// Restricts the store, as long as it is open, to what the role of a holder is about.
    /// `key` is the fingerprint of its key, for the events. Fails if it has no role.
    pub fn restrict(&mut self, holder: &HolderName, key: Option<&str>) -> Result<()> {
        let given = self.given_role(holder)?;
        let given = given.ok_or_else(|| Error::RoleNotFound(holder.to_string()))?;
        self.restriction = Some(Restriction {
            given,
            key: key.map(str::to_owned),
        });
        Ok(())
    }

    /// Returns the role that it is restricted to.
    pub fn restricted_to(&self) -> Option<&GivenRole> {
        self.restriction.as_ref().map(|to| &to.given)
    }

    /// Returns whether a user may be seen.
    pub(super) fn shows_user(&self, username: &Username) -> bool {
        self.restricted_to()
            .is_none_or(|given| given.reach.has_user(username))
    }

    /// Returns whether a domain may be seen.
    pub(super) fn shows_domain(&self, domain: &DomainName) -> bool {
        self.restricted_to()
            .is_none_or(|given| given.reach.has_domain(domain))
    }

    /// Returns the holder whose domains a list is about; `None` if it is about all. A list for
    /// the holder of one user finds nothing.
    pub(super) fn lists_for(&self) -> Option<&str> {
        let given = self.restricted_to()?;
        (given.reach != Reach::All).then(|| given.holder.as_str())
    }
}

impl Tx<'_> {
    /// Checks, as a change begins, that the role is still the one that it was.
    pub(super) fn begin_as_holder(&mut self) -> Result<()> {
        let Some(given) = self.store.restricted_to().cloned() else {
            return Ok(());
        };
        match self.store.role_in_use(&given.holder)? {
            Some((now, hour)) if now == given => {
                self.holder_count.hour = Some(hour);
                Ok(())
            }
            _ => Err(Error::RoleChanged(given.holder.to_string())),
        }
    }

    /// Checks that a holder may make a change, counts it, and adds to its event in which role
    /// and with which key.
    pub(super) fn permit(
        &mut self,
        action: Action,
        domain: Option<&DomainName>,
        username: Option<&Username>,
        fields: &Fields,
    ) -> Result<Fields> {
        let Some(Restriction { given, key }) = &self.store.restriction else {
            return Ok(fields.clone());
        };
        let within = match username {
            Some(username) => given.reach.has_user(username),
            None => domain.is_some_and(|domain| given.reach.has_domain(domain)),
        };
        if !within || !given.role.may(action) {
            return Err(Error::NotPermitted {
                holder: given.holder.to_string(),
                what: action.name().to_owned(),
                allowed: format!("a {} may not do that", given.role),
            });
        }
        let fields = fields
            .clone()
            .with("role", given.role.name())
            .with_some("key", key.as_deref());
        self.count_once(action)?;
        Ok(fields)
    }

    /// Counts each change once, whatever the number of its events.
    fn count_once(&mut self, action: Action) -> Result<()> {
        let Some(given) = self.store.restricted_to().cloned() else {
            return Ok(());
        };
        if self.holder_count.counted || (is_of_rotation(action) && action != Action::RotationBegin)
        {
            return Ok(());
        }
        let now = self.stamp.at;
        let Some(HourOfChanges { from, changes }) = self.holder_count.hour else {
            return Err(Error::RoleChanged(given.holder.to_string()));
        };
        let end = |from: Time| from.plus(Duration::HOUR);
        // An hour that begins later than now is one of a wrong clock.
        let (from, made) = if now < from || now >= end(from) {
            (now, 0)
        } else {
            (from, changes)
        };
        if made >= given.hourly_changes {
            return Err(Error::TooManyChanges {
                holder: given.holder.to_string(),
                most: given.hourly_changes,
                until: end(from).to_string(),
            });
        }
        self.holder_count.counted = true;
        self.count_change(&given.holder, from, made + 1)
    }

    /// Checks that a holder gives a user no more than its domain has, and nothing that only the
    /// owner gives.
    pub(super) fn need_limits_of_domain(
        &mut self,
        username: &Username,
        daily: Option<LimitValue>,
        sending: &SendingChange,
        others: bool,
    ) -> Result<()> {
        let Some(holder) = self.store.restricted_to().map(|given| given.holder.clone()) else {
            return Ok(());
        };
        let refused = |what: String, allowed: String| Error::NotPermitted {
            holder: holder.to_string(),
            what,
            allowed,
        };
        if others || sending.senders.is_some() || sending.on_limit.is_some() {
            let what = "senders, addresses and rotation".to_owned();
            return Err(refused(
                what,
                "only the owner of the store sets them".into(),
            ));
        }
        let domain = username.domain();
        let mut most = self.store.limits(Scope::domain(&domain))?;
        let of_domain = self.store.domain(&domain)?;
        let daily_most = of_domain.and_then(|domain| domain.daily_limit);
        most.set(LimitKind::MESSAGES_A_DAY, daily_most);
        let daily = daily.map(|daily| (LimitKind::MESSAGES_A_DAY, daily.get()));
        let others = sending.limits.iter().filter_map(|limit| match limit.most {
            Setting::Some(most) => Some((limit.kind, most.get())),
            Setting::None => None,
        });
        for (kind, wanted) in daily.into_iter().chain(others) {
            let over = most.iter().find(|(of, most)| *of == kind && *most < wanted);
            if let Some((_, most)) = over {
                return Err(refused(
                    format!("the limit {kind}={wanted}"),
                    format!("the domain has {kind}={most}; its users may have as much"),
                ));
            }
        }
        Ok(())
    }
}
