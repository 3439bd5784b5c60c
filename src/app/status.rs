//! What matters now, on one screen. It is read from indexes, without a scan of all users.

use std::collections::HashMap;

use super::App;
use super::chain::verify_latest;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::event_chain::ChainFault;
use crate::model::limit_kind::LimitUnit;
use crate::model::name::Username;
use crate::model::text::{count, in_shell};
use crate::model::time::Time;
use crate::store::{
    ExpiringUser, LastBackup, LimitNear, OpenAlerts, RefusalCount, StatusCounts, StoreStatus,
    UnfinishedOf,
};

/// How far ahead expiries matter, and how far back.
pub const SOON: Duration = Duration::days(14);
/// How far back refused sign-ins matter.
const LATELY: Duration = Duration::days(1);
/// How many events are read, the latest ones.
const LATEST_EVENTS: u32 = 1000;
/// From this number on, refused sign-ins of one user are not typing errors.
const MANY_REFUSALS: u64 = 10;

/// What the store says about now.
#[derive(Debug)]
pub struct StatusReport {
    /// The time of the report.
    pub now: Time,
    /// How many there are of each.
    pub counts: StatusCounts,
    /// The users that expire next.
    pub expiring: Vec<ExpiringUser>,
    /// Refused sign-ins of the last day.
    pub refused: RefusedLately,
    /// The daily limits of which at least 80 % is used, the fullest first.
    pub limits_near: Vec<LimitNear>,
    /// The rotations that did not finish, the oldest first.
    pub unfinished: Vec<UnfinishedOf>,
    /// How many open sessions the relays last reported; `None` if none did lately.
    pub sessions: Option<u64>,
    /// The last good backup that was recorded.
    pub last_backup: Option<LastBackup>,
    /// The alerts that no one acknowledged.
    pub alerts: OpenAlerts,
    /// The first fault among the latest events.
    pub history: Option<ChainFault>,
}

/// Refused sign-ins of the last day.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RefusedLately {
    /// How many.
    pub count: u64,
    /// Whether all of them are counted. Otherwise some began earlier, and their part is
    /// estimated: the store has one count for each name, address and reason.
    pub exact: bool,
    /// The name with the most.
    pub top_user: Option<RefusedName>,
    /// The address with the most, and how many.
    pub top_address: Option<(String, u64)>,
}

/// A name that was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedName {
    /// The name that was given, as it may be written.
    pub name: String,
    /// How often.
    pub count: u64,
    /// Whether it is a user.
    pub exists: bool,
}

/// Something that needs attention, and the command for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// What it is about: a name that never changes.
    pub matter: &'static str,
    /// For people.
    pub text: String,
    /// What to do.
    pub command: String,
}

impl App {
    /// Reports what matters now.
    pub fn status(&mut self) -> Result<StatusReport> {
        let now = self.now().plausible()?;
        let since = now.minus(LATELY);
        let StoreStatus {
            counts,
            expiring,
            refusals,
            limits_near,
            unfinished,
            last_backup,
            alerts,
        } = self.store.status(now, SOON, since)?;
        let mut refused = RefusedLately::of(&refusals, since);
        if let Some(top) = &mut refused.top_user
            && let Ok(username) = top.name.parse::<Username>()
        {
            top.exists = self.store.user(&username)?.is_some();
        }
        Ok(StatusReport {
            now,
            counts,
            expiring,
            refused,
            limits_near,
            unfinished,
            sessions: self.store.session_count(now)?,
            last_backup,
            alerts,
            history: verify_latest(&mut self.store, LATEST_EVENTS)?.fault,
        })
    }
}

impl StatusCounts {
    /// Returns how many users can sign in, with one password.
    pub const fn active(&self) -> u64 {
        self.users
            .saturating_sub(self.suspended)
            .saturating_sub(self.expired)
            .saturating_sub(self.overlap)
    }
}

impl RefusedLately {
    fn of(refusals: &[RefusalCount], since: Time) -> Self {
        let mut names: HashMap<&str, u64> = HashMap::new();
        let mut addresses: HashMap<&str, u64> = HashMap::new();
        let mut all = Self {
            exact: true,
            ..Self::default()
        };
        for refused in refusals {
            let part = part_since(refused, since);
            all.exact &= part == refused.count;
            all.count = all.count.saturating_add(part);
            *names.entry(refused.username.as_str()).or_default() += part;
            *addresses.entry(&refused.address).or_default() += part;
        }
        all.top_user = top(names).map(|(name, count)| RefusedName {
            name,
            count,
            exists: false,
        });
        all.top_address = top(addresses);
        all
    }
}

/// Returns how many of them were since a time, as if they were spread evenly.
fn part_since(refused: &RefusalCount, since: Time) -> u64 {
    let seconds = |from: Time, to: Time| u128::from(to.since(from).seconds().unsigned_abs());
    if refused.first_at >= since {
        return refused.count;
    }
    let (whole, part) = (
        seconds(refused.first_at, refused.last_at),
        seconds(since, refused.last_at),
    );
    let estimate = u128::from(refused.count) * part / whole.max(1);
    u64::try_from(estimate).unwrap_or(u64::MAX).max(1)
}

/// Returns the one with the most; of several, the first by name.
fn top(counts: HashMap<&str, u64>) -> Option<(String, u64)> {
    let most = |(one, n): &(&str, u64), (other, m): &(&str, u64)| n.cmp(m).then(other.cmp(one));
    let top = counts.into_iter().max_by(most);
    top.map(|(name, count)| (name.to_owned(), count))
}

impl StatusReport {
    /// Returns what needs attention, the most urgent first.
    pub fn look_at(&self) -> Vec<Attention> {
        let matters = [
            self.broken_history(),
            self.open_alerts(),
            self.unfinished_rotations(),
            self.full_limits(),
            self.refused_user(),
            self.expired(),
            self.expiring(),
        ];
        matters.into_iter().flatten().collect()
    }

    fn broken_history(&self) -> Option<Attention> {
        self.history.map(|fault| Attention {
            matter: "history",
            text: format!("the history is broken: {fault}"),
            command: "smtpcred audit verify".into(),
        })
    }

    fn open_alerts(&self) -> Option<Attention> {
        let n = self.alerts.count;
        (n > 0).then(|| Attention {
            matter: "alert",
            text: format!("{} open", are(n, "alert")),
            command: "smtpcred alert list".into(),
        })
    }

    fn unfinished_rotations(&self) -> Option<Attention> {
        let n = self.counts.unfinished;
        (n > 0).then(|| Attention {
            matter: "unfinished_rotation",
            text: format!("{} not finished", are(n, "rotation")),
            command: "smtpcred user rotate --due".into(),
        })
    }

    fn full_limits(&self) -> Option<Attention> {
        let first = self.limits_near.first()?;
        let n = self.counts.limits_near;
        let how = if n == 1 && first.is_used_up() {
            "used up"
        } else {
            "nearly used up"
        };
        Some(Attention {
            matter: "limit",
            text: format!("{} {how}", are(n, "daily limit")),
            command: match first.owner.as_str() {
                user if user.contains('@') => format!("smtpcred why {}", in_shell(user)),
                _ => "smtpcred usage --since 1d".into(),
            },
        })
    }

    fn refused_user(&self) -> Option<Attention> {
        let top = self.refused.top_user.as_ref()?;
        (top.exists && top.count >= MANY_REFUSALS).then(|| Attention {
            matter: "refused",
            text: format!("a user was refused {} times", top.count),
            command: format!("smtpcred why {}", in_shell(&top.name)),
        })
    }

    fn expired(&self) -> Option<Attention> {
        let n = self.counts.expired_lately;
        (n > 0).then(|| Attention {
            matter: "expired",
            text: format!("{} expired in the last {SOON}", count(n, "user")),
            command: "smtpcred user list --status expired".into(),
        })
    }

    fn expiring(&self) -> Option<Attention> {
        let n = self.counts.expiring;
        let verb = if n == 1 { "expires" } else { "expire" };
        (n > 0).then(|| Attention {
            matter: "expiring",
            text: format!("{} {verb} within {SOON}", count(n, "user")),
            command: format!("smtpcred user list --expiring {SOON}"),
        })
    }
}

impl LimitNear {
    /// Returns whether not even one more message or recipient fits.
    pub const fn is_used_up(&self) -> bool {
        self.used >= self.most as u64
    }

    /// Describes it for people.
    pub fn words(&self) -> String {
        let left = match self.kind.what {
            _ if !self.is_used_up() => "",
            LimitUnit::NewRecipients => ", only mail to known recipients",
            LimitUnit::Messages | LimitUnit::Recipients => ", none left",
        };
        let limit = self.kind.words(self.most);
        format!("{}: {} of {limit}{left}", self.owner, self.used)
    }
}

/// "1 rotation is", "2 rotations are".
fn are(n: u64, noun: &str) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!("{} {verb}", count(n, noun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stranger::WrittenName;

    const NOW: Time = Time::from_epoch(1_800_000_000);

    fn refused(name: &str, address: &str, first: i64, last: i64, count: u64) -> RefusalCount {
        RefusalCount {
            username: WrittenName::stored(name.to_owned()),
            address: address.to_owned(),
            first_at: Time::from_epoch(NOW.epoch() - first),
            last_at: Time::from_epoch(NOW.epoch() - last),
            count,
        }
    }

    #[test]
    fn only_the_last_day_of_refusals_counts() {
        const DAY: i64 = 86_400;
        let since = NOW.minus(LATELY);
        let recent = [
            refused("a@x.example", "192.0.2.1", 100, 50, 3),
            refused("b@x.example", "192.0.2.1", 100, 50, 2),
            refused("b@x.example", "192.0.2.2", DAY, 50, 2),
        ];
        let lately = RefusedLately::of(&recent, since);
        assert_eq!((lately.count, lately.exact), (7, true));
        assert_eq!(
            lately.top_user.map(|top| top.name),
            Some("b@x.example".into())
        );
        assert_eq!(lately.top_address, Some(("192.0.2.1".into(), 5)));
        // Ten days of which the last counts.
        let old = [refused("a@x.example", "192.0.2.1", 10 * DAY, 0, 1000)];
        let lately = RefusedLately::of(&old, since);
        assert_eq!((lately.count, lately.exact), (100, false));
        let once = [refused("a@x.example", "192.0.2.1", 900 * DAY, DAY, 5)];
        assert_eq!(RefusedLately::of(&once, since).count, 1, "its last one");
        assert_eq!(
            RefusedLately::of(&[], since),
            RefusedLately {
                exact: true,
                ..RefusedLately::default()
            }
        );
    }

    #[test]
    fn the_most_urgent_comes_first() {
        let report = |counts: StatusCounts, top_user| StatusReport {
            now: NOW,
            counts,
            expiring: Vec::new(),
            refused: RefusedLately {
                top_user,
                ..RefusedLately::default()
            },
            limits_near: Vec::new(),
            unfinished: Vec::new(),
            sessions: None,
            last_backup: None,
            history: None,
            alerts: OpenAlerts {
                // As many as there are unfinished rotations.
                count: counts.unfinished,
                latest: Vec::new(),
            },
        };
        let all = StatusCounts {
            unfinished: 1,
            expired_lately: 2,
            expiring: 1,
            ..StatusCounts::default()
        };
        let top = |count, exists| {
            Some(RefusedName {
                name: "a@x.example".into(),
                count,
                exists,
            })
        };
        let texts = |report: &StatusReport| -> Vec<_> {
            let matters = report.look_at().into_iter();
            matters.map(|matter| matter.text).collect()
        };
        assert_eq!(
            texts(&report(all, top(10, true))),
            [
                "1 alert is open",
                "1 rotation is not finished",
                "a user was refused 10 times",
                "2 users expired in the last 14d",
                "1 user expires within 14d",
            ]
        );
        for quiet in [None, top(9, true), top(99, false)] {
            let none = report(StatusCounts::default(), quiet);
            assert_eq!(none.look_at(), []);
        }
    }
}
