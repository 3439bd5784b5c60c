//! `smtpcred user rename`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::app::rename::{RenameStep, Renamed};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user rename shop@example.com store@example.com --overlap 7d
  smtpcred user rename shop@example.com store@example.com      again: the overlap ends now
  smtpcred user rename shop@example.com shop@example.org       into another domain of the store

The old name:
  With --overlap, applications can sign in and send with the old name for this long, and count as
  the same user: same passwords, limits and senders, and the addresses of the old domain. Without
  it, and once the time is over, the old name is refused like an unknown one, and sessions that
  signed in with it end at their next message. It does not work again: rename the user back
  with --overlap if an application still needs it. The log of the mail server shows which
  applications still use it: Postfix writes sasl_username=OLD. A later rename without --overlap
  stops all earlier names; deleting the user stops them, too.
  While an old name works, no user can be created with it. Afterwards only `user create` and
  `user rename` can give it to another user; `apply` and `user import` refuse it, so that an old
  plan or file does not bring it back.
  `audit list --user` and `user show` include what happened under the old names.

JSON:
  The user, as in `user list`.";

/// Rename a user; its passwords, rules and history stay
///
/// Limits, senders, rotation rules, tags, usage and last connections stay with the user. The
/// command lists the places that may still contain the old name, and how to change each of them.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct RenameUser {
    /// The user
    #[arg(value_name = "OLD", add = complete::usernames())]
    old: Username,

    /// Its new name, in an existing domain
    #[arg(value_name = "NEW", value_parser = Username::of_new_user)]
    new: Username,

    /// Let the old name also work for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    overlap: Option<Duration>,
}

impl RenameUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let renamed = app.rename_user(&self.old, &self.new, self.overlap)?;
        let now = app.now();
        context.out.note(&said(&renamed, now));
        if renamed.done == RenameStep::Renamed {
            for warning in renamed.warnings(now) {
                context.out.warn(&warning);
            }
        }
        let domain = self.new.domain();
        // It is renamed: no error from here on may suggest otherwise.
        if app.is_kept_from_sending(&domain).unwrap_or(false) {
            context.out.warn(&format!(
                "{} cannot send until its domain is verified: smtpcred domain verify {domain}",
                self.new
            ));
        }
        Ok(context.out.result(&UserRecord::new(&renamed.user, now))?)
    }
}

fn said(renamed: &Renamed, now: Time) -> String {
    let (old, new) = (&renamed.old.old_name, &renamed.user.username);
    let until = match renamed.old.until.filter(|_| renamed.old.works(now)) {
        Some(until) => format!("works until {until}"),
        None => "no longer works".to_owned(),
    };
    match renamed.done {
        RenameStep::Renamed => format!("renamed {old} to {new}; the old name {until}"),
        RenameStep::OldNameSet => format!("{old}, the old name of {new}, {until}"),
        RenameStep::Nothing => {
            format!("unchanged: {old} was already renamed to {new}, and {until}")
        }
    }
}
