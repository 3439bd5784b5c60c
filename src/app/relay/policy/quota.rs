//! Whether something still fits within the limits of a user, its domain and the installation,
//! and what follows if it does not. Pure: what was sent before comes from the caller.

use super::reservation::Reservation;
use crate::model::day::Day;
use crate::model::event::Action;
use crate::model::limit_kind::LimitKind;
use crate::model::limits::{LimitExceeded, OnLimit};
use crate::model::time::Time;
use crate::model::usage_window::{Count, UsageWindow};
use crate::store::SendingRules;

/// The limits of a user and what was sent so far. Arrays are in the order of
/// [`Scope::all`](crate::store::Scope::all).
pub struct Quota<'a> {
    pub rules: &'a SendingRules,
    pub sent: [UsageWindow; 3],
    pub now: Time,
    pub day: &'a Day,
}

/// What is done with a reservation for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// This relay may release leases first.
    ReleaseAndRetry,
    /// Other relays may release leases soon.
    RetryLater,
    /// It is refused, with this effect on the user.
    Refuse(OnLimit),
}

/// A limit of which a share or all is used after a count, and was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The owner of the limit: an index into [`Scope::all`](crate::store::Scope::all).
    pub scope: usize,
    pub kind: LimitKind,
    pub limit: u32,
    pub used: u64,
    /// The event: [`Action::LimitReached`] or [`Action::LimitNear`].
    pub action: Action,
}

/// How often a reservation is tried again after this relay has released its leases. Near a
/// limit nothing is leased, so that once is nearly always enough.
const TRIES: u8 = 3;
/// How often it waits for leases of other relays. They release them twice a second, and lease
/// less and less near a limit.
const WAITS: u8 = 30;
/// Leases are granted only while there is room for this many of them.
const LEASES: u32 = 4;

impl Quota<'_> {
    /// Returns the first limit that this would exceed, and the index of its owner.
    pub fn exceeded(&self, count: Count) -> Option<(usize, LimitExceeded)> {
        (0..3).find_map(|scope| Some((scope, self.exceeded_in(scope, count)?)))
    }

    fn exceeded_in(&self, scope: usize, count: Count) -> Option<LimitExceeded> {
        self.rules.limits[scope].over(&self.sent[scope], count, self.now, self.day)
    }

    /// Returns whether so much may be leased: only far from all limits, so that near one each
    /// message is counted by itself.
    pub fn may_lease(&self, lease: Count, besides: Count) -> bool {
        let all = besides.saturating_add(lease).times(LEASES);
        self.exceeded(all).is_none()
    }

    /// Decides about a reservation for which the limits of this scope leave no room.
    /// `leased` is how much of what was counted may still be released, by any relay;
    /// `own_leases` whether this relay has leases.
    pub fn no_room(
        &self,
        scope: usize,
        wanted: &Reservation,
        count: Count,
        leased: Count,
        own_leases: bool,
    ) -> NoRoom {
        if own_leases && wanted.tries < TRIES {
            return NoRoom::ReleaseAndRetry;
        }
        let without = count.saturating_sub(leased);
        let is_leased = without != count && self.exceeded_in(scope, without).is_none();
        match is_leased {
            true if wanted.waits < WAITS => NoRoom::RetryLater,
            // A user is not suspended for messages that were not sent.
            true => NoRoom::Refuse(OnLimit::Defer),
            false => NoRoom::Refuse(wanted.action(self.rules)),
        }
    }

    /// Returns the limits that this count brings to a share or all of them.
    pub fn crossings(&self, count: Count, percent: u32) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        for scope in 0..3 {
            for (kind, limit) in self.rules.limits[scope].iter() {
                let before = self.sent[scope].used(kind, self.now, self.day);
                let used = before + count.of(kind.what);
                let crossed = |percent: u64| {
                    let mark = (u64::from(limit) * percent).div_ceil(100);
                    before < mark && used >= mark
                };
                let action = if crossed(100) {
                    Action::LimitReached
                } else if crossed(u64::from(percent)) {
                    Action::LimitNear
                } else {
                    continue;
                };
                crossings.push(Crossing {
                    scope,
                    kind,
                    limit,
                    used,
                    action,
                });
            }
        }
        crossings
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::relay::policy::envelope::Requester;
    use crate::app::relay::policy::reservation::ReservationKind;
    use crate::app::relay::testing::messages;
    use crate::model::limits::Limits;

    const NOW: Time = Time::from_epoch(1_800_000_000);

    /// Rules with a daily limit of messages for the user, its domain and the installation.
    fn rules(limits: [Option<u32>; 3], on_limit: OnLimit) -> SendingRules {
        SendingRules {
            expires_at: None,
            suspended_at: None,
            digest_name: None,
            unverified: false,
            senders: Vec::new(),
            limits: limits.map(|limit| {
                let mut limits = Limits::default();
                limits.set(LimitKind::MESSAGES_A_DAY, limit);
                limits
            }),
            on_limit: [Some(on_limit), None, None],
            many_new_recipients: None,
        }
    }

    fn quota(rules: &SendingRules, sent: u32) -> Quota<'_> {
        let mut window = UsageWindow::default();
        window.count(messages(sent), NOW);
        Quota {
            rules,
            sent: [window.clone(), window.clone(), window],
            now: NOW,
            day: &Day::Rolling,
        }
    }

    fn wanted(tries: u8, waits: u8) -> Reservation {
        Reservation {
            username: "shop@example.com".parse().unwrap(),
            amount: messages(1),
            new_recipients: Vec::new(),
            recipient: None,
            kind: ReservationKind::Message,
            has_recipients: false,
            tries,
            waits,
            requester: Requester::until(Instant::now() + Duration::from_secs(60)),
        }
    }

    #[test]
    fn p7_the_last_message_fits_and_the_next_does_not() {
        for scope in 0..3 {
            let mut limits = [None; 3];
            limits[scope] = Some(10);
            let rules = rules(limits, OnLimit::Defer);
            assert_eq!(quota(&rules, 9).exceeded(messages(1)), None);
            let (whose, exceeded) = quota(&rules, 10).exceeded(messages(1)).unwrap();
            assert_eq!((whose, exceeded.most), (scope, 10));
        }
    }

    #[test]
    fn leases_are_granted_only_far_from_a_limit() {
        let rules = rules([Some(100), None, None], OnLimit::Defer);
        assert!(quota(&rules, 0).may_lease(messages(24), messages(1)));
        assert!(!quota(&rules, 1).may_lease(messages(24), messages(1)));
        assert!(!quota(&rules, 96).may_lease(messages(1), messages(1)));
    }

    #[test]
    fn leases_are_released_before_anything_is_refused() {
        let rules = rules([Some(10), None, None], OnLimit::Suspend);
        let quota = quota(&rules, 10);
        let no_room = |tries, waits, leased, own| {
            quota.no_room(0, &wanted(tries, waits), messages(1), messages(leased), own)
        };
        assert_eq!(no_room(0, 0, 3, true), NoRoom::ReleaseAndRetry);
        // Other relays have leases.
        assert_eq!(no_room(TRIES, 0, 3, true), NoRoom::RetryLater);
        assert_eq!(no_room(0, 0, 3, false), NoRoom::RetryLater);
        // They do not release them: no reason to suspend anyone.
        assert_eq!(no_room(0, WAITS, 3, false), NoRoom::Refuse(OnLimit::Defer));
        assert_eq!(no_room(0, 0, 0, false), NoRoom::Refuse(OnLimit::Suspend));
    }

    #[test]
    fn a_begun_message_is_deferred_and_its_user_not_suspended() {
        let rules = rules([Some(10), None, None], OnLimit::Suspend);
        let wanted = Reservation {
            has_recipients: true,
            ..wanted(0, 0)
        };
        let decided = quota(&rules, 10).no_room(0, &wanted, messages(1), Count::default(), false);
        assert_eq!(decided, NoRoom::Refuse(OnLimit::Defer));
    }

    #[test]
    fn each_mark_is_crossed_once() {
        let rules = rules([Some(10), None, Some(1000)], OnLimit::Defer);
        let crossed = |before, count| -> Vec<_> {
            let crossings = quota(&rules, before).crossings(messages(count), 80);
            crossings
                .into_iter()
                .map(|one| (one.scope, one.used, one.action))
                .collect()
        };
        assert_eq!(crossed(6, 1), []);
        assert_eq!(crossed(7, 1), [(0, 8, Action::LimitNear)]);
        assert_eq!(crossed(8, 1), []);
        assert_eq!(crossed(9, 1), [(0, 10, Action::LimitReached)]);
        assert_eq!(crossed(7, 3), [(0, 10, Action::LimitReached)]);
        assert_eq!(crossed(799, 1), [(2, 800, Action::LimitNear)]);
    }
}
