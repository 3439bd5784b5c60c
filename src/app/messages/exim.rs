//! What events of Exim change.

use super::leg::{Leg, LegKey, LegResult, Ordered};
use super::links;
use super::postfix::{own, refused_key};
use super::tracker::{Place, Tracker};
use crate::formats::maillog::attempt::{Agent, AttemptResult, DeliveryAttempt, Order};
use crate::formats::maillog::exim::EximEvent;
use crate::formats::maillog::exim_fields::Received;
use crate::formats::maillog::queue_id::QueueId;
use crate::formats::maillog::reply::next_id;
use crate::model::followed_message::RefusedMessage;

/// Applies an event. `wanted` tells which users are followed.
pub fn apply(
    tracker: &mut Tracker,
    place: &Place,
    event: &EximEvent<'_>,
    wanted: &dyn Fn(&str) -> bool,
) {
    match event {
        EximEvent::Received(id, found) => received(tracker, place, id, found, wanted),
        EximEvent::Attempt(id, attempt) => {
            attempted(tracker, place, id, attempt, attempt.result.into());
        }
        EximEvent::NotTried(id, attempt) => not_tried(tracker, place, id, attempt),
        EximEvent::Expired(id, attempt) => expired(tracker, place, id, attempt),
        EximEvent::Discarded(id, text) => {
            let ordered = Ordered {
                order: Order::Discard,
                sender: None,
                recipient: None,
                text: (*text).into(),
                at: place.at,
            };
            on_open(tracker, place, id, |leg| leg.ordered = Some(ordered));
        }
        EximEvent::MarkedDelivered(id, address) => marked_delivered(tracker, place, id, address),
        EximEvent::Frozen(id) => on_open(tracker, place, id, |leg| leg.is_held = true),
        EximEvent::Unfrozen(id) => on_open(tracker, place, id, |leg| leg.is_held = false),
        EximEvent::Deleted(id) => on_open(tracker, place, id, |leg| {
            leg.end_deferred(LegResult::Deleted, place.at);
        }),
        EximEvent::Cancelled { id, is_timeout } => on_open(tracker, place, id, |leg| {
            let result = if *is_timeout {
                LegResult::Expired
            } else {
                LegResult::Bounced
            };
            leg.end_deferred(result, place.at);
        }),
        EximEvent::Completed(id) => {
            if let Some(key) = tracker.open(place, id) {
                tracker.close(key, place.at);
            }
        }
        EximEvent::Refused {
            id,
            user,
            dsn,
            text,
        } => {
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let user = user.map(lossy).filter(|user| wanted(user));
            let key = refused_key(tracker, place, id);
            tracker.refusals.extend(user.map(|username| RefusedMessage {
                key,
                username,
                dsn: dsn.map(lossy),
                reply: lossy(text),
            }));
        }
    }
}

fn on_open(tracker: &mut Tracker, place: &Place, id: &QueueId, change: impl FnOnce(&mut Leg)) {
    if let Some(key) = tracker.open(place, id) {
        tracker.legs.change(key, change);
        tracker.touch(key, place.at);
    }
}

fn received(
    tracker: &mut Tracker,
    place: &Place,
    id: &QueueId,
    found: &Received<'_>,
    wanted: &dyn Fn(&str) -> bool,
) {
    let key = tracker.start(place, *id);
    own(tracker, key, found.user, wanted);
    tracker.legs.change(key, |leg| {
        leg.is_exim = true;
        leg.is_local = found.is_local;
        leg.size = found.size;
        Leg::set(&mut leg.sender, found.sender, &mut leg.cost);
        if let Some(id) = found.message_id {
            Leg::set(&mut leg.message_id, id, &mut leg.cost);
        }
        if let Some(named) = found.recipients {
            leg.cost += named.len();
            leg.named = Some(named.into());
        }
    });
    tracker.index_message_id(key);
    tracker.accept(key);
    tracker.touch(key, place.at);
    links::offer(tracker, key);
}

fn leg(tracker: &mut Tracker, place: &Place, id: &QueueId) -> LegKey {
    let key = tracker.newest(place, id);
    let key = key.unwrap_or_else(|| tracker.start(place, *id));
    tracker.legs.change(key, |leg| leg.is_exim = true);
    tracker.accept(key);
    key
}

fn attempted(
    tracker: &mut Tracker,
    place: &Place,
    id: &QueueId,
    attempt: &DeliveryAttempt<'_>,
    result: LegResult,
) {
    let key = leg(tracker, place, id);
    let recipient = tracker
        .legs
        .change(key, |leg| leg.attempt(attempt, result, place.at));
    tracker.touch(key, place.at);
    if attempt.result == AttemptResult::Sent
        && attempt.agent == Agent::Other
        && let (Some(recipient), Some(next)) = (recipient, next_id(attempt.reply))
    {
        links::pass_on(tracker, key, recipient, next);
    }
}

/// The last reply still counts, if there was one.
fn not_tried(tracker: &mut Tracker, place: &Place, id: &QueueId, attempt: &DeliveryAttempt<'_>) {
    let key = leg(tracker, place, id);
    let known = tracker.legs.get(key).and_then(|leg| leg.place(attempt));
    if known.is_none() {
        attempted(tracker, place, id, attempt, LegResult::Deferred);
    } else {
        tracker.touch(key, place.at);
    }
}

/// The last reply says why, if there was one. A message that comes when its host was tried
/// for too long with others bounces at once.
fn expired(tracker: &mut Tracker, place: &Place, id: &QueueId, attempt: &DeliveryAttempt<'_>) {
    let key = leg(tracker, place, id);
    let known = tracker.legs.get(key).and_then(|leg| {
        let known = &leg.recipients[leg.place(attempt)?];
        let reply = [&*known.reply, b" | ", attempt.reply].concat();
        Some((reply, known.dsn.clone()))
    });
    let says_why = !attempt.reply.starts_with(b"retry ");
    let (whole, result) = match &known {
        Some((reply, dsn)) if !says_why => {
            let whole = DeliveryAttempt {
                reply,
                dsn: dsn.as_deref(),
                ..*attempt
            };
            (whole, LegResult::Expired)
        }
        None if attempt.reply.starts_with(b"retry time not reached") => {
            (*attempt, LegResult::Bounced)
        }
        _ => (*attempt, LegResult::Expired),
    };
    attempted(tracker, place, id, &whole, result);
}

/// The operator ended it without a delivery. A line about what was delivered changes nothing.
fn marked_delivered(tracker: &mut Tracker, place: &Place, id: &QueueId, address: &[u8]) {
    let Some(key) = tracker.open(place, id) else {
        return;
    };
    tracker.legs.change(key, |leg| {
        let mut is_known = false;
        for known in &mut leg.recipients {
            let is_it = known.address.eq_ignore_ascii_case(address)
                || known
                    .original
                    .as_deref()
                    .is_some_and(|o| o.eq_ignore_ascii_case(address));
            is_known |= is_it;
            if is_it && known.result == LegResult::Deferred {
                known.result = LegResult::Deleted;
                known.at = place.at;
            }
        }
        if !is_known {
            let attempt = DeliveryAttempt {
                address,
                original: None,
                result: AttemptResult::Deferred,
                dsn: None,
                reply: b"",
                agent: Agent::Other,
            };
            leg.attempt(&attempt, LegResult::Deleted, place.at);
        }
    });
    tracker.touch(key, place.at);
}
