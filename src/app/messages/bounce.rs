//! The last message of a user that was not delivered, and what the reply means.

use super::kept::WantedMessages;
use crate::app::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::followed_message::{MessageState, RecipientOutcome};
use crate::model::name::Username;
use crate::model::since::Since;
use crate::model::time::Time;
use crate::store::Location;

/// How long ago it may be: all messages of the user since then may be read.
const DAYS: u16 = 7;

/// A message that failed for good.
pub struct Bounce {
    /// Its id in the queue of the mail server.
    pub queue_id: String,
    /// When it failed.
    pub at: Time,
    /// For whom; `None` if addresses are not kept.
    pub address: Option<String>,
    /// The enhanced status code.
    pub dsn: Option<String>,
    /// The reply of the next server, or the reason of this one.
    pub reply: Option<String>,
}

impl Bounce {
    /// Returns what the status code means (RFC 3463, RFC 7372, RFC 7505).
    pub fn meaning(&self) -> Option<&'static str> {
        let (class, detail) = self.dsn.as_deref()?.split_once('.')?;
        if !matches!(class, "4" | "5") {
            return None;
        }
        Some(match detail {
            "1.1" => "the address does not exist",
            "1.2" => "the domain of the address does not exist or has no mail server",
            "1.3" => "the address is not valid",
            "1.6" => "the mailbox has moved, without a new address",
            "1.8" => "the domain of the sender does not exist",
            "1.10" => "the domain accepts no mail",
            "2.1" => "the mailbox is disabled",
            "2.2" => "the mailbox is full",
            "2.3" | "3.4" => "the message is too large",
            "4.1" => "the next server did not answer",
            "4.3" | "4.4" => "the DNS had no way to the next server",
            "4.7" => "it was tried until the server gave up",
            "7.20" | "7.21" | "7.22" => "the DKIM signature is missing or not valid",
            "7.23" | "7.24" => "SPF does not allow this server",
            "7.25" => "the address of this server has no reverse name",
            "7.26" => "neither SPF nor DKIM allows this server",
            "7.27" => "the domain of the sender accepts no mail",
            _ if detail.starts_with("7.") => "a policy of the next server refused it",
            _ if detail.starts_with("6.") => "the next server does not accept such content",
            _ => return None,
        })
    }

    /// Returns whether the records of the sending domain are to blame.
    pub fn is_about_dns(&self) -> bool {
        let detail = self.dsn.as_deref().and_then(|dsn| dsn.split_once('.'));
        detail.is_some_and(|(_, detail)| {
            matches!(
                detail,
                "1.8" | "7.20" | "7.21" | "7.22" | "7.23" | "7.24" | "7.25" | "7.26" | "7.27"
            )
        })
    }
}

impl App {
    /// Returns the last message of a user that bounced or expired. `None` if messages are not
    /// kept or cannot be read, and for a holder of a role, who sees no recipients.
    pub fn last_bounce(&mut self, store: &Location, username: &Username) -> Result<Option<Bounce>> {
        if self.store.restricted_to().is_some() || self.settings()?.messages.keep.is_none() {
            return Ok(None);
        }
        // `doctor` tells what is wrong with them.
        let Ok(mut messages) = self.messages(store) else {
            return Ok(None);
        };
        let mut last: Option<Bounce> = None;
        for state in [MessageState::Bounced, MessageState::Expired] {
            let wanted = WantedMessages {
                user: Some(username.clone()),
                state: Some(state),
                since: Some(Since::Ago(Duration::days(DAYS))),
                limit: Some(1),
                ..WantedMessages::default()
            };
            self.list_messages(&mut messages, &wanted, &mut |recorded| {
                let message = &recorded.message;
                let failed = message.recipients.iter().filter(|it| it.state == state);
                let newest = failed.max_by_key(|recipient| recipient.at);
                let bounce = newest.map(|recipient| of(&message.key.queue_id, recipient));
                if let Some(bounce) = bounce
                    && last.as_ref().is_none_or(|last| last.at < bounce.at)
                {
                    last = Some(bounce);
                }
                Ok(())
            })?;
        }
        Ok(last)
    }
}

fn of(queue_id: &str, recipient: &RecipientOutcome) -> Bounce {
    Bounce {
        queue_id: queue_id.to_owned(),
        at: recipient.at.time(),
        address: recipient.address.clone(),
        dsn: recipient.dsn.clone(),
        reply: recipient.reply.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_have_meanings() {
        let meaning = |dsn: Option<&str>| {
            let bounce = Bounce {
                queue_id: "4bX".into(),
                at: Time::from_epoch(0),
                address: None,
                dsn: dsn.map(str::to_owned),
                reply: None,
            };
            (bounce.meaning(), bounce.is_about_dns())
        };
        let unknown = Some("5.1.1");
        assert_eq!(
            meaning(unknown),
            (Some("the address does not exist"), false)
        );
        let policy = "a policy of the next server refused it";
        assert_eq!(meaning(Some("5.7.1")), (Some(policy), false));
        let (both, about_dns) = meaning(Some("5.7.26"));
        assert!(about_dns && both.unwrap().contains("SPF nor DKIM"));
        for none in [None, Some("2.1.1"), Some("5.9.9"), Some("5"), Some("")] {
            assert_eq!(meaning(none).0, None, "{none:?}");
        }
    }
}
