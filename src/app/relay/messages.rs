//! What a running relay remembers of sending: rules as they were read, messages
//! on their way in, and what was counted ahead.

use std::collections::HashMap;

use super::found::Returned;
use super::recent::Recent;
use super::sending::Refusal;
use crate::model::name::Username;
use crate::model::tally::Amount;
use crate::model::time::Time;
use crate::store::SendingRules;

pub(super) struct Sending {
    pub rules: Recent<String, (u64, Option<SendingRules>)>,
    messages: Recent<String, Message>,
    /// Counted ahead, by user.
    pub ahead: HashMap<Username, Ahead>,
    /// More of it is on its way from the keeper.
    pub renewing: bool,
}

/// A message on its way in.
#[derive(Default)]
pub(super) struct Message {
    /// Hashes of the recipients so far; a mail server may ask twice.
    pub recipients: Vec<u64>,
    pub asked: Asked,
}

#[derive(Clone, Default)]
pub(super) enum Asked {
    #[default]
    NotYet,
    Waiting,
    Answered(Option<Refusal>),
}

pub(super) struct Ahead {
    /// What is left of it.
    pub amount: Amount,
    /// All there was.
    pub held: Amount,
    /// The last message that was taken from it.
    pub spent: Option<Amount>,
    /// When it was counted: it goes back to where it came from.
    pub at: Time,
}

/// How many users' rules, and how many messages, are remembered.
const RULES: usize = 20_000;
const MESSAGES: usize = 20_000;
/// Of one message. RFC 5321 §4.5.3.1.8 asks for 100; Postfix takes 1000.
pub const MAX_RECIPIENTS: usize = 10_000;

impl Ahead {
    pub fn returned(self, username: Username) -> Returned {
        Returned {
            username,
            left: self.amount,
            held: self.held,
            at: self.at,
        }
    }
}

impl Sending {
    pub fn new() -> Self {
        Self {
            rules: Recent::new(RULES),
            messages: Recent::new(MESSAGES),
            ahead: HashMap::new(),
            renewing: false,
        }
    }

    pub fn message(&mut self, instance: &str) -> Option<&mut Message> {
        self.messages.get_mut(instance)
    }

    pub fn entry(&mut self, instance: &str) -> &mut Message {
        self.messages.get_or_insert_default(instance)
    }

    pub fn ask(&mut self, instance: &str) {
        if !instance.is_empty() {
            self.entry(instance).asked = Asked::Waiting;
        }
    }

    pub fn answered(&mut self, instance: &str, refusal: Option<&Refusal>) {
        if !instance.is_empty() {
            let message = self.entry(instance);
            message.recipients = Vec::new();
            message.asked = Asked::Answered(refusal.cloned());
        }
    }

    pub fn forget(&mut self, instance: &str) {
        if let Some(message) = self.message(instance) {
            message.asked = Asked::NotYet;
        }
    }

    pub fn is_ahead(&self) -> bool {
        self.renewing || !self.ahead.is_empty()
    }

    pub fn spend(&mut self, username: &Username, amount: Amount) -> bool {
        let Some(ahead) = self.ahead.get_mut(username) else {
            return false;
        };
        let left = &mut ahead.amount;
        if left.messages < amount.messages || left.recipients < amount.recipients {
            return false;
        }
        left.messages -= amount.messages;
        left.recipients -= amount.recipients;
        ahead.spent = Some(amount);
        true
    }
}
