//! Gathers to whom users send, where many new recipients are an alert. What a limit on new
//! recipients counts is recorded with its reservation instead.

use super::envelope::Envelope;
use super::message_cache::Recipient;
use crate::app::relay::Relay;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::SendingRules;

impl Relay {
    /// Keeps a recipient until its message is complete, unless a limit keeps it anyway.
    pub(super) fn keep_recipient(
        &mut self,
        username: &Username,
        envelope: &Envelope,
        rules: &SendingRules,
        now: Time,
    ) {
        if !is_gathered(rules) {
            return;
        }
        let name = self.policy.messages.name(envelope);
        let digest = digest(rules.digest_name(username), &envelope.recipient);
        if name.is_none() {
            // The complete message will not say which ones it has.
            self.pending.sent_to(username, digest, now);
        } else if !rules.is_limited() {
            let recipient = Recipient {
                digest,
                is_new: false,
            };
            self.policy.messages.accept(name, recipient);
        }
    }

    /// Records the recipients of a message that passes, also of one that has a lease.
    pub(super) fn record_recipients(&mut self, username: &Username, envelope: &Envelope, at: Time) {
        let rules = self.policy.rules.get_mut(username.as_str());
        let Some((_, Some(rules))) = rules else {
            return;
        };
        if !is_gathered(rules) {
            return;
        }
        if !envelope.recipient.is_empty() {
            let digest = digest(rules.digest_name(username), &envelope.recipient);
            self.pending.sent_to(username, digest, at);
            return;
        }
        let name = self.policy.messages.name(envelope);
        let recipients = self.policy.messages.recipients(name).iter();
        // The mail server may have refused some of them.
        for recipient in recipients.take(envelope.recipients as usize) {
            self.pending.sent_to(username, recipient.digest, at);
        }
    }
}

/// Returns whether recipients are recorded, and by no limit.
fn is_gathered(rules: &SendingRules) -> bool {
    rules.many_new_recipients.is_some() && !rules.limits_new_recipients()
}

/// Returns a hash of a user, by its first name, and a recipient: the store need not know the recipients.
pub(super) fn digest(username: &Username, recipient: &str) -> u128 {
    let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-11-20 recipient of a user");
    hasher.update(username.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(recipient.to_ascii_lowercase().as_bytes());
    let digest = hasher.finalize();
    u128::from_be_bytes(std::array::from_fn(|i| digest.as_bytes()[i]))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::relay::policy::decide::Decision;
    use crate::app::relay::policy::envelope::{PolicyStage, Requester};
    use crate::app::relay::testing::{NOW, TestStore, messages};
    use crate::app::relay::{Envelope, Relay};
    use crate::model::alert_rules::AlertChange;
    use crate::store::{SendingChange, SettingsChange, UserChange};

    const SHOP: &str = "shop@example.com";

    fn envelope(stage: PolicyStage, instance: &str, recipient: &str, recipients: u32) -> Envelope {
        Envelope {
            stage,
            instance: instance.into(),
            username: SHOP.into(),
            sender: SHOP.into(),
            recipient: recipient.into(),
            recipients,
            bytes: 1,
            address: None,
            process: None,
            requester: Requester::until(Instant::now() + Duration::from_secs(60)),
        }
    }

    fn store_with(limit: Option<&str>, rule: Option<&str>) -> TestStore {
        let mut store = TestStore::new();
        store.add_user(SHOP, "vague-Otter-61");
        let change = UserChange {
            sending: SendingChange {
                limits: limit.iter().map(|limit| limit.parse().unwrap()).collect(),
                ..SendingChange::default()
            },
            ..UserChange::default()
        };
        let settings = SettingsChange {
            alerts: AlertChange {
                rules: rule.iter().map(|rule| rule.parse().unwrap()).collect(),
                ..AlertChange::default()
            },
            ..SettingsChange::default()
        };
        store.change(|tx| {
            tx.set_user(&SHOP.parse().unwrap(), &change).unwrap();
            tx.set_settings(&settings).unwrap();
        });
        store
    }

    /// Sends a message to three, of whom the mail server refuses the last, and one to one more,
    /// of which one recipient is asked about twice. Returns how many are recorded.
    fn recorded(relay: &mut Relay, has_name: bool) -> usize {
        let instance = if has_name { "1" } else { "" };
        for recipient in ["a@x.test", "b@x.test", "B@x.test", "c@x.test"] {
            let asked = envelope(PolicyStage::Recipient, instance, recipient, 0);
            let decision = relay.decide(&asked).unwrap();
            assert!(matches!(decision, Decision::Allow(_)));
        }
        for (instance, recipient, number) in [(instance, "", 2), ("2", "d@x.test", 1)] {
            let asked = envelope(PolicyStage::Message, instance, recipient, number);
            assert!(matches!(relay.decide(&asked).unwrap(), Decision::Allow(_)));
        }
        relay.take_pending().recipients.len()
    }

    #[test]
    fn recipients_are_gathered_where_many_are_an_alert_and_no_limit_counts_them() {
        let rule = Some("new-recipients");
        for (limit, rule, has_name, expected) in [
            (None, rule, true, 3),
            // Which ones the message has is not said.
            (None, rule, false, 4),
            (None, None, true, 0),
            (None, None, false, 0),
        ] {
            let mut relay = store_with(limit, rule).relay();
            assert_eq!(recorded(&mut relay, has_name), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_lease_does_not_keep_recipients_from_being_recorded() {
        for (limit, rule, expected) in [
            ("messages/hour=1000", Some("new-recipients"), 3),
            ("messages/hour=1000", None, 0),
        ] {
            let mut relay = store_with(Some(limit), rule).relay();
            let username = SHOP.parse().unwrap();
            relay.add_lease(&username, messages(9), Time::from_epoch(NOW));
            assert_eq!(recorded(&mut relay, true), expected, "{rule:?}");
        }
        // With its reservation, which no lease replaces.
        let limit = Some("new-recipients/day=1000");
        let mut relay = store_with(limit, Some("new-recipients")).relay();
        let asked = envelope(PolicyStage::Message, "1", "a@x.test", 1);
        let Ok(Decision::Reserve(wanted)) = relay.decide(&asked) else {
            panic!("it was not reserved");
        };
        assert_eq!(wanted.new_recipients.len(), 1);
        assert!(relay.take_pending().recipients.is_empty());
    }
}
