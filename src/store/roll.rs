//! Reading users, by name: page by page, so that a list of a million takes little
//! memory, and whoever reads it slowly keeps nothing from being written. A page is
//! what was true at one time; who stays from the first to the last is in it once.

use super::Store;
use super::engine::{Arg, Row};
use super::page::{PIECE, Page};
use crate::error::Result;
use crate::model::name::{DomainName, Username};
use crate::model::password::KeyId;
use crate::model::time::Time;
use crate::model::user::{Connection, Key, Status, User};

/// Which users: those that match everything given.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    pub domain: Option<DomainName>,
    pub status: Option<Status>,
    /// Nothing was heard of it since.
    pub silent_since: Option<Time>,
    pub never_used: bool,
    /// It expires by then, and has not yet.
    pub expires_by: Option<Time>,
}

/// One row for each password; `fold` makes users of them. Shared by all that read
/// users, so that there is one place that knows the columns.
macro_rules! select_users {
    ($more:expr, $users:expr, $rest:expr) => {
        concat!(
            "SELECT u.username, u.label, u.daily_limit, u.expires_at, u.suspended_at, u.created_at,
                p.key_id, p.created_at, p.retires_at, CASE WHEN p.hash IS NULL THEN 1 ELSE 0 END,
                l.seen_at, l.address ",
            $more,
            " FROM ",
            $users,
            " u
            LEFT JOIN passwords p ON p.username = u.username
            LEFT JOIN last_connections l ON l.username = p.username AND l.key_id = p.key_id ",
            $rest
        )
    };
}
pub(super) use select_users;

/// As [`crate::model::user::User::last_sign_of_life`], from when it last connected.
macro_rules! last_sign_of_life {
    ($seen_at:literal) => {
        concat!("COALESCE(", $seen_at, ", u.created_at)")
    };
}
pub(super) use last_sign_of_life;

/// As [`crate::model::user::status`] and what stands beside it; the story of the
/// store holds one to the other.
macro_rules! that_match {
    ($domain:literal) => {
        concat!(
            "WHERE u.username > $1 AND u.username <= $2 AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE
                    WHEN u.suspended_at IS NOT NULL THEN 'suspended'
                    WHEN u.expires_at <= $4 THEN 'expired'
                    WHEN (SELECT count(*) FROM passwords k WHERE k.username = u.username
                        AND k.hash IS NOT NULL AND (k.retires_at IS NULL OR k.retires_at > $4)) > 1
                        THEN 'overlap'
                    ELSE 'active' END)
                AND (CAST($5 AS BIGINT) IS NULL OR $5 >= ",
            last_sign_of_life!(
                "(SELECT max(c.seen_at) FROM last_connections c WHERE c.username = u.username)"
            ),
            ") AND (CAST($6 AS BIGINT) = 0 OR NOT EXISTS
                    (SELECT 1 FROM last_connections c WHERE c.username = u.username))
                AND (CAST($7 AS BIGINT) IS NULL OR u.expires_at > $4 AND u.expires_at <= $7) ",
            $domain,
            " ORDER BY u.username LIMIT $8"
        )
    };
}

impl UserFilter {
    /// All of a domain.
    pub fn of(domain: &DomainName) -> Self {
        Self {
            domain: Some(domain.clone()),
            ..Self::default()
        }
    }

    fn takes_all(&self) -> bool {
        self.domain.is_none()
            && self.status.is_none()
            && self.silent_since.is_none()
            && !self.never_used
            && self.expires_by.is_none()
    }
}

impl Store {
    /// By name. Not while something is being changed.
    pub fn users(
        &mut self,
        filter: &UserFilter,
        page: &Page,
        now: Time,
        each: &mut dyn FnMut(User) -> Result<()>,
    ) -> Result<()> {
        self.users_in_pieces(filter, page, now, &mut |mut piece| {
            piece.drain(..).try_for_each(&mut *each)?;
            Ok(piece)
        })
    }

    /// Some hundred at a time. A piece that is not needed any more is given back: the
    /// next one is read into its memory.
    pub fn users_in_pieces(
        &mut self,
        filter: &UserFilter,
        page: &Page,
        now: Time,
        take: &mut dyn FnMut(Vec<User>) -> Result<Vec<User>>,
    ) -> Result<()> {
        let all = filter.takes_all();
        let mut pieces = page.pieces();
        let mut after = page.after.to_owned();
        let mut used = Vec::new();
        while let Some(most) = pieces.next() {
            let users = if all {
                self.next_of_all(&after, most, used)?
            } else {
                self.next_that_match(filter, &after, now, most)?
            };
            let Some(last) = users.last() else {
                return Ok(());
            };
            last.username.as_str().clone_into(&mut after);
            // Some that match were few: there may be more behind them.
            pieces.read_some(users.len());
            // Nothing is being read any more: whoever takes them takes their time.
            used = take(users)?;
        }
        Ok(())
    }

    /// Up to which user those behind a name are looked at in one statement, however few
    /// of them come out of it: on a server each has to end soon. Nothing where there
    /// are no more.
    pub(super) fn end_of_stretch(
        &mut self,
        domain: Option<&DomainName>,
        after: &str,
    ) -> Result<Option<String>> {
        const STRETCH: u32 = 2_000;
        const OF_ALL: &str = "SELECT max(w.username) FROM
            (SELECT username FROM users WHERE username > $1 ORDER BY username LIMIT $2) w";
        const OF_DOMAIN: &str = "SELECT max(w.username) FROM
            (SELECT username FROM users WHERE username > $1 AND domain = $3
                ORDER BY username LIMIT $2) w";
        let domain = domain.map(DomainName::as_str);
        let args: [Arg; 3] = [after.into(), STRETCH.into(), domain.into()];
        let (sql, args) = match domain {
            None => (OF_ALL, &args[..2]),
            Some(_) => (OF_DOMAIN, &args[..]),
        };
        let mut last = None;
        self.engine.query(sql, args, &mut |row| {
            last = row.opt_text(0)?.map(str::to_owned);
            Ok(())
        })?;
        Ok(last)
    }

    /// The first so many behind a name that match, or a few less; none where there
    /// are no more.
    fn next_that_match(
        &mut self,
        filter: &UserFilter,
        after: &str,
        now: Time,
        most: u32,
    ) -> Result<Vec<User>> {
        let mut after = after.to_owned();
        while let Some(last) = self.end_of_stretch(filter.domain.as_ref(), &after)? {
            let found = self.that_match_within(filter, (&after, &last), now, most)?;
            if !found.is_empty() {
                return Ok(found);
            }
            after = last;
        }
        Ok(Vec::new())
    }

    fn that_match_within(
        &mut self,
        filter: &UserFilter,
        (after, last): (&str, &str),
        now: Time,
        most: u32,
    ) -> Result<Vec<User>> {
        const OF_ALL: &str = select_users!("", "users", that_match!(""));
        const OF_DOMAIN: &str = select_users!("", "users", that_match!("AND u.domain = $9"));
        let domain = filter.domain.as_ref().map(DomainName::as_str);
        let mut rows = most.saturating_mul(2).max(PIECE);
        loop {
            let args: [Arg; 9] = [
                after.into(),
                last.into(),
                filter.status.map(Status::name).into(),
                now.into(),
                filter.silent_since.into(),
                i64::from(filter.never_used).into(),
                filter.expires_by.into(),
                rows.into(),
                domain.into(),
            ];
            let (sql, args) = match domain {
                None => (OF_ALL, &args[..8]),
                Some(_) => (OF_DOMAIN, &args[..]),
            };
            let (mut users, read) = self.fold(sql, args)?;
            // The last one may have more passwords than were read.
            if read >= rows {
                users.pop();
            }
            if read < rows || !users.is_empty() {
                users.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                return Ok(users);
            }
            rows = rows.saturating_mul(2);
        }
    }

    /// And how many rows they were.
    pub(super) fn fold(&mut self, sql: &'static str, args: &[Arg]) -> Result<(Vec<User>, u32)> {
        let mut users: Vec<User> = Vec::new();
        let mut rows = 0;
        self.engine.query(sql, args, &mut |row| {
            rows += 1;
            let name = row.text(0)?;
            if users
                .last()
                .is_none_or(|user| user.username.as_str() != name)
            {
                users.push(read_user(row)?);
            }
            if let (Some(user), Some(key)) = (users.last_mut(), read_key(row)?) {
                user.keys.push(key);
            }
            Ok(())
        })?;
        users.iter_mut().for_each(sort);
        Ok((users, rows))
    }
}

pub(super) fn read_user(row: &dyn Row) -> Result<User> {
    Ok(User {
        username: row.parsed::<Username>(0)?,
        label: row.opt_text(1)?.map(str::to_owned),
        daily_limit: row.opt_limit(2)?,
        expires_at: row.opt_time(3)?,
        suspended_at: row.opt_time(4)?,
        created_at: row.time(5)?,
        keys: Vec::with_capacity(1),
    })
}

pub(super) fn read_key(row: &dyn Row) -> Result<Option<Key>> {
    let Some(id) = row.opt_text(6)? else {
        return Ok(None);
    };
    let last_connection = match row.opt_time(10)? {
        Some(at) => Some(Connection {
            at,
            address: row.opt_text(11)?.map(str::to_owned),
        }),
        None => None,
    };
    Ok(Some(Key {
        id: KeyId::stored(id.to_owned()),
        created_at: row.time(7)?,
        retires_at: row.opt_time(8)?,
        erased: row.int(9)? != 0,
        last_connection,
    }))
}

/// The store keeps passwords by key; age is what counts, and of two made in
/// the same second the one that lives on is the newer.
pub(super) fn sort(user: &mut User) {
    let age = |key: &Key| (key.created_at, !key.erased, key.retires_at.is_none());
    let by_age = |a: &Key, b: &Key| {
        let age = age(a).cmp(&age(b));
        age.then_with(|| a.id.as_str().cmp(b.id.as_str()))
    };
    user.keys.sort_by(by_age);
}
