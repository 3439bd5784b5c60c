//! Which messages are kept, for how long, and how much of their recipients.

use std::fmt;
use std::str::FromStr;

use super::duration::Duration;
use super::followed_message::RecipientOutcome;
use super::text::invalid;
use crate::error::{Error, Result};

/// What is kept of the messages of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRules {
    /// How long they are kept; `None`: not at all.
    pub keep: Option<Duration>,
    /// What is kept of the addresses of recipients.
    pub recipients: KeptRecipients,
}

/// What is kept of the address of a recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptRecipients {
    /// All of it.
    #[default]
    Full,
    /// Its domain: `@example.com`.
    Domain,
    /// Nothing.
    None,
}

/// Whether messages are kept, as an admin says it: `30d`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepMessages(pub Option<Duration>);

impl FromStr for KeepMessages {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => Ok(Self(None)),
            _ => match text.parse() {
                Ok(keep) => Ok(Self(Some(keep))),
                Err(_) => Err(invalid(
                    "time for messages",
                    text,
                    "a duration such as 30d, or off",
                )),
            },
        }
    }
}

impl fmt::Display for KeepMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(keep) => f.write_str(&keep.exact()),
            None => f.write_str("off"),
        }
    }
}

impl KeptRecipients {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Domain, Self::None];

    /// Returns the name on command lines, in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Domain => "domain",
            Self::None => "none",
        }
    }

    /// Removes what is not kept, also from the reply, which often repeats the address.
    pub fn cut(self, recipient: &mut RecipientOutcome) {
        if self == Self::Full {
            return;
        }
        let locals: Vec<String> = [&recipient.address, &recipient.original]
            .into_iter()
            .flatten()
            .filter_map(|address| address.rsplit_once('@'))
            .map(|(local, _)| local.to_owned())
            .filter(|local| !local.is_empty())
            .collect();
        if let Some(reply) = &mut recipient.reply {
            *reply = self.without_addresses(reply);
            for local in &locals {
                *reply = without_word(reply, local);
            }
        }
        for address in [&mut recipient.address, &mut recipient.original] {
            *address = address
                .take()
                .and_then(|address| self.cut_address(&address));
        }
        if recipient.original == recipient.address {
            recipient.original = None;
        }
    }

    fn cut_address(self, address: &str) -> Option<String> {
        let (_, domain) = address.rsplit_once('@')?;
        (self == Self::Domain).then(|| format!("@{domain}"))
    }

    /// Replaces everything that looks like an address: `bob@example.com` by `…@example.com`,
    /// or by `…`.
    fn without_addresses(self, text: &str) -> String {
        let mut kept = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            let begin = local_part(before);
            let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
            let end = after.find(|c| !is_host(c)).unwrap_or(after.len());
            let end = after[..end].trim_end_matches('.').len();
            if begin == at || end == 0 {
                kept.push_str(&rest[..=at]);
                rest = after;
                continue;
            }
            kept.push_str(&before[..begin]);
            kept.push('…');
            if self == Self::Domain {
                kept.push('@');
                kept.push_str(&after[..end]);
            }
            rest = &after[end..];
        }
        kept.push_str(rest);
        kept
    }
}

/// Returns where the local part begins that ends this text.
fn local_part(text: &str) -> usize {
    if let Some(quoted) = text.strip_suffix('"')
        && let Some(begin) = quoted.rfind('"')
    {
        return begin;
    }
    let is_local = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    text.trim_end_matches(is_local).len()
}

/// Replaces a word wherever it stands by itself.
fn without_word(text: &str, word: &str) -> String {
    let is_inside =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (at, found) in text.match_indices(word) {
        let (before, after) = (&text[..at], &text[at + found.len()..]);
        let is_word = !is_inside(before.chars().next_back()) && !is_inside(after.chars().next());
        if is_word && at >= from {
            kept.push_str(&text[from..at]);
            kept.push('…');
            from = at + found.len();
        }
    }
    kept.push_str(&text[from..]);
    kept
}

impl FromStr for KeptRecipients {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kept| kept.name() == text);
        found.ok_or_else(|| invalid("part of recipients", text, "full, domain or none"))
    }
}

impl fmt::Display for KeptRecipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::followed_message::MessageState;
    use crate::model::log_time::LogTime;

    fn cut(kept: KeptRecipients, address: &str, reply: &str) -> (Option<String>, String) {
        let mut outcome = RecipientOutcome {
            address: Some(address.into()),
            original: Some("Info@shop.example".into()),
            state: MessageState::Bounced,
            dsn: None,
            reply: Some(reply.into()),
            at: LogTime::default(),
            reason: None,
            count: 1,
        };
        kept.cut(&mut outcome);
        assert_ne!(outcome.original.as_deref(), Some("Info@shop.example"));
        (outcome.address, outcome.reply.unwrap_or_default())
    }

    #[test]
    fn p1_addresses_go_from_replies_too() {
        for (reply, domain, none) in [
            (
                "550 5.1.1 <bob@example.com>: Recipient rejected",
                "550 5.1.1 <…@example.com>: Recipient rejected",
                "550 5.1.1 <…>: Recipient rejected",
            ),
            (
                "550 no such user bob.",
                "550 no such user ….",
                "550 no such user ….",
            ),
            (
                "bobby and bob-2 stay; srs0=ab=c=example.com=bob@relay.example. goes",
                "bobby and bob-2 stay; …@relay.example. goes",
                "bobby and bob-2 stay; …. goes",
            ),
            ("a @ b \"b ob\"@x.example", "a @ b …@x.example", "a @ b …"),
            ("über@bücher.example@", "…@bücher.example@", "…@"),
            ("", "", ""),
        ] {
            let address = "bob@example.com";
            let whole = cut_full(address, reply);
            assert_eq!(whole, (Some(address.into()), reply.into()));
            let by_domain = cut(KeptRecipients::Domain, address, reply);
            assert_eq!(by_domain, (Some("@example.com".into()), domain.into()));
            let nothing = cut(KeptRecipients::None, address, reply);
            assert_eq!(nothing, (None, none.into()));
        }
    }

    fn cut_full(address: &str, reply: &str) -> (Option<String>, String) {
        let mut outcome = RecipientOutcome {
            address: Some(address.into()),
            original: None,
            state: MessageState::Sent,
            dsn: None,
            reply: Some(reply.into()),
            at: LogTime::default(),
            reason: None,
            count: 1,
        };
        KeptRecipients::Full.cut(&mut outcome);
        (outcome.address, outcome.reply.unwrap_or_default())
    }

    #[test]
    fn what_an_admin_says_reads_back() {
        for text in ["30d", "off", "12h"] {
            assert_eq!(text.parse::<KeepMessages>().unwrap().to_string(), text);
        }
        for text in ["", "none", "0d", "30"] {
            assert!(text.parse::<KeepMessages>().is_err(), "{text}");
        }
        for kept in KeptRecipients::ALL {
            assert_eq!(kept.name().parse::<KeptRecipients>().unwrap(), kept);
        }
    }
}
