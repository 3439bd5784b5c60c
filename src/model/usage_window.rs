//! What was sent lately, in buckets of time.

use super::day::Day;
use super::limit_kind::{LimitKind, LimitPeriod, LimitUnit};
use super::time::Time;

/// What one message, or one recipient on its way to one, counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages that were let through.
    pub messages: u32,
    /// Their recipients.
    pub recipients: u32,
    /// Recipients to which the user had never sent.
    pub new_recipients: u32,
}

/// What was sent in one piece of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When the piece begins.
    pub at: Time,
    /// What was sent in it.
    pub amount: Count,
}

/// What a user, a domain or the installation has sent lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageWindow([Vec<Bucket>; 3]);

impl Count {
    /// Returns how much of this unit it is.
    pub fn of(self, what: LimitUnit) -> u64 {
        match what {
            LimitUnit::Messages => self.messages,
            LimitUnit::Recipients => self.recipients,
            LimitUnit::NewRecipients => self.new_recipients,
        }
        .into()
    }

    /// Returns `n` times as many messages and recipients, none of them new.
    #[must_use]
    pub const fn times(self, n: u32) -> Self {
        Self {
            messages: self.messages.saturating_mul(n),
            recipients: self.recipients.saturating_mul(n),
            new_recipients: 0,
        }
    }

    /// Returns the sum.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            recipients: self.recipients.saturating_add(other.recipients),
            new_recipients: self.new_recipients.saturating_add(other.new_recipients),
        }
    }

    /// Returns what is left without the other, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            recipients: self.recipients.saturating_sub(other.recipients),
            new_recipients: self.new_recipients.saturating_sub(other.new_recipients),
        }
    }
}

impl UsageWindow {
    /// Adds a bucket; they may come in any order.
    pub fn add(&mut self, span: LimitPeriod, bucket: Bucket) {
        let buckets = &mut self.0[span as usize];
        match buckets.iter_mut().find(|b| b.at == bucket.at) {
            Some(found) => found.amount = found.amount.saturating_add(bucket.amount),
            None => buckets.push(bucket),
        }
    }

    /// Adds what is sent now.
    pub fn count(&mut self, amount: Count, now: Time) {
        for span in LimitPeriod::ALL {
            let at = span.bucket_at(now);
            self.add(span, Bucket { at, amount });
        }
    }

    /// Returns how much of a limit of this kind is used now.
    pub fn used(&self, kind: LimitKind, now: Time, day: &Day) -> u64 {
        let begins = kind.span.begins(now, day);
        self.0[kind.span as usize]
            .iter()
            .filter(|bucket| bucket.at >= begins)
            .map(|bucket| bucket.amount.of(kind.what))
            .sum()
    }

    pub(super) fn frees_at(
        &self,
        kind: LimitKind,
        most: u32,
        add: u64,
        now: Time,
        day: &Day,
    ) -> Option<Time> {
        let begins = kind.span.begins(now, day);
        let mut used = self.used(kind, now, day);
        let mut buckets = self.0[kind.span as usize].clone();
        buckets.retain(|bucket| bucket.at >= begins);
        buckets.sort_by_key(|bucket| bucket.at);
        buckets.iter().find_map(|bucket| {
            used -= bucket.amount.of(kind.what);
            (used + add <= most.into()).then(|| kind.span.bucket_frees_at(bucket.at, now, day))
        })
    }
}
