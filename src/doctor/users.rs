//! Users and passwords that an admin should look at: how many, and the command
//! that lists them.

use super::advice;
use super::findings::{Area, Findings};
use super::store::Examined;
use crate::app::App;
use crate::app::report::{Matter, Wanted};
use crate::error::Result;
use crate::model::duration::Duration;
use crate::store::Page;

/// As `smtpcred report` has it.
const EXPIRING: Duration = Duration::days(14);
const OLD: Duration = Duration::days(180);
/// Whoever was made since may be about to be used.
const NEW: Duration = Duration::days(7);

pub fn examine(findings: &mut Findings, store: &mut Examined) {
    let mut area = findings.area("users");
    let Some(app) = &mut store.app else {
        return;
    };
    if let Err(error) = count(&mut area, app) {
        area.fail("report", &error.to_string(), &advice(&error));
    }
}

fn count(area: &mut Area, app: &mut App) -> Result<()> {
    let now = app.now();
    let mut counts = [0_u64; Matter::ALL.len()];
    let wanted = Wanted {
        never_used: true,
        expiring: Some(EXPIRING),
        old_passwords: Some(OLD),
        ..Wanted::default()
    };
    app.report(wanted, &Page::default(), &mut |finding| {
        let new = finding.matter == Matter::NeverUsed && now.since(finding.at) < NEW;
        let at = Matter::ALL.iter().position(|one| *one == finding.matter);
        if let (Some(at), false) = (at, new) {
            counts[at] += 1;
        }
        Ok(())
    })?;
    let mut line = |check: &str, matters: &[(Matter, &str)], list: &str| {
        let some: Vec<_> = matters
            .iter()
            .filter_map(|(matter, what)| {
                let at = Matter::ALL.iter().position(|one| one == matter)?;
                (counts[at] > 0).then(|| format!("{} {what}", counts[at]))
            })
            .collect();
        if some.is_empty() {
            area.ok(check, "none");
        } else {
            area.warn(check, &some.join(", "), &format!("smtpcred report {list}"));
        }
    };
    let unused = [(Matter::NeverUsed, "have never connected in 7d or more")];
    line("never used", &unused, "--never-used");
    let old = [(Matter::OldPassword, "are 180d old or more")];
    line("old passwords", &old, "--old-passwords 180d");
    let ends = [
        (Matter::Expired, "have expired"),
        (Matter::Expiring, "expire within 14d"),
    ];
    line("expiring", &ends, "--expiring 14d");
    Ok(())
}
