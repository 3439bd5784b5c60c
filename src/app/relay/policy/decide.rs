//! Decides about requests of the policy protocol: may this user send as this address, to this
//! recipient, this message? A long file, since one request is followed from its first rule to
//! its answer.

use super::charge::Charge;
use super::envelope::{Envelope, PolicyStage};
use super::message_cache::{AnswerState, MAX_RECIPIENTS, Recipient};
use super::quota::Quota;
use super::recipients::digest;
use super::refusal::Refusal;
use super::reservation::{Reservation, ReservationKind, ReservationOutcome};
use crate::app::relay::Relay;
use crate::app::relay::login::Login;
use crate::error::{Error, Result};
use crate::model::day::Day;
use crate::model::name::Username;
use crate::model::sender::may_send_as;
use crate::model::time::Time;
use crate::model::usage::Usage;
use crate::model::usage_window::Count;
use crate::store::{Scope, SendingRules};

/// What follows from a request of the policy protocol.
pub enum Decision {
    /// Let it through. The charge can be refunded until the mail server has the answer.
    Allow(Option<Box<Charge>>),
    /// Refuse the message, the recipient or the sender.
    Refuse(Refusal),
    /// Ask the writer, and call [`Relay::reserved`] with its answer.
    Reserve(Reservation),
    /// The same, a little later.
    ReserveLater(Reservation),
}

impl Relay {
    /// Decides about a request. An error means that the store cannot tell.
    pub fn decide(&mut self, envelope: &Envelope) -> Result<Decision> {
        self.reader.check()?;
        let now = (self.world.now)().plausible()?;
        let Ok(name) = envelope.username.parse::<Username>() else {
            // Another service signed this user in.
            return Ok(Decision::Refuse(Refusal::Stopped));
        };
        let username = match self.rules(&name)? {
            Some(_) => name.clone(),
            None => self.renamed(&name, now)?.unwrap_or_else(|| name.clone()),
        };
        let ended = match self.login(&name, &username, envelope, now)? {
            Login::Unknown | Login::Works => None,
            Login::Ended => Some(Refusal::Ended),
            Login::EndedByAdmin => Some(Refusal::SessionEnded),
        };
        let Some(rules) = self.rules(&username)? else {
            return Ok(Decision::Refuse(ended.unwrap_or(Refusal::Stopped)));
        };
        let names = [&username, &name];
        let refusal = sender_refusal(names, &envelope.sender, &rules, ended, now);
        if let Some(refusal) = refusal {
            self.refused_sending(&username, now);
            return Ok(Decision::Refuse(refusal));
        }
        match envelope.stage {
            PolicyStage::Sender => Ok(Decision::Allow(None)),
            PolicyStage::Recipient => self.recipient(username, envelope, &rules, now),
            PolicyStage::Message => self.message(username, envelope, &rules, now),
        }
    }

    /// Checks whether the message would still fit with this recipient. The recipient
    /// is counted with the message, if that is ever sent.
    fn recipient(
        &mut self,
        username: Username,
        envelope: &Envelope,
        rules: &SendingRules,
        now: Time,
    ) -> Result<Decision> {
        self.keep_recipient(&username, envelope, rules, now);
        if !rules.is_limited() {
            return Ok(Decision::Allow(None));
        }
        let name = self.policy.messages.name(envelope);
        let digest = digest(rules.digest_name(&username), &envelope.recipient);
        let accepted = self.policy.messages.recipients(name);
        let has_recipients = !accepted.is_empty();
        let known = accepted.iter().any(|one| one.digest == digest);
        let (mut count, mut new) = (accepted.len(), new_of(accepted));
        if !known && count < MAX_RECIPIENTS {
            count += 1;
            if rules.limits_new_recipients() && !self.knows(&username, digest)? {
                new.push(digest);
            }
        }
        let wanted = Reservation {
            username,
            amount: Count {
                messages: 1,
                recipients: u32::try_from(count).unwrap_or(u32::MAX),
                new_recipients: u32::try_from(new.len()).unwrap_or(u32::MAX),
            },
            // Without a name, the recipient cannot be counted with its message.
            kind: if name.is_none() && !new.is_empty() {
                ReservationKind::NewRecipients
            } else {
                ReservationKind::Check
            },
            new_recipients: new,
            recipient: Some(digest),
            has_recipients,
            tries: 0,
            waits: 0,
            requester: envelope.requester.clone(),
        };
        let over = self.check_quota(&wanted, rules, now)?;
        let username = &wanted.username;
        if wanted.kind != ReservationKind::Check
            || over.as_ref().is_some_and(Refusal::has_consequences)
            || (over.is_some()
                && (!self.policy.leases.is_empty() || self.is_leased(username, now)?))
        {
            // It changes the store, or is only certain in a transaction.
            return Ok(Decision::Reserve(wanted));
        }
        let Some(refusal) = over else {
            self.accept(&wanted, envelope);
            return Ok(Decision::Allow(None));
        };
        self.refused_sending(username, now);
        Ok(Decision::Refuse(refusal))
    }

    /// Adds this recipient to the message.
    fn accept(&mut self, wanted: &Reservation, envelope: &Envelope) {
        let Some(digest) = wanted.recipient else {
            return;
        };
        let name = self.policy.messages.name(envelope);
        let is_new = wanted.new_recipients.contains(&digest);
        self.policy
            .messages
            .accept(name, Recipient { digest, is_new });
    }

    fn knows(&mut self, username: &Username, digest: u128) -> Result<bool> {
        let mut release = self.pending.releases.iter();
        // The answer is about to be forgotten.
        if release.any(|release| release.new_recipients.contains(&digest)) {
            return Ok(false);
        }
        self.store()?.knows_recipient(username, digest)
    }

    /// Returns a refusal if the limits leave no room for this.
    fn check_quota(
        &mut self,
        wanted: &Reservation,
        rules: &SendingRules,
        now: Time,
    ) -> Result<Option<Refusal>> {
        let day = self.settings()?.day.clone();
        let username = &wanted.username;
        // What is leased to this user is in the counts already.
        let leased = self.policy.leases.left(username);
        let quota = Quota {
            rules,
            sent: self
                .store()?
                .usage_windows(username, &rules.limits, now, &day)?,
            now,
            day: &day,
        };
        let exceeded = quota.exceeded(wanted.amount.saturating_sub(leased));
        Ok(exceeded.map(|(scope, exceeded)| Refusal::Limit {
            owner: Scope::all(username)[scope].name().to_owned(),
            exceeded,
            action: wanted.action(rules),
            has_recipients: wanted.has_recipients,
        }))
    }

    fn message(
        &mut self,
        username: Username,
        envelope: &Envelope,
        rules: &SendingRules,
        now: Time,
    ) -> Result<Decision> {
        let name = self.policy.messages.name(envelope);
        match self.policy.messages.take_answer(name, envelope) {
            AnswerState::Answered(_, None) => return Ok(Decision::Allow(None)),
            AnswerState::Answered(_, Some(refusal)) => return Ok(Decision::Refuse(refusal)),
            // Asked again while the first answer is on its way: counting it
            // twice would be wrong, and so would any answer.
            AnswerState::Pending => {
                return Err(Error::System(
                    "a message was asked about twice at once".into(),
                ));
            }
            AnswerState::NotAsked => {}
        }
        let amount = Count {
            messages: 1,
            recipients: envelope.recipients.max(1),
            new_recipients: 0,
        };
        if !rules.is_limited() {
            let counted = self
                .pending
                .uncounted
                .entry((username.clone(), now))
                .or_default();
            *counted = counted.saturating_add(amount);
            return Ok(self.pass(username, envelope, amount, Vec::new(), now));
        }
        let new_recipients = self.new_recipients(&username, envelope, rules)?;
        if new_recipients.is_empty()
            && let Some(at) = self.policy.leases.take(&username, amount)
        {
            return Ok(self.pass(username, envelope, amount, Vec::new(), at));
        }
        // Without its rest the writer may grant a new lease.
        let released = self.policy.leases.remove(&username);
        self.pending.releases.extend(released);
        self.policy.messages.set_pending(name);
        Ok(Decision::Reserve(Reservation {
            username,
            amount,
            new_recipients,
            recipient: None,
            kind: ReservationKind::Message,
            has_recipients: false,
            tries: 0,
            waits: 0,
            requester: envelope.requester.clone(),
        }))
    }

    /// Recipients of a complete message that this user has never sent to. A mail
    /// server names the recipient only if there is just one.
    fn new_recipients(
        &mut self,
        username: &Username,
        envelope: &Envelope,
        rules: &SendingRules,
    ) -> Result<Vec<u128>> {
        if !rules.limits_new_recipients() {
            return Ok(Vec::new());
        }
        if envelope.recipient.is_empty() {
            let name = self.policy.messages.name(envelope);
            return Ok(new_of(self.policy.messages.recipients(name)));
        }
        let digest = digest(rules.digest_name(username), &envelope.recipient);
        let known = self.knows(username, digest)?;
        Ok(if known { Vec::new() } else { vec![digest] })
    }

    /// Decides with the answer of the writer.
    pub fn reserved(
        &mut self,
        envelope: &Envelope,
        reservation: &Reservation,
        reserved: Result<ReservationOutcome>,
    ) -> Result<Decision> {
        let now = (self.world.now)();
        let username = &reservation.username;
        let counts = reservation.kind == ReservationKind::Message;
        let name = self.policy.messages.name(envelope);
        let outcome = match reserved {
            Ok(outcome) => outcome,
            Err(error) => {
                if counts {
                    self.policy.messages.clear_answer(name);
                }
                return Err(error);
            }
        };
        match outcome {
            ReservationOutcome::Granted {
                lease,
                new_recipients,
                at,
            } => {
                self.add_lease(username, lease, at);
                if counts {
                    let username = username.clone();
                    return Ok(self.pass(
                        username,
                        envelope,
                        reservation.amount,
                        new_recipients,
                        at,
                    ));
                }
                self.accept(reservation, envelope);
                Ok(Decision::Allow(Charge::recipients(
                    username,
                    new_recipients,
                    at,
                )))
            }
            ReservationOutcome::Abandoned => {
                if counts {
                    self.policy.messages.clear_answer(name);
                }
                Err(Error::System("the mail server did not wait".into()))
            }
            ReservationOutcome::Renamed => {
                if counts {
                    self.policy.messages.clear_answer(name);
                }
                Err(Error::System("the user was renamed meanwhile".into()))
            }
            ReservationOutcome::ReleaseAndRetry => {
                self.release_leases();
                Ok(Decision::Reserve(Reservation {
                    tries: reservation.tries.saturating_add(1),
                    ..reservation.clone()
                }))
            }
            ReservationOutcome::RetryLater => {
                self.release_leases();
                Ok(Decision::ReserveLater(Reservation {
                    waits: reservation.waits.saturating_add(1),
                    ..reservation.clone()
                }))
            }
            ReservationOutcome::Refused(refusal) => {
                if counts {
                    self.policy
                        .messages
                        .set_answer(name, envelope, Some(&refusal));
                }
                self.refused_sending(username, now);
                Ok(Decision::Refuse(refusal))
            }
        }
    }

    /// Lets a message pass that was counted at this time.
    pub(in crate::app::relay) fn pass(
        &mut self,
        username: Username,
        envelope: &Envelope,
        amount: Count,
        new_recipients: Vec<u128>,
        at: Time,
    ) -> Decision {
        self.record_recipients(&username, envelope, at);
        let name = self.policy.messages.name(envelope);
        let day = self.today((self.world.now)());
        let sent = self
            .pending
            .sent
            .entry((username.clone(), day))
            .or_default();
        sent.amount = sent.amount.saturating_add(amount);
        sent.bytes = sent.bytes.saturating_add(envelope.bytes);
        self.policy.messages.set_answer(name, envelope, None);
        let password_id = self.count_for_password(&username, envelope, amount);
        Decision::Allow(Some(Box::new(Charge::message(
            (username, password_id),
            name,
            amount,
            new_recipients,
            at,
            day,
            envelope.bytes,
        ))))
    }

    fn refused_sending(&mut self, username: &Username, now: Time) {
        let day = self.today(now);
        let sent = self
            .pending
            .sent
            .entry((username.clone(), day))
            .or_default();
        sent.refusals = sent.refusals.saturating_add(1);
    }

    /// Returns the number of the day, by the settings as they were last read: usage is counted
    /// also while the store cannot be read.
    pub(in crate::app::relay) fn today(&self, now: Time) -> i64 {
        let rolling = Day::Rolling;
        let day = self
            .reader
            .last_settings()
            .map_or(&rolling, |settings| &settings.day);
        Usage::day_of(now, day)
    }

    fn rules(&mut self, username: &Username) -> Result<Option<SendingRules>> {
        let generation = self.reader.generation();
        if let Some((read, rules)) = self.policy.rules.get_mut(username.as_str())
            && *read == generation
        {
            return Ok(rules.clone());
        }
        let rules = self.store()?.sending_rules(username)?;
        let name = username.as_str().to_owned();
        self.policy.rules.insert(name, (generation, rules.clone()));
        Ok(rules)
    }
}

/// Returns why a user may not send as this address at all, if so. The domain of an old name
/// is its own as long as that works, for the sessions that signed in with it.
fn sender_refusal(
    [username, name]: [&Username; 2],
    sender: &str,
    rules: &SendingRules,
    ended: Option<Refusal>,
    now: Time,
) -> Option<Refusal> {
    if ended.is_some() {
        ended
    } else if rules.is_stopped(now) {
        Some(Refusal::Stopped)
    } else if rules.unverified {
        Some(Refusal::Unverified)
    } else if may_send_as(username, &rules.senders, sender)
        || rules.senders.is_empty() && may_send_as(name, &[], sender)
    {
        None
    } else {
        Some(Refusal::NotOwned)
    }
}

fn new_of(recipients: &[Recipient]) -> Vec<u128> {
    let new = recipients.iter().filter(|one| one.is_new);
    new.map(|one| one.digest).collect()
}
