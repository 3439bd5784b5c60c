//! Remembers messages on their way in: their recipients so far, and the answers to mail servers
//! that may ask again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::envelope::Envelope;
use super::refusal::Refusal;
use crate::app::relay::two_generation_cache::TwoGenerationCache;

/// Messages on their way in, within a bound.
pub struct MessageCache {
    messages: TwoGenerationCache<u64, Message>,
    /// Recipients that were added since the older half was last forgotten.
    added: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Message {
    /// Recipients that were accepted; a mail server may ask twice.
    recipients: Vec<Recipient>,
    answer: AnswerState,
}

/// A recipient that was accepted.
#[derive(Clone, Copy)]
pub struct Recipient {
    pub digest: u128,
    /// This user has never sent to it.
    pub is_new: bool,
}

/// Whether a complete message was asked about.
#[derive(Clone, Default)]
pub enum AnswerState {
    #[default]
    NotAsked,
    /// The answer waits for the writer.
    Pending,
    /// It was let through or refused, with these recipients (a hash).
    Answered(u64, Option<Refusal>),
}

/// How many messages are remembered.
const MESSAGES: usize = 20_000;
/// How many recipients of all messages are remembered: up to twice as many until the older
/// half is forgotten. Many transactions end without a request.
const RECIPIENTS: usize = 250_000;
/// How many of one message. RFC 5321 §4.5.3.1.8 asks for 100; Postfix accepts 1000.
pub const MAX_RECIPIENTS: usize = 10_000;

impl Recipient {
    /// Returns a recipient to which its user has never sent.
    pub const fn new(digest: u128) -> Self {
        Self {
            digest,
            is_new: true,
        }
    }
}

impl MessageCache {
    pub fn new() -> Self {
        Self {
            messages: TwoGenerationCache::new(MESSAGES),
            added: 0,
            hasher: RandomState::new(),
        }
    }

    /// Identifies a message; returns `None` if the mail server does not name it. The name
    /// includes the user and the sender, so that a message never gets the answer to another
    /// one: the user as the mail server writes it, which a rename does not change.
    pub fn name(&self, envelope: &Envelope) -> Option<u64> {
        let Envelope {
            instance,
            username,
            sender,
            ..
        } = envelope;
        let whole = (instance.as_str(), username.as_str(), sender.as_str());
        (!instance.is_empty()).then(|| self.hasher.hash_one(whole))
    }

    fn recipients_of(&self, envelope: &Envelope) -> u64 {
        let Envelope {
            recipient,
            recipients,
            ..
        } = envelope;
        self.hasher.hash_one((recipient.as_str(), recipients))
    }

    /// Returns the recipients that a message has so far.
    pub fn recipients(&mut self, name: Option<u64>) -> &[Recipient] {
        let message = name.and_then(|name| self.messages.get_mut(&name));
        message.map_or(&[], |message| &message.recipients)
    }

    /// Adds a recipient to a message, unless it has it.
    pub fn accept(&mut self, name: Option<u64>, recipient: Recipient) {
        let Some(name) = name else { return };
        if self.added >= RECIPIENTS {
            self.messages.age();
            self.added = 0;
        }
        let recipients = &mut self.messages.get_or_insert_default(name).recipients;
        let known = recipients.iter().any(|one| one.digest == recipient.digest);
        if !known && recipients.len() < MAX_RECIPIENTS {
            recipients.push(recipient);
            self.added += 1;
        }
    }

    /// Returns the answer to the previous request about the same message, and forgets it: a
    /// mail server asks again if an answer was lost; after that it is another message.
    pub fn take_answer(&mut self, name: Option<u64>, envelope: &Envelope) -> AnswerState {
        let recipients = self.recipients_of(envelope);
        let message = name.and_then(|name| self.messages.get_mut(&name));
        match message {
            None => AnswerState::NotAsked,
            Some(message) => match &message.answer {
                AnswerState::Pending => AnswerState::Pending,
                AnswerState::Answered(to, _) if *to != recipients => AnswerState::NotAsked,
                _ => std::mem::take(&mut message.answer),
            },
        }
    }

    /// Records that the answer to a message waits for the writer.
    pub fn set_pending(&mut self, name: Option<u64>) {
        if let Some(name) = name {
            self.messages.get_or_insert_default(name).answer = AnswerState::Pending;
        }
    }

    /// Records the answer to a message: let through, or refused.
    pub fn set_answer(
        &mut self,
        name: Option<u64>,
        envelope: &Envelope,
        refusal: Option<&Refusal>,
    ) {
        let recipients = self.recipients_of(envelope);
        if let Some(name) = name {
            let message = self.messages.get_or_insert_default(name);
            message.answer = AnswerState::Answered(recipients, refusal.cloned());
            let done = std::mem::take(&mut message.recipients);
            self.added = self.added.saturating_sub(done.len());
        }
    }

    /// Records that a message has no answer.
    pub fn clear_answer(&mut self, name: Option<u64>) {
        if let Some(message) = name.and_then(|name| self.messages.get_mut(&name)) {
            message.answer = AnswerState::NotAsked;
        }
    }

    /// Clears the answer to a message, unless it was asked about again meanwhile. Returns
    /// whether there was one.
    pub fn withdraw_answer(&mut self, name: Option<u64>) -> bool {
        let message = name.and_then(|name| self.messages.get_mut(&name));
        let Some(message) = message else {
            return false;
        };
        let answered = matches!(message.answer, AnswerState::Answered(..));
        if answered {
            message.answer = AnswerState::NotAsked;
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::relay::policy::decide::Decision;
    use crate::app::relay::policy::envelope::{PolicyStage, Requester};
    use crate::app::relay::testing::{NOW, TestStore, messages};
    use crate::model::name::Username;
    use crate::model::time::Time;

    #[test]
    fn p7_a_message_that_is_asked_about_again_after_a_rename_counts_once() {
        let [old, new] =
            ["shop@example.com", "store@example.com"].map(|name| name.parse::<Username>().unwrap());
        let mut store = TestStore::new();
        store.add_user(old.as_str(), "vague-Otter-61");
        let mut relay = store.relay();
        let asked = Envelope {
            stage: PolicyStage::Message,
            instance: "1.2.3".into(),
            username: old.to_string(),
            sender: old.to_string(),
            recipient: "one@elsewhere.test".into(),
            recipients: 1,
            bytes: 1,
            address: None,
            process: None,
            requester: Requester::until(Instant::now() + Duration::from_secs(60)),
        };
        let at = Time::from_epoch(NOW);
        relay.pass(old.clone(), &asked, messages(1), Vec::new(), at);
        let until = Some(Time::from_epoch(NOW + 60));
        store.change(|tx| tx.rename_user(&old, &new, until).unwrap());
        let decision = relay.decide(&asked).unwrap();
        assert!(matches!(decision, Decision::Allow(None)));
    }

    #[test]
    fn recipients_of_transactions_that_are_given_up_are_bounded() {
        const EACH: u128 = 1_000;
        let mut cache = MessageCache::new();
        for message in 0..1_000 {
            for digest in 0..EACH {
                let is_new = true;
                cache.accept(Some(message), Recipient { digest, is_new });
            }
            assert_eq!(cache.recipients(Some(message)).len() as u128, EACH);
        }
        let mut left = 0;
        for message in 0..1_000 {
            left += cache.recipients(Some(message)).len();
        }
        assert!((RECIPIENTS..=2 * RECIPIENTS).contains(&left), "{left}");
    }
}
