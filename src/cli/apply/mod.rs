//! `smtpcred apply`

mod print;
mod record;
mod words;

use crate::cli::world::WORLD;
use crate::host;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::Result;
use clap::Args;

use self::print::{ApplyReporter, Changes};
use self::record::ProblemRecord;
use super::context::Context;
use super::password_folder::need_folder;
use crate::cli::args::number;
use crate::cli::args::path;
use crate::cli::args::rotation::DeliveryArgs;
use crate::cli::terminal::prompt;

use crate::app::App;
use crate::app::apply::{ApplyOptions, ApplyRun, ChangeAction, Comparison, compare};
use crate::app::messages::kept;
use crate::deliver::{Prove, SystemDeliverer};
use crate::error::{Error, Exit};
use crate::files;
use crate::model::plan::{MAX_SIZE, Plan, PlanProblem};
use crate::model::rotation::RotationRules;
use crate::model::setting::Setting;
use crate::model::text::count;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred apply relay.toml --dry-run                    what would change; exit code 8 if anything
  smtpcred apply relay.toml                              shows the changes, asks, and makes them
  smtpcred apply relay.toml --yes --json                 for Ansible and cron
  smtpcred apply relay.toml --output-dir /root/passwords
  smtpcred apply relay.toml --prune                      deletes users that the plan omits
  generate-plan | smtpcred apply -

A plan:
    [settings]
    host = \"smtp.example.com\"
    require_verified_domains = true

    [domains.\"example.com\"]
    daily_limit = 5000
    limits = { \"recipients/hour\" = 200 }
    rotate_every = \"90d\"
    write_file = \"/etc/smtp-passwords/{username}\"

    [users.\"shop@example.com\"]
    label = \"Shop\"
    tags = { env = \"prod\", team = \"web\" }
    senders = [\"shop@example.com\", \"news.example.com\"]
    expires_at = 2027-06-30
    deliver = \"ssh web1 put-smtp-password\"

    [users.\"crm@example.com\"]
    suspended = true

Keys:
  [settings]     host, ports (a list), argon2, accept_hash (a list), day, allow_insecure,
                 require_verified_domains, ignore_addresses (a list), keep_messages,
                 keep_recipients
  [domains.\"…\"]  host, max_users
  [users.\"…\"]    label, note, tags, senders (a list), expires_at, suspended
  all three      daily_limit, limits, on_limit, rotate_every, deliver, deliver_timeout,
                 write_file, write_env, env_name, addresses, unknown_address, learn,
                 allowed_addresses (a list; it replaces what was allowed, not what was learned)
  Like the flags of `set-settings`, `domain set` and `user set`; \"none\" removes a value. A missing
  key, a missing kind of limit and a missing tag stay as they are. All errors in a plan are reported
  together, with their lines, before anything changes.

New users:
  Passwords of new users go where --deliver, --write-file, --write-env or --output-dir say, or the
  rules of the user, its domain or the installation in the plan and the store. If a delivery fails,
  that user is not created and its password is not valid; the others are created, and the next run
  tries again. A missing folder, program or permission, or a full disk, is detected first, is
  shown by --dry-run, and fails only that user. A file or variable that already has a password is never overwritten, unless a killed
  run left it for the same user. No rotation runs while passwords are delivered.

Questions:
  On a terminal it asks once. Without a terminal, or with the plan on standard input, it continues
  as with --yes; deleting users always needs --yes then.

Concurrent changes:
  What others have changed since the changes were shown is left as it is, and reported.

JSON:
  {changes: [{action: create | change | delete, kind: settings | domain | user, name, fields:
  {FIELD: {from, to}}, delivery, outcome: planned | done | unneeded | failed | left, password_id,
  reason}], applied}. A missing value is null. CSV has a row for each field. If the plan is invalid: a list of
  {line, key, reason}.

Exit codes:
  0 everything is as planned, now or (with --dry-run) already; 8 something would change; 2 the plan
  is invalid; 1 some changes failed.";

/// Apply a plan: create and change settings, domains and users
///
/// A plan is a TOML file without secrets. What it does not name stays as it is, and applying it
/// again changes nothing. The changes are shown first; on a terminal they are made after you
/// confirm. Passwords of new users are generated and delivered as by `user rotate`: a user exists
/// once its password has arrived.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Apply {
    /// The plan, or - for standard input
    #[arg(value_name = "PLAN", value_parser = path::given())]
    plan: PathBuf,

    /// Show what would change, without changing it; exit code 8 if anything would
    #[arg(long)]
    dry_run: bool,

    /// Delete users that the plan omits, in the domains that it names
    #[arg(long)]
    prune: bool,

    /// Run N deliveries at the same time; by default one for each processor
    #[arg(long, value_name = "N", value_parser = number::within(1..=256_u16))]
    jobs: Option<u16>,

    /// Run commands from a store that another user (not root) can write
    #[arg(long)]
    trust_store: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,

    /// Write the password to a file in this folder, named after the user
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "write_file",
        help_heading = "Where a new password is delivered to",
        value_parser = path::given(),
    )]
    output_dir: Option<PathBuf>,
}

impl Apply {
    pub fn run(mut self, context: &mut Context) -> Result<()> {
        if let Some(folder) = self.output_dir.take() {
            self.delivery.write_file = Some(Setting::Some(inside(&folder)?));
        }
        let mut rules = RotationRules::default();
        rules.change(&self.delivery.change()?);
        let options = ApplyOptions {
            delivery: rules.delivery,
            prune: self.prune,
            trust_store: self.trust_store,
            jobs: self.jobs.map_or_else(
                || available_parallelism().map_or(1, NonZero::get),
                usize::from,
            ),
        };
        let plan = match Plan::parse(&read(&self.plan)?) {
            Ok(plan) => plan,
            Err(problems) => return refused(context, &problems),
        };
        // Without a store, everything in the plan is new.
        let mut app = context.app_to_change(true)?;
        let now = (WORLD.now)();
        let store = app.as_mut().map(|app| &mut app.store);
        let Comparison {
            differences,
            problems,
        } = compare(store, &plan, &options, &deliverer(context)?, now)?;
        if !problems.is_empty() {
            return refused(context, &problems);
        }
        let mut changes = Changes::new(differences);
        changes.show(context)?;
        if changes.differences.is_empty() || self.dry_run {
            changes.finish(context)?;
            return if changes.differences.is_empty() {
                Ok(())
            } else {
                Err(Error::Answered(Exit::WouldChange).into())
            };
        }
        if let Err(error) = confirm(context, &changes) {
            changes.finish(context)?;
            return Err(error.into());
        }
        let mut app = match app {
            Some(app) => app,
            None => context.app(Access::Create)?,
        };
        let stop = host::stop_on_signals()?;
        let mut reporter = ApplyReporter::new(context, &changes.differences);
        let summary = app.apply(&mut ApplyRun {
            plan: &plan,
            differences: &changes.differences,
            options: &options,
            deliverer: &deliverer(context)?,
            observer: &mut reporter,
            stop: &stop,
        });
        let (outcomes, summary) = (reporter.end(), summary?);
        changes.outcomes = outcomes;
        let printed = changes.finish(context);
        let printed = context.out.recorded(printed);
        tell_reader(context, &mut app);
        warn_of_unverified(context, &mut app);
        if let Some(error) = summary.store {
            return Err(error.into());
        }
        if summary.left > 0 {
            return Err(Error::Stopped(summary.left).into());
        }
        if summary.failed > 0 {
            return Err(Error::NotApplied(summary.failed).into());
        }
        Ok(printed?)
    }
}

/// Returns the deliverer. Called again once the store exists: its identifier may then differ.
fn deliverer(context: &Context) -> Result<SystemDeliverer, Error> {
    Ok(SystemDeliverer {
        prove: Prove::No,
        store_id: Some(context.store_id()?),
    })
}

/// Returns the template of a file for each user in an existing folder.
fn inside(folder: &Path) -> Result<crate::model::delivery::PathTemplate, Error> {
    need_folder(folder)?;
    let path = folder.join("{username}");
    path.to_str()
        .ok_or_else(|| Error::Usage(format!("{} is not UTF-8", folder.display())))?
        .parse()
}

/// Reads the plan, but no more than the largest allowed size.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unread = |e: io::Error| Error::Usage(format!("{} cannot be read: {e}", path.display()));
    let mut bytes = Vec::new();
    let most = MAX_SIZE as u64 + 1;
    let taken = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        let file = files::open_and_wait(path).map_err(unread)?;
        file.take(most).read_to_end(&mut bytes)
    };
    if taken.map_err(unread)? > MAX_SIZE {
        return Err(Error::Usage(format!(
            "{} is larger than {} MiB; import this many users with: smtpcred user import",
            path.display(),
            MAX_SIZE / 1024 / 1024
        )));
    }
    Ok(bytes)
}

fn refused(context: &mut Context, problems: &[PlanProblem]) -> Result<()> {
    let mut list = context.out.list::<ProblemRecord>();
    for problem in problems {
        list.push(&ProblemRecord::new(problem))?;
    }
    list.end("")?;
    Err(Error::BadPlan.into())
}

/// Asks a person once. A script that applies a plan needs no confirmation, except to delete users.
fn confirm(context: &mut Context, changes: &Changes) -> Result<(), Error> {
    let deleted = changes.count(ChangeAction::Delete);
    let person = prompt::person_present();
    if deleted == 0 && !person {
        return Ok(());
    }
    if person && !context.confirmed_beforehand() {
        changes.show_to_person(&context.out);
    }
    if deleted > 0 {
        let consequence = format!(
            "{} will be deleted permanently",
            count(deleted as u64, "user")
        );
        let typed = deleted.to_string();
        return prompt::confirm(context, "deleting users", &consequence, &typed);
    }
    prompt::confirm(context, "applying a plan", &changes.line(true), "yes")
}

/// Tells the reader of the mail logs what the plan says about messages.
fn tell_reader(context: &Context, app: &mut App) {
    let told = app
        .settings()
        .and_then(|settings| kept::set_rules(&context.location()?, &settings.messages));
    if let Err(error) = told {
        context.out.warn(&format!("messages: {error}"));
    }
}

/// Warns if users cannot send until their domain is verified: the plan may have required that.
fn warn_of_unverified(context: &Context, app: &mut App) {
    // The plan is applied: no error from here on may suggest otherwise.
    let required = app.settings().is_ok_and(|s| s.require_verified_domains);
    let unverified = if required {
        app.unverified_domains().unwrap_or(0)
    } else {
        0
    };
    if unverified > 0 {
        context.out.warn(&format!(
            "{} with users cannot send until verified; for each, run: smtpcred domain verify DOMAIN",
            count(unverified, "domain")
        ));
    }
}
