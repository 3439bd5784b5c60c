//! What is done about passwords that were found and still work.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::thread::available_parallelism;

use anyhow::Result;

use crate::app::App;
use crate::app::rotation::{RotationOptions, RotationRounds, RotationRun, Selection};
use crate::app::scan::{Leak, LeakState};
use crate::cli::context::Context;
use crate::cli::terminal::prompt;
use crate::cli::user::rotated::{RotationPrinter, all_done};
use crate::deliver::{Prove, SystemDeliverer};
use crate::error::{Error, Result as Checked};
use crate::host;
use crate::model::delivery::Destination;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::Retire;
use crate::model::text::count;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Their users are suspended.
    Suspend,
    /// They are replaced.
    Rotate,
}

impl Deed {
    const fn what(self) -> &'static str {
        match self {
            Self::Suspend => "suspending users",
            Self::Rotate => "rotating passwords",
        }
    }

    /// Fails if there is no one to ask later.
    pub fn need_answer(self, context: &Context) -> Checked<()> {
        if context.confirmed_beforehand() || prompt::person_present() {
            return Ok(());
        }
        Err(Error::NeedsConfirmation(self.what()))
    }

    /// Asks, and does it.
    pub fn run(self, context: &mut Context, app: &mut App, leaks: &[Leak]) -> Result<()> {
        let live = leaks.iter().filter(|leak| leak.state.is_live());
        let users: BTreeSet<_> = live.filter_map(user).collect();
        if users.is_empty() {
            context
                .out
                .note("none of the passwords works: nothing to do");
            return Ok(());
        }
        let number = users.len().to_string();
        let users_text = count(users.len() as u64, "user");
        let consequence = match self {
            Self::Suspend => format!("suspending {users_text}: they can no longer sign in"),
            Self::Rotate => format!(
                "replacing the passwords of {users_text}: the old ones stop once the new ones are delivered"
            ),
        };
        prompt::confirm(context, self.what(), &consequence, &number)?;
        match self {
            Self::Suspend => suspend(context, app, users),
            Self::Rotate => rotate(context, app, leaks),
        }
    }
}

fn user(leak: &Leak) -> Option<&Username> {
    leak.user.as_ref().map(|(username, _)| username)
}

/// Suspends all that can be: after a failure, the others must still stop.
fn suspend(context: &Context, app: &mut App, users: BTreeSet<&Username>) -> Result<()> {
    let mut failed = Ok(());
    for username in users {
        match app.suspend_user(username) {
            Ok((_, true)) => context
                .out
                .note(&format!("suspended {username}: it can no longer sign in")),
            Ok((_, false)) => context
                .out
                .note(&format!("{username} is already suspended")),
            Err(error) => {
                context
                    .out
                    .warn(&format!("{username} was not suspended: {error}"));
                failed = Err(error);
            }
        }
    }
    Ok(failed?)
}

/// Stops old passwords at once: the new one is with the application already. Replaces the others.
fn rotate(context: &mut Context, app: &mut App, leaks: &[Leak]) -> Result<()> {
    let mut failed = Ok(());
    let of = |state| leaks.iter().filter(move |leak| leak.state == state);
    for leak in of(LeakState::Overlap) {
        if let Some(username) = user(leak)
            && let Err(error) = retire(context, app, username, &leak.password_id)
        {
            context.out.warn(&format!(
                "the old password {} of {username} was not stopped: {error}",
                leak.password_id
            ));
            failed = Err(error);
        }
    }
    let names: BTreeSet<_> = of(LeakState::Works).filter_map(user).cloned().collect();
    if !names.is_empty() {
        replace(context, app, names.into_iter().collect())?;
    }
    Ok(failed?)
}

fn retire(
    context: &Context,
    app: &mut App,
    username: &Username,
    password_id: &PasswordId,
) -> Checked<()> {
    app.retire_password(username, Some(password_id))?;
    context.out.note(&format!(
        "stopped the old password {password_id} of {username}"
    ));
    Ok(())
}

fn replace(context: &mut Context, app: &mut App, names: Vec<Username>) -> Result<()> {
    let options = RotationOptions {
        destination: Destination::default(),
        retire: Retire::AtOnce,
        jobs: available_parallelism().map_or(1, NonZero::get),
        force: false,
        trust_store: false,
    };
    let deliverer = SystemDeliverer {
        prove: Prove::No,
        store_id: None,
    };
    let selection = Selection::Named(names);
    let _lock = app.store.lock_rotation()?;
    app.tidy_rotation()?;
    let mut rounds = RotationRounds::begin(app, &selection, &options, None, &deliverer)?;
    let planned = app.plan_round(&mut rounds)?;
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
    reporter.end();
    Ok(all_done(summary)?)
}
