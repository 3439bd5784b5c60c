//! The messages that are kept: which of them belong to users, and how long they stay.

use std::collections::HashMap;

use crate::app::App;
use crate::error::{Error, Result};
use crate::model::followed_message::{MessageState, RecordedMessage};
use crate::model::log_time::LogTime;
use crate::model::message_rules::MessageRules;
use crate::model::name::{DomainName, Username};
use crate::model::password::PasswordId;
use crate::model::since::Since;
use crate::model::text::escaped;
use crate::model::time::Time;
use crate::store::{Access, Location, MessageFilter, MessageStore};

/// How many bytes messages may take: beyond, the oldest go first. About four million
/// messages.
pub const MOST_BYTES: u64 = 2 << 30;

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct WantedMessages {
    /// Only those of this user, also under its old names.
    pub user: Option<Username>,
    /// Only those of users of this domain.
    pub domain: Option<DomainName>,
    /// Only those to this address, or to a domain.
    pub to: Option<String>,
    /// Only those with a recipient in this state.
    pub state: Option<MessageState>,
    /// Only those from then on.
    pub since: Option<Since>,
    /// Only those before then.
    pub until: Option<Since>,
    /// Only those that were sent with this password.
    pub password_id: Option<PasswordId>,
    /// Only those after the one with this id.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<u32>,
}

/// Tells the reader of the logs what the store says about messages.
pub fn set_rules(store: &Location, rules: &MessageRules) -> Result<()> {
    let access = if rules.keep.is_some() {
        Access::Create
    } else {
        Access::Existing
    };
    match MessageStore::open(store, access) {
        Err(Error::MessagesNotKept) => Ok(()),
        opened => opened?.set_rules(rules),
    }
}

/// The names in messages, and whether they are or were users.
#[derive(Default)]
pub struct KnownNames(HashMap<String, bool>);

impl KnownNames {
    /// Returns whether a name in a log is or was that of a user.
    pub fn has(&mut self, app: &mut App, name: &str) -> Result<bool> {
        /// The names of a stranger who tries many must not fill the memory.
        const MOST: usize = 100_000;
        if let Some(known) = self.0.get(name) {
            return Ok(*known);
        }
        let known = match name.parse() {
            Ok(username) => app.store.knew_user(&username)?,
            Err(_) => false,
        };
        if self.0.len() == MOST {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), known);
        Ok(known)
    }
}

impl App {
    /// Opens the messages of this store to read them. Fails if none are kept.
    pub fn messages(&mut self, store: &Location) -> Result<MessageStore> {
        let kept = self.settings()?.messages.keep.is_some();
        match MessageStore::open(store, Access::Existing) {
            Err(Error::MessagesNotKept) if kept => match MessageStore::file_of(store) {
                Some(file) => Err(Error::MessagesMissing(file)),
                None => Err(Error::MessagesNotKept),
            },
            Ok(mut messages) => {
                // After they were kept, the rest is there until it is deleted.
                if !kept && messages.names_after("", 1)?.is_empty() {
                    return Err(Error::MessagesNotKept);
                }
                Ok(messages)
            }
            Err(error) => Err(error),
        }
    }

    /// Lists messages of users, newest first.
    pub fn list_messages(
        &mut self,
        messages: &mut MessageStore,
        wanted: &WantedMessages,
        each: &mut dyn FnMut(&RecordedMessage) -> Result<()>,
    ) -> Result<()> {
        let now = self.now();
        let time = |since: Option<Since>| since.map(|since| LogTime::of(since.at(now)));
        let mut usernames = Vec::new();
        if let Some(user) = &wanted.user {
            let old_names = self.store.old_names_of(user)?;
            usernames.push(user.to_string());
            usernames.extend(old_names.iter().map(|old| old.old_name.to_string()));
        }
        let whole = |to: &String| to.contains('@');
        let domain = |to: &String| format!("@{to}");
        let to = wanted.to.as_ref();
        let to = to.map(|to| if whole(to) { to.clone() } else { domain(to) });
        let filter = MessageFilter {
            usernames,
            domain: wanted.domain.clone(),
            to,
            state: wanted.state,
            since: time(wanted.since),
            until: time(wanted.until),
        };
        let after = match &wanted.after {
            Some(id) => {
                let place = messages.place_of(id)?;
                Some(place.ok_or_else(|| Error::MessageNotFound(escaped(id)))?)
            }
            None => None,
        };
        let mut names = KnownNames::default();
        messages.list(&filter, after, wanted.limit, &mut |recorded| {
            let message = &recorded.message;
            let other_password =
                wanted.password_id.is_some() && wanted.password_id != recorded.password_id;
            let other_domain = wanted.domain.as_ref().is_some_and(|domain| {
                message.username.rsplit_once('@').map(|(_, of)| of) != Some(domain.as_str())
            });
            let other_user =
                !filter.usernames.is_empty() && !filter.usernames.contains(&message.username);
            if other_password || other_domain || other_user {
                return Ok(false);
            }
            if !names.has(self, &message.username)? {
                return Ok(false);
            }
            each(&recorded)?;
            Ok(true)
        })
    }

    /// Returns the newest message of a user with this id, and how many others had it.
    pub fn message(
        &mut self,
        messages: &mut MessageStore,
        queue_id: &str,
    ) -> Result<(RecordedMessage, usize)> {
        let mut names = KnownNames::default();
        let mut found = Vec::new();
        for recorded in messages.find(queue_id)? {
            if names.has(self, &recorded.message.username)? {
                found.push(recorded);
            }
        }
        let others = found.len().saturating_sub(1);
        match found.into_iter().next() {
            Some(newest) => Ok((newest, others)),
            None => Err(Error::MessageNotFound(escaped(queue_id))),
        }
    }

    /// Deletes the messages that are not kept any more: all of them, if none are kept.
    /// Returns how many; in a dry run, how many are too old.
    pub fn forget_messages(&mut self, messages: &mut MessageStore, dry_run: bool) -> Result<u64> {
        let rules = self.settings()?.messages;
        let before = oldest_kept(&rules, self.now());
        if dry_run {
            return messages.older_than(before);
        }
        // The store decides: what the reader was told may be from before a restore.
        messages.set_rules(&rules)?;
        let mut forgotten = 0;
        forgotten += repeat(|| messages.forget_older(before))?;
        forgotten += self.forget_strangers(messages)?;
        while messages.size()? > MOST_BYTES {
            let some = messages.forget_oldest()?;
            if some == 0 {
                break;
            }
            forgotten += some;
        }
        messages.shrink()?;
        Ok(forgotten)
    }

    /// Deletes messages of names that are no user: the reader of the logs cannot tell.
    fn forget_strangers(&mut self, messages: &mut MessageStore) -> Result<u64> {
        const TOGETHER: usize = 500;
        let mut names = KnownNames::default();
        let (mut after, mut forgotten) = (String::new(), 0);
        loop {
            let some = messages.names_after(&after, TOGETHER)?;
            let Some(last) = some.last().cloned() else {
                return Ok(forgotten);
            };
            for name in some {
                if !names.has(self, &name)? {
                    forgotten += repeat(|| messages.forget_name(&name))?;
                }
            }
            after = last;
        }
    }
}

/// Returns the time from which on messages are kept now.
pub fn oldest_kept(rules: &MessageRules, now: Time) -> LogTime {
    match rules.keep {
        Some(keep) => LogTime::of(now.minus(keep)),
        None => LogTime::from_micros(i64::MAX),
    }
}

fn repeat(mut some: impl FnMut() -> Result<u64>) -> Result<u64> {
    let mut all = 0;
    loop {
        let done = some()?;
        if done == 0 {
            return Ok(all);
        }
        all += done;
    }
}
