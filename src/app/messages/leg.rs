//! A message in one queue.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::formats::maillog::attempt::{Agent, AttemptResult, DeliveryAttempt, Order};
use crate::formats::maillog::queue_id::QueueId;
use crate::model::followed_message::UnknownReason;
use crate::model::log_time::LogTime;

/// Longer replies are cut: Exim logs up to 17 kB.
const LONGEST_REPLY: usize = 2000;
/// Legs behind each other, at most.
pub const DEEPEST: usize = 8;
/// With more recipients they are found by hash.
const FEW: usize = 32;
/// What a leg and a recipient take apart from their texts, roughly.
const LEG_BYTES: usize = 400;
const RECIPIENT_BYTES: usize = 200;

/// Where a leg is in the table. Stays unequal to all later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegKey {
    pub index: u32,
    pub serial: u32,
}

/// How a leg continues another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A content filter gave it back, and named it in its reply.
    Filter,
    /// A content filter gave it back with XFORWARD, which names the first.
    Forwarded,
    /// A program that got it submitted it again.
    Piped,
    /// local(8) sent it on to the members of an alias.
    Alias,
    /// The operator had it queued again.
    Requeued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client has not been told that it was accepted.
    Receiving,
    Accepted,
    /// It left the queue, or never was in it.
    Closed,
}

/// The user a leg belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No one signed in: perhaps it continues a message.
    Stranger,
    /// Another user, who is not followed.
    Other,
    User(Box<str>),
}

/// The last state of a recipient in this queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegResult {
    Sent,
    Deferred,
    Bounced,
    Expired,
    Deleted,
    Discarded,
}

pub struct LegRecipient {
    pub address: Box<[u8]>,
    pub original: Option<Box<[u8]>>,
    pub result: LegResult,
    pub dsn: Option<Box<[u8]>>,
    pub reply: Box<[u8]>,
    pub at: LogTime,
    pub agent: Agent,
    /// The leg that its reply named.
    pub passed: Option<LegKey>,
}

impl LegRecipient {
    /// Whether it came to its end after a line of this time, which is read again.
    fn is_after(&self, at: LogTime) -> bool {
        self.result != LegResult::Deferred && self.at >= at
    }
}

/// What a rule decided about the whole leg.
pub struct Ordered {
    pub order: Order,
    pub sender: Option<Box<[u8]>>,
    pub recipient: Option<Box<[u8]>>,
    pub text: Box<[u8]>,
    pub at: LogTime,
}

// Independent facts of the log, not states of a machine.
#[allow(clippy::struct_excessive_bools)]
pub struct Leg {
    pub id: QueueId,
    pub host: u16,
    pub program: u16,
    pub is_exim: bool,
    pub is_local: bool,
    pub started: LogTime,
    /// The number of its first event.
    pub first_event: u64,
    /// When its last event came, in seconds of the log.
    pub touched: u64,
    pub owner: Owner,
    pub sender: Option<Box<[u8]>>,
    pub message_id: Option<Box<[u8]>>,
    pub size: Option<u64>,
    /// How many recipients the queue manager counts.
    pub expected: Option<u32>,
    /// The recipients that the client named, between spaces.
    pub named: Option<Box<[u8]>>,
    pub phase: Phase,
    pub is_held: bool,
    pub is_refused: bool,
    /// An earlier run began to follow it.
    pub is_adopted: bool,
    /// The end of all recipients that had none when the leg ended.
    pub ended_as: Option<LegResult>,
    pub ordered: Option<Ordered>,
    /// Why no more will be known.
    pub given_up: Option<UnknownReason>,
    pub last_at: LogTime,
    pub recipients: Vec<LegRecipient>,
    by_hash: Option<Box<RecipientIndex>>,
    /// The legs that continue this one.
    pub next: Vec<(LegKey, LinkKind)>,
    /// The leg that this one continues.
    pub previous: Option<LegKey>,
    /// Another leg with the same id, older or on another host.
    pub same_id: Option<LegKey>,
    pub is_changed: bool,
    /// Roughly, in bytes.
    pub cost: usize,
}

#[derive(Default)]
struct RecipientIndex {
    hasher: RandomState,
    places: HashMap<u64, usize>,
}

impl Leg {
    pub fn new(id: QueueId, host: u16, program: u16, at: LogTime) -> Self {
        Self {
            id,
            host,
            program,
            is_exim: false,
            is_local: false,
            started: at,
            first_event: 0,
            touched: 0,
            owner: Owner::Stranger,
            sender: None,
            message_id: None,
            size: None,
            expected: None,
            named: None,
            phase: Phase::Receiving,
            is_held: false,
            is_refused: false,
            is_adopted: false,
            ended_as: None,
            ordered: None,
            given_up: None,
            last_at: at,
            recipients: Vec::new(),
            by_hash: None,
            next: Vec::new(),
            previous: None,
            same_id: None,
            is_changed: false,
            cost: LEG_BYTES,
        }
    }

    /// Stores a text that is logged once.
    pub fn set(slot: &mut Option<Box<[u8]>>, value: &[u8], cost: &mut usize) {
        let value = cut(value);
        *cost += value.len();
        *slot = Some(value.into());
    }

    /// Records an attempt and returns the place of its recipient. The last one counts.
    pub fn attempt(
        &mut self,
        attempt: &DeliveryAttempt<'_>,
        result: LegResult,
        at: LogTime,
    ) -> usize {
        let reply: Box<[u8]> = cut(attempt.reply).into();
        self.cost += reply.len();
        let known = LegRecipient {
            address: attempt.address.into(),
            original: attempt.original.map(Into::into),
            result,
            dsn: attempt.dsn.map(Into::into),
            reply,
            at,
            agent: attempt.agent,
            passed: None,
        };
        if let Some(place) = self.place(attempt) {
            if self.is_adopted && self.recipients[place].is_after(at) {
                self.recipients[place].agent = attempt.agent;
                return place;
            }
            let before = std::mem::replace(&mut self.recipients[place], known);
            self.cost = self.cost.saturating_sub(before.reply.len());
            return place;
        }
        let original = attempt.original.map_or(0, <[u8]>::len);
        self.cost += RECIPIENT_BYTES + attempt.address.len() + original;
        self.recipients.push(known);
        self.index_last();
        self.recipients.len() - 1
    }

    /// The place of a recipient that had an attempt before.
    pub fn place(&self, attempt: &DeliveryAttempt<'_>) -> Option<usize> {
        let is_it = |known: &LegRecipient| {
            *known.address == *attempt.address && known.original.as_deref() == attempt.original
        };
        if let Some(index) = &self.by_hash {
            let hash = index.hasher.hash_one((attempt.address, attempt.original));
            let place = *index.places.get(&hash)?;
            return self
                .recipients
                .get(place)
                .filter(|known| is_it(known))
                .map(|_| place);
        }
        self.recipients.iter().position(is_it)
    }

    fn index_last(&mut self) {
        if self.recipients.len() <= FEW {
            return;
        }
        let from = match &self.by_hash {
            Some(_) => self.recipients.len() - 1,
            None => 0,
        };
        let index = self.by_hash.get_or_insert_default();
        for (place, known) in self.recipients.iter().enumerate().skip(from) {
            let hash = index
                .hasher
                .hash_one((&*known.address, known.original.as_deref()));
            index.places.insert(hash, place);
        }
    }

    /// Gives all recipients that wait for another attempt their end.
    pub fn end_deferred(&mut self, result: LegResult, at: LogTime) {
        for known in &mut self.recipients {
            if known.result == LegResult::Deferred {
                known.result = result;
                known.at = at;
            }
        }
        self.ended_as = Some(result);
        self.last_at = at;
    }

    /// Whether the client was told that it is accepted, or an order says so.
    pub fn is_message(&self) -> bool {
        !self.is_refused && (self.phase != Phase::Receiving || self.given_up.is_some())
    }

    pub fn is_requeued(&self) -> bool {
        self.next
            .iter()
            .any(|(_, kind)| *kind == LinkKind::Requeued)
    }
}

impl From<AttemptResult> for LegResult {
    fn from(result: AttemptResult) -> Self {
        match result {
            AttemptResult::Sent => Self::Sent,
            AttemptResult::Deferred => Self::Deferred,
            AttemptResult::Bounced => Self::Bounced,
            AttemptResult::Discarded => Self::Discarded,
        }
    }
}

fn cut(text: &[u8]) -> &[u8] {
    &text[..text.len().min(LONGEST_REPLY)]
}
