//! Which leg continues which.

use super::leg::{DEEPEST, Leg, LegKey, LegRecipient, LinkKind, Owner};
use super::references::is_continued_by;
use super::tracker::Tracker;
use crate::formats::maillog::attempt::Agent;
use crate::formats::maillog::queue_id::QueueId;
use crate::formats::maillog::reply::next_id;
use crate::model::log_time::LogTime;

/// Lets a leg of no user continue another.
pub fn link(tracker: &mut Tracker, from: LegKey, to: LegKey, kind: LinkKind) -> bool {
    let Some(leg) = tracker.legs.get(to) else {
        return false;
    };
    // A loop of filters is not followed forever, and a circle never.
    let (root, depth) = tracker.legs.root_and_depth(from);
    if leg.owner != Owner::Stranger || root == to || depth >= DEEPEST {
        return false;
    }
    if let Some(previous) = leg.previous {
        if previous != from {
            return false;
        }
    } else {
        tracker.legs.change(to, |leg| leg.previous = Some(from));
    }
    let at = tracker
        .legs
        .get(from)
        .map_or_else(LogTime::default, |leg| leg.last_at);
    tracker.legs.change(from, |leg| {
        match leg.next.iter_mut().find(|(key, _)| *key == to) {
            Some(known) => known.1 = kind,
            None => leg.next.push((to, kind)),
        }
    });
    tracker.touch(from, at);
    true
}

/// A reply named the id that the next server gave the message. Perhaps that server is
/// in this log.
pub fn pass_on(tracker: &mut Tracker, from: LegKey, recipient: usize, id: QueueId) {
    let Some(leg) = tracker.legs.get(from) else {
        return;
    };
    let fits = |(key, next): &(LegKey, &Leg)| *key != from && is_continued_by(leg, next);
    let found = tracker.legs.with_id(&id).find(fits).map(|(key, _)| key);
    if let Some(next) = found {
        pass(tracker, from, recipient, next);
        return;
    }
    tracker.references.awaits(id, from);
}

fn pass(tracker: &mut Tracker, from: LegKey, recipient: usize, next: LegKey) {
    let known = tracker
        .legs
        .get(from)
        .and_then(|leg| leg.recipients.get(recipient));
    let kind = match known.map(|known| known.agent) {
        Some(Agent::Local) => LinkKind::Alias,
        _ => LinkKind::Filter,
    };
    if link(tracker, from, next, kind) {
        tracker.legs.change(from, |leg| {
            if let Some(known) = leg.recipients.get_mut(recipient) {
                known.passed = Some(next);
            }
        });
    }
}

/// Looks for the message that a new leg of no user continues.
pub fn offer(tracker: &mut Tracker, key: LegKey) {
    let Some(leg) = tracker.legs.get(key) else {
        return;
    };
    if leg.owner != Owner::Stranger || leg.previous.is_some() {
        return;
    }
    let named = tracker.references.awaiting(&leg.id);
    if let Some(from) = named
        && let Some(before) = tracker.legs.get(from)
        && is_continued_by(before, leg)
    {
        let id = leg.id;
        let naming = |(_, known): &(usize, &LegRecipient)| next_id(&known.reply) == Some(id);
        let recipients = before.recipients.iter().enumerate().filter(naming);
        let recipients: Vec<usize> = recipients.map(|(place, _)| place).collect();
        for recipient in recipients {
            pass(tracker, from, recipient, key);
        }
        return;
    }
    if let Some(from) = tracker.references.piped_from(leg, &tracker.legs) {
        link(tracker, from, key, LinkKind::Piped);
    }
}
