//! `smtpcred user rotate`

use std::num::NonZero;
use std::str::FromStr;
use std::thread::available_parallelism;

use anyhow::Result;
use clap::{ArgGroup, Args};

use super::rotated::{PlanRecord, RunRecord, Told, UserOutcome};
use crate::app::rotation::{Options, Run, Selection, Summary};
use crate::cli::output::Format;
use crate::cli::rotation::DeliveryArgs;
use crate::cli::{Context, complete, help, machine};
use crate::deliver::{Carrier, Prove};
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::rotation::{Retire, RotationRules};
use crate::model::server::Server;
use crate::model::text::invalid;
use crate::store::Access;

/// Replace passwords, deliver the new ones, and keep the old ones until they have arrived
///
/// The new password works beside the old one before anybody is told; the old one retires after the
/// new one has arrived. Where a delivery fails the old one stays, and the next run takes it up
/// again. One run at a time.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = help::USER_ROTATE, group = ArgGroup::new("who").required(true))]
pub struct Rotate {
    /// Whose
    #[arg(value_name = "USERNAME", add = complete::usernames(), group = "who")]
    usernames: Vec<Username>,

    /// All whose password is older than --rotate-every says, or who expire soon, or whose rotation
    /// is unfinished
    #[arg(long, group = "who", conflicts_with = "usernames")]
    due: bool,

    /// With --due: whose password is older than this, whatever is set
    #[arg(
        long,
        value_name = "DURATION",
        requires = "due",
        conflicts_with = "usernames",
        allow_hyphen_values = true
    )]
    older_than: Option<Duration>,

    /// With --due: how long before a user expires
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "7d",
        conflicts_with = "usernames",
        allow_hyphen_values = true
    )]
    ahead: Duration,

    /// Say who it would be, and why, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// At most so many users, beside those whose rotation is unfinished
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// How many deliveries at the same time; as many as there are processors by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// How long the old password works beside the new one; 0 stops it at once
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "24h",
        conflicts_with = "retire",
        allow_hyphen_values = true
    )]
    overlap: Overlap,

    /// when-unused:48h keeps the old password until nobody has used it for so long
    #[arg(long, value_name = "WHEN")]
    retire: Option<WhenUnused>,

    /// With --retire: for no longer than this
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30d",
        requires = "retire",
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
    prove: Option<At>,

    /// Stop an older password that would retire later; begin anew where it is not known whether a
    /// new password has arrived
    #[arg(long)]
    force: bool,

    /// Run what the store says though another user, who is not root, can write it
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
            None => Err(invalid("time to retire", text, "when-unused:48h or alike")),
        }
    }
}

/// A server, or the user's own.
#[derive(Clone, Debug)]
struct At(Option<Server>);

impl FromStr for At {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|server| Self(Some(server)))
    }
}

impl Rotate {
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
        let options = Options {
            delivery: rules.delivery,
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
            Some(At(None)) => Prove::AtItsServer,
            Some(At(Some(server))) => Prove::At(server),
        };
        let courier = Carrier {
            prove,
            store_id: None,
        };

        let mut app = context.app(Access::Existing)?;
        if self.dry_run {
            let planned = app.plan_rotation(&selection, &options, most, &courier)?;
            let mut list = context.out.list::<PlanRecord>();
            for planned in &planned {
                list.push(&PlanRecord::new(planned))?;
            }
            return Ok(list.end("nobody is due")?);
        }
        let _lock = app.store.lock_rotation()?;
        app.tidy_rotation()?;
        let mut planned = app.plan_rotation(&selection, &options, most, &courier)?;
        let hindered = planned.iter().position(|planned| planned.delivery.is_err());
        if let (Selection::Named(_), Some(at)) = (&selection, hindered) {
            planned.swap_remove(at).delivery?;
        }
        let mut told = Told {
            out: &context.out,
            progress: None,
            users: Vec::new(),
        };
        let summary = app.rotate(
            planned,
            &mut Run {
                options: &options,
                courier: &courier,
                watcher: &mut told,
                stop: &*machine::stop_on_signals()?,
            },
        )?;
        let users = told.end();
        finish(context, summary, users)
    }
}

fn finish(context: &mut Context, mut summary: Summary, users: Vec<UserOutcome>) -> Result<()> {
    let record = RunRecord {
        rotated: summary.rotated,
        failed: summary.failed,
        left: summary.left,
        users,
    };
    let all_well = summary.failed == 0 && summary.left == 0 && summary.store.is_none();
    if context.out.format() != Format::Table {
        context.out.one(&record)?;
    } else if !(all_well && context.out.is_quiet()) {
        context.out.text(&record.line())?;
    }
    if let Some(error) = summary.store.take() {
        return Err(error.into());
    }
    if summary.left > 0 {
        return Err(Error::Stopped(summary.left).into());
    }
    if summary.failed > 0 {
        return Err(Error::RotationsFailed(summary.failed).into());
    }
    Ok(())
}
