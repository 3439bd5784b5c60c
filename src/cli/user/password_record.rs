//! Passwords of a user as they are printed, and when they were last used.

use serde::Serialize;

use crate::model::text::count;
use crate::model::time::Time;
use crate::model::user::{LastConnection, PasswordInfo};

/// A password.
#[derive(Serialize)]
pub(super) struct PasswordRecord<'a> {
    pub(super) id: &'a str,
    pub(super) created_at: Time,
    pub(super) retires_at: Option<Time>,
    pub(super) last_connection: Option<ConnectionRecord<'a>>,
    /// Its last message.
    pub(super) last_sent_at: Option<Time>,
    pub(super) messages: u64,
    pub(super) recipients: u64,
}

/// A last sign-in.
#[derive(Clone, Copy, Serialize)]
pub(super) struct ConnectionRecord<'a> {
    pub(super) at: Time,
    pub(super) address: Option<&'a str>,
}

impl<'a> PasswordRecord<'a> {
    pub(super) fn new(password: &'a PasswordInfo) -> Self {
        Self {
            id: password.id.as_str(),
            created_at: password.created_at,
            retires_at: password.retires_at,
            last_connection: password.last_connection.as_ref().map(ConnectionRecord::new),
            last_sent_at: password.sent.last_at,
            messages: password.sent.messages,
            recipients: password.sent.recipients,
        }
    }

    /// Says what was sent with it, after a comma; nothing if that is nothing.
    pub(super) fn sent_text(&self, now: Time) -> String {
        self.last_sent_at.map_or(String::new(), |at| {
            let ago = now.since(at);
            format!(
                ", sent {}, the last {ago} ago",
                count(self.messages, "message")
            )
        })
    }
}

impl<'a> ConnectionRecord<'a> {
    pub(super) fn new(connection: &'a LastConnection) -> Self {
        Self {
            at: connection.at,
            address: connection.address.as_deref(),
        }
    }

    /// Returns when and from where, for a file.
    pub(super) fn dated(self) -> String {
        match self.address {
            Some(address) => format!("{} from {address}", self.at),
            None => self.at.to_string(),
        }
    }

    pub(super) fn text(self, now: Time) -> String {
        let ago = now.since(self.at);
        match self.address {
            Some(address) => format!("{ago} ago from {address}"),
            None => format!("{ago} ago"),
        }
    }
}
