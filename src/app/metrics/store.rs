//! Metrics of what the store says.

use super::{Exposition, MOST_NAMED, age};
use crate::app::App;
use crate::app::status::StatusReport;
use crate::error::Result;
use crate::model::usage::{Usage, UsageBy};
use crate::store::StoreMetrics;

/// What is told about a store.
pub struct StoreReport {
    /// What `status` shows.
    pub status: StatusReport,
    named: StoreMetrics,
}

/// What was sent today.
#[derive(Debug, Default)]
pub struct SentToday {
    /// The users with the most messages.
    first: Vec<Usage>,
    /// The messages of all others.
    others: u64,
}

/// Everything that `status` may find.
const MATTERS: [&str; 8] = [
    "alert",
    "expired",
    "expiring",
    "history",
    "limit",
    "refused",
    "serve",
    "unfinished_rotation",
];

impl App {
    /// Reads what metrics say about the store.
    pub fn metrics(&mut self) -> Result<StoreReport> {
        let status = self.status()?;
        let named = self.store.metrics(status.now, MOST_NAMED)?;
        Ok(StoreReport { status, named })
    }

    /// Reads what was sent today.
    pub fn sent_today(&mut self) -> Result<SentToday> {
        let day = Usage::day_of(self.now().plausible()?, &self.store.settings()?.day);
        let mut today = SentToday::default();
        self.store
            .usage(UsageBy::User, day, None, MOST_NAMED, &mut |usage| {
                today.first.push(usage);
                Ok(())
            })?;
        let mut all = 0;
        self.store.usage(UsageBy::Day, day, None, 1, &mut |usage| {
            all = usage.messages;
            Ok(())
        })?;
        let named: u64 = today.first.iter().map(|usage| usage.messages).sum();
        today.others = all.saturating_sub(named);
        Ok(today)
    }
}

impl StoreReport {
    /// Writes it.
    pub fn write(&self, metrics: &mut Exposition) {
        self.write_counts(metrics);
        self.write_refused(metrics);
        self.write_named(metrics);
        if let Some(backup) = &self.status.last_backup {
            let help = "When the last good backup was made.";
            let at = u64::try_from(backup.at.epoch()).unwrap_or_default();
            metrics
                .gauge("smtpcred_last_backup_timestamp_seconds", help)
                .value(&[], at);
        }
    }

    /// Writes what needs attention, with what else was found.
    pub fn write_attention(&self, others: &[&str], metrics: &mut Exposition) {
        let found = self.status.look_at();
        let help = "What needs attention, as `smtpcred status` says.";
        let mut family = metrics.gauge("smtpcred_attention", help);
        for matter in MATTERS {
            let is_found =
                others.contains(&matter) || found.iter().any(|found| found.matter == matter);
            family.value(&[("matter", matter)], is_found);
        }
    }

    /// Writes how many sessions the relays last reported.
    pub fn write_sessions(&self, metrics: &mut Exposition) {
        if let Some(sessions) = self.status.sessions {
            let help = "Open sessions, as every serve last reported them.";
            metrics
                .gauge("smtpcred_open_sessions", help)
                .value(&[], sessions);
        }
    }

    fn write_counts(&self, metrics: &mut Exposition) {
        let counts = &self.status.counts;
        let states = [
            ("active", counts.active()),
            ("overlap", counts.overlap),
            ("suspended", counts.suspended),
            ("expired", counts.expired),
        ];
        let mut users = metrics.gauge("smtpcred_users", "Users by status.");
        for (state, count) in states {
            users.value(&[("status", state)], count);
        }
        let others = [
            ("smtpcred_domains", "Sending domains.", counts.domains),
            (
                "smtpcred_users_expiring",
                "Users that expire within 14 days.",
                counts.expiring,
            ),
            (
                "smtpcred_rotation_unfinished",
                "Rotations that did not finish.",
                counts.unfinished,
            ),
            (
                "smtpcred_alerts_pending",
                "Alerts that no one acknowledged.",
                self.status.alerts.count,
            ),
            (
                "smtpcred_limits_near",
                "Daily limits of which at least 80 % is used.",
                counts.limits_near,
            ),
        ];
        for (name, help, count) in others {
            metrics.gauge(name, help).value(&[], count);
        }
    }

    fn write_refused(&self, metrics: &mut Exposition) {
        let help = "Refused sign-ins of the last 24 hours, at all relays.";
        metrics
            .gauge("smtpcred_sign_ins_refused_last_day", help)
            .value(&[], self.status.refused.count);
    }

    fn write_named(&self, metrics: &mut Exposition) {
        let now = self.status.now;
        let help = format!(
            "Used part of the daily limits of which at least 80 % is used; the {MOST_NAMED} \
             fullest."
        );
        let mut limits = metrics.gauge("smtpcred_limit_used_ratio", &help);
        for limit in &self.named.limits_near {
            let part = ratio(limit.used, limit.most);
            let kind = limit.kind.to_string();
            limits.value(&[("owner", &limit.owner), ("limit", &kind)], part);
        }
        let help = format!("Age of the {MOST_NAMED} oldest passwords.");
        let mut ages = metrics.gauge("smtpcred_password_age_seconds", &help);
        for old in &self.named.old_passwords {
            let user = old.username.as_str();
            ages.value(&[("user", user)], age(old.created_at, now));
        }
    }
}

impl SentToday {
    /// Writes it.
    pub fn write(&self, metrics: &mut Exposition) {
        let help = format!(
            "Messages let through today, by the {MOST_NAMED} users with the most, and all others."
        );
        let mut family = metrics.gauge("smtpcred_messages_today", &help);
        for usage in &self.first {
            family.value(&[("user", &usage.name)], usage.messages);
        }
        family.value(&[("user", "other")], self.others);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a part that people look at")]
fn ratio(used: u64, most: u32) -> f64 {
    used as f64 / f64::from(most.max(1))
}
