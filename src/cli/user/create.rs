//! `smtpcred user create`

use anyhow::Result;
use clap::Args;

use super::bulk::BulkArgs;
use super::record::UserRecord;
use super::roster_help;
use crate::app::bulk::BulkRequest;
use crate::app::credential::{CreateRequest, Name};
use crate::app::users::{Expiry, UserRequest};
use crate::cli::password_input::PasswordArgs;
use crate::cli::reveal::RevealArgs;
use crate::cli::rotation::RotationArgs;
use crate::cli::sending::{LimitArgs, SenderArgs};
use crate::cli::{Context, complete};
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::settings::Setting;
use crate::model::time::Time;
use crate::store::Access;

/// Create a user, and show its password once
///
/// On a terminal the password is shown in a panel and copied to the clipboard; it works from the
/// moment you say that you have saved it. In a pipe or a script it is printed with a newline and
/// nothing else, and the user exists only if it could be printed in full.
#[derive(Debug, Args)]
#[command(after_long_help = roster_help::USER_CREATE)]
pub struct Create {
    /// What the application signs in as, such as shop@example.com
    #[arg(value_name = "USERNAME")]
    username: Option<Username>,

    /// Generate the username in this domain, from --label
    #[arg(long, value_name = "DOMAIN", conflicts_with = "username", add = complete::domains())]
    domain: Option<DomainName>,

    /// What it is for, in your words: "WordPress"
    #[arg(long, value_name = "TEXT")]
    label: Option<Label>,

    /// Add the domain, if it is not there yet
    #[arg(long)]
    add_domain: bool,

    /// Stop it from signing in after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires_in: Option<Duration>,

    /// The same as a time, such as 2027-06-30 or 2027-06-30T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Time>,

    #[command(flatten)]
    senders: SenderArgs,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    many: BulkArgs,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,

    #[command(flatten)]
    rotation: RotationArgs,
}

impl Create {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.many.is_wanted() {
            return self.run_many(context);
        }
        let name = match (self.username, self.domain) {
            (Some(username), _) => Name::Chosen(username),
            (None, Some(domain)) => Name::Generated(domain, self.label.clone()),
            (None, None) => {
                let give = "give a username such as shop@example.com, or --domain example.com";
                return Err(Error::Usage(give.into()).into());
            }
        };
        let chosen = self.password.is_chosen()?;
        let mut way = self.reveal.handover(context.out.format(), chosen)?;
        let access = if self.add_domain {
            Access::Create
        } else {
            Access::Existing
        };
        let mut app = context.app(access)?;

        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let request = CreateRequest {
            name,
            add_domain: self.add_domain,
            user: UserRequest {
                label: self.label,
                daily_limit: daily_limit.and_then(Setting::value),
                expires: (self.expires_in.map(Expiry::In)).or(self.expires_at.map(Expiry::At)),
                sending,
                rotation: self.rotation.change()?,
            },
        };
        let username = app.plan_user(&request)?;
        let password = self.password.password(&username)?;
        let user = app.create_user(&username, &request, password, &mut *way)?;

        let key = user.newest_key().map(|key| format!(" (key {})", key.id));
        context
            .out
            .note(&format!("created {username}{}", key.unwrap_or_default()));
        way.finish(&context.out);
        let domain = username.domain();
        // The user is there: nothing that goes wrong now may say it is not.
        if app.is_kept_from_sending(&domain).unwrap_or(false) {
            context.out.warn(&format!(
                "{username} cannot send before its domain is verified: smtpcred domain verify {domain}"
            ));
        }
        if self.reveal.leaves_stdout(chosen) {
            context.out.result(&UserRecord::new(&user, app.now()))?;
        }
        Ok(())
    }

    fn run_many(self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let request = BulkRequest {
            domain: self.domain,
            add_domain: self.add_domain,
            skip_existing: self.many.skips_existing(),
            form: self.password.form(),
            user: UserRequest {
                label: None,
                daily_limit: daily_limit.and_then(Setting::value),
                expires: (self.expires_in.map(Expiry::In)).or(self.expires_at.map(Expiry::At)),
                sending,
                rotation: self.rotation.change_for_many()?,
            },
        };
        self.many.run(&request, &self.reveal, context)
    }
}
