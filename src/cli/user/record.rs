//! A user as it is printed.

use serde::Serialize;

use crate::cli::output::Record;
use crate::model::time::Time;
use crate::model::user::{Connection, Key, Status, User};

#[derive(Serialize)]
pub struct UserRecord<'a> {
    username: &'a str,
    domain: &'a str,
    label: Option<&'a str>,
    status: &'static str,
    /// Those that work, oldest first.
    keys: Vec<KeyRecord<'a>>,
    password_created_at: Option<Time>,
    password_age_seconds: Option<i64>,
    last_connection: Option<ConnectionRecord<'a>>,
    daily_limit: Option<u32>,
    expires_at: Option<Time>,
    suspended_at: Option<Time>,
    created_at: Time,
    #[serde(skip)]
    now: Time,
}

#[derive(Serialize)]
struct KeyRecord<'a> {
    id: &'a str,
    created_at: Time,
    retires_at: Option<Time>,
    last_connection: Option<ConnectionRecord<'a>>,
}

#[derive(Clone, Copy, Serialize)]
struct ConnectionRecord<'a> {
    at: Time,
    address: Option<&'a str>,
}

impl<'a> UserRecord<'a> {
    pub fn new(user: &'a User, now: Time) -> Self {
        let username = user.username.as_str();
        let password_created_at = user.newest_key().map(|key| key.created_at);
        Self {
            username,
            domain: &username[user.username.local_part().len() + 1..],
            label: user.label.as_deref(),
            status: user.status(now).name(),
            keys: user.live_keys(now).map(KeyRecord::new).collect(),
            password_created_at,
            password_age_seconds: password_created_at.map(|at| now.since(at).seconds()),
            last_connection: user.last_connection().map(ConnectionRecord::new),
            daily_limit: user.daily_limit,
            expires_at: user.expires_at,
            suspended_at: user.suspended_at,
            created_at: user.created_at,
            now,
        }
    }

    fn key_ids(&self) -> String {
        let ids: Vec<_> = self.keys.iter().map(|key| key.id).collect();
        ids.join(" ")
    }
}

impl<'a> KeyRecord<'a> {
    fn new(key: &'a Key) -> Self {
        Self {
            id: key.id.as_str(),
            created_at: key.created_at,
            retires_at: key.retires_at,
            last_connection: key.last_connection.as_ref().map(ConnectionRecord::new),
        }
    }
}

impl<'a> ConnectionRecord<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            at: connection.at,
            address: connection.address.as_deref(),
        }
    }

    fn text(self, now: Time) -> String {
        let ago = now.since(self.at);
        match self.address {
            Some(address) => format!("{ago} ago from {address}"),
            None => format!("{ago} ago"),
        }
    }
}

impl Record for UserRecord<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "Username",
        "Label",
        "Status",
        "Keys",
        "Password age",
        "Last connection",
        "Created",
    ];

    fn cells(&self) -> Vec<String> {
        let age = self
            .password_created_at
            .map(|at| self.now.since(at).to_string());
        let last = self.last_connection.map(|last| last.text(self.now));
        vec![
            self.username.to_owned(),
            self.label.unwrap_or_default().to_owned(),
            self.status.to_owned(),
            self.key_ids(),
            age.unwrap_or_default(),
            last.unwrap_or_else(|| "never".into()),
            // The day is enough in a list.
            self.created_at.to_string().chars().take(10).collect(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "username",
        "domain",
        "label",
        "status",
        "keys",
        "password_created_at",
        "last_connection_at",
        "last_connection_address",
        "daily_limit",
        "expires_at",
        "suspended_at",
        "created_at",
    ];

    fn fields(&self) -> Vec<String> {
        let time = |at: Option<Time>| at.map_or(String::new(), |at| at.to_string());
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        vec![
            self.username.to_owned(),
            self.domain.to_owned(),
            owned(self.label),
            self.status.to_owned(),
            self.key_ids(),
            time(self.password_created_at),
            time(self.last_connection.map(|last| last.at)),
            owned(self.last_connection.and_then(|last| last.address)),
            self.daily_limit.map_or(String::new(), |n| n.to_string()),
            time(self.expires_at),
            time(self.suspended_at),
            self.created_at.to_string(),
        ]
    }
}

/// A user with the passwords it had.
#[derive(Serialize)]
pub struct UserDetail<'a> {
    #[serde(flatten)]
    user: UserRecord<'a>,
    old_keys: Vec<KeyRecord<'a>>,
}

impl<'a> UserDetail<'a> {
    pub fn new(user: &'a User, now: Time) -> Self {
        let old = user.keys.iter().filter(|key| !key.is_live(now));
        Self {
            user: UserRecord::new(user, now),
            old_keys: old.map(KeyRecord::new).collect(),
        }
    }

    fn key_line(&self, key: &KeyRecord, until: &str) -> String {
        let now = self.user.now;
        let age = now.since(key.created_at);
        let last = key.last_connection.map_or("never used".to_owned(), |last| {
            format!("last used {}", last.text(now))
        });
        let until = key
            .retires_at
            .map_or(String::new(), |at| format!(", {until} {at}"));
        format!("{}  {age} old{until}, {last}", key.id)
    }
}

impl Record for UserDetail<'_> {
    const COLUMNS: &'static [&'static str] = UserRecord::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.user.cells()
    }

    const FIELDS: &'static [&'static str] = UserRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.user.fields()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        // The latest few say enough to a person.
        const SHOWN: usize = 5;
        let user = &self.user;
        let keys: Vec<_> = user
            .keys
            .iter()
            .map(|k| self.key_line(k, "retires"))
            .collect();
        let old: Vec<_> = self
            .old_keys
            .iter()
            .rev()
            .take(SHOWN)
            .map(|k| self.key_line(k, "stopped"))
            .collect();
        let expires = user.expires_at.map_or("never".to_owned(), |at| {
            let word = if user.status == Status::Expired.name() {
                " (expired)"
            } else {
                ""
            };
            format!("{at}{word}")
        });
        let mut lines = vec![
            ("Username", user.username.to_owned()),
            ("Label", user.label.unwrap_or("none").to_owned()),
            ("Status", user.status.to_owned()),
            ("Password", keys.join("\n")),
        ];
        if !old.is_empty() {
            lines.push(("Old passwords", old.join("\n")));
        }
        let last = user.last_connection.map(|last| last.text(user.now));
        lines.extend([
            ("Last connection", last.unwrap_or_else(|| "never".into())),
            (
                "Daily limit",
                user.daily_limit
                    .map_or("none".to_owned(), |n| format!("{n} messages")),
            ),
            ("Expires", expires),
            ("Created", user.created_at.to_string()),
        ]);
        lines
    }
}
