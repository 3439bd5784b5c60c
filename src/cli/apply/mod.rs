//! `smtpcred apply`

mod help;
mod print;
mod record;

use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::Result;
use clap::Args;

use self::print::{Changes, Told};
use self::record::ProblemRecord;
use super::machine::stop_on_signals;
use super::output::Format;
use super::password_folder::need_folder;
use super::rotation::DeliveryArgs;
use super::{Context, prompt};
use crate::app::App;
use crate::app::apply::{Action, Comparison, Options, Run, Subject, compare};
use crate::deliver::{Carrier, Prove};
use crate::error::{Error, Exit, Result as Outcome};
use crate::model::plan::{MAX_SIZE, Plan, Problem};
use crate::model::rotation::RotationRules;
use crate::model::settings::Setting;
use crate::store::Access;

/// Make settings, domains and users what a plan says
///
/// A plan is a TOML file without secrets. What it does not name stays as it is, and applying it
/// again changes nothing. The changes are shown first; on a terminal they are made once you say yes.
/// Passwords of new users are generated and delivered, as `user rotate` does it: a user exists from
/// the moment its password has arrived.
#[derive(Debug, Args)]
#[command(after_long_help = help::APPLY)]
pub struct Apply {
    /// The plan, or - for standard input
    #[arg(value_name = "PLAN")]
    plan: PathBuf,

    /// Say what would change, and change nothing: exit code 8 if there is anything
    #[arg(long)]
    dry_run: bool,

    /// Delete users that the plan does not name, of the domains that it names
    #[arg(long)]
    prune: bool,

    /// How many deliveries at the same time; as many as there are processors by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Run what the store says though another user, who is not root, can write it
    #[arg(long)]
    trust_store: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,

    /// Write it to a file of the user's name in this folder
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "write_file",
        help_heading = "Where a new password is delivered to"
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
        let options = Options {
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
        let mut app = match context.app(Access::Existing) {
            Ok(app) => Some(app),
            // All that it says is new.
            Err(Error::StoreMissing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let store = app.as_mut().map(|app| &mut app.store);
        let Comparison {
            differences,
            problems,
        } = compare(store, &plan, &options, &carrier(context)?)?;
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
        let stop = stop_on_signals()?;
        let mut told = Told::new(context, &changes.differences);
        let summary = app.apply(&mut Run {
            plan: &plan,
            differences: &changes.differences,
            options: &options,
            courier: &carrier(context)?,
            watcher: &mut told,
            stop: &stop,
        });
        let (outcomes, summary) = (told.end(), summary?);
        changes.outcomes = outcomes;
        let printed = changes.finish(context);
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

/// By the store as it is called now: a run that makes it asks again.
fn carrier(context: &Context) -> Outcome<Carrier> {
    Ok(Carrier {
        prove: Prove::No,
        store_id: Some(context.store_id()?),
    })
}

/// A file for each user in a folder that is there.
fn inside(folder: &Path) -> Outcome<crate::model::delivery::PathTemplate> {
    need_folder(folder)?;
    let path = folder.join("{username}");
    path.to_str()
        .ok_or_else(|| Error::Usage(format!("{} is not UTF-8", folder.display())))?
        .parse()
}

/// However large it is, no more is read than is taken.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    let unread = |e: io::Error| Error::Usage(format!("{} cannot be read: {e}", path.display()));
    let mut bytes = Vec::new();
    let most = MAX_SIZE as u64 + 1;
    let taken = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        let file = File::open(path).map_err(unread)?;
        file.take(most).read_to_end(&mut bytes)
    };
    if taken.map_err(unread)? > MAX_SIZE {
        return Err(Error::Usage(format!(
            "{} is larger than {} MiB: so many users are a matter of `user import`",
            path.display(),
            MAX_SIZE / 1024 / 1024
        )));
    }
    Ok(bytes)
}

fn refused(context: &mut Context, problems: &[Problem]) -> Result<()> {
    let mut list = context.out.list::<ProblemRecord>();
    for problem in problems {
        list.push(&ProblemRecord::new(problem))?;
    }
    list.end("")?;
    Err(Error::BadPlan.into())
}

/// Once, of a person. A script that applies a plan has said so; not so that users
/// are to be deleted.
fn confirm(context: &mut Context, changes: &Changes) -> Outcome<()> {
    let deleted = changes.count(Action::Delete);
    let person = prompt::person_present();
    if deleted == 0 && !person {
        return Ok(());
    }
    if person && !context.confirmed_beforehand() {
        changes.show_to_person(&context.out);
    }
    if deleted > 0 {
        let consequence = format!("users that would be deleted, for ever: {deleted}");
        let typed = deleted.to_string();
        return prompt::confirm(context, "deleting users", &consequence, &typed);
    }
    prompt::confirm(context, "applying a plan", &changes.line(true), "yes")
}

/// Of the installation's rule, which the plan may have brought.
fn warn_of_unverified(context: &Context, app: &mut App) {
    // All is done: nothing that goes wrong now may say it is not.
    let required = app.settings().is_ok_and(|s| s.require_verified_domains);
    let unverified = if required {
        app.unverified_domains().unwrap_or(0)
    } else {
        0
    };
    if unverified > 0 {
        context.out.warn(&format!(
            "{unverified} domains with users are not verified: they cannot send; `smtpcred domain verify` each"
        ));
    }
}
