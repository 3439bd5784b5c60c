//! `smtpcred user close`

use std::thread::available_parallelism;

use anyhow::Result;
use clap::Args;

use super::case::CaseRecord;
use crate::app::App;
use crate::app::close::StolenCase;
use crate::app::rotation::{
    RotationOptions, RotationOutcome, RotationReporter, RotationRounds, RotationRun, Selection,
};
use crate::cli::args::rotation::DeliveryArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::prompt;
use crate::deliver::{Prove, SystemDeliverer};
use crate::error::Error;
use crate::host;
use crate::model::duration::Duration;
use crate::model::known_networks::KnownNetworks;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::note::Note;
use crate::model::password::PasswordId;
use crate::model::rotation::{Retire, RotationRules};
use crate::model::since::Since;
use crate::model::time::Time;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user close shop@example.com --dry-run         only shows what is known
  smtpcred user close shop@example.com --reason 'plugin leak, ticket 4711'
  smtpcred user close shop@example.com --since 2026-11-28   and only networks known before then
  smtpcred user close shop@example.com --not 203.0.113.0/24 and all known ones but this
  smtpcred user close shop@example.com --suspend         no one sends until `user resume`
  smtpcred user close shop@example.com --yes --json > case-4711.json

What happens:
  First it shows where the passwords were used, what was sent with them, and the open sessions. Then
  it asks you to type the username, unless --yes is given.
  If a delivery is set, as for `user rotate`, a new password is delivered; then all others stop at
  once, without an overlap, and their sessions end at the next command. The application goes on with
  the new password. If the delivery fails, the old password still works, for the thief, too: the
  command fails, and --suspend stops both.
  Without a delivery, and with --suspend, the user is suspended. Before you resume it, give it a
  new password: smtpcred user reset NAME.
  With --since, the time of the theft, the user may sign in only from networks that it used before
  then, or that are in its list; with --not, from all of those but that. Learned ones that are left
  out are removed from its list; the lists of its domain and of the installation still hold. Without both,
  nothing tells a thief's network from the owner's, and so the rules stay as they are. They also
  stay if no network would be left.
  The audit trail gets one event, user.close, with the reason, the passwords, the sessions and the
  addresses, beside those of the rotation.
  Sessions from before a crash of `serve` are unknown, and only a suspension refuses them.

JSON:
  {username, at, reason, status, passwords: [{id, created_at, retires_at, last_connection,
  last_sent_at, messages, recipients}], networks: [{network, address, first_seen, last_seen, sign_ins,
  password_ids, kept}], allowed, sessions: [as in `session list`], silent, since,
  new_recipients, measure: rotated | suspended | none, new_password_id, next: [COMMAND]}. With
  --dry-run, the measure is none. new_recipients is null if no limit or alert of new recipients is set, and
  so they are not recorded. allowed is the user's list afterwards, and kept says whether it has the
  network; both are null if the rules stay as they are.";

/// Deal with a stolen password: show what is known, replace it at once, end its sessions
///
/// Prints a report for the incident file.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct CloseUser {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Say why, for the audit trail and the report
    #[arg(long, value_name = "TEXT")]
    reason: Option<Note>,

    /// Suspend the user instead of delivering a new password
    #[arg(long, conflicts_with_all = ["deliver", "write_file", "write_env"])]
    suspend: bool,

    /// The time of the theft (7d, 2026-11-28): allow only networks known before, and count new recipients since
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<Since>,

    /// Allow all known networks but this; repeatable
    #[arg(long, value_name = "CIDR", conflicts_with = "any_address")]
    not: Vec<Network>,

    /// Leave the rules for addresses as they are, also with --since
    #[arg(long)]
    any_address: bool,

    /// Only show what is known
    #[arg(long)]
    dry_run: bool,

    /// Run commands from a store that another user (not root) can write
    #[arg(long)]
    trust_store: bool,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

/// New recipients are counted for so long if the time of the theft is not given.
const USUAL: Since = Since::Ago(Duration::days(7));

/// How the case is closed.
enum Measure {
    Rotate,
    Suspend,
}

impl CloseUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let known = self.known(app.now());
        let mut rules = RotationRules::default();
        rules.change(&self.delivery.change()?);
        let since = self.since.unwrap_or(USUAL);
        let mut case = app.stolen_case(&self.username, since, known.as_ref())?;
        for host in &case.open.silent {
            context.out.warn(&format!(
                "`smtpcred serve` on {host} did not answer: it may have more open sessions"
            ));
        }
        if !rules.delivery.is_empty() {
            need_active(&case)?;
            case.destination = Some(rules.delivery.clone());
        }
        let measure = if case.can_be_rotated() && !self.suspend {
            Measure::Rotate
        } else {
            Measure::Suspend
        };
        let reason = self.reason.as_ref();
        let record = CaseRecord::new(&case, known.as_ref(), reason);
        if known.is_some() && case.kept.is_none() {
            context.out.warn(&format!(
                "no known network of {} would be left: its rules for addresses stay as they are",
                self.username
            ));
        }
        if self.dry_run {
            return Ok(context.out.one(&record)?);
        }
        if !context.confirmed_beforehand() && prompt::person_present() {
            context.out.show_before_question(&record);
        }
        let consequence = match measure {
            Measure::Rotate => format!(
                "a new password for {0} is delivered; then all others stop at once, and their sessions end",
                self.username
            ),
            Measure::Suspend if self.suspend => suspends(&self.username),
            Measure::Suspend => format!(
                "no new password can be delivered to {}: {}",
                self.username,
                suspends(&self.username)
            ),
        };
        prompt::confirm(
            context,
            "closing a case",
            &consequence,
            self.username.as_str(),
        )?;
        let options = RotationOptions {
            destination: rules.delivery,
            retire: Retire::AtOnce,
            jobs: available_parallelism().map_or(1, std::num::NonZero::get),
            force: true,
            trust_store: self.trust_store,
        };
        let new = match measure {
            Measure::Rotate => rotate(context, &mut app, &self.username, &options)?,
            Measure::Suspend => None,
        };
        let user = app.close_user(&case, new.as_ref(), reason, known.as_ref())?;
        context.out.note(&match &new {
            Some(new) => format!(
                "closed the case of {}: password {new} was delivered, and all others stopped",
                self.username
            ),
            None => format!("closed the case of {}: it is suspended", self.username),
        });
        warn_of_wider_lists(context, &mut app, &self.username, &self.not)?;
        let done = record.done(user.status(app.now()).name(), new);
        let printed = context.out.one(&done);
        Ok(context.out.recorded(printed)?)
    }

    /// Returns what tells the owner's networks from a thief's; `None` if nothing does.
    fn known(&self, now: Time) -> Option<KnownNetworks> {
        let is_told = self.since.is_some() || !self.not.is_empty();
        (is_told && !self.any_address).then(|| KnownNetworks {
            before: self.since.map(|since| since.at(now)),
            not: self.not.clone(),
        })
    }
}

/// A user that cannot sign in gets no new password: flags that say where to are a mistake.
fn need_active(case: &StolenCase) -> Result<(), Error> {
    let status = case.user.status(case.at);
    if status.can_sign_in() {
        return Ok(());
    }
    let username = &case.user.username;
    Err(Error::Usage(format!(
        "{username} is {}, so that no new password is delivered to it: close the case without \
         --deliver, --write-file and --write-env; later: smtpcred user reset {}",
        status.name(),
        username.in_shell()
    )))
}

/// Warns of networks that the list of a wider owner still allows.
fn warn_of_wider_lists(
    context: &Context,
    app: &mut App,
    username: &Username,
    not: &[Network],
) -> Result<()> {
    if not.is_empty() {
        return Ok(());
    }
    let lists = app.listings(username)?;
    for not in not {
        if let Some(wider) = lists.iter().find(|one| one.network.covers(not)) {
            let (wide, owner) = (wider.network, &wider.owner);
            context.out.warn(&format!(
                "{not} is still allowed: it is within {wide}, which is in the list of {owner}"
            ));
        }
    }
    Ok(())
}

fn suspends(username: &Username) -> String {
    format!("{username} is suspended: its application cannot send any more, either")
}

/// Delivers a new password. Returns its ID; `None` if the person decides to suspend the user
/// because that failed.
fn rotate(
    context: &Context,
    app: &mut App,
    username: &Username,
    options: &RotationOptions,
) -> Result<Option<PasswordId>> {
    let selection = Selection::Named(vec![username.clone()]);
    let deliverer = SystemDeliverer {
        prove: Prove::No,
        store_id: None,
    };
    let _lock = app.store.lock_rotation()?;
    app.tidy_rotation()?;
    let mut rounds = RotationRounds::begin(app, &selection, options, None, &deliverer)?;
    let mut reporter = OneOutcome {
        out: &context.out,
        outcome: Err("it was interrupted".into()),
    };
    let planned = app.plan_round(&mut rounds).and_then(|mut planned| {
        let hindered = planned.iter().position(|one| one.destination.is_err());
        match hindered {
            Some(at) => Err(planned.swap_remove(at).destination.err())
                .map_err(|error| error.unwrap_or_else(|| Error::NoDelivery(username.to_string()))),
            None => Ok(planned),
        }
    });
    let rotated = planned.and_then(|planned| {
        app.rotate(
            planned,
            &mut rounds,
            &mut RotationRun {
                options,
                deliverer: &deliverer,
                reporter: &mut reporter,
                stop: &*host::stop_on_signals()?,
            },
        )
    });
    let outcome = match rotated {
        Ok(summary) => match summary.store {
            Some(error) => Err(error.to_string()),
            None => reporter.outcome,
        },
        Err(error) => Err(error.to_string()),
    };
    let reason = match outcome {
        Ok(new) => return Ok(Some(new)),
        Err(reason) => reason,
    };
    let failed = Error::NotClosed {
        username: username.to_string(),
        reason,
    };
    if context.confirmed_beforehand() || !prompt::person_present() {
        return Err(failed.into());
    }
    context.out.warn(&failed.to_string());
    if prompt::agrees(&format!("Suspend {username} now?"))? {
        Ok(None)
    } else {
        Err(failed.into())
    }
}

/// Keeps the outcome of one rotation.
struct OneOutcome<'a> {
    out: &'a Output,
    outcome: std::result::Result<PasswordId, String>,
}

impl RotationReporter for OneOutcome<'_> {
    fn begin(&mut self, _: usize) {}

    fn output(&mut self, username: &Username, line: &str) {
        self.out.note(&format!("{username}: {line}"));
    }

    fn done(&mut self, _: &Username, outcome: &RotationOutcome) {
        self.outcome = match outcome {
            RotationOutcome::Rotated { password_id, .. } => Ok(password_id.clone()),
            RotationOutcome::Failed(reason) | RotationOutcome::Unfinished { reason, .. } => {
                Err(reason.clone())
            }
        };
    }
}
