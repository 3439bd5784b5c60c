//! Finds the users that match a filter, by name and in pieces. Each piece is a snapshot; see
//! `page`.

use super::tags;
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::password::PasswordId;
use crate::model::tag::TagFilter;
use crate::model::temporary;
use crate::model::time::Time;
use crate::model::user::{LastConnection, PasswordInfo, SentMail, Status, TemporaryPassword, User};
use crate::model::user_search::SearchText;
use crate::store::Store;
use crate::store::engine::{Arg, Row};
use crate::store::page::PIECE;

/// Which users: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Of this domain.
    pub domain: Option<DomainName>,
    /// With this status, or one that it includes.
    pub status: Option<Status>,
    /// Not used since this time.
    pub silent_since: Option<Time>,
    /// Never signed in.
    pub never_used: bool,
    /// Expires by this time, and has not yet.
    pub expires_by: Option<Time>,
    /// With all these tags.
    pub tags: Vec<TagFilter>,
    /// With this text in the username or label.
    pub text: Option<SearchText>,
}

/// Selects a row for each password; `group_rows` makes users of them. All readers of users
/// share these columns.
macro_rules! select_users {
    ($more:expr, $users:expr, $rest:expr) => {
        concat!(
            "SELECT u.username, u.label, u.daily_limit, u.expires_at, u.suspended_at, u.created_at,
                u.note, ",
            $crate::store::users::tags::tags_of!("u"),
            ", p.password_id, p.created_at, p.retires_at, CASE WHEN p.hash IS NULL THEN 1 ELSE 0 END,
                l.seen_at, l.address, l.sent_at, l.messages, l.recipients,
                p.temporary, p.label, p.networks ",
            $more,
            " FROM ",
            $users,
            " u
            LEFT JOIN passwords p ON p.username = u.username
            LEFT JOIN last_connections l ON l.username = p.username AND l.password_id = p.password_id ",
            $rest
        )
    };
}
pub(in crate::store) use select_users;

/// [`crate::model::user::User::last_sign_of_life`] in SQL.
macro_rules! last_sign_of_life {
    ($seen_at:literal) => {
        concat!("COALESCE(", $seen_at, ", u.created_at)")
    };
}
pub(in crate::store) use last_sign_of_life;

/// [`crate::model::user::status`] and the other conditions of a filter in SQL, except for the
/// text: engines do not agree about the case of letters. A test compares the two.
macro_rules! matching {
    ($domain:expr) => {
        concat!(
            "WHERE u.username > $1 AND u.username <= $2 AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE
                    WHEN u.suspended_at IS NOT NULL THEN 'suspended'
                    WHEN u.expires_at <= $4 THEN 'expired'
                    WHEN (SELECT count(*) FROM passwords k WHERE k.username = u.username
                        AND k.hash IS NOT NULL AND k.temporary = 0 AND (k.retires_at IS NULL OR k.retires_at > $4)) > 1
                        AND $3 <> 'active' THEN 'overlap'
                    ELSE 'active' END)
                AND (CAST($5 AS BIGINT) IS NULL OR $5 >= ",
            last_sign_of_life!(
                "(SELECT max(c.seen_at) FROM last_connections c WHERE c.username = u.username)"
            ),
            ") AND (CAST($6 AS BIGINT) = 0 OR NOT EXISTS
                    (SELECT 1 FROM last_connections c WHERE c.username = u.username))
                AND (CAST($7 AS BIGINT) IS NULL OR u.expires_at > $4 AND u.expires_at <= $7)
                AND (CAST($9 AS BIGINT) = 0 OR $9 = ",
            tags::tags_among!("$10"),
            ") ",
            $domain
        )
    };
}
pub(super) use matching;

/// Users of the domains of a holder, or of one of these.
macro_rules! of_holder {
    ($holder:literal, $domain:literal) => {
        concat!(
            "AND u.domain IN (SELECT r.domain FROM role_domains r WHERE r.holder = ",
            $holder,
            ") AND (CAST(",
            $domain,
            " AS TEXT) IS NULL OR u.domain = ",
            $domain,
            ")"
        )
    };
}
pub(super) use of_holder;

/// The same by name, up to a number of rows.
macro_rules! that_match {
    ($domain:expr) => {
        concat!(matching!($domain), " ORDER BY u.username LIMIT $8")
    };
}

impl UserFilter {
    /// Returns the filter for the users of a domain.
    pub fn of(domain: &DomainName) -> Self {
        Self {
            domain: Some(domain.clone()),
            ..Self::default()
        }
    }

    /// Returns whether it matches all users whose name or label has its text.
    pub(super) const fn takes_all(&self) -> bool {
        self.domain.is_none()
            && self.status.is_none()
            && self.silent_since.is_none()
            && !self.never_used
            && self.expires_by.is_none()
            && self.tags.is_empty()
    }

    /// Returns the arguments of [`matching`] for the users after a name and up to another one.
    pub(super) fn args<'a>(
        &self,
        (after, last): (&'a str, &'a str),
        now: Time,
        rows: u32,
        wanted: &'a str,
    ) -> [Arg<'a>; 10] {
        [
            after.into(),
            last.into(),
            self.status.map(Status::name).into(),
            now.into(),
            self.silent_since.into(),
            i64::from(self.never_used).into(),
            self.expires_by.into(),
            rows.into(),
            i64::try_from(self.tags.len()).unwrap_or(i64::MAX).into(),
            wanted.into(),
        ]
    }
}

impl Store {
    /// Returns up to `most` users after a name that match except for the text; none after the
    /// last one.
    pub(super) fn next_that_match(
        &mut self,
        filter: &UserFilter,
        after: &str,
        now: Time,
        most: u32,
    ) -> Result<Vec<User>> {
        let mut after = after.to_owned();
        while let Some(last) = self.end_of_range(filter.domain.as_ref(), &after, 1)? {
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
        const OF_DOMAIN: &str = select_users!("", "users", that_match!("AND u.domain = $11"));
        const OF_HOLDER: &str = select_users!("", "users", that_match!(of_holder!("$11", "$12")));
        let domain = filter.domain.as_ref().map(DomainName::as_str);
        let holder = self.lists_for().map(str::to_owned);
        let mut rows = most.saturating_mul(2).max(PIECE);
        let wanted = tags::wanted(&filter.tags);
        loop {
            let args = filter.args((after, last), now, rows, &wanted);
            let mut args = args.to_vec();
            let sql = match (&holder, domain) {
                (Some(holder), domain) => {
                    args.extend([Arg::from(holder.as_str()), Arg::from(domain)]);
                    OF_HOLDER
                }
                (None, Some(domain)) => {
                    args.push(domain.into());
                    OF_DOMAIN
                }
                (None, None) => OF_ALL,
            };
            let (mut users, read) = self.group_rows(sql, &args)?;
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

    /// Makes users of rows; also returns how many rows there were.
    pub(in crate::store) fn group_rows(
        &mut self,
        sql: &'static str,
        args: &[Arg],
    ) -> Result<(Vec<User>, u32)> {
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
            match users.last_mut() {
                Some(user) => add_password(user, row),
                None => Ok(()),
            }
        })?;
        users.iter_mut().for_each(sort_passwords);
        Ok((users, rows))
    }
}

pub(in crate::store) fn read_user(row: &dyn Row) -> Result<User> {
    Ok(User {
        username: row.parsed::<Username>(0)?,
        label: row.opt_text(1)?.map(str::to_owned),
        daily_limit: row.opt_limit(2)?,
        expires_at: row.opt_time(3)?,
        suspended_at: row.opt_time(4)?,
        created_at: row.time(5)?,
        note: row.opt_text(6)?.map(str::to_owned),
        tags: tags::read(row, 7)?,
        passwords: Vec::with_capacity(1),
        temporary: Vec::new(),
    })
}

/// Adds the password of a row to its user.
pub(in crate::store) fn add_password(user: &mut User, row: &dyn Row) -> Result<()> {
    let Some(id) = row.opt_text(8)? else {
        return Ok(());
    };
    let last_connection = match row.opt_time(12)? {
        Some(at) => Some(LastConnection {
            at,
            address: row.opt_text(13)?.map(str::to_owned),
        }),
        None => None,
    };
    let password = PasswordInfo {
        id: PasswordId::stored(id.to_owned()),
        created_at: row.time(9)?,
        retires_at: row.opt_time(10)?,
        erased: row.int(11)? != 0,
        last_connection,
        sent: read_sent(row, 14)?,
    };
    add(user, password, row, 17)
}

/// Adds a password to its user: a temporary one, if the three columns say so.
pub(super) fn add(
    user: &mut User,
    password: PasswordInfo,
    row: &dyn Row,
    first: usize,
) -> Result<()> {
    if row.int(first)? == 0 {
        user.passwords.push(password);
        return Ok(());
    }
    user.temporary.push(TemporaryPassword {
        password,
        label: row.opt_text(first + 1)?.map(str::to_owned),
        networks: temporary::networks(row.opt_text(first + 2)?)?,
    });
    Ok(())
}

/// Reads what was sent with a password from three columns.
pub(super) fn read_sent(row: &dyn Row, first: usize) -> Result<SentMail> {
    let number = |column| Ok::<_, Error>(row.opt_int(column)?.unwrap_or(0).max(0).unsigned_abs());
    Ok(SentMail {
        last_at: row.opt_time(first)?,
        messages: number(first + 1)?,
        recipients: number(first + 2)?,
    })
}

/// Sorts passwords by age, and temporary ones by their end. The store has them by ID; of two from the same second, the one
/// that stays is the newer.
pub(in crate::store) fn sort_passwords(user: &mut User) {
    let age = |password: &PasswordInfo| {
        (
            password.created_at,
            !password.erased,
            password.retires_at.is_none(),
        )
    };
    let by_age = |a: &PasswordInfo, b: &PasswordInfo| {
        let age = age(a).cmp(&age(b));
        age.then_with(|| a.id.as_str().cmp(b.id.as_str()))
    };
    user.passwords.sort_by(by_age);
    let end = |issued: &TemporaryPassword| {
        let password = &issued.password;
        (
            password.retires_at,
            password.created_at,
            password.id.clone(),
        )
    };
    user.temporary.sort_by_cached_key(end);
}
