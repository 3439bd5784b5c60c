//! `smtpcred user set`, `suspend`, `resume` and `delete`

use anyhow::Result;
use clap::Args;

use super::addresses::warn_of_empty_list;
use super::record::UserRecord;
use super::several::{UserNames, UsersOrDomain};
use crate::app::users::{Expiry, UserUpdate};
use crate::cli::args::addresses::AddressArgs;
use crate::cli::args::limits::{LimitArgs, SenderArgs};
use crate::cli::args::rotation::RotationArgs;
use crate::cli::args::tags::TagArgs;
use crate::cli::changes;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::prompt;
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::setting::Setting;
use crate::model::tag::TagKey;
use crate::model::time::Time;
use crate::store::Access;

const SET_HELP: &str = "\
Examples:
  smtpcred user set shop@example.com --label \"Shop, new server\"
  smtpcred user set shop@example.com --expires-in 180d --daily-limit 500
  smtpcred user set shop@example.com --tag env=prod --remove-tag trial --note 'moved to web2'
  smtpcred user set shop@example.com --expires-in none
  smtpcred user set shop@example.com --expires-at 2027-06-30
  smtpcred user set shop@example.com --sender shop.example --limit messages/hour=100
  smtpcred user set shop@example.com --addresses learn --learn 14d
  smtpcred user set shop@example.com --rotate-every 90d --deliver 'ssh web1 put-smtp-password'

Limits:
  A message that a milter or header_checks reject still counts, because they run later. With
  --on-limit suspend or delete, a client that keeps retrying such a message gets its user suspended
  or deleted: use defer if you check contents. `smtpcred user resume` lets a suspended user sign in
  again.

JSON:
  The user, as in `user list`.";

/// Change a user's label, note, tags, senders, limits, expiry, addresses or rotation
#[derive(Debug, Args)]
#[command(after_long_help = SET_HELP)]
pub struct SetUser {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Describe what the user is for, or none
    #[arg(long, value_name = "TEXT")]
    label: Option<Setting<Label>>,

    #[command(flatten)]
    tags: TagArgs,

    /// Remove the tag with this key; repeatable
    #[arg(long, value_name = "KEY")]
    remove_tag: Vec<TagKey>,

    #[command(flatten)]
    senders: SenderArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// Let the user expire after this time from now; or none
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires_in: Option<Setting<Duration>>,

    /// Let the user expire at this time, such as 2027-06-30 or 2027-06-30T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Time>,

    #[command(flatten)]
    addresses: AddressArgs,

    #[command(flatten)]
    rotation: RotationArgs,
}

const SUSPEND_HELP: &str = "\
Examples:
  smtpcred user suspend shop@example.com
  smtpcred user suspend shop@example.com crm@example.com
  smtpcred user suspend --domain example.com             all its users; asks for their number

JSON:
  The user, as in `user list`; of several users, a list; with --domain, a
  list of those that changed.";

/// Prevent users from signing in, without deleting them
#[derive(Debug, Args)]
#[command(after_long_help = SUSPEND_HELP)]
pub struct SuspendUser {
    #[command(flatten)]
    users: UsersOrDomain,
}

const RESUME_HELP: &str = "\
Examples:
  smtpcred user resume shop@example.com
  smtpcred user resume shop@example.com crm@example.com
  smtpcred user resume --domain example.com              all its suspended users

JSON:
  The user, as in `user list`; of several users, a list; with --domain, a
  list of those that changed.";

/// Let suspended users sign in again with their passwords
#[derive(Debug, Args)]
#[command(after_long_help = RESUME_HELP)]
pub struct ResumeUser {
    #[command(flatten)]
    users: UsersOrDomain,
}

const DELETE_HELP: &str = "\
Examples:
  smtpcred user delete shop@example.com                  asks you to type the username
  smtpcred user delete shop@example.com --yes            for scripts; cannot be undone
  smtpcred user delete shop@example.com crm@example.com  asks once: for the number of users

JSON:
  The user as it was before; of several users, a list.";

/// Delete users permanently
///
/// The hashes are erased at once; this cannot be undone. The events stay. Asks you to type the
/// username, or for several users their number, unless --yes is given. If you are not sure: `user
/// suspend` only prevents a user from signing in, and `user reset` gives it a new password.
#[derive(Debug, Args)]
#[command(after_long_help = DELETE_HELP)]
pub struct DeleteUser {
    #[command(flatten)]
    names: UserNames,
}

impl SetUser {
    pub fn run(mut self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let rotation = self.rotation.change()?;
        let addresses = self.addresses.change();
        let bounds = addresses.sets_rules();
        let note = self.tags.note.take();
        let tags = self.tags.changes(self.remove_tag)?;
        let nothing = self.label.is_none()
            && note.is_none()
            && tags.is_empty()
            && self.expires_in.is_none()
            && self.expires_at.is_none()
            && rotation.is_empty()
            && daily_limit.is_none()
            && sending.is_empty()
            && addresses.is_empty();
        if nothing {
            let give = "nothing to set: specify --label, --note, --tag, --remove-tag, --expires-in, --sender, --daily-limit, --limit, --on-limit, --addresses, --unknown-address, --learn, --rotate-every or --deliver";
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
            note,
            tags,
            daily_limit,
            expires: expires.or(at),
            sending,
            rotation,
            addresses,
        };
        let (user, fields) = app.set_user(&self.username, update)?;
        changes::tell(&context.out, user.username.as_str(), &fields);
        if bounds {
            warn_of_empty_list(&mut app, context, &user.username)?;
        }
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

impl SuspendUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let several = self
            .users
            .look_up(context, |user| user.suspended_at.is_none())?;
        let many = several.confirm(context, "suspending users", |users, domain| {
            format!("suspending the {users} of {domain}: they can no longer sign in")
        })?;
        several.change(context, "suspended", |app, context, user| {
            let (user, changed) = app.suspend_user(&user.username)?;
            if many {
                return Ok((user, Ok(())));
            }
            context.out.note(&if changed {
                format!("suspended {}: it can no longer sign in", user.username)
            } else {
                format!("{} is already suspended", user.username)
            });
            Ok((user, Ok(())))
        })
    }
}

impl ResumeUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let several = self
            .users
            .look_up(context, |user| user.suspended_at.is_some())?;
        let many = several.confirm(context, "resuming users", |users, domain| {
            format!(
                "resuming the {users} of {domain} that are suspended, whatever for: they can sign in again"
            )
        })?;
        several.change(context, "resumed", |app, context, user| {
            let (user, changed) = app.resume_user(&user.username)?;
            if many {
                return Ok((user, Ok(())));
            }
            context.out.note(&if changed {
                format!("resumed {}: it can sign in again", user.username)
            } else {
                format!("{} was not suspended", user.username)
            });
            Ok((user, Ok(())))
        })
    }
}

impl DeleteUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let several = self.names.look_up(context)?;
        let names = several.names();
        let (what, them, typed) = match several.users.as_slice() {
            [_] => ("deleting a user", "it", names.clone()),
            users => ("deleting users", "them", users.len().to_string()),
        };
        let consequence = format!(
            "deleting {names} cannot be undone; `user suspend` only prevents {them} from signing in"
        );
        prompt::confirm(context, what, &consequence, &typed)?;
        several.change(context, "deleted", |app, context, user| {
            let user = app.delete_user(user)?;
            context
                .out
                .note(&format!("deleted {} and erased its hashes", user.username));
            Ok((user, Ok(())))
        })
    }
}
