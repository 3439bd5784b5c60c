//! A user with two passwords, as it is printed: when each was last used.

use serde::Serialize;

use super::record::{PasswordRecord, UserRecord};
use crate::cli::terminal::column::{Cell, Column, TimeForm};
use crate::cli::terminal::record::Record;

/// A user with two live passwords.
#[derive(Serialize)]
pub struct OverlapRecord<'a> {
    #[serde(flatten)]
    user: UserRecord<'a>,
}

impl<'a> OverlapRecord<'a> {
    /// Wraps the record of a user.
    pub const fn new(user: UserRecord<'a>) -> Self {
        Self { user }
    }

    fn used(&self, password: Option<&PasswordRecord>) -> [String; 2] {
        let Some(password) = password else {
            return ["none", ""].map(str::to_owned);
        };
        let last = password
            .last_connection
            .map(|last| last.text(self.user.now));
        [
            password.id.to_owned(),
            last.unwrap_or_else(|| "never".into()),
        ]
    }
}

impl Record for OverlapRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("New password ID").rank(4),
        Column::new("Last used").rank(3),
        Column::new("Old password ID").rank(2),
        Column::new("Last used"),
        Column::new("Retires").rank(1).times(TimeForm::Near),
    ];

    fn cells(&self) -> Vec<Cell> {
        let passwords = &self.user.passwords;
        // The one that retires; of an unfinished rotation the older one.
        let old = passwords
            .iter()
            .position(|password| password.retires_at.is_some())
            .unwrap_or(0);
        let new = passwords
            .iter()
            .rposition(|password| password.retires_at.is_none());
        let [new_id, new_used] = self.used(new.and_then(|i| passwords.get(i)));
        let [old_id, old_used] = self.used(passwords.get(old));
        let retires = passwords.get(old).and_then(|password| password.retires_at);
        let retires = retires.map_or("rotation unfinished".to_owned(), |at| at.to_string());
        vec![
            self.user.username.into(),
            new_id.into(),
            new_used.into(),
            old_id.into(),
            old_used.into(),
            retires.into(),
        ]
    }

    const FIELDS: &'static [&'static str] = UserRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.user.fields()
    }
}
