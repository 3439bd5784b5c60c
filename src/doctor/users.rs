//! Users and passwords that need attention: how many, and the command that lists them.

use super::depth::{ALL_OF_IT, Depth};
use super::findings::{Area, Findings};
use super::store::{ExaminedStore, UNREAD};
use crate::app::report::{GRACE, Matter, ReportRequest, ReportSummary};
use crate::app::{App, World};
use crate::error::Result;
use crate::model::duration::Duration;

/// The defaults of `smtpcred report`.
const EXPIRING: Duration = Duration::days(14);
const OLD: Duration = Duration::days(180);

const CHECKS: [&str; 3] = [NEVER_USED, OLD_PASSWORDS, EXPIRING_USERS];
const NEVER_USED: &str = "never used";
const OLD_PASSWORDS: &str = "old passwords";
const EXPIRING_USERS: &str = "expiring";

/// Counts the users and passwords that need attention.
pub fn examine(findings: &mut Findings, store: &mut ExaminedStore, world: World, depth: Depth) {
    let mut area = findings.area("users");
    let Some(app) = &mut store.app else {
        if let Some(cause) = &store.unread {
            for check in CHECKS {
                area.follows(check, UNREAD, cause);
            }
        }
        return;
    };
    if let Err(error) = count(&mut area, app, world, depth) {
        area.error("report", &error);
    }
}

fn count(area: &mut Area, app: &mut App, world: World, depth: Depth) -> Result<()> {
    let mut found = ReportSummary::keeping(3);
    let wanted = ReportRequest {
        never_used: true,
        expiring: Some(EXPIRING),
        old_passwords: Some(OLD),
        ..ReportRequest::default()
    };
    let scan = depth.scan(&mut app.store, world)?;
    let every = scan.every();
    app.report(wanted, scan, None, &mut |piece| {
        for finding in piece {
            found.add(finding);
        }
        Ok(())
    })?;
    let (about, sampled) = if every > 1 {
        let sampled = format!(", estimated from 1 of {every} users; to count all: {ALL_OF_IT}");
        ("about ", sampled)
    } else {
        ("", String::new())
    };
    let mut line = |check: &str, matters: &[(Matter, [&str; 2], &str)], list: &str| {
        let some: Vec<_> = matters
            .iter()
            .filter_map(|(matter, verbs, what)| {
                let all = found.of(*matter).findings * u64::from(every);
                let verb = verbs[usize::from(all != 1)];
                (all > 0).then(|| format!("{about}{all} {verb} {what}"))
            })
            .collect();
        if some.is_empty() {
            area.ok(check, &format!("none{sampled}"));
        } else {
            let found = some.join(", ") + &sampled;
            area.warn(check, &found, &format!("smtpcred report {list}"));
        }
    };
    let what = format!("existed for {GRACE} or more without ever connecting");
    let unused = [(Matter::NeverUsed, ["has", "have"], what.as_str())];
    line(NEVER_USED, &unused, "--never-used");
    let old = [(Matter::OldPassword, ["is", "are"], "180d old or more")];
    line(OLD_PASSWORDS, &old, "--old-passwords 180d");
    let ends = [
        (Matter::Expired, ["has", "have"], "expired"),
        (Matter::Expiring, ["expires", "expire"], "within 14d"),
    ];
    line(EXPIRING_USERS, &ends, "--expiring 14d");
    Ok(())
}
