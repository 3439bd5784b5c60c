//! `smtpcred report`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::Record;
use super::{Context, help};
use crate::app::report::{Finding, Matter, Wanted, Weak};
use crate::error::{Error, Exit};
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{Access, Page};

/// Say what should be looked at: old passwords, unused users, what is about to end
///
/// Exits with 0 if there is nothing, and with 7 if there is something. Without any of the options
/// that say what, all of it is looked for.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = help::REPORT)]
pub struct Report {
    /// Users that have not connected for this long; 90d
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    stale: Option<Duration>,

    /// Users that have never connected
    #[arg(long)]
    never_used: bool,

    /// Users that have expired, or will within this time; 14d
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expiring: Option<Duration>,

    /// Passwords older than this; 180d
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    old_passwords: Option<Duration>,

    /// Old passwords that still work beside new ones
    #[arg(long)]
    overlaps: bool,

    /// Rotations that came to no end
    #[arg(long)]
    unfinished: bool,

    /// Hashes that another system made, or that are cheaper than today's; by default only those that
    /// are fast to guess from
    ///
    /// Each becomes Argon2id when its password is next used.
    #[arg(long)]
    weak_hashes: bool,

    /// One line, and the exit codes of monitoring plugins: 0 ok, 1 warning, 2 critical (a rotation
    /// is unfinished), 3 unknown
    #[arg(long, conflicts_with_all = ["after", "limit"])]
    monitor: bool,

    /// Only findings about users behind this one, which need not be there any more
    #[arg(long, value_name = "USERNAME")]
    after: Option<Username>,

    /// All findings about so many users; the next ones are those --after the last of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl Report {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let wanted = self.wanted();
        if self.monitor {
            return monitor(context, wanted);
        }
        let mut app = context.app(Access::Existing)?;
        let mut list = context.out.list::<FindingRecord>();
        let mut found = false;
        let page = Page {
            after: self.after.as_ref().map_or("", Username::as_str),
            most: self.limit,
        };
        app.report(wanted, &page, &mut |finding| {
            found = true;
            list.push(&FindingRecord::new(&finding))
        })?;
        list.end("nothing to report")?;
        if found {
            return Err(Error::Answered(Exit::Attention).into());
        }
        Ok(())
    }

    fn wanted(&self) -> Wanted {
        let wanted = Wanted {
            stale: self.stale,
            never_used: self.never_used,
            expiring: self.expiring,
            old_passwords: self.old_passwords,
            overlaps: self.overlaps,
            unfinished: self.unfinished,
            weak_hashes: if self.weak_hashes {
                Weak::All
            } else {
                Weak::No
            },
        };
        let nothing = wanted.stale.is_none()
            && wanted.expiring.is_none()
            && wanted.old_passwords.is_none()
            && !(wanted.never_used || wanted.overlaps || wanted.unfinished || self.weak_hashes);
        if !nothing {
            return wanted;
        }
        Wanted {
            stale: Some(Duration::days(90)),
            never_used: true,
            expiring: Some(Duration::days(14)),
            old_passwords: Some(Duration::days(180)),
            overlaps: true,
            unfinished: true,
            weak_hashes: Weak::Fast,
        }
    }
}

/// <https://www.monitoring-plugins.org/doc/guidelines.html>
fn monitor(context: &mut Context, wanted: Wanted) -> Result<()> {
    // What these numbers mean elsewhere is not meant here.
    const WARNING: Exit = Exit::Failed;
    const CRITICAL: Exit = Exit::Usage;
    const UNKNOWN: Exit = Exit::NotFound;
    let mut counts = [0_u64; Matter::ALL.len()];
    let counted = context.app(Access::Existing).and_then(|mut app| {
        app.report(wanted, &Page::default(), &mut |finding| {
            let i = Matter::ALL.iter().position(|m| *m == finding.matter);
            counts[i.unwrap_or(0)] += 1;
            Ok(())
        })
    });
    if let Err(error) = counted {
        context.out.text(&format!("SMTPCRED UNKNOWN - {error}"))?;
        return Err(Error::Answered(UNKNOWN).into());
    }
    let named = || Matter::ALL.iter().map(|matter| matter.name()).zip(counts);
    let some: Vec<_> = named()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{n} {}", name.replace('_', " ")))
        .collect();
    let data: Vec<_> = named().map(|(name, n)| format!("{name}={n}")).collect();
    let (word, exit) = match (counts[0], some.is_empty()) {
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
struct FindingRecord<'a> {
    username: &'a str,
    matter: &'static str,
    at: Time,
    detail: Option<&'a str>,
}

impl<'a> FindingRecord<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            username: finding.username.as_str(),
            matter: finding.matter.name(),
            at: finding.at,
            detail: finding.detail.as_deref(),
        }
    }
}

impl Record for FindingRecord<'_> {
    const COLUMNS: &'static [&'static str] = &["Username", "Matter", "At", "Detail"];

    fn cells(&self) -> Vec<String> {
        let mut cells = self.fields();
        cells[1] = self.matter.replace('_', " ");
        cells
    }

    const FIELDS: &'static [&'static str] = &["username", "matter", "at", "detail"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.to_owned(),
            self.matter.to_owned(),
            self.at.to_string(),
            self.detail.unwrap_or_default().to_owned(),
        ]
    }
}
