//! All users, table by table, each in its order: to look up the passwords of each user
//! takes three times as long. What was read before is written over, because asking for
//! memory for each text of a million users takes a fifth of the time.

use super::Store;
use super::engine::Row;
use super::roll::{read_user, sort};
use crate::error::Result;
use crate::model::password::KeyId;
use crate::model::user::{Connection, Key, User};

impl Store {
    /// The first so many behind a name.
    pub(super) fn next_of_all(
        &mut self,
        after: &str,
        most: u32,
        used: Vec<User>,
    ) -> Result<Vec<User>> {
        self.engine.begin_reading()?;
        let found = self.read_side_by_side(after, most, used);
        self.engine.rollback();
        found
    }

    fn read_side_by_side(
        &mut self,
        after: &str,
        most: u32,
        mut users: Vec<User>,
    ) -> Result<Vec<User>> {
        const USERS: &str = "SELECT username, label, daily_limit, expires_at, suspended_at,
                created_at
            FROM users WHERE username > $1 ORDER BY username LIMIT $2";
        const KEYS: &str = "SELECT username, key_id, created_at, retires_at,
                CASE WHEN hash IS NULL THEN 1 ELSE 0 END
            FROM passwords WHERE username > $1 AND username <= $2 ORDER BY username, key_id";
        const SEEN: &str = "SELECT username, key_id, seen_at, address
            FROM last_connections WHERE username > $1 AND username <= $2
            ORDER BY username, key_id";
        let mut addresses = Vec::new();
        let mut count = 0;
        self.engine
            .query(USERS, &[after.into(), most.into()], &mut |row| {
                match users.get_mut(count) {
                    Some(user) => read_over(user, row, &mut addresses)?,
                    None => users.push(read_user(row)?),
                }
                count += 1;
                Ok(())
            })?;
        users.truncate(count);
        let Some(last) = users.last() else {
            return Ok(users);
        };
        let last = last.username.as_str().to_owned();
        let args = [after.into(), last.as_str().into()];
        let mut at = 0;
        self.engine.query(KEYS, &args, &mut |row| {
            if let Some(user) = beside(&mut users, &mut at, row.text(0)?) {
                user.keys.push(Key {
                    id: KeyId::stored(row.text(1)?.to_owned()),
                    created_at: row.time(2)?,
                    retires_at: row.opt_time(3)?,
                    erased: row.int(4)? != 0,
                    last_connection: None,
                });
            }
            Ok(())
        })?;
        at = 0;
        self.engine.query(SEEN, &args, &mut |row| {
            let Some(user) = beside(&mut users, &mut at, row.text(0)?) else {
                return Ok(());
            };
            let id = row.text(1)?;
            if let Some(key) = user.keys.iter_mut().find(|key| key.id.as_str() == id) {
                let address = row.opt_text(3)?.map(|text| {
                    let mut address = addresses.pop().unwrap_or_default();
                    text.clone_into(&mut address);
                    address
                });
                let at = row.time(2)?;
                key.last_connection = Some(Connection { at, address });
            }
            Ok(())
        })?;
        users.iter_mut().for_each(sort);
        Ok(users)
    }
}

/// As [`read_user`] reads it. Its addresses are not needed any more.
fn read_over(user: &mut User, row: &dyn Row, addresses: &mut Vec<String>) -> Result<()> {
    let name = row.text(0)?;
    if user.username.read_over(name).is_err() {
        return Err(row.not_valid(name));
    }
    let mut label = user.label.take().unwrap_or_default();
    user.label = row.opt_text(1)?.map(|text| {
        text.clone_into(&mut label);
        label
    });
    user.daily_limit = row.opt_limit(2)?;
    user.expires_at = row.opt_time(3)?;
    user.suspended_at = row.opt_time(4)?;
    user.created_at = row.time(5)?;
    for key in user.keys.drain(..) {
        addresses.extend(key.last_connection.and_then(|last| last.address));
    }
    Ok(())
}

/// The user of that name, in two lists that go by name.
fn beside<'a>(users: &'a mut [User], at: &mut usize, name: &str) -> Option<&'a mut User> {
    while users.get(*at)?.username.as_str() < name {
        *at += 1;
    }
    users
        .get_mut(*at)
        .filter(|user| user.username.as_str() == name)
}
