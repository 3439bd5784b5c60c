//! Sending through a running relay: whose addresses, and within which limits
//! (promise 7). Recipients are checked as they come, to refuse early; what
//! counts is counted when the message is whole.
//!
//! Counts are in the store before a message is let through. So that a busy
//! user does not wait for the disk each time, some are counted ahead, and what
//! is not sent within a second is handed back: a crash leaves a user with a few
//! too many on its count, never with too few.

use std::net::IpAddr;

use super::Relay;
use super::keeper::{Reservation, Reserved};
use super::messages::{Asked, MAX_RECIPIENTS};
use crate::error::{Error, Result};
use crate::model::day::Day;
use crate::model::limits::{OnLimit, Over, What};
use crate::model::name::Username;
use crate::model::sender::may_send_as;
use crate::model::tally::Amount;
use crate::model::time::Time;
use crate::model::usage::Usage;
use crate::store::{Owner, SendingRules};

/// What a mail server asks about.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub stage: Stage,
    /// Names the message while it is on its way in.
    pub instance: String,
    pub username: String,
    pub sender: String,
    pub recipient: String,
    pub recipients: u32,
    pub bytes: u64,
    pub address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the recipients, or between them and the message.
    Sender,
    Recipient,
    /// The message is whole.
    Message,
}

pub enum Ruling {
    Allow,
    Refuse(Refusal),
    /// Ask the keeper, and [`Relay::reserved`] with what it says.
    Reserve(Reservation),
    /// The same, a little later.
    ReserveLater(Reservation),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Suspended, expired or deleted since it signed in.
    Stopped,
    /// Its domain has to be verified, and is not.
    Unverified,
    NotOwned,
    Limit {
        /// Whose, for people.
        owner: String,
        over: Over,
        action: OnLimit,
    },
}

impl Relay {
    pub fn rule(&mut self, envelope: &Envelope) -> Result<Ruling> {
        self.fresh()?;
        let now = (self.world.now)().plausible()?;
        let Ok(username) = envelope.username.parse::<Username>() else {
            // Signed in by somebody else's lights.
            return Ok(Ruling::Refuse(Refusal::Stopped));
        };
        let Some(rules) = self.rules(&username)? else {
            return Ok(Ruling::Refuse(Refusal::Stopped));
        };
        let stopped = rules.suspended_at.is_some() || rules.expires_at.is_some_and(|at| at <= now);
        let refusal = if stopped {
            Some(Refusal::Stopped)
        } else if rules.unverified {
            Some(Refusal::Unverified)
        } else if may_send_as(&username, &rules.senders, &envelope.sender) {
            None
        } else {
            Some(Refusal::NotOwned)
        };
        if let Some(refusal) = refusal {
            self.refused_sending(&username, now);
            return Ok(Ruling::Refuse(refusal));
        }
        match envelope.stage {
            Stage::Sender => Ok(Ruling::Allow),
            Stage::Recipient => self.recipient(username, envelope, &rules, now),
            Stage::Message => self.message(username, envelope, &rules, now),
        }
    }

    /// Would the message still fit if it had this recipient, too?
    fn recipient(
        &mut self,
        username: Username,
        envelope: &Envelope,
        rules: &SendingRules,
        now: Time,
    ) -> Result<Ruling> {
        if !rules.is_limited() {
            return Ok(Ruling::Allow);
        }
        let digest = digest(&username, &envelope.recipient);
        let recipients = self.add_recipient(envelope, short(&digest));
        let limits_new = rules.limits.iter().any(|limits| {
            limits
                .iter()
                .any(|(kind, _)| kind.what == What::NewRecipients)
        });
        let is_new = limits_new && !self.store()?.knows_recipient(&username, &digest)?;
        let amount = Amount {
            messages: 1,
            recipients,
            new_recipients: 0,
        };
        let day = self.settings()?.day.clone();
        let over = self.first_over(&username, rules, amount, now, &day)?;
        if is_new
            || over.as_ref().is_some_and(punishes)
            || (over.is_some() && (self.sending.is_ahead() || self.is_held(&username, now)?))
        {
            // To be written down, and to be looked at where nobody races.
            return Ok(Ruling::Reserve(Reservation {
                username,
                amount,
                new_recipient: is_new.then_some(digest),
                counts: false,
                tries: 0,
                waits: 0,
            }));
        }
        let Some(refusal) = over else {
            return Ok(Ruling::Allow);
        };
        self.refused_sending(&username, now);
        Ok(Ruling::Refuse(refusal))
    }

    fn first_over(
        &mut self,
        username: &Username,
        rules: &SendingRules,
        amount: Amount,
        now: Time,
        day: &Day,
    ) -> Result<Option<Refusal>> {
        // What was counted ahead for this user is in the counts already.
        let ahead = self
            .sending
            .ahead
            .get(username)
            .map_or(Amount::default(), |a| a.amount);
        let wanted = Amount {
            messages: amount.messages.saturating_sub(ahead.messages),
            recipients: amount.recipients.saturating_sub(ahead.recipients),
            ..amount
        };
        let store = self.store()?;
        for (i, owner) in Owner::all(username).into_iter().enumerate() {
            if rules.limits[i].is_empty() {
                continue;
            }
            let tally = store.tally(owner, &rules.limits[i], now)?;
            if let Some(over) = rules.limits[i].over(&tally, wanted, now, day) {
                return Ok(Some(Refusal::Limit {
                    owner: owner.name().to_owned(),
                    over,
                    action: rules.on_limit(),
                }));
            }
        }
        Ok(None)
    }

    fn message(
        &mut self,
        username: Username,
        envelope: &Envelope,
        rules: &SendingRules,
        now: Time,
    ) -> Result<Ruling> {
        match self
            .sending
            .message(&envelope.instance)
            .map(|message| message.asked.clone())
        {
            Some(Asked::Answered(None)) => return Ok(Ruling::Allow),
            Some(Asked::Answered(Some(refusal))) => return Ok(Ruling::Refuse(refusal)),
            // Asked again while the first answer is on its way: counting it
            // twice would be wrong, and so would any answer.
            Some(Asked::Waiting) => {
                return Err(Error::System(
                    "a message was asked about twice at once".into(),
                ));
            }
            _ => {}
        }
        let amount = Amount {
            messages: 1,
            recipients: envelope.recipients.max(1),
            new_recipients: 0,
        };
        if !rules.is_limited() {
            let counted = self
                .found
                .uncounted
                .entry((username.clone(), now))
                .or_default();
            *counted = counted.plus(amount);
            self.sent(&username, amount, envelope.bytes, now);
            self.sending.answered(&envelope.instance, None);
            return Ok(Ruling::Allow);
        }
        if self.sending.spend(&username, amount) {
            self.sent(&username, amount, envelope.bytes, now);
            self.sending.answered(&envelope.instance, None);
            return Ok(Ruling::Allow);
        }
        // Too little, or nothing: the keeper may count ahead anew.
        if let Some(left) = self.sending.ahead.remove(&username) {
            self.found.returned.push(left.returned(username.clone()));
        }
        self.sending.ask(&envelope.instance);
        Ok(Ruling::Reserve(Reservation {
            username,
            amount,
            new_recipient: None,
            counts: true,
            tries: 0,
            waits: 0,
        }))
    }

    /// What the keeper said.
    pub fn reserved(
        &mut self,
        envelope: &Envelope,
        reservation: &Reservation,
        reserved: Result<Reserved>,
    ) -> Result<Ruling> {
        let now = (self.world.now)();
        let username = &reservation.username;
        let counts = reservation.counts;
        let outcome = match reserved {
            Ok(outcome) => outcome,
            Err(error) => {
                if counts {
                    self.sending.forget(&envelope.instance);
                }
                return Err(error);
            }
        };
        match outcome {
            Reserved::Granted { ahead, at } => {
                if counts {
                    self.sent(username, reservation.amount, envelope.bytes, now);
                    self.sending.answered(&envelope.instance, None);
                }
                self.counted_ahead(username, ahead, at);
                Ok(Ruling::Allow)
            }
            Reserved::AskAgain => {
                self.hand_back();
                Ok(Ruling::Reserve(Reservation {
                    tries: reservation.tries.saturating_add(1),
                    ..reservation.clone()
                }))
            }
            Reserved::Later => {
                self.hand_back();
                Ok(Ruling::ReserveLater(Reservation {
                    waits: reservation.waits.saturating_add(1),
                    ..reservation.clone()
                }))
            }
            Reserved::Refused(refusal) => {
                if counts {
                    self.sending.answered(&envelope.instance, Some(&refusal));
                }
                self.refused_sending(username, now);
                Ok(Ruling::Refuse(refusal))
            }
        }
    }

    fn sent(&mut self, username: &Username, amount: Amount, bytes: u64, now: Time) {
        let day = self.today(now);
        let sent = self.found.sent.entry((username.clone(), day)).or_default();
        sent.amount = sent.amount.plus(amount);
        sent.bytes += bytes;
    }

    fn refused_sending(&mut self, username: &Username, now: Time) {
        let day = self.today(now);
        let sent = self.found.sent.entry((username.clone(), day)).or_default();
        sent.refusals += 1;
    }

    /// As the settings were last read: what was sent is counted in any case.
    fn today(&self, now: Time) -> i64 {
        let rolling = Day::Rolling;
        let day = self
            .settings
            .as_ref()
            .map_or(&rolling, |(_, settings)| &settings.day);
        Usage::day_of(now, day)
    }

    fn rules(&mut self, username: &Username) -> Result<Option<SendingRules>> {
        let epoch = self.epoch;
        if let Some((read, rules)) = self.sending.rules.get_mut(username.as_str())
            && *read == epoch
        {
            return Ok(rules.clone());
        }
        let rules = self.store()?.sending_rules(username)?;
        let name = username.as_str().to_owned();
        self.sending.rules.insert(name, (epoch, rules.clone()));
        Ok(rules)
    }

    /// How many distinct recipients the message has with this one.
    fn add_recipient(&mut self, envelope: &Envelope, recipient: u64) -> u32 {
        if envelope.instance.is_empty() {
            return 1;
        }
        let message = self.sending.entry(&envelope.instance);
        if !message.recipients.contains(&recipient) && message.recipients.len() < MAX_RECIPIENTS {
            message.recipients.push(recipient);
        }
        u32::try_from(message.recipients.len()).unwrap_or(u32::MAX)
    }
}

const fn punishes(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Limit {
            action: OnLimit::Suspend | OnLimit::Delete,
            ..
        }
    )
}

/// Of a user and a recipient: the store need not know whom people write to.
fn digest(username: &Username, recipient: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-11-20 recipient of a user");
    hasher.update(username.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(recipient.to_lowercase().as_bytes());
    hasher.finalize().to_hex().chars().take(32).collect()
}

fn short(digest: &str) -> u64 {
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}

impl Refusal {
    /// For whoever sends: what happened, and when it may try again.
    pub fn text(&self) -> String {
        match self {
            Self::Stopped => "This login may not send any more".into(),
            Self::Unverified => {
                "The domain of this login is not verified: it may not send yet".into()
            }
            Self::NotOwned => "Sender address not owned by this login".into(),
            Self::Limit { owner, over, .. } => {
                let frees = match over.frees_at {
                    Some(at) => format!("there is room again at {at}"),
                    None => "this message alone is more than that".into(),
                };
                format!(
                    "Sending limit of {owner} reached: {}; {frees}",
                    over.kind.words(over.most)
                )
            }
        }
    }
}
