//! `smtpcred user reset`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::cli::password_input::PasswordArgs;
use crate::cli::reveal::RevealArgs;
use crate::cli::{Context, complete, help};
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::store::Access;

/// Give a user a new password; the old one stops at once
///
/// Nothing changes until the new password has been handed over in full: on a terminal, until you
/// say that you have saved it.
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_RESET)]
pub struct Reset {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Let the old password work for this long beside the new one
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    overlap: Option<Duration>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,
}

impl Reset {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let chosen = self.password.is_chosen()?;
        let mut way = self.reveal.handover(context.out.format(), chosen)?;
        let mut app = context.app(Access::Existing)?;
        app.plan_reset(&self.username, self.overlap)?;
        let password = self.password.password(&self.username)?;
        let user = app.reset_password(&self.username, self.overlap, password, &mut *way)?;

        let now = app.now();
        let key = user
            .newest_key()
            .map(|key| format!(" (key {})", key.id))
            .unwrap_or_default();
        let old = match user.live_keys(now).find_map(|key| key.retires_at) {
            Some(at) => format!("the old one works until {at}"),
            None => "the old one has stopped".to_owned(),
        };
        context
            .out
            .note(&format!("new password for {}{key}; {old}", user.username));
        if !user.status(now).can_sign_in() {
            let status = user.status(now).name();
            context.out.warn(&format!(
                "{} is {status}: no password lets it sign in",
                user.username
            ));
        }
        way.finish(&context.out);
        if self.reveal.leaves_stdout(chosen) {
            context.out.result(&UserRecord::new(&user, now))?;
        }
        Ok(())
    }
}
