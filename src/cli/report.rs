//! `smtpcred report`

mod overview;
mod page;

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::args::view::{COLUMNS, ViewArgs};
use super::args::{number, path};
use super::complete;
use super::context::Context;
use super::terminal::column::{Cell, Column, TimeForm};
use super::terminal::record::Record;
use crate::app::report::{Matter, ReportFinding, ReportRequest, WeakHashes};
use crate::error::{Error, Exit};
use crate::model::duration::Duration;
use crate::model::mailbox::LocalMailbox;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{Access, UserScan};

const HELP: &str = "\
Examples:
  smtpcred report                                        everything that needs attention
  smtpcred report --old-passwords 180d --stale 90d
  smtpcred report --weak-hashes                          users with weak or imported hashes
  smtpcred report --monitor --unfinished --expiring 7d   for Nagios and similar systems
  smtpcred report --json --limit 1000 --after shop@example.com           the next page
  smtpcred report --html report.html                     a page for people
  smtpcred report --mail boss@example.org                the same by mail

On a terminal:
  Without options, the report is a summary, the most severe matter first: the number of users, the
  first three of them, and the command that lists all. With options, in pipes and in JSON and CSV,
  it lists all findings.

JSON:
  A list of {username, matter, at, detail}. A matter is unfinished_rotation, expired, expiring,
  old_password, overlap, never_used, stale, weak_hash, open_alert or many_networks; at is when it
  began or will begin. Alerts about no user are in `alert list`.

For people:
  The page that is written or sent has charts and tables with up to 10 entries each. The file is a new
  one with the mode 0600. With --json: {file, mailed_to}.

Pages:
  Ordered by username: --limit counts users, and a page has all findings about each of its users.
  Continue with --after and the last username of this page, until a page is empty and the exit code
  is 0.

Exit codes:
  0 nothing found, 7 something found (on this page). With --monitor those of a monitoring plugin:
  0 ok, 1 warning, 2 critical, 3 unknown. With --html and --mail: 0 written and sent, 74 if not.";

/// Show what needs attention: alerts, old passwords, expiries
///
/// Exits with 0 if nothing is found, and with 7 if something is. Without options that select what to
/// look for, it looks for everything.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = HELP, mut_arg(COLUMNS, complete::columns::<MatterRecord>))]
pub struct Report {
    /// Show users that have not connected for this long; 90d by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    stale: Option<Duration>,

    /// Show users that have never connected
    ///
    /// Those created in the last 7 days are left out.
    #[arg(long)]
    never_used: bool,

    /// Show users that expired or expire within this time; 14d by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expiring: Option<Duration>,

    /// Show passwords older than this; 180d by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    old_passwords: Option<Duration>,

    /// Show old passwords that still work
    #[arg(long, hide_short_help = true)]
    overlaps: bool,

    /// Show unfinished rotations
    #[arg(long, hide_short_help = true)]
    unfinished: bool,

    /// Show hashes of other systems, or weaker than the current setting
    ///
    /// Without options, only those that are fast to crack are shown.
    /// A hash is replaced by Argon2id when its password is next used.
    #[arg(long)]
    weak_hashes: bool,

    /// Show users with open alerts
    #[arg(long)]
    alerts: bool,

    /// Show users that may use any network and used N; 10 by default
    ///
    /// Such a user may sign in from any address, because of `user set --addresses any` or because no
    /// rule says otherwise, and did so from that many networks (a /24 or /64 each) within 30d.
    #[arg(long, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    many_networks: Option<u32>,

    /// Print one line and use the exit codes of monitoring plugins: 0 ok, 1 warning, 2 critical (an
    /// unfinished rotation), 3 unknown
    #[arg(long, conflicts_with_all = ["after", "limit"])]
    monitor: bool,

    /// Write a page for people to this new file, or to - for stdout
    ///
    /// One file of HTML that needs no other: charts and tables of passwords, expiries, sign-ins,
    /// senders, limits and deliveries, and what to type next.
    #[arg(long, value_name = "FILE|-", value_parser = path::given(),
        conflicts_with_all = ["monitor", "after", "limit", "wide", COLUMNS])]
    html: Option<PathBuf>,

    /// Mail the page, and the same as text, to this address
    ///
    /// Through the mail server of this machine. smtpcred-report.timer does it each week.
    #[arg(long, value_name = "ADDRESS",
        conflicts_with_all = ["monitor", "after", "limit", "wide", COLUMNS])]
    mail: Option<LocalMailbox>,

    /// Show only findings about users after this one, which may have been deleted
    #[arg(long, value_name = "USERNAME")]
    after: Option<Username>,

    /// Show all findings about at most N users; continue with --after LAST
    #[arg(long, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    limit: Option<u32>,

    #[command(flatten)]
    view: ViewArgs,
}

impl Report {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let wanted = self.wanted();
        if self.monitor {
            return monitor(context, wanted);
        }
        if self.html.is_some() || self.mail.is_some() {
            return page::make(context, wanted, self.html.as_deref(), self.mail.as_ref());
        }
        let pages = self.after.is_some() || self.limit.is_some();
        if context.out.is_for_people() && !(self.selects() || pages || self.view.is_given()) {
            return overview::show(context, wanted);
        }
        let mut app = context.app(Access::Existing)?;
        let mut list = self.view.apply(context.out.list::<MatterRecord>())?;
        let mut found = false;
        let scan = UserScan::after(self.after.as_ref().map_or("", Username::as_str));
        app.report(wanted, scan, self.limit, &mut |piece| {
            list.show()?;
            found |= !piece.is_empty();
            let mut findings = piece.iter().map(MatterRecord::new);
            findings.try_for_each(|finding| list.push(&finding))
        })?;
        list.end("nothing to report")?;
        if found {
            return Err(Error::Answered(Exit::Attention).into());
        }
        Ok(())
    }

    fn wanted(&self) -> ReportRequest {
        let wanted = ReportRequest {
            stale: self.stale,
            never_used: self.never_used,
            expiring: self.expiring,
            old_passwords: self.old_passwords,
            overlaps: self.overlaps,
            unfinished: self.unfinished,
            weak_hashes: if self.weak_hashes {
                WeakHashes::All
            } else {
                WeakHashes::No
            },
            alerts: self.alerts,
            many_networks: self.many_networks,
        };
        if self.selects() {
            return wanted;
        }
        ReportRequest {
            stale: Some(Duration::days(90)),
            never_used: true,
            expiring: Some(Duration::days(14)),
            old_passwords: Some(Duration::days(180)),
            overlaps: true,
            unfinished: true,
            weak_hashes: WeakHashes::Fast,
            alerts: true,
            many_networks: Some(10),
        }
    }

    /// Returns whether an option says what to look for.
    const fn selects(&self) -> bool {
        self.stale.is_some()
            || self.expiring.is_some()
            || self.old_passwords.is_some()
            || self.never_used
            || self.overlaps
            || self.unfinished
            || self.weak_hashes
            || self.alerts
            || self.many_networks.is_some()
    }
}

/// <https://www.monitoring-plugins.org/doc/guidelines.html>
fn monitor(context: &mut Context, wanted: ReportRequest) -> Result<()> {
    // What these numbers mean elsewhere is not meant here.
    const WARNING: Exit = Exit::Failed;
    const CRITICAL: Exit = Exit::Usage;
    const UNKNOWN: Exit = Exit::NotFound;
    let found = match overview::summary(context, wanted) {
        Ok(found) => found,
        Err(error) => {
            context.out.text(&format!("SMTPCRED UNKNOWN - {error}"))?;
            return Err(Error::Answered(UNKNOWN).into());
        }
    };
    let counts = Matter::ALL.map(|matter| (matter, found.of(matter).findings));
    let some = counts.iter().filter(|(_, n)| *n > 0);
    let some: Vec<_> = some.map(|(matter, n)| matter.counted(*n)).collect();
    let data = counts.map(|(matter, n)| format!("{}={n}", matter.name()));
    let unfinished = found.of(Matter::Unfinished).findings;
    let (word, exit) = match (unfinished, some.is_empty()) {
        (_, true) => ("OK", Exit::Done),
        (0, _) => ("WARNING", WARNING),
        _ => ("CRITICAL", CRITICAL),
    };
    let text = if some.is_empty() {
        "nothing to report".to_owned()
    } else {
        some.join(", ")
    };
    let line = format!("SMTPCRED {word} - {text} | {}", data.join(" "));
    context.out.text(&line)?;
    if exit == Exit::Done {
        return Ok(());
    }
    Err(Error::Answered(exit).into())
}

#[derive(Serialize)]
struct MatterRecord<'a> {
    username: &'a str,
    matter: &'static str,
    at: Time,
    detail: Option<Cow<'a, str>>,
}

impl<'a> MatterRecord<'a> {
    fn new(finding: &'a ReportFinding) -> Self {
        Self {
            username: finding.username.as_str(),
            matter: finding.matter.name(),
            at: finding.at,
            detail: match (&finding.detail, &finding.ways_out) {
                (Some(detail), Some(ways_out)) => Some(format!("{detail}; {ways_out}").into()),
                (detail, _) => detail.as_deref().map(Cow::from),
            },
        }
    }
}

impl Record for MatterRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("Matter"),
        Column::new("At").times(TimeForm::Near),
        Column::new("Detail").rank(1).wrap(16),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            self.username.into(),
            self.matter.replace('_', " ").into(),
            self.at.to_string().into(),
            self.detail.as_deref().unwrap_or_default().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &["username", "matter", "at", "detail"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.to_owned(),
            self.matter.to_owned(),
            self.at.to_string(),
            self.detail.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}
