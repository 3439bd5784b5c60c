//! Reads users as whole records, for exports, and for imports to compare.

use super::engine::{Arg, Row};
use super::users::tags;
use super::{Page, Store};
use crate::error::Result;
use crate::model::limit_kind::LimitKind;
use crate::model::name::{DomainName, Username};
use crate::model::password::PasswordId;
use crate::model::tag;
use crate::model::time::Time;
use crate::model::transfer::{StoredPassword, StoredUser, TransferRecord};

macro_rules! select_stored {
    ($users:literal, $rest:literal) => {
        concat!(
            "SELECT u.username, u.label, u.daily_limit, u.expires_at, u.suspended_at,
                (SELECT string_agg(s.sender, '\n') FROM
                    (SELECT sender FROM senders WHERE username = u.username ORDER BY sender) s),
                (SELECT string_agg(l.kind || '=' || CAST(l.most AS TEXT), ' ')
                    FROM limits l WHERE l.owner = u.username),
                u.on_limit, u.created_at,
                p.password_id, p.hash, p.created_at, p.retires_at, p.imported, p.generated,
                u.note, ",
            $crate::store::users::tags::tags_of!("u"),
            " FROM ",
            $users,
            " u LEFT JOIN passwords p ON p.username = u.username AND p.temporary = 0 ",
            $rest,
            " ORDER BY u.username, p.created_at DESC, p.retires_at IS NOT NULL, p.password_id"
        )
    };
}

impl Store {
    /// Returns the users with these names, in their order; `None` for one that does not
    /// exist.
    pub fn stored_users_named(&mut self, names: &[&Username]) -> Result<Vec<Option<StoredUser>>> {
        const SQL: &str = select_stored!("users", "WHERE u.username = $1");
        let mut found: Vec<Option<StoredUser>> = names.iter().map(|_| None).collect();
        self.of_each(SQL, names, &mut |number, row| {
            let user = match &mut found[number] {
                Some(user) => user,
                none => none.insert(read(row)?),
            };
            user.passwords.extend(read_password(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns up to `limit` users after a name, and when they were created.
    pub fn created_after(&mut self, after: &str, limit: u32) -> Result<Vec<(Username, Time)>> {
        const SQL: &str = "SELECT username, created_at FROM users WHERE username > $1
            ORDER BY username LIMIT $2";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[after.into(), limit.into()], &mut |row| {
                found.push((row.parsed(0)?, row.time(1)?));
                Ok(())
            })?;
        Ok(found)
    }

    /// Calls `each` for all users, or those of a domain, by name, in constant memory. Each
    /// page is consistent by itself. Must not be called within a change.
    pub fn stored_users(
        &mut self,
        domain: Option<&DomainName>,
        each: &mut dyn FnMut(StoredUser) -> Result<()>,
    ) -> Result<()> {
        const ALL: &str = select_stored!(
            "(SELECT * FROM users WHERE username > $1 ORDER BY username LIMIT $2)",
            ""
        );
        const OF_DOMAIN: &str = select_stored!(
            "(SELECT * FROM users WHERE username > $1 AND domain = $2 ORDER BY username LIMIT $3)",
            ""
        );
        let mut pieces = Page::default().pieces();
        let mut after = String::new();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            let mut push = |user| {
                found.push(user);
                Ok(())
            };
            let behind = after.as_str().into();
            match domain {
                None => self.fold_stored(ALL, &[behind, most.into()], &mut push)?,
                Some(domain) => {
                    let args = [behind, domain.as_str().into(), most.into()];
                    self.fold_stored(OF_DOMAIN, &args, &mut push)?;
                }
            }
            pieces.read(found.len());
            if let Some(last) = found.last() {
                last.username.as_str().clone_into(&mut after);
            }
            // No statement is open any more, so `each` may take its time.
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    fn fold_stored(
        &mut self,
        sql: &'static str,
        args: &[Arg],
        each: &mut dyn FnMut(StoredUser) -> Result<()>,
    ) -> Result<()> {
        let mut current: Option<StoredUser> = None;
        self.engine.query(sql, args, &mut |row| {
            let name = row.text(0)?;
            if current
                .as_ref()
                .is_none_or(|user| user.username.as_str() != name)
                && let Some(done) = current.replace(read(row)?)
            {
                each(done)?;
            }
            if let Some(user) = &mut current {
                user.passwords.extend(read_password(row)?);
            }
            Ok(())
        })?;
        current.map_or(Ok(()), each)
    }
}

fn read_password(row: &dyn Row) -> Result<Option<StoredPassword>> {
    let Some(password_id) = row.opt_text(9)? else {
        return Ok(None);
    };
    Ok(Some(StoredPassword {
        password_id: PasswordId::stored(password_id.to_owned()),
        hash: row.opt_text(10)?.map(str::to_owned),
        created_at: row.time(11)?,
        retires_at: row.opt_time(12)?,
        imported: row.opt_text(13)?.map(str::to_owned),
        generated: row.int(14)? != 0,
    }))
}

fn read(row: &dyn Row) -> Result<StoredUser> {
    let text = |column| {
        row.opt_text(column)
            .map(|t| Some(t.unwrap_or_default().to_owned()))
    };
    let time = |column| row.opt_time(column).map(|t| Some(t.map_or(0, Time::epoch)));
    let senders = row
        .opt_text(5)?
        .map_or_else(Vec::new, |all| all.split('\n').map(str::to_owned).collect());
    let mut limits: Vec<&str> = row.opt_text(6)?.unwrap_or_default().split(' ').collect();
    limits.retain(|limit| !limit.is_empty());
    Ok(StoredUser {
        username: row.parsed(0)?,
        record: TransferRecord {
            label: text(1)?,
            note: text(15)?,
            tags: Some(tag::listed(&tags::read(row, 16)?)),
            daily_limit: Some(row.opt_limit(2)?.unwrap_or(0)),
            expires_at: time(3)?,
            suspended_at: time(4)?,
            senders: Some(senders),
            limits: Some(in_order(&limits)),
            on_limit: text(7)?,
            created_at: Some(row.time(8)?.epoch()),
            password: None,
            old: None,
        },
        passwords: Vec::with_capacity(1),
    })
}

/// Sorts limits by the order of kinds.
fn in_order(limits: &[&str]) -> String {
    let of = |kind: LimitKind| {
        let name = kind.to_string();
        let found = limits
            .iter()
            .find(|l| l.split_once('=').is_some_and(|(k, _)| k == name));
        found.map(|l| (*l).to_owned())
    };
    let all: Vec<_> = LimitKind::ALL.into_iter().filter_map(of).collect();
    all.join(" ")
}
