//! Reads the users that an admin may want to look at. The store filters out all others.

use super::engine::Arg;
use super::passwords::stays;
use super::users::{add_password, last_sign_of_life, read_user, select_users, sort_passwords};
use super::{Store, UserScan};
use crate::error::Result;
use crate::model::alert::AlertKind;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::Unfinished;
use crate::model::time::Time;
use crate::model::user::User;

/// What is looked for; absent is not. Of suspended users only an unfinished rotation and open
/// alerts count.
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
    /// With alerts that no one acknowledged.
    pub alerts: bool,
    /// It may sign in from everywhere, and did from at least this many networks since then.
    pub networks: Option<(u32, Time)>,
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
    /// Its open alerts.
    pub alerts: Option<UserAlerts>,
    /// From where it signed in.
    pub networks: Option<ManyNetworks>,
}

/// The alerts about a user that no one acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAlerts {
    /// How many there are.
    pub count: u64,
    /// When the first was raised.
    pub first_at: Time,
    /// The kind of the latest.
    pub latest: AlertKind,
}

/// The networks of a user that may sign in from everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManyNetworks {
    /// How many it used lately.
    pub count: u64,
    /// When it first used one of them.
    pub first_at: Time,
}

/// Users between two names with at least so many networks since a time, and from when on.
macro_rules! many_networks {
    ($after:literal, $last:literal, $most:literal, $since:literal) => {
        concat!(
            "(SELECT username, count(DISTINCT network) AS networks, min(first_at) AS first_at
                FROM seen_addresses WHERE username > ",
            $after,
            " AND username <= ",
            $last,
            " AND last_at >= CAST(",
            $since,
            " AS BIGINT) GROUP BY username HAVING count(DISTINCT network) >= CAST(",
            $most,
            " AS BIGINT))"
        )
    };
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
                FROM passwords WHERE username > $4 AND username <= $5 AND temporary = 0
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
                OR CAST($11 AS BIGINT) = 1 AND r.username IS NOT NULL
                OR CAST($12 AS BIGINT) = 1 AND u.username IN (SELECT username FROM alerts
                    WHERE acked_at IS NULL AND username > $4 AND username <= $5)
                OR CAST($13 AS BIGINT) IS NOT NULL AND u.suspended_at IS NULL
                    AND u.username IN (SELECT username FROM ",
            many_networks!("$4", "$5", "$13", "$14"),
            " many)))"
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
        let (networks, since) = concerns.networks.unzip();
        let args: [Arg; 14] = [
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
            i64::from(concerns.alerts).into(),
            networks.map(i64::from).into(),
            since.into(),
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
                    alerts: None,
                    networks: None,
                });
            }
            let Some(last) = found.last_mut() else {
                return Ok(());
            };
            let before = last.user.passwords.len();
            add_password(&mut last.user, row)?;
            if let (Some(own), Some(hash)) = (last.user.passwords.get(before), row.opt_text(20)?) {
                last.hashes.push((own.id.clone(), hash.to_owned()));
            }
            Ok(())
        })?;
        for found in &mut found {
            sort_passwords(&mut found.user);
        }
        if concerns.unfinished {
            self.unfinished_within(after, last, &mut |username, unfinished| {
                if let Some(row) = row_of(&mut found, &username) {
                    row.unfinished = Some(unfinished);
                }
                Ok(())
            })?;
        }
        if concerns.alerts {
            self.add_alerts(&mut found, after, last)?;
        }
        if let Some((networks, since)) = concerns.networks {
            self.add_networks(&mut found, [after, last], networks, since)?;
        }
        Ok(found)
    }

    fn add_alerts(&mut self, found: &mut [ReportRow], after: &str, last: &str) -> Result<()> {
        const SQL: &str = "SELECT own.username, own.n, own.first_at, latest.kind
            FROM (SELECT username, count(*) AS n, min(at) AS first_at, max(id) AS latest
                FROM alerts WHERE acked_at IS NULL AND username > $1 AND username <= $2
                GROUP BY username) own
            JOIN alerts latest ON latest.id = own.latest";
        let args = [after.into(), last.into()];
        self.engine.query(SQL, &args, &mut |row| {
            // An alert may be about a user that was deleted since.
            if let Some(of) = row_of(found, &row.parsed(0)?) {
                of.alerts = Some(UserAlerts {
                    count: row.int(1)?.unsigned_abs(),
                    first_at: row.time(2)?,
                    latest: row.parsed(3)?,
                });
            }
            Ok(())
        })
    }

    /// Of users whose nearest rule for addresses allows all.
    fn add_networks(
        &mut self,
        found: &mut [ReportRow],
        [after, last]: [&str; 2],
        networks: u32,
        since: Time,
    ) -> Result<()> {
        const SQL: &str = concat!(
            "SELECT many.username, many.networks, many.first_at FROM ",
            many_networks!("$1", "$2", "$3", "$4"),
            " many JOIN users u ON u.username = many.username
            WHERE COALESCE(
                (SELECT addresses FROM address_rules WHERE owner = u.username),
                (SELECT addresses FROM address_rules WHERE owner = u.domain),
                (SELECT addresses FROM address_rules WHERE owner = ''), 'any') = 'any'"
        );
        let args = [
            after.into(),
            last.into(),
            i64::from(networks).into(),
            since.into(),
        ];
        self.engine.query(SQL, &args, &mut |row| {
            if let Some(of) = row_of(found, &row.parsed(0)?) {
                of.networks = Some(ManyNetworks {
                    count: row.int(1)?.unsigned_abs(),
                    first_at: row.time(2)?,
                });
            }
            Ok(())
        })
    }
}

/// Returns the row of a user. They are by name.
fn row_of<'a>(found: &'a mut [ReportRow], username: &Username) -> Option<&'a mut ReportRow> {
    let at = found.binary_search_by(|row| row.user.username.cmp(username));
    at.ok().map(|at| &mut found[at])
}
