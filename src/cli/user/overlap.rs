//! A user with two passwords, as it is printed: when each was last used.

use serde::Serialize;

use super::password_record::PasswordRecord;
use super::record::UserRecord;
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

    /// Returns the ID, the last use and the last message of a password.
    fn used(&self, password: Option<&PasswordRecord>) -> [String; 3] {
        let Some(password) = password else {
            return ["none", "", ""].map(str::to_owned);
        };
        let last = password
            .last_connection
            .map(|last| last.text(self.user.now));
        [
            password.id.to_owned(),
            last.unwrap_or_else(|| "never".into()),
            self.sent(password),
        ]
    }

    /// Says when the password last sent; nothing where neither of the two has.
    fn sent(&self, password: &PasswordRecord) -> String {
        let has_sent = |one: &PasswordRecord| one.last_sent_at.is_some();
        let never = || {
            if self.user.passwords.iter().any(has_sent) {
                "never".to_owned()
            } else {
                String::new()
            }
        };
        let ago = |at| format!("{} ago", self.user.now.since(at));
        password.last_sent_at.map_or_else(never, ago)
    }

    /// Returns the one that retires; of an unfinished rotation the older one.
    fn old(&self) -> Option<&PasswordRecord<'a>> {
        let passwords = &self.user.passwords;
        let retiring = passwords.iter().find(|one| one.retires_at.is_some());
        retiring.or_else(|| passwords.first())
    }
}

impl Record for OverlapRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("New password ID").rank(4),
        Column::new("Last used").rank(3),
        Column::new("Last sent").rank(5).if_any(),
        Column::new("Old password ID").rank(2),
        Column::new("Last used"),
        Column::new("Last sent").if_any(),
        Column::new("Retires").rank(1).times(TimeForm::Near),
    ];

    fn cells(&self) -> Vec<Cell> {
        let passwords = &self.user.passwords;
        let new = passwords.iter().rfind(|one| one.retires_at.is_none());
        let [new_id, new_used, new_sent] = self.used(new);
        let [old_id, old_used, old_sent] = self.used(self.old());
        let retires = self.old().and_then(|password| password.retires_at);
        let retires = retires.map_or("rotation unfinished".to_owned(), |at| at.to_string());
        vec![
            self.user.username.into(),
            new_id.into(),
            new_used.into(),
            new_sent.into(),
            old_id.into(),
            old_used.into(),
            old_sent.into(),
            retires.into(),
        ]
    }

    const FIELDS: &'static [&'static str] = UserRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.user.fields()
    }
}
