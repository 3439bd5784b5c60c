//! `smtpcred user reset`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::cli::args::password::PasswordArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::reveal::RevealArgs;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user reset shop@example.com                   the old password stops working at once
  smtpcred user reset shop@example.com --overlap 24h     both work until tomorrow
  smtpcred user reset shop@example.com --reveal raw | systemd-creds encrypt --name=smtp - smtp.cred

JSON:
  As in `user create`.";

/// Replace a user's password; the old one stops working at once
///
/// Nothing changes until the new password is delivered in full: on a terminal, until you confirm
/// that you have saved it.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ResetPassword {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Let the old password also work for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    overlap: Option<Duration>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,
}

impl ResetPassword {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let chosen = self.password.is_chosen()?;
        let mut sink = self.reveal.sink(&context.out, chosen)?;
        let mut app = context.app(Access::Existing)?;
        let seen = app.plan_reset(&self.username, self.overlap)?;
        let label = seen.label.as_deref();
        let password = self.password.password(&self.username, label)?;
        let user = app.reset_password(&seen, self.overlap, password, &mut *sink)?;

        let now = app.now();
        let password_id = user
            .password()
            .map(|password| format!(" (password ID {})", password.id))
            .unwrap_or_default();
        let old = match user
            .live_passwords(now)
            .find_map(|password| password.retires_at)
        {
            Some(at) => format!("the old one works until {at}"),
            None => "the old one no longer works".to_owned(),
        };
        context.out.note(&format!(
            "new password for {}{password_id}; {old}",
            user.username
        ));
        if !user.status(now).can_sign_in() {
            let status = user.status(now).name();
            context.out.warn(&format!(
                "{} is {status} and cannot sign in with any password",
                user.username
            ));
        }
        sink.finish(&context.out);
        if self.reveal.leaves_stdout(chosen) {
            context.out.result(&UserRecord::new(&user, now))?;
        }
        Ok(())
    }
}
