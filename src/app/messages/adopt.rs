//! Messages that an earlier run followed, taken up again from what was recorded of them.

use super::leg::{Leg, LegKey, LegResult, LinkKind, Owner, Phase};
use super::log_age::LogMoment;
use super::tracker::{GRACE, Tracker};
use crate::formats::maillog::attempt::{Agent, AttemptResult, DeliveryAttempt};
use crate::formats::maillog::queue_id::QueueId;
use crate::model::followed_message::{FollowedMessage, MessageState};

/// A client that is silent for longer, in seconds, has most often left.
const SLOW: u64 = 1800;

/// Whether a later run follows the same from this moment on. What is not recorded are
/// messages that clients are sending, and legs of strangers that later lines may give to a
/// user.
pub fn is_enough_from(tracker: &Tracker, moment: LogMoment) -> bool {
    let seconds = tracker.age.seconds();
    let is_received = |key: &LegKey| {
        let leg = tracker.legs.get(*key)?;
        (leg.phase == Phase::Receiving && leg.touched + SLOW >= seconds).then_some(leg)
    };
    let first = tracker.receiving.iter().find_map(is_received);
    let is_after = first.is_none_or(|leg| leg.first_event > moment.events);
    is_after && moment.seconds + GRACE <= seconds
}

/// Takes up an open message. False if its id is none.
pub fn adopt(tracker: &mut Tracker, message: &FollowedMessage) -> bool {
    let Some(mut leg) = leg(tracker, message, &message.key.queue_id) else {
        return false;
    };
    leg.owner = Owner::User(message.username.as_str().into());
    let sender = message
        .sender
        .as_deref()
        .map(|s| if s == "<>" && !leg.is_exim { "" } else { s });
    leg.sender = sender.map(|sender| sender.as_bytes().into());
    leg.message_id = message.message_id.as_ref().map(|id| id.as_bytes().into());
    leg.size = message.size;
    for recipient in &message.recipients {
        leg.is_held |= recipient.state == MessageState::Held;
        let (Some(result), Some(address)) = (result(recipient.state), &recipient.address) else {
            continue;
        };
        let attempt = DeliveryAttempt {
            address: address.as_bytes(),
            original: recipient.original.as_ref().map(String::as_bytes),
            result: AttemptResult::Deferred,
            dsn: recipient.dsn.as_ref().map(String::as_bytes),
            reply: recipient.reply.as_deref().unwrap_or("").as_bytes(),
            agent: Agent::Other,
        };
        leg.attempt(&attempt, result, recipient.at);
    }
    if !leg.is_exim && !leg.is_held {
        leg.expected = Some(
            message
                .recipients
                .iter()
                .map(|recipient| recipient.count)
                .sum(),
        );
    }
    let key = tracker.adopt(leg);
    for id in message
        .open_ids
        .iter()
        .filter(|id| **id != message.key.queue_id)
    {
        continue_as(tracker, message, key, id);
    }
    true
}

/// A leg of the message with this id.
fn leg(tracker: &mut Tracker, message: &FollowedMessage, id: &str) -> Option<Leg> {
    let of_exim = QueueId::of_exim(id.as_bytes());
    let queue_id = of_exim.or_else(|| QueueId::of_postfix(id.as_bytes()))?;
    let program: &[u8] = if of_exim.is_some() {
        b"exim"
    } else {
        b"postfix"
    };
    let host = tracker.hosts.number(message.key.host.as_bytes());
    let program = tracker.programs.number(program);
    let mut leg = Leg::new(queue_id, host, program, message.key.at);
    leg.is_exim = of_exim.is_some();
    leg.is_adopted = true;
    let is_open = message.open_ids.iter().any(|open| open == id);
    leg.phase = if is_open {
        Phase::Accepted
    } else {
        Phase::Closed
    };
    Some(leg)
}

/// Which leg had which recipient was not recorded: each finds its own by the address.
fn continue_as(tracker: &mut Tracker, message: &FollowedMessage, from: LegKey, id: &str) {
    let Some(mut next) = leg(tracker, message, id) else {
        return;
    };
    next.previous = Some(from);
    let next = tracker.adopt(next);
    tracker
        .legs
        .change(from, |leg| leg.next.push((next, LinkKind::Requeued)));
}

const fn result(state: MessageState) -> Option<LegResult> {
    match state {
        MessageState::Sent => Some(LegResult::Sent),
        MessageState::Deferred | MessageState::Held => Some(LegResult::Deferred),
        MessageState::Bounced => Some(LegResult::Bounced),
        MessageState::Expired => Some(LegResult::Expired),
        MessageState::Deleted => Some(LegResult::Deleted),
        MessageState::Discarded => Some(LegResult::Discarded),
        MessageState::Unknown => None,
    }
}
