//! Lists of messages, newest first, in pieces.

use super::MessageStore;
use super::row::{self, columns};
use crate::error::Result;
use crate::model::followed_message::{MessageState, RecordedMessage};
use crate::model::log_time::LogTime;
use crate::model::name::DomainName;
use crate::store::Page;
use crate::store::engine::Arg;

/// Which messages a list has.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Only those of these names: the name of a user and its old ones. Empty for all.
    pub usernames: Vec<String>,
    /// Only those of users of this domain.
    pub domain: Option<DomainName>,
    /// Only those to this address, or to an address of this domain with `@` before it.
    pub to: Option<String>,
    /// Only those with a recipient in this state.
    pub state: Option<MessageState>,
    /// Only those from this time on.
    pub since: Option<LogTime>,
    /// Only those before this time.
    pub until: Option<LogTime>,
}

/// Where a message is in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessagePlace {
    /// The time of its first line.
    pub at: LogTime,
    /// Its number, where times are equal.
    pub id: i64,
}

impl MessagePlace {
    const FIRST: Self = Self {
        at: LogTime::from_micros(i64::MAX),
        id: i64::MAX,
    };

    /// Returns the place of a message.
    pub const fn of(recorded: &RecordedMessage) -> Self {
        Self {
            at: recorded.message.key.at,
            id: recorded.id,
        }
    }
}

/// The conditions that every statement has. Arguments: the place before, the earliest and
/// the latest time, a state, an address or part of one, how many.
macro_rules! conditions {
    () => {
        "(m.at, m.id) < ($1, $2) AND m.at >= $3 AND m.at < $4
            AND (CAST($5 AS TEXT) = '' OR EXISTS (SELECT 1 FROM message_recipients r
                WHERE r.message = m.id AND r.state = $5))
            AND (CAST($6 AS TEXT) = '' OR EXISTS (SELECT 1 FROM message_recipients r
                WHERE r.message = m.id AND (
                    substr(lower(r.address), length(r.address) - length($6) + 1) = $6
                    OR substr(lower(r.original), length(r.original) - length($6) + 1) = $6)))
            ORDER BY m.at DESC, m.id DESC LIMIT $7"
    };
}

const BY_TIME: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages m WHERE ",
    conditions!()
);
const BY_USER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages m WHERE m.username = $8 AND ",
    conditions!()
);
const BY_DOMAIN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages m WHERE m.domain = $8 AND ",
    conditions!()
);
/// An address has few messages: they are found first, and sorted.
const BY_ADDRESS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages m WHERE m.id IN (SELECT message FROM message_recipients
            WHERE lower(address) = $8
        UNION SELECT message FROM message_recipients
            WHERE original IS NOT NULL AND lower(original) = $8) AND ",
    conditions!()
);
/// Few are not sent.
const UNSENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages m WHERE m.id IN (SELECT message FROM message_recipients
            WHERE state <> 'sent' AND state = $8) AND ",
    conditions!()
);

impl MessageStore {
    /// Reads the messages after a place, newest first, up to a limit. `each` returns whether
    /// a message counts: one that belongs to no user does not.
    pub fn list(
        &mut self,
        filter: &MessageFilter,
        after: Option<MessagePlace>,
        most: Option<u32>,
        each: &mut dyn FnMut(RecordedMessage) -> Result<bool>,
    ) -> Result<()> {
        let mut place = after.unwrap_or(MessagePlace::FIRST);
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let found = self.piece(filter, place, most)?;
            place = found.last().map_or(place, MessagePlace::of);
            let is_last = u32::try_from(found.len()).is_ok_and(|found| found < most);
            let mut counted = 0;
            for recorded in found {
                counted += usize::from(each(recorded)?);
            }
            pieces.read_some(counted);
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Returns up to a number of messages after a place, with their recipients.
    fn piece(
        &mut self,
        filter: &MessageFilter,
        after: MessagePlace,
        most: u32,
    ) -> Result<Vec<RecordedMessage>> {
        let to = filter
            .to
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (address, part) = if to.starts_with('@') {
            ("", to.as_str())
        } else {
            (to.as_str(), "")
        };
        let state = filter.state.map_or("", MessageState::name);
        let domain = filter.domain.as_ref().map_or("", DomainName::as_str);
        let (sql, names) = match filter.state {
            _ if !address.is_empty() => (BY_ADDRESS, vec![address]),
            _ if !filter.usernames.is_empty() => (
                BY_USER,
                filter.usernames.iter().map(String::as_str).collect(),
            ),
            _ if !domain.is_empty() => (BY_DOMAIN, vec![domain]),
            Some(state) if state != MessageState::Sent => (UNSENT, vec![state.name()]),
            _ => (BY_TIME, vec![]),
        };
        let args = |name: Option<&str>| -> Vec<Arg<'_>> {
            let time = |time: Option<LogTime>, or| time.map_or(or, LogTime::micros);
            let mut args: Vec<Arg> = vec![
                after.at.micros().into(),
                after.id.into(),
                time(filter.since, i64::MIN).into(),
                time(filter.until, i64::MAX).into(),
                Arg::Text(state),
                Arg::Text(part),
                most.into(),
            ];
            args.extend(name.map(|_| Arg::Null));
            args
        };
        let mut found = Vec::new();
        let names = if names.is_empty() {
            vec![None]
        } else {
            names.into_iter().map(Some).collect()
        };
        for name in names {
            let mut args = args(name);
            if let (Some(last), Some(name)) = (args.last_mut(), name) {
                *last = name.into();
            }
            self.engine.query(sql, &args, &mut |row| {
                found.push(row::message(row)?);
                Ok(())
            })?;
        }
        found.sort_by_key(|recorded| std::cmp::Reverse(MessagePlace::of(recorded)));
        found.truncate(most as usize);
        self.add_recipients(&mut found)?;
        Ok(found)
    }
}
