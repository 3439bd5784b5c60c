//! What events of Postfix change.

use super::leg::{Leg, LegKey, LegResult, LinkKind, Ordered, Owner, Phase};
use super::links;
use super::tracker::{Place, Tracker};
use crate::formats::maillog::attempt::{Agent, AttemptResult, DeliveryAttempt, Order};
use crate::formats::maillog::postfix::PostfixEvent;
use crate::formats::maillog::queue_id::QueueId;
use crate::formats::maillog::reply::next_id;
use crate::model::followed_message::{MessageKey, RefusedMessage};

/// Orders for the next message of a process are kept for this many processes.
const MOST_ORDERS: usize = 4096;

/// Applies an event. `wanted` tells which users are followed.
pub fn apply(
    tracker: &mut Tracker,
    place: &Place,
    event: &PostfixEvent<'_>,
    wanted: &dyn Fn(&str) -> bool,
) {
    match event {
        PostfixEvent::Client {
            id: Some(id),
            user,
            original,
            is_local,
        } => {
            let key = tracker.start(place, *id);
            client(tracker, place, key, *user, *is_local, wanted);
            if let Some(original) = original {
                forwarded(tracker, place, key, original);
            }
        }
        PostfixEvent::Client { id: None, .. } => {}
        PostfixEvent::Session => _ = tracker.orders.remove(&(place.host, place.pid)),
        PostfixEvent::Pickup { id, original } => {
            let key = tracker.start(place, *id);
            tracker.legs.change(key, |leg| leg.is_local = true);
            if let Some(original) = original {
                requeued(tracker, place, key, original);
            }
        }
        PostfixEvent::MessageId { id, value } => message_id(tracker, place, id, value),
        PostfixEvent::Active {
            id,
            sender,
            size,
            recipients,
        } => active(tracker, place, id, sender, *size, *recipients),
        PostfixEvent::Attempt(id, attempt) => attempted(tracker, place, id, attempt),
        PostfixEvent::Expired(id) => end(tracker, place, id, LegResult::Expired),
        PostfixEvent::Deleted(id) => {
            end(tracker, place, id, LegResult::Deleted);
            closed(tracker, place, id);
        }
        PostfixEvent::Removed(id) => closed(tracker, place, id),
        PostfixEvent::Held(id) => held(tracker, place, id, true),
        PostfixEvent::Released(id) => held(tracker, place, id, false),
        PostfixEvent::Ordered {
            id,
            order,
            sender,
            recipient,
            text,
        } => {
            let ordered = Ordered {
                order: *order,
                sender: sender.map(Into::into),
                recipient: recipient.map(Into::into),
                text: (*text).into(),
                at: place.at,
            };
            order_given(tracker, place, *id, ordered);
        }
        PostfixEvent::Refused { id, dsn, text } => refused(tracker, place, id, *dsn, text),
        PostfixEvent::ProxyAccepted { id, user } => {
            let key = newest_anywhere(tracker, place, id);
            let is_free = |key: &LegKey| {
                let leg = tracker.legs.get(*key);
                leg.is_some_and(|leg| leg.owner == Owner::Stranger && leg.previous.is_none())
            };
            if let Some(key) = key.filter(is_free) {
                own(tracker, key, Some(user), wanted);
                tracker.index_message_id(key);
                tracker.touch(key, place.at);
            }
        }
    }
}

fn client(
    tracker: &mut Tracker,
    place: &Place,
    key: LegKey,
    user: Option<&[u8]>,
    is_local: bool,
    wanted: &dyn Fn(&str) -> bool,
) {
    own(tracker, key, user, wanted);
    let ordered = tracker.orders.remove(&(place.host, place.pid));
    tracker.legs.change(key, |leg| {
        leg.is_local = is_local;
        if let Some(ordered) = ordered {
            give_order(leg, ordered);
        }
    });
}

/// Gives a leg to the user who signed in.
pub fn own(tracker: &mut Tracker, key: LegKey, user: Option<&[u8]>, wanted: &dyn Fn(&str) -> bool) {
    let Some(user) = user else {
        return;
    };
    let user = String::from_utf8_lossy(user);
    let owner = if wanted(&user) {
        Owner::User(user.into())
    } else {
        Owner::Other
    };
    tracker.legs.change(key, |leg| {
        leg.cost += if let Owner::User(user) = &owner {
            user.len()
        } else {
            0
        };
        leg.owner = owner;
    });
}

fn newest_anywhere(tracker: &mut Tracker, place: &Place, id: &QueueId) -> Option<LegKey> {
    let here = tracker.newest(place, id);
    here.or_else(|| tracker.legs.with_id(id).next().map(|(key, _)| key))
}

fn forwarded(tracker: &mut Tracker, place: &Place, key: LegKey, original: &QueueId) {
    if let Some(from) = newest_anywhere(tracker, place, original) {
        links::link(tracker, from, key, LinkKind::Forwarded);
    }
}

fn requeued(tracker: &mut Tracker, place: &Place, key: LegKey, original: &QueueId) {
    let Some(from) = tracker.newest(place, original) else {
        return;
    };
    if links::link(tracker, from, key, LinkKind::Requeued) {
        tracker.accept(key);
        tracker.close(from, place.at);
    }
}

/// The leg that cleanup or the queue manager speaks of. A refused one is over, although
/// cleanup still logs its Message-ID.
fn in_queue(tracker: &mut Tracker, place: &Place, id: &QueueId) -> Option<LegKey> {
    if let Some(key) = tracker.open(place, id) {
        return Some(key);
    }
    let newest = tracker.newest(place, id);
    let newest = newest.and_then(|key| tracker.legs.get(key));
    let is_refused = newest.is_some_and(|leg| leg.is_refused);
    (!is_refused).then(|| tracker.start(place, *id))
}

fn message_id(tracker: &mut Tracker, place: &Place, id: &QueueId, value: &[u8]) {
    let Some(mut key) = in_queue(tracker, place, id) else {
        return;
    };
    // Its own end and the next one's beginning are missing.
    let is_another = tracker.legs.get(key).is_some_and(|leg| {
        leg.phase != Phase::Receiving
            && leg.expected.is_some()
            && leg
                .message_id
                .as_deref()
                .is_some_and(|known| known != value)
    });
    if is_another {
        key = tracker.start(place, *id);
    }
    let is_accepted = tracker.legs.change(key, |leg| {
        if leg.message_id.is_none() {
            Leg::set(&mut leg.message_id, value, &mut leg.cost);
        }
        leg.ordered.is_some()
    });
    tracker.index_message_id(key);
    if is_accepted == Some(true) {
        accept_ordered(tracker, key, place);
    }
}

fn active(
    tracker: &mut Tracker,
    place: &Place,
    id: &QueueId,
    sender: &[u8],
    size: Option<u64>,
    recipients: u32,
) {
    let Some(mut key) = in_queue(tracker, place, id) else {
        return;
    };
    let is_another = tracker.legs.get(key).is_some_and(|leg| {
        let known = leg.sender.as_deref();
        known.is_some_and(|known| known != sender) || (leg.size.is_some() && leg.size != size)
    });
    if is_another {
        key = tracker.start(place, *id);
    }
    let is_new = tracker.legs.change(key, |leg| {
        let is_new = leg.sender.is_none();
        if is_new {
            Leg::set(&mut leg.sender, sender, &mut leg.cost);
        }
        leg.size = size;
        leg.expected = Some(recipients);
        // It would not be here if it were held or thrown away.
        leg.is_held = false;
        leg.ordered = None;
        is_new
    });
    tracker.accept(key);
    tracker.touch(key, place.at);
    if is_new == Some(true) {
        links::offer(tracker, key);
    }
}

fn attempted(tracker: &mut Tracker, place: &Place, id: &QueueId, attempt: &DeliveryAttempt<'_>) {
    let key = tracker.newest(place, id);
    // Its beginning is missing, but perhaps it continues a message.
    let key = key.unwrap_or_else(|| tracker.start(place, *id));
    let recipient = tracker.legs.change(key, |leg| {
        leg.attempt(attempt, attempt.result.into(), place.at)
    });
    tracker.accept(key);
    tracker.touch(key, place.at);
    if let Some(recipient) = recipient
        && attempt.result == AttemptResult::Sent
    {
        let next = match attempt.agent {
            Agent::Local => attempt.reply.strip_prefix(b"forwarded as "),
            Agent::Pipe => None,
            Agent::Other => return pass_on(tracker, key, recipient, next_id(attempt.reply)),
        };
        pass_on(tracker, key, recipient, next.and_then(QueueId::of_postfix));
    }
}

fn pass_on(tracker: &mut Tracker, key: LegKey, recipient: usize, next: Option<QueueId>) {
    if let Some(next) = next {
        links::pass_on(tracker, key, recipient, next);
    }
}

fn end(tracker: &mut Tracker, place: &Place, id: &QueueId, result: LegResult) {
    if let Some(key) = tracker.open(place, id) {
        tracker
            .legs
            .change(key, |leg| leg.end_deferred(result, place.at));
        tracker.touch(key, place.at);
    }
}

fn closed(tracker: &mut Tracker, place: &Place, id: &QueueId) {
    if let Some(key) = tracker.open(place, id) {
        tracker.close(key, place.at);
    }
}

fn held(tracker: &mut Tracker, place: &Place, id: &QueueId, is_held: bool) {
    if let Some(key) = tracker.open(place, id) {
        tracker.legs.change(key, |leg| leg.is_held = is_held);
        tracker.accept(key);
        tracker.touch(key, place.at);
    }
}

fn order_given(tracker: &mut Tracker, place: &Place, id: Option<QueueId>, ordered: Ordered) {
    let Some(id) = id else {
        if tracker.orders.len() >= MOST_ORDERS {
            tracker.orders.clear();
        }
        tracker.orders.insert((place.host, place.pid), ordered);
        return;
    };
    let Some(key) = tracker.open(place, &id) else {
        return;
    };
    let has_content = tracker.legs.change(key, |leg| {
        give_order(leg, ordered);
        leg.message_id.is_some()
    });
    if has_content == Some(true) {
        accept_ordered(tracker, key, place);
    }
}

fn give_order(leg: &mut Leg, ordered: Ordered) {
    leg.is_held = ordered.order == Order::Hold;
    leg.cost += ordered.text.len();
    leg.ordered = Some(ordered);
}

/// Its content arrived, and the client is told that it is queued. The queue manager says
/// nothing, and nothing closes what was thrown away.
fn accept_ordered(tracker: &mut Tracker, key: LegKey, place: &Place) {
    tracker.accept(key);
    tracker.touch(key, place.at);
    let ordered = tracker.legs.get(key).and_then(|leg| leg.ordered.as_ref());
    if ordered.is_some_and(|ordered| ordered.order == Order::Discard) {
        tracker.close(key, place.at);
    }
}

fn refused(tracker: &mut Tracker, place: &Place, id: &QueueId, dsn: Option<&[u8]>, text: &[u8]) {
    let Some(key) = tracker.open(place, id) else {
        return;
    };
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let refused_key = refused_key(tracker, place, id);
    let refusal = tracker.legs.change(key, |leg| {
        leg.is_refused = true;
        let Owner::User(username) = &leg.owner else {
            return None;
        };
        Some(RefusedMessage {
            key: refused_key,
            username: username.to_string(),
            dsn: dsn.map(lossy),
            reply: lossy(text),
        })
    });
    tracker.refusals.extend(refusal.flatten());
    tracker.close(key, place.at);
}

/// What identifies a message that was refused now.
pub fn refused_key(tracker: &Tracker, place: &Place, id: &QueueId) -> MessageKey {
    MessageKey {
        queue_id: id.to_string(),
        host: String::from_utf8_lossy(tracker.hosts.name(place.host)).into_owned(),
        at: place.at,
    }
}
