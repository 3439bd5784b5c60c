//! Reads the users that an admin may want to look at. The store filters out all others.

use super::engine::Arg;
use super::passwords::stays;
use super::users::{last_sign_of_life, read_password, read_user, select_users, sort_passwords};
use super::{Store, UserScan};
use crate::error::Result;
use crate::model::password::PasswordId;
use crate::model::rotation::Unfinished;
use crate::model::time::Time;
use crate::model::user::User;

/// What is looked for; absent is not. Of suspended users an unfinished rotation alone
/// counts.
#[derive(Clone, Debug, Default)]
pub struct ReportFilter {
    /// It expires by then, or has.
    pub expires_by: Option<Time>,
    /// The time by which its password was created.
    pub password_by: Option<Time>,
    /// An old password still works.
    pub overlaps: bool,
    /// Created by then, and never signed in.
    pub unused_since: Option<Time>,
    /// Nothing was heard of it since.
    pub silent_since: Option<Time>,
    /// One of its passwords works by a hash that does not begin like this.
    pub hash_unlike: Option<String>,
    /// With an unfinished rotation.
    pub unfinished: bool,
}

/// A user that something of it holds for.
#[derive(Clone, Debug)]
pub struct ReportRow {
    /// The user.
    pub user: User,
    /// Where hashes are looked for: all it has, or what may be seen of them.
    pub hashes: Vec<(PasswordId, String)>,
    /// Its unfinished rotation.
    pub unfinished: Option<Unfinished>,
}

/// As the report has it, which looks at each of them again; the story of the store
/// holds one to the other. What is known of a user is looked for range by range,
/// and not user by user: on a server that takes a fifth of the time.
macro_rules! report_users {
    () => {
        concat!(
            "(SELECT u.username, u.label, u.daily_limit, u.expires_at, u.suspended_at, u.created_at,
                u.note
            FROM users u
            LEFT JOIN (SELECT username,
                    max(CASE WHEN ",
            stays!(),
            " THEN created_at END) AS newest,
                    max(CASE WHEN hash IS NOT NULL AND retires_at > $2 THEN 1 ELSE 0 END)
                        AS retiring,
                    max(CASE WHEN hash IS NOT NULL AND (retires_at IS NULL OR retires_at > $2)
                            AND substr(hash || CAST($3 AS TEXT), 1, length($1)) <> $1
                        THEN 1 ELSE 0 END) AS unlike
                FROM passwords WHERE username > $4 AND username <= $5
                GROUP BY username) k ON k.username = u.username
            LEFT JOIN (SELECT username, max(seen_at) AS seen_at
                FROM last_connections WHERE username > $4 AND username <= $5
                GROUP BY username) c ON c.username = u.username
            LEFT JOIN rotations r ON r.username = u.username
            WHERE u.username > $4 AND u.username <= $5 AND (u.suspended_at IS NULL AND (
                    u.expires_at <= CAST($6 AS BIGINT)
                    OR k.newest <= CAST($7 AS BIGINT)
                    OR CAST($8 AS BIGINT) = 1 AND k.retiring = 1
                    OR CAST($9 AS BIGINT) >= u.created_at AND c.seen_at IS NULL
                    OR CAST($10 AS BIGINT) >= ",
            last_sign_of_life!("c.seen_at"),
            "       OR k.unlike = 1)
                OR CAST($11 AS BIGINT) = 1 AND r.username IS NOT NULL))"
        )
    };
}

impl Store {
    /// Returns the findings of the next range of users, by name, which may be none;
    /// nothing once there are no more users. Not for use within a change.
    pub fn report_rows(
        &mut self,
        concerns: &ReportFilter,
        scan: &mut UserScan,
        now: Time,
    ) -> Result<Option<Vec<ReportRow>>> {
        let Some((after, last)) = self.next_range(scan)? else {
            return Ok(None);
        };
        self.engine.begin_reading()?;
        let found = self.report_rows_within(concerns, &after, &last, now);
        self.engine.rollback();
        found.map(Some)
    }

    fn report_rows_within(
        &mut self,
        concerns: &ReportFilter,
        after: &str,
        last: &str,
        now: Time,
    ) -> Result<Vec<ReportRow>> {
        const SQL: &str = select_users!(
            ", CASE WHEN CAST($1 AS TEXT) IS NULL THEN NULL ELSE p.hash END",
            report_users!(),
            "ORDER BY u.username"
        );
        /// Behind the cost of a hash, of which an auditor sees no more than that.
        const END: &str = "$";
        let args: [Arg; 11] = [
            concerns.hash_unlike.as_deref().into(),
            now.into(),
            END.into(),
            after.into(),
            last.into(),
            concerns.expires_by.into(),
            concerns.password_by.into(),
            i64::from(concerns.overlaps).into(),
            concerns.unused_since.into(),
            concerns.silent_since.into(),
            i64::from(concerns.unfinished).into(),
        ];
        let mut found: Vec<ReportRow> = Vec::new();
        self.engine.query(SQL, &args, &mut |row| {
            let name = row.text(0)?;
            if found
                .last()
                .is_none_or(|last| last.user.username.as_str() != name)
            {
                found.push(ReportRow {
                    user: read_user(row)?,
                    hashes: Vec::new(),
                    unfinished: None,
                });
            }
            if let (Some(last), Some(password)) = (found.last_mut(), read_password(row)?) {
                if let Some(hash) = row.opt_text(17)? {
                    last.hashes.push((password.id.clone(), hash.to_owned()));
                }
                last.user.passwords.push(password);
            }
            Ok(())
        })?;
        for found in &mut found {
            sort_passwords(&mut found.user);
        }
        if !concerns.unfinished {
            return Ok(found);
        }
        self.unfinished_within(after, last, &mut |username, unfinished| {
            let name = |one: &ReportRow| one.user.username.cmp(&username);
            if let Ok(i) = found.binary_search_by(name) {
                found[i].unfinished = Some(unfinished);
            }
            Ok(())
        })?;
        Ok(found)
    }
}
