//! The report as a person sees it: how much there is of each matter, the worst first.

use anyhow::Result;

use crate::app::report::{Matter, MatterGroup, ReportFinding, ReportRequest, ReportSummary};
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Tone};
use crate::cli::world::WORLD;
use crate::error::{Error, Exit};
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::Access;

/// How many users of each matter are named.
const NAMED: usize = 3;

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
        values.extend(matter.cure(group).map(|cure| ("", cure.into())));
        values.push(("", Cell::new(matter.command(wanted), Tone::Dim)));
    }
    context.out.values(values)?;
    Err(Error::Answered(Exit::Attention).into())
}

/// Reads everything and counts it.
pub fn summary(context: &Context, wanted: ReportRequest) -> Result<ReportSummary, Error> {
    context.app(Access::Existing)?.report_summary(wanted, NAMED)
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
