//! Reads all users, table by table, and merges the tables by name: a join looks up the
//! passwords of each user, which takes three times as long.

use super::list::{add, read_sent, read_user, sort_passwords};
use crate::error::Result;
use crate::model::password::PasswordId;
use crate::model::user::{LastConnection, PasswordInfo, SentMail, User};
use crate::store::Store;

impl Store {
    /// Returns the next users after a name, up to `most`; none after the last one.
    pub(super) fn next_of_all(&mut self, after: &str, most: u32) -> Result<Vec<User>> {
        self.engine.begin_reading()?;
        let found = self.merge_tables(after, most);
        self.engine.rollback();
        found
    }

    fn merge_tables(&mut self, after: &str, most: u32) -> Result<Vec<User>> {
        const USERS: &str = "SELECT username, label, daily_limit, expires_at, suspended_at,
                created_at, note, NULL
            FROM users WHERE username > $1 ORDER BY username LIMIT $2";
        const PASSWORDS: &str = "SELECT username, password_id, created_at, retires_at,
                CASE WHEN hash IS NULL THEN 1 ELSE 0 END, temporary, label, networks
            FROM passwords WHERE username > $1 AND username <= $2 ORDER BY username, password_id";
        const TAGS: &str = "SELECT username, key, value FROM tags
            WHERE username > $1 AND username <= $2 ORDER BY username, key";
        const SEEN: &str = "SELECT username, password_id, seen_at, address,
                sent_at, messages, recipients
            FROM last_connections WHERE username > $1 AND username <= $2
            ORDER BY username, password_id";
        let mut users = Vec::new();
        self.engine
            .query(USERS, &[after.into(), most.into()], &mut |row| {
                users.push(read_user(row)?);
                Ok(())
            })?;
        let Some(last) = users.last() else {
            return Ok(users);
        };
        let last = last.username.as_str().to_owned();
        let args = [after.into(), last.as_str().into()];
        let mut at = 0;
        self.engine.query(PASSWORDS, &args, &mut |row| {
            if let Some(user) = find_next(&mut users, &mut at, row.text(0)?) {
                let password = PasswordInfo {
                    id: PasswordId::stored(row.text(1)?.to_owned()),
                    created_at: row.time(2)?,
                    retires_at: row.opt_time(3)?,
                    erased: row.int(4)? != 0,
                    last_connection: None,
                    sent: SentMail::default(),
                };
                add(user, password, row, 5)?;
            }
            Ok(())
        })?;
        at = 0;
        self.engine.query(TAGS, &args, &mut |row| {
            if let Some(user) = find_next(&mut users, &mut at, row.text(0)?) {
                let (key, value) = (row.text(1)?, row.text(2)?);
                user.tags.insert(key.to_owned(), value.to_owned());
            }
            Ok(())
        })?;
        at = 0;
        self.engine.query(SEEN, &args, &mut |row| {
            let Some(user) = find_next(&mut users, &mut at, row.text(0)?) else {
                return Ok(());
            };
            let id = row.text(1)?;
            let temporary = user.temporary.iter_mut().map(|issued| &mut issued.password);
            let mut passwords = user.passwords.iter_mut().chain(temporary);
            if let Some(password) = passwords.find(|password| password.id.as_str() == id) {
                password.last_connection = Some(LastConnection {
                    at: row.time(2)?,
                    address: row.opt_text(3)?.map(str::to_owned),
                });
                password.sent = read_sent(row, 4)?;
            }
            Ok(())
        })?;
        users.iter_mut().for_each(sort_passwords);
        Ok(users)
    }
}

/// Returns the user of that name. `users` and the calls are in the order of names.
fn find_next<'a>(users: &'a mut [User], at: &mut usize, name: &str) -> Option<&'a mut User> {
    while users.get(*at)?.username.as_str() < name {
        *at += 1;
    }
    users
        .get_mut(*at)
        .filter(|user| user.username.as_str() == name)
}
