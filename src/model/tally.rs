//! What was sent lately, in pieces of time.

use super::day::Day;
use super::limits::{Kind, Span, What};
use super::time::Time;

/// What one message, or one recipient on its way to one, counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub messages: u32,
    pub recipients: u32,
    pub new_recipients: u32,
}

/// What was sent in one piece of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub at: Time,
    pub amount: Amount,
}

/// What a user, a domain or the installation has sent lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally([Vec<Bucket>; 3]);

impl Amount {
    pub fn of(self, what: What) -> u64 {
        match what {
            What::Messages => self.messages,
            What::Recipients => self.recipients,
            What::NewRecipients => self.new_recipients,
        }
        .into()
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            recipients: self.recipients.saturating_add(other.recipients),
            new_recipients: self.new_recipients.saturating_add(other.new_recipients),
        }
    }

    /// What is left of it without the other.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            recipients: self.recipients.saturating_sub(other.recipients),
            new_recipients: self.new_recipients.saturating_sub(other.new_recipients),
        }
    }
}

impl Tally {
    /// Buckets may come in any order.
    pub fn add(&mut self, span: Span, bucket: Bucket) {
        let buckets = &mut self.0[span as usize];
        match buckets.iter_mut().find(|b| b.at == bucket.at) {
            Some(found) => found.amount = found.amount.plus(bucket.amount),
            None => buckets.push(bucket),
        }
    }

    /// As it will be once this has been sent, too.
    pub fn count(&mut self, amount: Amount, now: Time) {
        for span in Span::ALL {
            let at = span.bucket_at(now);
            self.add(span, Bucket { at, amount });
        }
    }

    pub fn used(&self, kind: Kind, now: Time, day: &Day) -> u64 {
        let begins = kind.span.begins(now, day);
        self.0[kind.span as usize]
            .iter()
            .filter(|bucket| bucket.at >= begins)
            .map(|bucket| bucket.amount.of(kind.what))
            .sum()
    }

    pub(super) fn frees_at(
        &self,
        kind: Kind,
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
