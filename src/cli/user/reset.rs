//! `smtpcred user reset`

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Result;
use clap::Args;

use super::input::recover_folder;
use super::record::UserRecord;
use super::several::{Several, UserNames};
use crate::app::App;
use crate::cli::args::password::PasswordArgs;
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::reveal::RevealArgs;
use crate::cli::reveal::many::OneByOne;
use crate::cli::reveal::target::PasswordTarget;
use crate::error::{self, Error};
use crate::host;
use crate::model::duration::Duration;
use crate::model::user::User;

const HELP: &str = "\
Examples:
  smtpcred user reset shop@example.com                   the old password stops working at once
  smtpcred user reset shop@example.com --overlap 24h     both work until tomorrow
  smtpcred user reset shop@example.com crm@example.com --output-dir /root/new
  smtpcred user reset shop@example.com --reveal raw | systemd-creds encrypt --name=smtp - smtp.cred

Several users:
  Each is reset on its own, once its password is handed over: to a file named after it in
  --output-dir, to a line of --reveal json or csv on stdout, or on a terminal to one panel after the
  other. {\"reset\":N} after some lines means that the first N printed passwords are valid. If one
  cannot be reset, the command ends and names the users that were.

JSON:
  As in `user create`. With --output-dir, the users, as in `user list`.";

/// Replace the passwords of users; the old ones stop working at once
///
/// Nothing changes until the new password is delivered in full: on a terminal, until you confirm
/// that you have saved it.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ResetPassword {
    #[command(flatten)]
    names: UserNames,

    /// Let the old password also work for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    overlap: Option<Duration>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,

    /// Write each password to a new file in this folder, named after its user
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Where the password goes",
        conflicts_with_all = ["output", "password_stdin", "password_file", "choose_password"],
        value_parser = path::given()
    )]
    output_dir: Option<PathBuf>,
}

impl ResetPassword {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let chosen = self.password.is_chosen()?;
        if self.names.usernames.len() > 1 || self.output_dir.is_some() {
            return self.run_several(context, chosen);
        }
        let mut sink = self.reveal.sink(&context.out, chosen)?;
        let Several { mut app, users, .. } = self.names.look_up(context)?;
        for seen in &users {
            app.may_reset(seen, self.overlap)?;
            let label = seen.label.as_deref();
            let password = self.password.password(&seen.username, label)?;
            let user = app.reset_password(seen, self.overlap, password, &mut *sink)?;
            note_reset(&app, context, &user);
            sink.finish(&context.out);
            if self.reveal.leaves_stdout(chosen) {
                context.out.result(&UserRecord::new(&user, app.now()))?;
            }
        }
        Ok(())
    }

    fn run_several(&self, context: &mut Context, chosen: bool) -> Result<()> {
        if chosen || self.reveal.is_to_file() {
            let only = "several users get generated passwords; write them with --output-dir DIR";
            return Err(Error::Usage(only.into()).into());
        }
        let panels = self.output_dir.is_none() && self.reveal.is_panel(context.out.format());
        let mut target = None;
        if !panels {
            let folder = self.output_dir.as_deref();
            target = Some(PasswordTarget::open(&self.reveal, folder, context)?);
        }
        let mut several = self.names.look_up(context)?;
        for seen in &several.users {
            several.app.may_reset(seen, self.overlap)?;
        }
        let Some(mut target) = target else {
            return several.change(context, "reset", |app, context, seen| {
                let user = self.show_panel(app, context, seen)?;
                Ok((user, Ok(())))
            });
        };
        check(&mut target, &mut several, context)?;
        // stdout is taken.
        several.is_printed = target.folder().is_some();
        let stop = host::stop_on_signals()?;
        let mut sink = OneByOne::new(target.into_sink("reset", &context.out, &stop));
        several.change(context, "reset", |app, context, seen| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let password = self.password.password(&seen.username, None)?;
            let user = app.reset_password(seen, self.overlap, password, &mut sink)?;
            note_reset(app, context, &user);
            let completed = sink.committed();
            Ok((user, completed))
        })
    }

    fn show_panel(&self, app: &mut App, context: &Context, seen: &User) -> error::Result<User> {
        let mut panel = self.reveal.sink(&context.out, false)?;
        let password = self.password.password(&seen.username, None)?;
        let user = app.reset_password(seen, self.overlap, password, &mut *panel)?;
        note_reset(app, context, &user);
        panel.finish(&context.out);
        Ok(user)
    }
}

/// Finds early what would end the command after the first users.
fn check(
    target: &mut PasswordTarget,
    several: &mut Several,
    context: &Context,
) -> error::Result<()> {
    if let PasswordTarget::Folder(folder, _) = target {
        recover_folder(&mut several.app, folder, &context.out)?;
        let refuses = |user: &User| {
            let reason = folder.refuses(&user.username)?;
            Some(format!("{} {reason}", user.username))
        };
        if let Some(reason) = several.users.iter().find_map(refuses) {
            return Err(Error::NoFolder(reason));
        }
    }
    let names = several.users.iter().map(|user| &user.username);
    target.check_hosts(Some(&mut several.app), names)
}

/// Says what a reset did.
fn note_reset(app: &App, context: &Context, user: &User) {
    let now = app.now();
    let password_id = user
        .password()
        .map(|password| format!(" (password ID {})", password.id))
        .unwrap_or_default();
    let mut live = user.live_passwords(now);
    let old = match live.find_map(|password| password.retires_at) {
        Some(at) => format!("the old one works until {at}"),
        None => "the old one no longer works".to_owned(),
    };
    let issued = match user.live_temporary(now).count() {
        0 => "",
        1 => "; a temporary one still works",
        _ => "; the temporary ones still work",
    };
    context.out.note(&format!(
        "new password for {}{password_id}; {old}{issued}",
        user.username
    ));
    if !user.status(now).can_sign_in() {
        let status = user.status(now).name();
        context.out.warn(&format!(
            "{} is {status} and cannot sign in with any password",
            user.username
        ));
    }
}
