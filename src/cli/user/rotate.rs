//! `smtpcred user rotate`

use crate::host;
use std::num::NonZero;
use std::str::FromStr;
use std::thread::available_parallelism;

use anyhow::Result;
use clap::{ArgGroup, Args};

use super::rotated::{PlanRecord, RotationPrinter, RunRecord, UserOutcome, all_done};
use crate::app::rotation::{
    RotationOptions, RotationRounds, RotationRun, RotationSummary, Selection,
};
use crate::cli::args::number;
use crate::cli::args::rotation::DeliveryArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::deliver::{Prove, SystemDeliverer};
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::host_port::HostPort;
use crate::model::name::Username;
use crate::model::rotation::{Retire, RotationRules};
use crate::model::text::invalid;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user rotate shop@example.com --write-file /etc/shop/smtp.password
  smtpcred user rotate shop@example.com --deliver '/usr/local/bin/put-secret shop'
  smtpcred user set shop@example.com --rotate-every 90d --deliver 'ssh app1 put-smtp-password'
  smtpcred user rotate --due --quiet                     from cron, with the stored rules
  smtpcred user rotate --due --dry-run                   which users, why and where to
  smtpcred user rotate crm@example.com --retire when-unused:48h --overlap-max 30d
  smtpcred user rotate crm@example.com --prove           sign in with it over SMTP first

Files:
  A file is replaced atomically. It keeps its owner, group, mode, ACL and other attributes; if that
  is impossible, the delivery fails and the file stays unchanged. A new file has the mode 0600. A
  file that holds another user's live password is not overwritten; that rotation is skipped. A file
  with several names (hard links) is refused.
  --write-env replaces the whole value of the variable, even if it spans several lines. A file that
  shells and other readers would interpret differently is refused.
  As root, smtpcred writes a file in another user's folder as that user. It follows links unless
  other users can replace them.

Commands:
  A command gets the password and a newline on its standard input, and SMTPCRED_USERNAME,
  SMTPCRED_DOMAIN, SMTPCRED_HOST, SMTPCRED_PORT, SMTPCRED_PASSWORD_ID and
  SMTPCRED_OLD_PASSWORD_ID in its environment. Its output is shown with the password masked.

Exit code of a command:
  0: the password has arrived; the old one retires. 75: nothing was delivered; the new password is
  withdrawn. Any other exit code, or a timeout: if the command has read the password, it may have
  arrived, so both passwords work and the rotation is unfinished. If it has not, the new password is
  withdrawn.

Checked first:
  Before any password is created: folders, permissions, free space, files, the program of a command,
  and with --prove that a server name is set; no server is contacted. A problem fails only that
  rotation. --dry-run shows it; after a run with --due, `report --unfinished` lists it.

Unfinished rotations:
  Both passwords work. The next run looks at the sign-ins: if the new password was used, it has
  arrived. If the old one was used after the delivery ended, the new one has not arrived, and the
  run replaces it. Without a sign-in, the rotation stays unfinished.

JSON:
  {rotated, failed, left, users: [{username, outcome: rotated | failed | unfinished, password_id,
  reason}]}; with --dry-run a list of {username, why, delivery, problem}.";

/// Replace passwords and deliver the new ones; the old ones stay valid during an overlap
///
/// The new password already works when it is delivered; the old one retires after the new one has
/// arrived. If a delivery fails, the old password stays, and the next run tries again. Only one run
/// at a time.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = HELP, group = ArgGroup::new("who").required(true))]
pub struct RotatePasswords {
    /// Users to rotate
    #[arg(value_name = "USERNAME", add = complete::usernames(), group = "who")]
    usernames: Vec<Username>,

    /// Rotate all users whose password is older than their --rotate-every, that expire soon, or
    /// whose rotation is unfinished
    #[arg(long, group = "who", conflicts_with = "usernames")]
    due: bool,

    /// With --due: rotate passwords older than this, whatever --rotate-every is
    #[arg(
        long,
        value_name = "DURATION",
        requires = "due",
        conflicts_with = "usernames",
        allow_hyphen_values = true
    )]
    older_than: Option<Duration>,

    /// With --due: rotate users that expire within this time
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "7d",
        conflicts_with = "usernames",
        allow_hyphen_values = true
    )]
    ahead: Duration,

    /// Show which users would be rotated and why, where each password would go, and any problems
    #[arg(long)]
    dry_run: bool,

    /// Rotate at most N users, in addition to unfinished rotations
    #[arg(long, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    limit: Option<u32>,

    /// Run N deliveries at the same time; by default one for each processor
    #[arg(long, value_name = "N", value_parser = number::within(1..=256_u16))]
    jobs: Option<u16>,

    /// Let the old password also work for this long; 0 stops it at once
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "24h",
        conflicts_with = "retire",
        allow_hyphen_values = true
    )]
    overlap: Overlap,

    /// Keep the old password until it has not been used for a time: when-unused:48h
    #[arg(long, value_name = "WHEN")]
    retire: Option<WhenUnused>,

    /// With --retire: keep it no longer than this
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30d",
        requires = "retire",
        conflicts_with = "overlap",
        allow_hyphen_values = true
    )]
    overlap_max: Duration,

    /// Sign in with the new password before the old one retires: at the server of the user's
    /// domain, or at this one
    #[arg(
        long,
        value_name = "HOST:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    prove: Option<ProveAt>,

    /// Stop an older password that would retire later, and replace a new password of unknown outcome
    #[arg(long)]
    force: bool,

    /// Run commands from a store that another user (not root) can write
    #[arg(long)]
    trust_store: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

/// Zero, or a duration.
#[derive(Clone, Copy, Debug)]
struct Overlap(Option<Duration>);

impl FromStr for Overlap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "0" => Ok(Self(None)),
            _ => text.parse().map(|duration| Self(Some(duration))),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct WhenUnused(Duration);

impl FromStr for WhenUnused {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.strip_prefix("when-unused:") {
            Some(duration) => duration.parse().map(Self),
            None => Err(invalid(
                "time to retire",
                text,
                "use when-unused: and a duration, such as when-unused:48h",
            )),
        }
    }
}

/// A server, or `None` for the user's own.
#[derive(Clone, Debug)]
struct ProveAt(Option<HostPort>);

impl FromStr for ProveAt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|server| Self(Some(server)))
    }
}

impl RotatePasswords {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut rules = RotationRules::default();
        rules.change(&self.delivery.change()?);
        let retire = match (self.retire, self.overlap.0) {
            (Some(WhenUnused(unused)), _) => Retire::WhenUnused {
                unused,
                most: self.overlap_max,
            },
            (None, Some(overlap)) => Retire::After(overlap),
            (None, None) => Retire::AtOnce,
        };
        let jobs = self.jobs.map_or_else(
            || available_parallelism().map_or(1, NonZero::get),
            usize::from,
        );
        let options = RotationOptions {
            destination: rules.delivery,
            retire,
            jobs,
            force: self.force,
            trust_store: self.trust_store,
        };
        let selection = if self.due {
            Selection::Due {
                older_than: self.older_than,
                ahead: self.ahead,
            }
        } else {
            Selection::Named(self.usernames)
        };
        let most = self.limit.and_then(|limit| usize::try_from(limit).ok());

        let prove = match self.prove {
            None => Prove::No,
            Some(ProveAt(None)) => Prove::AtItsServer,
            Some(ProveAt(Some(server))) => Prove::At(server),
        };
        let deliverer = SystemDeliverer {
            prove,
            store_id: None,
        };

        let mut app = context.app(Access::Existing)?;
        if self.dry_run {
            let mut rounds = RotationRounds::begin(&app, &selection, &options, most, &deliverer)?;
            let mut list = context.out.list::<PlanRecord>();
            loop {
                let planned = app.plan_round(&mut rounds)?;
                if planned.is_empty() {
                    return Ok(list.end("no user is due")?);
                }
                for planned in &planned {
                    list.push(&PlanRecord::new(planned))?;
                }
            }
        }
        let _lock = app.store.lock_rotation()?;
        app.tidy_rotation()?;
        let mut rounds = RotationRounds::begin(&app, &selection, &options, most, &deliverer)?;
        let mut planned = app.plan_round(&mut rounds)?;
        let hindered = planned
            .iter()
            .position(|planned| planned.destination.is_err());
        if let (Selection::Named(_), Some(at)) = (&selection, hindered) {
            planned.swap_remove(at).destination?;
        }
        let mut reporter = RotationPrinter::new(&context.out, options.retire);
        let summary = app.rotate(
            planned,
            &mut rounds,
            &mut RotationRun {
                options: &options,
                deliverer: &deliverer,
                reporter: &mut reporter,
                stop: &*host::stop_on_signals()?,
            },
        )?;
        let users = reporter.end();
        finish(context, summary, users)
    }
}

fn finish(context: &mut Context, summary: RotationSummary, users: Vec<UserOutcome>) -> Result<()> {
    let record = RunRecord {
        rotated: summary.rotated,
        failed: summary.failed,
        left: summary.left,
        users,
    };
    let all_well = summary.failed == 0 && summary.left == 0 && summary.store.is_none();
    let printed = if context.out.format() != OutputFormat::Table {
        context.out.one(&record)
    } else if !(all_well && context.out.is_quiet()) {
        context.out.text(&record.line())
    } else {
        Ok(())
    };
    context.out.recorded(printed)?;
    Ok(all_done(summary)?)
}
