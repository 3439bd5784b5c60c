//! A user with two passwords, as it is printed: who still uses the old one.

use serde::Serialize;

use super::record::{KeyRecord, UserRecord};
use crate::cli::output::Record;

#[derive(Serialize)]
pub struct OverlapRecord<'a> {
    #[serde(flatten)]
    user: UserRecord<'a>,
}

impl<'a> OverlapRecord<'a> {
    pub const fn new(user: UserRecord<'a>) -> Self {
        Self { user }
    }

    fn used(&self, key: Option<&KeyRecord>) -> [String; 2] {
        let Some(key) = key else {
            return ["none", ""].map(str::to_owned);
        };
        let last = key.last_connection.map(|last| last.text(self.user.now));
        [key.id.to_owned(), last.unwrap_or_else(|| "never".into())]
    }
}

impl Record for OverlapRecord<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "Username",
        "New key",
        "Last used",
        "Old key",
        "Last used",
        "Retires",
    ];

    fn cells(&self) -> Vec<String> {
        let keys = &self.user.keys;
        // The one that retires; of an unfinished rotation the older one.
        let old = keys
            .iter()
            .position(|key| key.retires_at.is_some())
            .unwrap_or(0);
        let new = keys.iter().rposition(|key| key.retires_at.is_none());
        let [new_key, new_used] = self.used(new.and_then(|i| keys.get(i)));
        let [old_key, old_used] = self.used(keys.get(old));
        let retires = keys.get(old).and_then(|key| key.retires_at);
        let retires = retires.map_or("rotation unfinished".to_owned(), |at| at.to_string());
        vec![
            self.user.username.to_owned(),
            new_key,
            new_used,
            old_key,
            old_used,
            retires,
        ]
    }

    const FIELDS: &'static [&'static str] = UserRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.user.fields()
    }
}
