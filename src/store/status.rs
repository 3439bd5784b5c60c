//! What `status` shows, read with a few cheap statements: each walks an index that has only
//! the rows in question.

use std::collections::HashSet;

use super::engine::Arg;
use super::limits_near::{is_far, marked_limits};
use super::totals::COUNTED;
use super::{LastBackup, OpenAlerts, Scope, Store};
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::limit_kind::{LimitKind, LimitPeriod};
use crate::model::name::Username;
use crate::model::rotation::Unfinished;
use crate::model::stranger::WrittenName;
use crate::model::time::Time;

/// What a store holds that matters now.
#[derive(Debug)]
pub struct StoreStatus {
    /// How many there are of each.
    pub counts: StatusCounts,
    /// The users that expire next.
    pub expiring: Vec<ExpiringUser>,
    /// Refused sign-ins, the latest first.
    pub refusals: Vec<RefusalCount>,
    /// The daily limits of which 80 % are used, the fullest first.
    pub limits_near: Vec<LimitNear>,
    /// The rotations that did not finish, the oldest first.
    pub unfinished: Vec<UnfinishedOf>,
    /// The last good backup that was recorded.
    pub last_backup: Option<LastBackup>,
    /// The alerts that no one acknowledged.
    pub alerts: OpenAlerts,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// All users.
    pub users: u64,
    /// Users that are suspended.
    pub suspended: u64,
    /// Users that have expired and are not suspended.
    pub expired: u64,
    /// Those of them that expired lately.
    pub expired_lately: u64,
    /// Users that can sign in, with an old password, too.
    pub overlap: u64,
    /// Users that expire soon.
    pub expiring: u64,
    /// All domains.
    pub domains: u64,
    /// Daily limits of which 80 % are used.
    pub limits_near: u64,
    /// Unfinished rotations.
    pub unfinished: u64,
}

/// A user that expires.
#[derive(Clone, Debug)]
pub struct ExpiringUser {
    /// Its name.
    pub username: Username,
    /// Its label.
    pub label: Option<String>,
    /// When it expires.
    pub expires_at: Time,
}

/// Refused sign-ins with one name from one address.
#[derive(Clone, Debug)]
pub struct RefusalCount {
    /// The name that was given, as it may be written.
    pub username: WrittenName,
    /// The address of the client, or `unknown`.
    pub address: String,
    /// When the first was refused.
    pub first_at: Time,
    /// When the last was refused.
    pub last_at: Time,
    /// How many were refused.
    pub count: u64,
}

/// A rotation that did not finish.
#[derive(Clone, Debug)]
pub struct UnfinishedOf {
    /// The user.
    pub username: Username,
    /// How far it came, and why not further.
    pub rotation: Unfinished,
}

/// A daily limit and how much of it is used.
#[derive(Clone, Debug)]
pub struct LimitNear {
    /// A username, a domain, or "the installation".
    pub owner: String,
    /// What is limited.
    pub kind: LimitKind,
    /// The limit.
    pub most: u32,
    /// How much of it is used.
    pub used: u64,
}

/// Looking up this many rows takes no noticeable time.
const FEW: u64 = 1000;
/// Looking up a row takes as long as walking over this many rows of an index.
const LOOK_UP: u64 = 10;
/// How many entries of a list are read.
const LISTED: u32 = 10;
/// More refused sign-ins than a relay keeps.
const MOST_REFUSALS: u32 = 20_000;

/// Every number in one statement. $1 is now, $2 soon, $3 lately, $4 the most that is counted.
const COUNTS: &str = "SELECT
    (SELECT count(*) FROM (SELECT 1 FROM users LIMIT $4) counted),
    (SELECT n FROM totals WHERE what = 'users'),
    (SELECT count(*) FROM users WHERE suspended_at IS NOT NULL),
    (SELECT count(*) FROM users WHERE suspended_at IS NULL AND expires_at <= $1),
    (SELECT count(*) FROM users WHERE suspended_at IS NULL AND expires_at > $3
        AND expires_at <= $1),
    (SELECT count(*) FROM users WHERE suspended_at IS NULL AND expires_at > $1
        AND expires_at <= $2),
    (SELECT count(*) FROM passwords WHERE retires_at > $1 AND temporary = 0),
    (SELECT count(*) FROM domains),
    (SELECT count(*) FROM rotations)";

const USERS: &str = "SELECT count(*) FROM users";

/// Users with an unfinished rotation and two passwords, of which none retires.
const ROTATING: &str = "SELECT count(*) FROM rotations r JOIN users u ON u.username = r.username
    WHERE u.suspended_at IS NULL AND (u.expires_at IS NULL OR u.expires_at > $1)
        AND (SELECT count(*) FROM passwords p WHERE p.username = r.username
            AND p.hash IS NOT NULL AND p.retires_at IS NULL) > 1
        AND NOT EXISTS (SELECT 1 FROM passwords p WHERE p.username = r.username
            AND p.hash IS NOT NULL AND p.temporary = 0 AND p.retires_at > $1)";

/// Passwords that retire, of users that cannot sign in: from few passwords.
const RETIRING_STOPPED: &str = "SELECT count(*) FROM passwords p CROSS JOIN users u
    WHERE p.retires_at > $1 AND p.temporary = 0 AND u.username = p.username
        AND (u.suspended_at IS NOT NULL OR u.expires_at <= $1)";

/// The same from few users.
const STOPPED_RETIRING: &str = "SELECT count(*) FROM
    (SELECT username FROM users WHERE suspended_at IS NOT NULL
    UNION ALL SELECT username FROM users WHERE suspended_at IS NULL AND expires_at <= $1) u
    CROSS JOIN passwords p WHERE p.username = u.username AND p.retires_at > $1
        AND p.temporary = 0";

/// The names of both, where there are many: joining them takes SQLite ten times as long.
const RETIRING: &str = "SELECT username FROM passwords
    WHERE retires_at > $1 AND temporary = 0";
const STOPPED: &str = "SELECT username FROM users WHERE suspended_at IS NOT NULL
    UNION ALL SELECT username FROM users WHERE suspended_at IS NULL AND expires_at <= $1";

const EXPIRING: &str = "SELECT username, label, expires_at FROM users
    WHERE suspended_at IS NULL AND expires_at > $1 ORDER BY expires_at, username LIMIT $2";

const REFUSALS: &str = "SELECT username, address, first_at, last_at, count FROM failures
    WHERE last_at >= $1 ORDER BY last_at DESC LIMIT $2";

const LIMITS: &str = concat!(
    "SELECT owner, kind, most, used, count(*) OVER () FROM ",
    marked_limits!(),
    " WHERE NOT ",
    is_far!(),
    " ORDER BY used * 1.0 / most DESC, owner, kind LIMIT $2"
);

impl Store {
    /// Reads it as of one moment. `soon` is how far ahead expiries are counted, and how far
    /// back; `since` is from when refused sign-ins are read. Not for use within a change.
    pub fn status(&mut self, now: Time, soon: Duration, since: Time) -> Result<StoreStatus> {
        self.engine.begin_reading()?;
        let read = self.status_within(now, soon, since);
        self.engine.rollback();
        read
    }

    fn status_within(&mut self, now: Time, soon: Duration, since: Time) -> Result<StoreStatus> {
        let mut counts = self.status_counts(now, soon)?;
        let unfinished = self.oldest_unfinished(LISTED)?.into_iter();
        let unfinished = unfinished.map(|(username, rotation)| UnfinishedOf { username, rotation });
        let limits_near;
        (limits_near, counts.limits_near) = self.limits_near(now, LISTED)?;
        Ok(StoreStatus {
            expiring: self.next_to_expire(now)?,
            refusals: self.refusal_counts(since)?,
            limits_near,
            unfinished: unfinished.collect(),
            last_backup: self.last_backup()?,
            alerts: self.open_alerts()?,
            counts,
        })
    }

    fn status_counts(&mut self, now: Time, soon: Duration) -> Result<StatusCounts> {
        let mut counts = StatusCounts::default();
        let (mut counted, mut total, mut retiring) = (0, None, 0);
        let args = [
            now.into(),
            now.plus(soon).into(),
            now.minus(soon).into(),
            COUNTED.into(),
        ];
        self.engine.query(COUNTS, &args, &mut |row| {
            let count = |column| row.int(column).map(i64::unsigned_abs);
            counted = count(0)?;
            total = row.opt_int(1)?.map(i64::unsigned_abs);
            counts.suspended = count(2)?;
            counts.expired = count(3)?;
            counts.expired_lately = count(4)?;
            counts.expiring = count(5)?;
            retiring = count(6)?;
            counts.domains = count(7)?;
            counts.unfinished = count(8)?;
            Ok(())
        })?;
        counts.users = match total {
            _ if counted < COUNTED.into() => counted,
            Some(total) if total >= counted => total,
            // An older program did not keep the total.
            _ => self.count_rows(USERS, &[])?,
        };
        counts.overlap = self.overlapping(&counts, retiring, now)?;
        Ok(counts)
    }

    /// Returns how many users have an overlap. A user has at most one password that retires;
    /// what was erased has retired, so no hash has to be looked at.
    fn overlapping(&mut self, counts: &StatusCounts, retiring: u64, now: Time) -> Result<u64> {
        let stopped = counts.suspended + counts.expired;
        let both = if retiring == 0 || stopped == 0 {
            0
        } else if stopped < FEW || stopped < retiring / LOOK_UP {
            self.count_rows(STOPPED_RETIRING, &[now.into()])?
        } else if retiring < FEW || retiring < stopped / LOOK_UP {
            self.count_rows(RETIRING_STOPPED, &[now.into()])?
        } else {
            self.stopped_and_retiring(now)?
        };
        let mut overlap = retiring.saturating_sub(both);
        if counts.unfinished > 0 {
            overlap += self.count_rows(ROTATING, &[now.into()])?;
        }
        Ok(overlap)
    }

    fn stopped_and_retiring(&mut self, now: Time) -> Result<u64> {
        let mut stopped = HashSet::new();
        let mut both = 0;
        self.engine.query(STOPPED, &[now.into()], &mut |row| {
            stopped.insert(row.text(0)?.to_owned());
            Ok(())
        })?;
        self.engine.query(RETIRING, &[now.into()], &mut |row| {
            both += u64::from(stopped.contains(row.text(0)?));
            Ok(())
        })?;
        Ok(both)
    }

    fn next_to_expire(&mut self, now: Time) -> Result<Vec<ExpiringUser>> {
        let mut found = Vec::new();
        let args = [now.into(), LISTED.into()];
        self.engine.query(EXPIRING, &args, &mut |row| {
            found.push(ExpiringUser {
                username: row.parsed(0)?,
                label: row.opt_text(1)?.map(str::to_owned),
                expires_at: row.time(2)?,
            });
            Ok(())
        })?;
        Ok(found)
    }

    fn refusal_counts(&mut self, since: Time) -> Result<Vec<RefusalCount>> {
        let mut found = Vec::new();
        let args = [since.into(), MOST_REFUSALS.into()];
        self.engine.query(REFUSALS, &args, &mut |row| {
            found.push(RefusalCount {
                username: WrittenName::stored(row.text(0)?.to_owned()),
                address: row.text(1)?.to_owned(),
                first_at: row.time(2)?,
                last_at: row.time(3)?,
                count: row.int(4)?.unsigned_abs(),
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the fullest limits of which 80 % are used, and how many there are.
    pub(super) fn limits_near(&mut self, now: Time, most: u32) -> Result<(Vec<LimitNear>, u64)> {
        let day = self.settings()?.day;
        let begins = LimitPeriod::Day.begins(now, &day);
        let (mut found, mut all) = (Vec::new(), 0);
        let args: [Arg; 2] = [begins.into(), most.into()];
        self.engine.query(LIMITS, &args, &mut |row| {
            let owner = row.text(0)?;
            found.push(LimitNear {
                owner: match owner {
                    "" => Scope::INSTALLATION.name().to_owned(),
                    owner => owner.to_owned(),
                },
                kind: row.parsed(1)?,
                most: row.opt_limit(2)?.unwrap_or_default(),
                used: row.int(3)?.unsigned_abs(),
            });
            all = row.int(4)?.unsigned_abs();
            Ok(())
        })?;
        Ok((found, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::alerts::OPEN_ALERTS;
    use crate::store::{Access, Location};

    /// In a file: no statement scans a table that grows with the users, nor sorts one.
    #[test]
    fn every_statement_walks_a_small_index() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("data").join("smtpcred.db"));
        let mut store = Store::open(&file, Access::Create).unwrap();
        // A part of an index that has only such rows, or tables that stay small.
        let scans = [
            "SCAN CONSTANT ROW",
            "SCAN (subquery",
            "SCAN counted",
            "SCAN users USING COVERING INDEX users_suspended",
            "SCAN domains",
            "SCAN rotations",
            "SCAN r",
            "SCAN n",
            "SCAN marked",
            "SCAN u",
            // Up to a limit.
            "SCAN users USING COVERING INDEX users_by_domain",
            "SCAN alerts USING COVERING INDEX alerts_open",
        ];
        for sql in [
            COUNTS,
            ROTATING,
            STOPPED_RETIRING,
            RETIRING_STOPPED,
            RETIRING,
            STOPPED,
            EXPIRING,
            REFUSALS,
            LIMITS,
            OPEN_ALERTS,
        ] {
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into());
            let places = (1..=4).filter(|place| sql.contains(&format!("${place}")));
            let none = vec![Arg::Null; places.count()];
            let mut plan = Vec::new();
            store
                .engine
                .query(explain, &none, &mut |row| {
                    plan.push(row.text(3)?.to_owned());
                    Ok(())
                })
                .unwrap();
            assert!(!plan.is_empty());
            for step in plan.iter().filter(|step| step.starts_with("SCAN")) {
                assert!(
                    scans.iter().any(|scan| step.starts_with(scan)),
                    "{sql}: {step}"
                );
            }
        }
    }
}
