//! The ends of a message's recipients, put together from all its legs.

use std::collections::{HashMap, HashSet};

use super::interner::Interner;
use super::leg::{DEEPEST, Leg, LegKey, LegRecipient, LegResult, LinkKind, Owner, Phase};
use super::leg_table::LegTable;
use crate::formats::maillog::attempt::{Agent, Order};
use crate::model::followed_message::{
    FollowedMessage, MessageKey, MessageState, RecipientOutcome, UnknownReason,
};
use crate::model::log_time::LogTime;

/// An outcome in the words of the log.
#[derive(Clone, Copy)]
struct Row<'a> {
    address: Option<&'a [u8]>,
    original: Option<&'a [u8]>,
    state: MessageState,
    dsn: Option<&'a [u8]>,
    reply: &'a [u8],
    at: LogTime,
    reason: Option<UnknownReason>,
    count: u32,
}

/// What outcomes are looked up in.
struct Known<'a> {
    legs: &'a LegTable,
    gap: Option<u64>,
}

/// The message whose first leg this is. `None` if it is none, or no user's.
pub fn message(
    legs: &LegTable,
    hosts: &Interner,
    key: LegKey,
    gap: Option<u64>,
) -> Option<FollowedMessage> {
    let leg = legs.get(key).filter(|leg| leg.is_message())?;
    let Owner::User(username) = &leg.owner else {
        return None;
    };
    let known = Known { legs, gap };
    let mut rows = known.rows(leg, DEEPEST);
    if leg.is_adopted {
        keep_last(&mut rows);
    }
    Some(FollowedMessage {
        key: message_key(hosts, leg),
        username: username.to_string(),
        sender: sender(leg).map(|sender| match sender {
            b"" => "<>".to_owned(),
            sender => text(sender),
        }),
        message_id: leg.message_id.as_deref().map(text),
        size: leg.size,
        recipients: rows.iter().map(outcome).collect(),
        later_ids: known.later_ids(leg, DEEPEST, &|_| true),
        open_ids: {
            let is_open = |leg: &Leg| leg.phase != Phase::Closed;
            let own = Some(leg.id.to_string()).filter(|_| is_open(leg));
            own.into_iter()
                .chain(known.later_ids(leg, DEEPEST, &is_open))
                .collect()
        },
    })
}

/// An earlier run recorded the outcomes of later legs too, of which lines are read again.
fn keep_last(rows: &mut Vec<Row<'_>>) {
    let mut seen = HashSet::new();
    rows.reverse();
    rows.retain(|row| row.address.is_none() || seen.insert((row.address, row.original)));
    rows.reverse();
}

/// What identifies the message whose first leg this is.
pub fn message_key(hosts: &Interner, leg: &Leg) -> MessageKey {
    MessageKey {
        queue_id: leg.id.as_str().to_owned(),
        host: text(hosts.name(leg.host)),
        at: leg.started,
    }
}

/// The queue manager does not name it as long as the message is held.
fn sender(leg: &Leg) -> Option<&[u8]> {
    let ordered = || leg.ordered.as_ref()?.sender.as_deref();
    leg.sender.as_deref().or_else(ordered)
}

fn outcome(row: &Row<'_>) -> RecipientOutcome {
    RecipientOutcome {
        address: row.address.map(text),
        original: row.original.map(text),
        state: row.state,
        dsn: row.dsn.map(text),
        reply: Some(row.reply).filter(|reply| !reply.is_empty()).map(text),
        at: row.at,
        reason: row.reason,
        count: row.count,
    }
}

fn text(bytes: &[u8]) -> String {
    // Hardly any is not UTF-8, and the check alone is much faster.
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

impl<'a> Known<'a> {
    fn later_ids(&self, leg: &Leg, depth: usize, wanted: &dyn Fn(&Leg) -> bool) -> Vec<String> {
        let mut ids = Vec::new();
        for (key, _) in &leg.next {
            if let Some(next) = self.legs.get(*key).filter(|_| depth > 0) {
                ids.extend(Some(next.id.to_string()).filter(|_| wanted(next)));
                ids.extend(self.later_ids(next, depth - 1, wanted));
            }
        }
        ids
    }

    fn rows(&self, leg: &'a Leg, depth: usize) -> Vec<Row<'a>> {
        let next = if depth == 0 { &[][..] } else { &leg.next };
        let next: Vec<Next<'a>> = next
            .iter()
            .filter_map(|(key, kind)| {
                let leg = self.legs.get(*key)?;
                Some(Next::new(*key, *kind, leg, self.rows(leg, depth - 1)))
            })
            .collect();
        let mut rows = Vec::with_capacity(leg.recipients.len());
        for known in &leg.recipients {
            if !is_replaced(leg, known) {
                self.recipient(leg, known, &next, &mut rows);
            }
        }
        self.unnamed(leg, &next, &mut rows);
        rows
    }

    /// The outcomes of one recipient: its own, or those of the legs that continue it.
    fn recipient(
        &self,
        leg: &'a Leg,
        known: &'a LegRecipient,
        next: &[Next<'a>],
        rows: &mut Vec<Row<'a>>,
    ) {
        let own = self.own_row(leg, known);
        if let Some(passed) = known.passed
            && let Some(next) = next.iter().find(|next| next.key == passed)
        {
            if next.kind == LinkKind::Alias {
                rows.push(own);
                rows.extend(next.rows.iter().map(|row| Row {
                    original: Some(&known.address),
                    ..*row
                }));
            } else if !next.push_rows_of(known, rows) {
                rows.push(next.row_without_line(self, own));
            }
            return;
        }
        for next in next {
            let concerns = match next.kind {
                LinkKind::Filter | LinkKind::Alias => false,
                LinkKind::Forwarded => known.result == LegResult::Sent,
                LinkKind::Piped => known.result == LegResult::Sent && known.agent == Agent::Pipe,
                LinkKind::Requeued => known.result == LegResult::Deferred,
            };
            if !concerns {
                continue;
            }
            if next.push_rows_of(known, rows) {
                return;
            }
            let is_open = next.leg.phase != Phase::Closed;
            if next.kind == LinkKind::Requeued && !is_open && !next.leg.is_requeued() {
                rows.push(next.row_without_line(self, own));
                return;
            }
            if next.kind != LinkKind::Requeued && is_open && next.leg.recipients.is_empty() {
                rows.push(next.row_without_line(self, own));
                return;
            }
        }
        rows.push(own);
    }

    fn own_row(&self, leg: &'a Leg, known: &'a LegRecipient) -> Row<'a> {
        let (state, reason) = match known.result {
            LegResult::Deferred => self.waiting(leg, MessageState::Deferred, None),
            ended => (state_of(ended), None),
        };
        Row {
            address: Some(&known.address),
            original: known.original.as_deref(),
            state,
            dsn: known.dsn.as_deref(),
            reply: &known.reply,
            at: known.at,
            reason,
            count: 1,
        }
    }

    /// The state of a recipient that has no end of its own.
    fn waiting(
        &self,
        leg: &Leg,
        open: MessageState,
        reason: Option<UnknownReason>,
    ) -> (MessageState, Option<UnknownReason>) {
        if let Some(reason) = leg.given_up {
            return (MessageState::Unknown, Some(reason));
        }
        if let Some(ended) = leg.ended_as {
            return (state_of(ended), None);
        }
        match (&leg.ordered, leg.phase) {
            (Some(ordered), _) if ordered.order == Order::Discard => {
                (MessageState::Discarded, None)
            }
            (_, Phase::Closed) if !leg.is_requeued() => {
                (MessageState::Unknown, Some(self.no_line(leg)))
            }
            _ if leg.is_held => (MessageState::Held, None),
            _ => (open, reason),
        }
    }

    fn no_line(&self, leg: &Leg) -> UnknownReason {
        match self.gap {
            Some(gap) if gap >= leg.first_event => UnknownReason::LinesDropped,
            _ => UnknownReason::NoLine,
        }
    }

    /// The recipients that no attempt names.
    fn unnamed(&self, leg: &'a Leg, next: &[Next<'a>], rows: &mut Vec<Row<'a>>) {
        if leg.is_adopted && leg.previous.is_some() {
            return;
        }
        let requeued = next.iter().find(|next| next.kind == LinkKind::Requeued);
        if let Some(requeued) = requeued {
            rows.extend(requeued.rows_without(&leg.recipients));
            return;
        }
        let (state, reason) =
            self.waiting(leg, MessageState::Unknown, Some(UnknownReason::NoLineYet));
        let ordered = leg.ordered.as_ref().filter(|_| leg.expected.is_none());
        let row = |address, count| Row {
            address,
            original: None,
            state,
            dsn: None,
            reply: ordered.map_or(&b""[..], |ordered| &ordered.text),
            at: ordered.map_or(leg.last_at, |ordered| ordered.at),
            reason,
            count,
        };
        if let Some(expected) = leg.expected {
            let named = u32::try_from(leg.recipients.len()).unwrap_or(u32::MAX);
            if expected > named {
                rows.push(row(None, expected - named));
            }
        } else if let Some(named) = &leg.named {
            let missing = named.split(|byte| *byte == b' ').filter(|address| {
                let is_it = |other: &[u8]| other.eq_ignore_ascii_case(address);
                !address.is_empty()
                    && !leg.recipients.iter().any(|known| {
                        is_it(&known.address) || known.original.as_deref().is_some_and(is_it)
                    })
            });
            rows.extend(missing.map(|address| row(Some(address), 1)));
        } else if leg.recipients.is_empty() {
            rows.push(row(
                ordered.and_then(|ordered| ordered.recipient.as_deref()),
                1,
            ));
        }
    }
}

/// Exim defers an alias under its own name, and later names its members.
fn is_replaced(leg: &Leg, known: &LegRecipient) -> bool {
    leg.is_exim
        && matches!(known.result, LegResult::Deferred | LegResult::Deleted)
        && leg.recipients.iter().any(|other| {
            other
                .original
                .as_deref()
                .is_some_and(|o| o.eq_ignore_ascii_case(&known.address))
                && !other.address.eq_ignore_ascii_case(&known.address)
        })
}

const fn state_of(result: LegResult) -> MessageState {
    match result {
        LegResult::Sent => MessageState::Sent,
        LegResult::Deferred => MessageState::Deferred,
        LegResult::Bounced => MessageState::Bounced,
        LegResult::Expired => MessageState::Expired,
        LegResult::Deleted => MessageState::Deleted,
        LegResult::Discarded => MessageState::Discarded,
    }
}

/// A leg that continues another, with its outcomes by address.
struct Next<'a> {
    key: LegKey,
    kind: LinkKind,
    leg: &'a Leg,
    rows: Vec<Row<'a>>,
    by_address: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Next<'a> {
    fn new(key: LegKey, kind: LinkKind, leg: &'a Leg, rows: Vec<Row<'a>>) -> Self {
        let mut by_address: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            let names = [
                row.address,
                row.original.filter(|o| Some(*o) != row.address),
            ];
            for name in names.into_iter().flatten() {
                by_address
                    .entry(name.to_ascii_lowercase())
                    .or_default()
                    .push(place);
            }
        }
        Self {
            key,
            kind,
            leg,
            rows,
            by_address,
        }
    }

    /// Adds the outcomes of a recipient there. False if that leg has no line about it.
    fn push_rows_of(&self, known: &'a LegRecipient, rows: &mut Vec<Row<'a>>) -> bool {
        let Some(places) = self.by_address.get(&known.address.to_ascii_lowercase()) else {
            return false;
        };
        rows.extend(places.iter().map(|place| {
            let row = self.rows[*place];
            let was_rewritten = row.address != Some(&known.address);
            Row {
                original: known.original.as_deref().or(if was_rewritten {
                    Some(&known.address)
                } else {
                    row.original
                }),
                ..row
            }
        }));
        true
    }

    fn rows_without(&self, recipients: &[LegRecipient]) -> Vec<Row<'a>> {
        let is_other = |row: &&Row<'a>| {
            let is_it = |known: &LegRecipient| {
                let address = Some(&*known.address);
                row.address == address || row.original == address
            };
            !recipients.iter().any(is_it)
        };
        self.rows.iter().filter(is_other).copied().collect()
    }

    /// The outcome of a recipient that this leg got and has no line about.
    fn row_without_line(&self, known: &Known<'a>, own: Row<'a>) -> Row<'a> {
        let (state, reason) = known.waiting(
            self.leg,
            MessageState::Unknown,
            Some(UnknownReason::PassedOn),
        );
        let is_decided = state != MessageState::Unknown;
        let text = self.leg.ordered.as_ref().filter(|_| is_decided);
        Row {
            state,
            reason,
            dsn: None,
            reply: text.map_or(&b""[..], |ordered| &ordered.text),
            ..own
        }
    }
}
