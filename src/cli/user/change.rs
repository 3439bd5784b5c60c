//! `smtpcred user set`, `suspend`, `resume` and `delete`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::app::users::{Expiry, UserUpdate};
use crate::cli::rotation::RotationArgs;
use crate::cli::sending::{LimitArgs, SenderArgs};
use crate::cli::{Context, complete, help, prompt};
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::settings::Setting;
use crate::model::time::Time;
use crate::store::Access;

/// Change a user's label, senders, limits or expiry
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_SET)]
pub struct Set {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// What it is for, in your words; or none
    #[arg(long, value_name = "TEXT")]
    label: Option<Setting<Label>>,

    #[command(flatten)]
    senders: SenderArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// Stop it from signing in after this time from now, or none
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires_in: Option<Setting<Duration>>,

    /// The same as a time, such as 2027-06-30 or 2027-06-30T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Time>,

    #[command(flatten)]
    rotation: RotationArgs,
}

/// Stop a user from signing in, and keep it
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_SUSPEND)]
pub struct Suspend {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

/// Let a suspended user sign in again, with the password it had
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_RESUME)]
pub struct Resume {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

/// Delete a user, for ever
///
/// Its hashes are erased at once, and there is no way back; the events stay. Asks for the username
/// to be typed, or for --yes. If you are not sure: `user suspend` stops it and keeps it, `user
/// reset` gives it a new password.
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_DELETE)]
pub struct Delete {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

impl Set {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let rotation = self.rotation.change()?;
        let nothing = self.label.is_none()
            && self.expires_in.is_none()
            && self.expires_at.is_none()
            && rotation.is_empty()
            && daily_limit.is_none()
            && sending.is_empty();
        if nothing {
            let give = "nothing to set: give --label, --expires-in, --sender, --daily-limit, --limit, --on-limit, --rotate-every or --deliver";
            return Err(Error::Usage(give.into()).into());
        }
        let at = self.expires_at.map(|at| Setting::Some(Expiry::At(at)));
        let expires = self.expires_in.map(|setting| match setting {
            Setting::None => Setting::None,
            Setting::Some(duration) => Setting::Some(Expiry::In(duration)),
        });
        let mut app = context.app(Access::Existing)?;
        let update = UserUpdate {
            label: self.label,
            daily_limit,
            expires: expires.or(at),
            sending,
            rotation,
        };
        let user = app.set_user(&self.username, update)?;
        context.out.note(&format!("changed {}", user.username));
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

impl Suspend {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (user, changed) = app.suspend_user(&self.username)?;
        context.out.note(&if changed {
            format!("suspended {}: it cannot sign in any more", user.username)
        } else {
            format!("{} was suspended already", user.username)
        });
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

impl Resume {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (user, changed) = app.resume_user(&self.username)?;
        context.out.note(&if changed {
            format!("resumed {}: it can sign in again", user.username)
        } else {
            format!("{} was not suspended", user.username)
        });
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

impl Delete {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let user = app.user(&self.username)?;
        let consequence = format!(
            "deleting {} cannot be undone; `user suspend` would stop it and keep it",
            user.username
        );
        prompt::confirm(
            context,
            "deleting a user",
            &consequence,
            user.username.as_str(),
        )?;
        let user = app.delete_user(&self.username)?;
        context
            .out
            .note(&format!("deleted {}; its hashes are erased", user.username));
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}
