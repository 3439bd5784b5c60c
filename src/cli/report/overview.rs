//! The report as a person sees it: how much there is of each matter, the worst first.

use anyhow::Result;

use crate::app::report::{Matter, MatterGroup, ReportFinding, ReportRequest, ReportSummary};
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Tone};
use crate::cli::world::WORLD;
use crate::error::{Error, Exit};
use crate::model::duration::Duration;
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Access, UserScan};

/// Prints the overview.
pub fn show(context: &mut Context, wanted: ReportRequest) -> Result<()> {
    let found = summary(context, wanted)?;
    let now = (WORLD.now)();
    let groups: Vec<_> = found.worst_first().collect();
    if groups.is_empty() {
        context.out.note("nothing to report");
        return Ok(());
    }
    let mut values = Vec::new();
    for (matter, group) in groups {
        let (title, tone) = look(matter);
        values.push((title, Cell::new(who(group, now), tone)));
        values.extend(ways_out(group).map(|ways| ("", ways.into())));
        values.extend(cure(matter, group).map(|cure| ("", cure.into())));
        values.push(("", Cell::new(command(matter, wanted), Tone::Dim)));
    }
    context.out.values(values)?;
    Err(Error::Answered(Exit::Attention).into())
}

/// Reads everything and counts it.
pub fn summary(context: &Context, wanted: ReportRequest) -> Result<ReportSummary, Error> {
    let mut summary = ReportSummary::default();
    let mut app = context.app(Access::Existing)?;
    app.report(wanted, UserScan::all(), None, &mut |piece| {
        for finding in piece {
            summary.add(finding);
        }
        Ok(())
    })?;
    Ok(summary)
}

/// Returns the users, as "63 users: a@example.com (90d), … and 60 more".
fn who(group: &MatterGroup, now: Time) -> String {
    let first: Vec<_> = group.first.iter().map(|one| with_time(one, now)).collect();
    let others = match group.others() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!(
        "{}: {}{others}",
        count(group.users, "user"),
        first.join(", ")
    )
}

/// Returns what to do about the first unfinished rotation, one way on each line.
fn ways_out(group: &MatterGroup) -> Option<String> {
    let first = group.first.first()?;
    let ways = first.ways_out.as_ref()?.lines();
    Some(if group.users > 1 {
        format!("of {}:\n{ways}", first.username)
    } else {
        ways
    })
}

/// Returns what to do about the first user.
fn cure(matter: Matter, group: &MatterGroup) -> Option<String> {
    let name = group.first.first()?.username.in_shell();
    let extend = format!("smtpcred user set {name} --expires-in 180d");
    match matter {
        Matter::Expired => Some(format!(
            "extend it: {extend}\nor remove it: smtpcred user delete {name}"
        )),
        Matter::Expiring => Some(format!("extend it: {extend}")),
        Matter::OpenAlert => Some(format!("what happened: smtpcred why {name}")),
        Matter::ManyNetworks => Some(format!(
            "see from where: smtpcred user addresses {name}\nallow only those of the next 30d: smtpcred user set {name} --addresses learn"
        )),
        _ => None,
    }
}

/// Returns a user, and for how long it has been so, or when it will be.
fn with_time(finding: &ReportFinding, now: Time) -> String {
    let name = &finding.username;
    if finding.at > now {
        format!("{name} (in {})", finding.at.since(now).short())
    } else {
        format!("{name} ({})", now.since(finding.at))
    }
}

const fn look(matter: Matter) -> (&'static str, Tone) {
    match matter {
        Matter::Unfinished => ("Unfinished", Tone::Bad),
        Matter::Expired => ("Expired", Tone::Bad),
        Matter::WeakHash => ("Weak hash", Tone::Bad),
        Matter::Expiring => ("Expiring", Tone::Warning),
        Matter::Overlap => ("Overlap", Tone::Warning),
        Matter::OldPassword => ("Old password", Tone::Warning),
        Matter::OpenAlert => ("Alerts", Tone::Bad),
        Matter::ManyNetworks => ("Networks", Tone::Warning),
        Matter::Stale => ("Stale", Tone::Plain),
        Matter::NeverUsed => ("Never used", Tone::Plain),
    }
}

/// Returns the command that lists all of a matter.
fn command(matter: Matter, wanted: ReportRequest) -> String {
    let age = |flag: &str, age: Option<Duration>| {
        let age = age.map(|age| format!(" {}", age.exact()));
        format!("{flag}{}", age.unwrap_or_default())
    };
    let flag = match matter {
        Matter::Unfinished => "--unfinished".to_owned(),
        Matter::Expired | Matter::Expiring => age("--expiring", wanted.expiring),
        Matter::WeakHash => "--weak-hashes".to_owned(),
        Matter::Overlap => "--overlaps".to_owned(),
        Matter::OldPassword => age("--old-passwords", wanted.old_passwords),
        Matter::Stale => age("--stale", wanted.stale),
        Matter::NeverUsed => "--never-used".to_owned(),
        Matter::OpenAlert => "--alerts".to_owned(),
        Matter::ManyNetworks => {
            let most = wanted.many_networks.unwrap_or_default();
            format!("--many-networks {most}")
        }
    };
    format!("smtpcred report {flag}")
}
