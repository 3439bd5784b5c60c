//! Metrics of a running relay: what it counted since it started, and what it is doing.

use std::collections::HashMap;
use std::time::Duration;

use super::Exposition;
use crate::app::relay::Refusal;
use crate::model::cache_status::CacheStatus;
use crate::model::duration_histogram::DurationHistogram;
use crate::model::name::Username;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::time::Time;

/// The most users whose messages are counted one by one.
const MOST_USERS: usize = 1000;

/// How sign-ins ended.
#[derive(Debug, Default)]
pub struct SignInCounts {
    accepted: u64,
    /// The mail server was hung up on, and tells its client to try again.
    deferred: u64,
    /// By the order of [`RefusalReason::ALL`].
    refused: [u64; RefusalReason::ALL.len()],
    /// How long it took to accept one. Refusals are delayed on purpose.
    times: DurationHistogram,
}

/// How requests of the policy protocol ended.
#[derive(Debug, Default)]
pub struct PolicyCounts {
    allowed: u64,
    /// By their reasons.
    refused: [u64; REASONS.len()],
    deferred: u64,
    messages: MessageCounts,
}

/// The messages that were let through, by user.
#[derive(Debug, Default)]
struct MessageCounts {
    users: HashMap<Username, MessageCount>,
    /// Of users beyond the most that are counted one by one.
    others: MessageCount,
}

#[derive(Debug, Default)]
struct MessageCount {
    sent: u64,
    /// How many of them never reached the mail server. A counter never goes down: the next
    /// messages are not counted instead.
    undone: u64,
}

/// What a relay is doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayState {
    /// When it started.
    pub started_at: Option<Time>,
    /// Its memory, in bytes, if the system tells.
    pub resident: Option<u64>,
    /// Connections of mail servers.
    pub connections: usize,
    /// Sign-ins that wait for their answer.
    pub waiting: usize,
    /// Passwords that are being hashed.
    pub hashing: usize,
    /// Open sessions.
    pub sessions: usize,
    /// The right passwords that are remembered.
    pub remembering: CacheStatus,
}

/// The reasons of refusals.
const REASONS: [&str; 6] = [
    "password-ended",
    "session-ended",
    "user-stopped",
    "domain-not-verified",
    "sender-not-owned",
    "limit",
];

const fn reason(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::Ended => 0,
        Refusal::SessionEnded => 1,
        Refusal::Stopped => 2,
        Refusal::Unverified => 3,
        Refusal::NotOwned => 4,
        Refusal::Limit { .. } => 5,
    }
}

impl SignInCounts {
    /// Counts one that was accepted.
    pub fn accepted(&mut self, took: Duration) {
        self.accepted += 1;
        self.times.add(took);
    }

    /// Counts one that was refused.
    pub fn refused(&mut self, reason: RefusalReason) {
        let place = RefusalReason::ALL.iter().position(|one| *one == reason);
        if let Some(count) = place.and_then(|place| self.refused.get_mut(place)) {
            *count += 1;
        }
    }

    /// Counts one that could not be decided.
    pub const fn deferred(&mut self) {
        self.deferred += 1;
    }

    /// Writes them.
    pub fn write(&self, metrics: &mut Exposition) {
        let help = "Sign-ins by result: accepted, deferred, or why they were refused.";
        let mut family = metrics.counter("smtpcred_sign_ins", help);
        family.value(&[("result", "accepted")], self.accepted);
        family.value(&[("result", "deferred")], self.deferred);
        for (reason, count) in RefusalReason::ALL.iter().zip(self.refused) {
            family.value(&[("result", reason.name())], count);
        }
        let help = "Time until a sign-in was accepted.";
        metrics.histogram("smtpcred_sign_in_seconds", help, &self.times);
    }
}

impl PolicyCounts {
    /// Counts one that was let through, and the message, if it was about a whole one.
    pub fn allowed(&mut self, message_of: Option<&Username>) {
        self.allowed += 1;
        if let Some(user) = message_of {
            let count = self.messages.of(user);
            if count.undone > 0 {
                count.undone -= 1;
            } else {
                count.sent += 1;
            }
        }
    }

    /// Counts that a message that was let through is not sent: the mail server never learned
    /// of it.
    pub fn undone(&mut self, message_of: &Username) {
        self.messages.of(message_of).undone += 1;
    }

    /// Counts one that was refused.
    pub const fn refused(&mut self, refusal: &Refusal) {
        self.refused[reason(refusal)] += 1;
    }

    /// Counts one that could not be decided.
    pub const fn deferred(&mut self) {
        self.deferred += 1;
    }

    /// Writes them.
    pub fn write(&self, metrics: &mut Exposition) {
        let help = "Decisions about senders, recipients and messages.";
        let mut family = metrics.counter("smtpcred_policy_decisions", help);
        let mut decided = |decision, reason, count: u64| {
            family.value(&[("decision", decision), ("reason", reason)], count);
        };
        decided("allow", "none", self.allowed);
        decided("defer", "none", self.deferred);
        for (reason, count) in REASONS.iter().zip(self.refused) {
            decided("refuse", reason, count);
        }
        let help = format!(
            "Messages let through by this serve, by the first {MOST_USERS} users, and all others."
        );
        let mut family = metrics.counter("smtpcred_messages", &help);
        for (user, count) in &self.messages.users {
            family.value(&[("user", user.as_str())], count.sent);
        }
        family.value(&[("user", "other")], self.messages.others.sent);
    }
}

impl MessageCounts {
    fn of(&mut self, user: &Username) -> &mut MessageCount {
        if self.users.contains_key(user) || self.users.len() < MOST_USERS {
            self.users.entry(user.clone()).or_default()
        } else {
            &mut self.others
        }
    }
}

impl RelayState {
    /// Writes it.
    pub fn write(&self, metrics: &mut Exposition) {
        let numbers = [
            (
                "smtpcred_connections",
                "Connections of mail servers.",
                self.connections as u64,
            ),
            (
                "smtpcred_open_sessions",
                "Open sessions at this serve.",
                self.sessions as u64,
            ),
            (
                "smtpcred_sign_ins_in_flight",
                "Sign-ins that wait for their answer.",
                self.waiting as u64,
            ),
            (
                "smtpcred_hashes_in_flight",
                "Passwords that are being hashed.",
                self.hashing as u64,
            ),
            (
                "smtpcred_remembered_passwords",
                "Right passwords that are not hashed again.",
                self.remembering.passwords,
            ),
        ];
        for (name, help, number) in numbers {
            metrics.gauge(name, help).value(&[], number);
        }
        let help = "Passwords that were hashed.";
        metrics
            .counter("smtpcred_hashes", help)
            .value(&[], self.remembering.hashes);
        // As other programs name them.
        if let Some(at) = self.started_at {
            let at = u64::try_from(at.epoch()).unwrap_or_default();
            metrics
                .gauge("process_start_time_seconds", "When the program started.")
                .value(&[], at);
        }
        if let Some(bytes) = self.resident {
            metrics
                .gauge("process_resident_memory_bytes", "Memory of the program.")
                .value(&[], bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::metrics::ExpositionForm;

    fn written(counts: &PolicyCounts) -> String {
        let mut metrics = Exposition::new(ExpositionForm::OpenMetrics);
        counts.write(&mut metrics);
        metrics.end()
    }

    #[test]
    fn a_message_that_never_arrived_is_not_counted_in_the_end() {
        let mut counts = PolicyCounts::default();
        let user: Username = "shop@example.com".parse().unwrap();
        let sent = |counts: &PolicyCounts| counts.messages.users[&user].sent;
        for _ in 0..3 {
            counts.allowed(Some(&user));
        }
        counts.undone(&user);
        assert_eq!(sent(&counts), 3, "it never goes down");
        counts.allowed(Some(&user));
        assert_eq!(sent(&counts), 3);
        counts.allowed(Some(&user));
        counts.allowed(None);
        assert_eq!((sent(&counts), counts.allowed), (4, 6));
    }

    #[test]
    fn only_so_many_users_are_named() {
        let mut counts = PolicyCounts::default();
        for number in 0..MOST_USERS + 50 {
            let user: Username = format!("u{number}@example.com").parse().unwrap();
            counts.allowed(Some(&user));
        }
        let text = written(&counts);
        assert_eq!(text.matches("smtpcred_messages_total{").count(), 1001);
        assert!(text.contains("smtpcred_messages_total{user=\"other\"} 50\n"));
        let first = "u0@example.com".parse().unwrap();
        counts.allowed(Some(&first));
        assert_eq!(counts.messages.users[&first].sent, 2);
    }
}
