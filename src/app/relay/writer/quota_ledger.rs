//! Grants room within the limits where transactions do not race, and leases to busy users.
//! Reports limits that are near or reached.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::recipients;
use crate::app::relay::pending_writes::PendingWrites;
use crate::app::relay::policy::quota::{Crossing, NoRoom, Quota};
use crate::app::relay::policy::refusal::Refusal;
use crate::app::relay::policy::reservation::{Reservation, ReservationKind, ReservationOutcome};
use crate::app::relay::two_generation_cache::TwoGenerationCache;
use crate::error::Result;
use crate::model::alert::{AlertKind, NewAlert};
use crate::model::alert_rules::{AlertRule, AlertValue};
use crate::model::day::Day;
use crate::model::event::Action;
use crate::model::limits::OnLimit;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::{Scope, SendingRules, Tx};

/// The largest lease, in messages: a crash leaves a user's count at most this much too high.
const MAX_LEASE: u32 = 64;
/// A user that asks again within this time counts as busy.
const BUSY: Duration = Duration::from_secs(1);
/// The same limit of the same owner is reported at most this often.
const NOTIFY_AGAIN: Duration = Duration::from_secs(600);
/// From which share of a limit on it is near, in percent.
const NEAR: u32 = 80;
/// How many users, and how many reported limits, are remembered.
const REMEMBERED: usize = 10_000;

/// What the writer knows beside the store, from one transaction to the next.
pub(super) struct QuotaLedger {
    /// When each user last asked, and how many messages it was leased then.
    pace: TwoGenerationCache<String, (Instant, u32)>,
    /// When each limit was last reported.
    notified: TwoGenerationCache<String, Instant>,
    /// Users with a lease that is not released.
    leased: HashSet<Username>,
    /// Those of them that got it in this transaction.
    granted: Vec<Username>,
    /// Lines for the log, once the transaction is committed.
    pub alerts: Vec<String>,
    /// The share of a limit from which on it is an alert.
    alert_percent: Option<u32>,
}

impl QuotaLedger {
    pub fn new() -> Self {
        Self {
            pace: TwoGenerationCache::new(REMEMBERED),
            notified: TwoGenerationCache::new(REMEMBERED),
            leased: HashSet::new(),
            granted: Vec::new(),
            alerts: Vec::new(),
            alert_percent: None,
        }
    }

    /// Begins a transaction that will write `pending`.
    pub fn begin(&mut self, pending: &PendingWrites) {
        self.granted.clear();
        self.alerts.clear();
        for release in &pending.releases {
            self.leased.remove(&release.username);
        }
    }

    /// Forgets a transaction that failed: it granted and released no lease.
    pub fn roll_back(&mut self, pending: &PendingWrites) {
        for username in &self.granted {
            self.leased.remove(username);
        }
        let released = pending.releases.iter();
        self.leased
            .extend(released.map(|release| release.username.clone()));
    }

    /// Counts what is asked for, if there is room, and grants a lease to a busy user; else
    /// applies the limit's action to the user.
    pub fn reserve(
        &mut self,
        tx: &mut Tx,
        wanted: &Reservation,
        now: Time,
    ) -> Result<ReservationOutcome> {
        if wanted.requester.is_gone() {
            return Ok(ReservationOutcome::Abandoned);
        }
        let username = &wanted.username;
        // Another limit may have suspended the user, in this transaction or another.
        let rules = tx.store().sending_rules(username)?;
        if rules.is_none() && tx.store().old_name(username)?.is_some() {
            return Ok(ReservationOutcome::Renamed);
        }
        let Some(rules) = rules.filter(|rules| !rules.is_stopped(now)) else {
            return Ok(ReservationOutcome::Refused(Refusal::Stopped));
        };
        let mut new_recipients = new_recipients(tx, wanted)?;
        let count = Count {
            new_recipients: u32::try_from(new_recipients.len()).unwrap_or(u32::MAX),
            ..wanted.amount
        };
        let day = self.read_settings(tx)?;
        let quota = read_quota(tx, username, &rules, now, &day)?;
        if let Some((scope, exceeded)) = quota.exceeded(count) {
            let owner = Scope::all(username)[scope];
            let leased = tx.store().leased(owner, now)?;
            let own_leases = !self.leased.is_empty();
            return match quota.no_room(scope, wanted, count, leased, own_leases) {
                NoRoom::ReleaseAndRetry => Ok(ReservationOutcome::ReleaseAndRetry),
                NoRoom::RetryLater => Ok(ReservationOutcome::RetryLater),
                NoRoom::Refuse(action) => {
                    let refusal = Refusal::Limit {
                        owner: owner.name().to_owned(),
                        exceeded,
                        action,
                        has_recipients: wanted.has_recipients,
                    };
                    self.apply_limit_action(tx, username, action, &refusal)?;
                    Ok(ReservationOutcome::Refused(refusal))
                }
            };
        }
        if wanted.kind == ReservationKind::Check {
            new_recipients.clear();
        }
        for digest in &new_recipients {
            tx.add_recipient(username, *digest, now)?;
        }
        let mut lease = Count::default();
        if wanted.kind == ReservationKind::Message {
            lease = self.lease_for(username, wanted.amount, |lease| {
                quota.may_lease(lease, count)
            });
            self.count(tx, username, &quota, count.saturating_add(lease))?;
            self.record_lease(tx, username, lease, now)?;
        } else if !new_recipients.is_empty() {
            let only_new = Count {
                new_recipients: count.new_recipients,
                ..Count::default()
            };
            self.count(tx, username, &quota, only_new)?;
        }
        if !new_recipients.is_empty() {
            recipients::tell_of_many(tx, username, &rules, now)?;
        }
        Ok(ReservationOutcome::Granted {
            lease,
            new_recipients,
            at: now,
        })
    }

    /// Returns when a day begins, and keeps from which share of a limit on it is an alert.
    fn read_settings(&mut self, tx: &mut Tx) -> Result<Day> {
        let settings = tx.store().settings()?;
        let rule = settings
            .limit_alert
            .unwrap_or(AlertKind::Limit.default_rule());
        self.alert_percent = match rule {
            AlertRule::On(AlertValue::Percent(percent)) => Some(percent),
            _ => None,
        };
        Ok(settings.day)
    }

    /// Grants a new lease to a busy user whose last one was released. `message` is a message
    /// as that user sends it.
    pub fn renew(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        message: Count,
        now: Time,
    ) -> Result<Count> {
        let Some(rules) = tx.store().sending_rules(username)? else {
            return Ok(Count::default());
        };
        let day = self.read_settings(tx)?;
        let quota = read_quota(tx, username, &rules, now, &day)?;
        let lease = self.lease_for(username, message, |lease| {
            quota.may_lease(lease, Count::default())
        });
        if lease.messages > 0 {
            self.count(tx, username, &quota, lease)?;
            self.record_lease(tx, username, lease, now)?;
        }
        Ok(lease)
    }

    /// Records a lease in the store, so that other relays can wait for its release.
    fn record_lease(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        lease: Count,
        now: Time,
    ) -> Result<()> {
        if lease.messages > 0 {
            for owner in Scope::all(username) {
                tx.lease(owner, lease, now)?;
            }
            self.leased.insert(username.clone());
            self.granted.push(username.clone());
        }
        Ok(())
    }

    /// Returns how much to lease: nothing to a user that is not busy or has a lease already,
    /// else twice as much as last time.
    fn lease_for(
        &mut self,
        username: &Username,
        message: Count,
        has_room: impl Fn(Count) -> bool,
    ) -> Count {
        if self.leased.contains(username) {
            return Count::default();
        }
        let now = Instant::now();
        let messages = match self.pace.get_mut(username.as_str()) {
            Some((then, messages)) if now.duration_since(*then) < BUSY => {
                (*messages * 2).clamp(1, MAX_LEASE)
            }
            _ => 0,
        };
        self.pace
            .insert(username.as_str().to_owned(), (now, messages));
        let lease = message.times(messages);
        if messages > 0 && has_room(lease) {
            lease
        } else {
            Count::default()
        }
    }

    /// Counts for the user, its domain and the installation, and reports limits that are now
    /// near or reached.
    fn count(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        quota: &Quota,
        count: Count,
    ) -> Result<()> {
        for owner in Scope::all(username) {
            tx.count(owner, count, quota.now)?;
        }
        if let Some(percent) = self.alert_percent {
            for crossing in quota.crossings(count, percent) {
                tx.raise(&limit_alert(username, &crossing))?;
            }
        }
        for crossing in quota.crossings(count, NEAR) {
            tx.mark_limit_near(Scope::all(username)[crossing.scope], crossing.kind)?;
            self.notify(tx, username, crossing)?;
        }
        Ok(())
    }

    /// Records an event and an alert about a limit, unless that was done lately.
    fn notify(&mut self, tx: &mut Tx, username: &Username, crossing: Crossing) -> Result<()> {
        let Crossing {
            scope,
            kind,
            limit,
            used,
            action,
        } = crossing;
        let owner = Scope::all(username)[scope];
        let key = format!("{}\t{kind}\t{}", owner.name(), action.name());
        let notified = self.notified.get_mut(&key);
        if notified.is_some_and(|then| then.elapsed() < NOTIFY_AGAIN) {
            return Ok(());
        }
        self.notified.insert(key, Instant::now());
        tx.record_limit(action, owner, kind, limit, used, username)?;
        let word = if action == Action::LimitReached {
            "reached"
        } else {
            "near"
        };
        self.alerts.push(format!(
            "limit {word}: {} has sent {used} of {} (last by {username})",
            owner.name(),
            kind.words(limit)
        ));
        Ok(())
    }

    /// Applies the action that the admin chose for a user over its limit.
    fn apply_limit_action(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        action: OnLimit,
        refusal: &Refusal,
    ) -> Result<()> {
        match action {
            OnLimit::Defer | OnLimit::Reject => {}
            OnLimit::Delete if tx.may_delete_users()? => {
                tx.delete_user(username)?;
                tell_of_action(tx, username, refusal, NewAlert::deleted)?;
            }
            OnLimit::Suspend | OnLimit::Delete => {
                tx.suspend_user(username)?;
                tell_of_action(tx, username, refusal, NewAlert::suspended)?;
            }
        }
        if action != OnLimit::Defer {
            let (action, text) = (action.name(), refusal.text());
            self.alerts
                .push(format!("limit met: {username}: {action}: {text}"));
        }
        Ok(())
    }
}

/// Raises the alert about a user that a limit stopped.
fn tell_of_action(
    tx: &mut Tx,
    username: &Username,
    refusal: &Refusal,
    alert: fn(&Username, &str, &str) -> NewAlert,
) -> Result<()> {
    let Refusal::Limit {
        owner, exceeded, ..
    } = refusal
    else {
        return Ok(());
    };
    let limit = exceeded.kind.words(exceeded.most);
    tx.raise(&alert(username, owner, &limit))
}

fn limit_alert(username: &Username, crossing: &Crossing) -> NewAlert {
    let Crossing {
        scope,
        kind,
        limit,
        used,
        action,
    } = crossing;
    let owner = Scope::all(username)[*scope];
    let reached = *action == Action::LimitReached;
    let word = if reached { "has reached" } else { "is near" };
    let text = format!(
        "{} {word} its limit: {used} of {} (the latest by {username}).",
        owner.name(),
        kind.words(*limit)
    );
    let about = (*scope == 0).then(|| username.clone());
    NewAlert {
        domain: (*scope < 2).then(|| username.domain()),
        username: about,
        matter: format!("{kind} {}", if reached { "reached" } else { "near" }),
        next: Some("smtpcred usage".into()),
        ..NewAlert::of_user(AlertKind::Limit, username, text)
    }
}

/// Returns the recipients of a message to which its user has never sent: not more than the
/// mail server accepted.
fn new_recipients(tx: &mut Tx, wanted: &Reservation) -> Result<Vec<u128>> {
    let mut new = Vec::new();
    for digest in &wanted.new_recipients {
        if new.len() < wanted.amount.recipients as usize
            && !tx.store().knows_recipient(&wanted.username, *digest)?
        {
            new.push(*digest);
        }
    }
    Ok(new)
}

fn read_quota<'a>(
    tx: &mut Tx,
    username: &Username,
    rules: &'a SendingRules,
    now: Time,
    day: &'a Day,
) -> Result<Quota<'a>> {
    Ok(Quota {
        rules,
        sent: tx
            .store()
            .usage_windows(username, &rules.limits, now, day)?,
        now,
        day,
    })
}
