//! The charge behind an answer. It is refunded if the mail server does not get the answer,
//! because it gave up or the connection broke: its client sends the message again, and the
//! limit must not be used up then.

use super::envelope::{Envelope, PolicyStage};
use super::message_cache::Recipient;
use super::reservation::{Reservation, ReservationKind, ReservationOutcome};
use crate::app::relay::Relay;
use crate::app::relay::pending_writes::Release;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::time::Time;
use crate::model::usage_window::Count;

/// What was counted for an answer that is on its way to the mail server.
#[derive(Debug)]
pub struct Charge {
    username: Username,
    /// What the session signed in with, if that is known.
    password_id: Option<PasswordId>,
    /// The message, if the mail server names it.
    name: Option<u64>,
    amount: Count,
    /// Recipients to which the user had never sent.
    new_recipients: Vec<u128>,
    at: Time,
    /// The day of the usage.
    day: i64,
    bytes: u64,
}

impl Charge {
    /// Returns the charge of a complete message.
    pub(super) fn message(
        (username, password_id): (Username, Option<PasswordId>),
        name: Option<u64>,
        amount: Count,
        new_recipients: Vec<u128>,
        at: Time,
        day: i64,
        bytes: u64,
    ) -> Self {
        Self {
            username,
            password_id,
            name,
            amount: with_new(amount, &new_recipients),
            new_recipients,
            at,
            day,
            bytes,
        }
    }

    /// Returns the charge of recipients that were counted without their message, `None` if
    /// there are none.
    pub(in crate::app::relay) fn recipients(
        username: &Username,
        new_recipients: Vec<u128>,
        at: Time,
    ) -> Option<Box<Self>> {
        (!new_recipients.is_empty()).then(|| {
            Box::new(Self {
                username: username.clone(),
                password_id: None,
                name: None,
                amount: with_new(Count::default(), &new_recipients),
                new_recipients,
                at,
                day: 0,
                bytes: 0,
            })
        })
    }
}

impl Charge {
    /// Returns the user whose message this is; `None` for recipients alone.
    pub fn message_of(&self) -> Option<&Username> {
        (self.amount.messages > 0).then_some(&self.username)
    }
}

impl Relay {
    /// Refunds a charge: the mail server did not get the answer that let the message pass.
    /// Returns the user of the message, unless it stays counted.
    pub fn refund(&mut self, charge: Charge) -> Option<Username> {
        let message_of = charge.message_of().cloned();
        let Charge {
            username,
            password_id,
            name,
            amount,
            new_recipients,
            at,
            day,
            bytes,
        } = charge;
        // The message was asked about again and got the same answer, so it stays counted.
        if name.is_some() && !self.policy.messages.withdraw_answer(name) {
            return None;
        }
        for digest in &new_recipients {
            self.policy.messages.accept(name, Recipient::new(*digest));
        }
        if let Some(sent) = self.pending.sent.get_mut(&(username.clone(), day)) {
            sent.amount = sent.amount.saturating_sub(amount);
            sent.bytes = sent.bytes.saturating_sub(bytes);
        }
        if let Some(password_id) = password_id {
            self.pending.not_sent_with(&username, &password_id, amount);
        }
        self.pending.releases.push(Release {
            username,
            left: amount,
            held: Count::default(),
            new_recipients,
            at,
        });
        message_of
    }

    /// Forgets a refusal that the mail server did not get: the next request for the
    /// message is decided anew.
    pub fn forget_refusal(&mut self, envelope: &Envelope) {
        if envelope.stage == PolicyStage::Message {
            let name = self.policy.messages.name(envelope);
            self.policy.messages.withdraw_answer(name);
        }
    }

    /// Keeps a repeated answer that the mail server did not get: the message stays
    /// counted, and may be asked about once more.
    pub fn keep_answered(&mut self, envelope: &Envelope) {
        if envelope.stage == PolicyStage::Message {
            let name = self.policy.messages.name(envelope);
            self.policy.messages.set_answer(name, envelope, None);
        }
    }

    /// Refunds what the writer granted to a mail server that no longer waits.
    pub fn refund_abandoned(
        &mut self,
        envelope: &Envelope,
        wanted: &Reservation,
        outcome: Result<ReservationOutcome>,
    ) {
        if wanted.kind == ReservationKind::Message {
            let name = self.policy.messages.name(envelope);
            self.policy.messages.clear_answer(name);
        }
        if let Ok(ReservationOutcome::Granted {
            lease,
            new_recipients,
            at,
        }) = outcome
        {
            self.add_lease(&wanted.username, lease, at);
            let amount = match wanted.kind {
                ReservationKind::Message => wanted.amount,
                ReservationKind::Check | ReservationKind::NewRecipients => Count::default(),
            };
            self.pending.releases.push(Release {
                username: wanted.username.clone(),
                left: with_new(amount, &new_recipients),
                held: Count::default(),
                new_recipients,
                at,
            });
        }
    }
}

fn with_new(amount: Count, new_recipients: &[u128]) -> Count {
    Count {
        new_recipients: u32::try_from(new_recipients.len()).unwrap_or(u32::MAX),
        ..amount
    }
}
