//! Reports what needs attention: alerts, old passwords, unused users, upcoming expiries.

mod advice;
mod document;
mod figures;
mod sections;
mod summary;
mod traffic;
mod words;

use super::App;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::hash::{Cost, Hash};
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::{Unfinished, WaysOut};
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::{ManyNetworks, ReportFilter, ReportRow, UserAlerts, UserScan};

pub use self::document::ReportPage;
pub use self::summary::{MatterGroup, ReportSummary};

/// A user created within this time may not be in use yet: it is not reported as never used.
pub const GRACE: Duration = Duration::days(7);

/// Networks that were not used for this long are not counted.
pub const LATELY: Duration = Duration::days(30);

/// What to look for; absent means not to.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub struct ReportRequest {
    /// Users without a connection for this long.
    pub stale: Option<Duration>,
    /// Users that have never been used, except those created within [`GRACE`].
    pub never_used: bool,
    /// Users that have expired, or will within this time.
    pub expiring: Option<Duration>,
    /// Passwords that are older than this.
    pub old_passwords: Option<Duration>,
    /// Users with an old password that still works.
    pub overlaps: bool,
    /// Rotations that did not finish.
    pub unfinished: bool,
    /// Weak hashes.
    pub weak_hashes: WeakHashes,
    /// Users with alerts that no one acknowledged.
    pub alerts: bool,
    /// Users that may sign in from everywhere, and did from at least this many networks within
    /// [`LATELY`].
    pub many_networks: Option<u32>,
}

/// Hashes that are easier to guess from than today's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeakHashes {
    /// No hashes.
    #[default]
    No,
    /// Only hashes that are fast to guess from.
    Fast,
    /// All hashes that the next good sign-in replaces.
    All,
}

/// A reason for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Its rotation did not finish.
    Unfinished,
    /// The user has expired.
    Expired,
    /// The user expires soon.
    Expiring,
    /// The password is older than requested.
    OldPassword,
    /// An old password still works.
    Overlap,
    /// The user has never been used.
    NeverUsed,
    /// The user has not been used for a while.
    Stale,
    /// The hash is weak.
    WeakHash,
    /// No one acknowledged an alert about it.
    OpenAlert,
    /// It may sign in from everywhere, and did from many networks.
    ManyNetworks,
}

/// A user and why it needs attention.
#[derive(Clone, Debug)]
pub struct ReportFinding {
    /// The user.
    pub username: Username,
    /// The reason.
    pub matter: Matter,
    /// When it began, or will begin.
    pub at: Time,
    /// More about it, for people.
    pub detail: Option<String>,
    /// What to do about an unfinished rotation.
    pub ways_out: Option<WaysOut>,
}

impl Matter {
    /// All reasons, in the order in which they are counted.
    pub const ALL: [Self; 10] = [
        Self::Unfinished,
        Self::Expired,
        Self::Expiring,
        Self::OldPassword,
        Self::Overlap,
        Self::NeverUsed,
        Self::Stale,
        Self::WeakHash,
        Self::OpenAlert,
        Self::ManyNetworks,
    ];

    /// All reasons, the most severe first.
    pub const WORST_FIRST: [Self; 10] = [
        Self::Unfinished,
        Self::OpenAlert,
        Self::Expired,
        Self::WeakHash,
        Self::ManyNetworks,
        Self::Expiring,
        Self::Overlap,
        Self::OldPassword,
        Self::Stale,
        Self::NeverUsed,
    ];

    /// Returns the name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished_rotation",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::OldPassword => "old_password",
            Self::Overlap => "overlap",
            Self::NeverUsed => "never_used",
            Self::Stale => "stale",
            Self::WeakHash => "weak_hash",
            Self::OpenAlert => "open_alert",
            Self::ManyNetworks => "many_networks",
        }
    }
}

impl App {
    /// Reports findings in batches as the store is read, by username. Ends after `limit`
    /// users with findings.
    pub fn report(
        &mut self,
        wanted: ReportRequest,
        mut scan: UserScan,
        most: Option<u32>,
        each: &mut dyn FnMut(Vec<ReportFinding>) -> Result<()>,
    ) -> Result<()> {
        let now = self.now().plausible()?;
        let cost = self.store.settings()?.argon2;
        let concerns = wanted.concerns(now, cost);
        let mut left = most.unwrap_or(u32::MAX);
        while let Some(users) = self.store.report_rows(&concerns, &mut scan, now)? {
            let mut piece = Vec::new();
            for ReportRow {
                user,
                hashes,
                unfinished,
                alerts,
                networks,
            } in users
            {
                let ways_out = unfinished.as_ref().map(|it| it.ways_out(&user, now));
                let mut found: Vec<Found> = unfinished.iter().map(is_unfinished).collect();
                if user.suspended_at.is_none() {
                    matters(&user, &concerns, now, &mut found);
                    weak_hashes(&user, &hashes, wanted.weak_hashes, cost, now, &mut found);
                    found.extend(networks.map(is_everywhere));
                }
                found.extend(alerts.map(has_alerts));
                left -= u32::from(!found.is_empty());
                piece.extend(found.into_iter().map(|(matter, at, detail)| ReportFinding {
                    username: user.username.clone(),
                    matter,
                    at,
                    detail,
                    ways_out: ways_out.clone().filter(|_| matter == Matter::Unfinished),
                }));
                if left == 0 {
                    return each(piece);
                }
            }
            each(piece)?;
        }
        Ok(())
    }
}

impl ReportRequest {
    fn concerns(self, now: Time, cost: Cost) -> ReportFilter {
        ReportFilter {
            expires_by: self.expiring.map(|within| now.plus(within)),
            password_by: self.old_passwords.map(|age| now.minus(age)),
            overlaps: self.overlaps,
            unused_since: self.never_used.then(|| now.minus(GRACE)),
            silent_since: self.stale.map(|age| now.minus(age)),
            hash_unlike: match self.weak_hashes {
                WeakHashes::No => None,
                WeakHashes::Fast => Some(Hash::ARGON2.to_owned()),
                WeakHashes::All => Some(Hash::beginning(cost)),
            },
            unfinished: self.unfinished,
            alerts: self.alerts,
            networks: self.many_networks.map(|most| (most, now.minus(LATELY))),
        }
    }
}

type Found = (Matter, Time, Option<String>);

fn is_unfinished(rotation: &Unfinished) -> Found {
    let reason = rotation.reason().to_owned();
    (Matter::Unfinished, rotation.began_at, Some(reason))
}

fn has_alerts(alerts: UserAlerts) -> Found {
    let detail = format!("{}, latest: {}", alerts.count, alerts.latest.name());
    (Matter::OpenAlert, alerts.first_at, Some(detail))
}

fn is_everywhere(networks: ManyNetworks) -> Found {
    let detail = format!("{} networks within {LATELY}", networks.count);
    (Matter::ManyNetworks, networks.first_at, Some(detail))
}

fn matters(user: &User, concerns: &ReportFilter, now: Time, found: &mut Vec<Found>) {
    if let (Some(by), Some(at)) = (concerns.expires_by, user.expires_at) {
        if at <= now {
            found.push((Matter::Expired, at, None));
        } else if at <= by {
            found.push((Matter::Expiring, at, None));
        }
    }
    if let (Some(by), Some(password)) = (concerns.password_by, user.password())
        && password.created_at <= by
    {
        let detail = Some(format!("password ID {}", password.id));
        found.push((Matter::OldPassword, password.created_at, detail));
    }
    if concerns.overlaps {
        for password in user.live_passwords(now) {
            if let Some(at) = password.retires_at {
                let last = password.last_connection.as_ref();
                let detail = match last {
                    Some(last) => format!("old password {} last used {}", password.id, last.at),
                    None => format!("old password {} was never used", password.id),
                };
                found.push((Matter::Overlap, at, Some(detail)));
            }
        }
    }
    let since = user.last_sign_of_life();
    let unused = concerns.unused_since.is_some_and(|then| since <= then);
    if unused && user.last_connection().is_none() {
        found.push((Matter::NeverUsed, since, None));
    } else if concerns
        .silent_since
        .is_some_and(|then| user.is_silent_since(then))
    {
        found.push((Matter::Stale, since, None));
    }
}

fn weak_hashes(
    user: &User,
    hashes: &[(PasswordId, String)],
    which: WeakHashes,
    cost: Cost,
    now: Time,
    found: &mut Vec<Found>,
) {
    if which == WeakHashes::No {
        return;
    }
    for password in user.live_passwords(now) {
        let hash = hashes.iter().find(|(id, _)| *id == password.id);
        let scheme = hash.and_then(|(_, hash)| Hash::weak_scheme(hash, cost));
        let Some(scheme) = scheme.filter(|scheme| which == WeakHashes::All || scheme.is_fast())
        else {
            continue;
        };
        let how = if scheme.is_fast() {
            ", a weak hash (fast to crack)"
        } else {
            ""
        };
        let detail = format!("password ID {}: {}{how}", password.id, scheme.name());
        found.push((Matter::WeakHash, password.created_at, Some(detail)));
    }
}
