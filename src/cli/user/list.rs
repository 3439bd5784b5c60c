//! `smtpcred user list` and `show`

use anyhow::Result;
use clap::Args;

use super::overlap::OverlapRecord;
use super::record::{UserDetail, UserRecord};
use crate::app::users::UserQuery;
use crate::cli::args::paging::PageArgs;
use crate::cli::args::tags::without_doubles;
use crate::cli::args::view::ViewArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::model::duration::Duration;
use crate::model::name::{DomainName, Username};
use crate::model::tag::TagFilter;
use crate::model::user::Status;
use crate::store::Access;

const LIST_HELP: &str = "\
Examples:
  smtpcred user list
  smtpcred user list --domain example.com --status suspended
  smtpcred user list --stale 90d --never-used
  smtpcred user list --overlap                           which applications use an old password
  smtpcred user list --expiring 14d
  smtpcred user list --tag env=prod --tag team
  smtpcred user list --json --limit 1000 --after shop@example.com        the next page
  smtpcred user list --json | jq -r '.[] | select(.password_age_seconds > 15552000) | .username'

JSON:
  A list of {username, domain, label, note, tags: {KEY: VALUE}, status, passwords: [{id, created_at,
  retires_at, last_connection}], password_created_at, password_age_seconds, last_connection: {at,
  address}, daily_limit, expires_at, suspended_at, created_at}. The passwords are the live ones,
  oldest first; a missing value is null; status is active, overlap, suspended or expired.

Pages:
  Continue with --after and the last username of this page, until a page is empty. A user that
  exists all the time is on exactly one page. Without --limit, one document has all users.";

/// List users
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub struct ListUsers {
    /// Show only users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Show only users with this status: active, suspended, expired or overlap
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,

    /// Show only users that have not connected for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    stale: Option<Duration>,

    /// Show only users that have never connected
    #[arg(long)]
    never_used: bool,

    /// Show only users that expire within this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expiring: Option<Duration>,

    /// Show only users whose old password still works, and when each password was last used
    #[arg(long, conflicts_with = "status")]
    overlap: bool,

    /// Show only users with this tag, with any value or this one; repeatable: with all of them
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: Vec<TagFilter>,

    /// Show only users after this one, which may have been deleted
    #[arg(long, value_name = "USERNAME")]
    after: Option<Username>,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

const SHOW_HELP: &str = "\
Examples:
  smtpcred user show shop@example.com

JSON:
  As in `user list`, and old_passwords (those that no longer work), senders, limits: {KIND: N},
  on_limit, refused_sign_ins: [{username, address, reason, count, first_at, last_at}],
  rotate_every_seconds, delivery: {command, write_file, write_env, env_name, timeout_seconds},
  unfinished_rotation: {password_id, reason, began_at}, old_names: [{username, renamed_at, until}].
  The rules of rotation are the user's own,
  its domain's or the installation's.";

/// Show a user
#[derive(Debug, Args)]
#[command(after_long_help = SHOW_HELP)]
pub struct ShowUser {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

impl ListUsers {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let now = app.now();
        let wanted = UserQuery {
            domain: self.domain,
            status: self.status.or(self.overlap.then_some(Status::Overlap)),
            stale: self.stale,
            never_used: self.never_used,
            expiring: self.expiring,
            tags: without_doubles(self.tag, |tag| &tag.key)?,
        };
        let page = self
            .page
            .page_after(self.after.as_ref().map(Username::as_str));
        if self.overlap {
            let mut list = self.view.apply(context.out.list::<OverlapRecord>())?;
            app.list_users(&wanted, &page, &mut |user| {
                list.push(&OverlapRecord::new(UserRecord::new(&user, now)))
            })?;
            return Ok(list.end("no overlap is running")?);
        }
        let view = self.view.or_columns(context.columns());
        let mut list = view.apply(context.out.list::<UserRecord>())?;
        app.list_users(&wanted, &page, &mut |user| {
            list.push(&UserRecord::new(&user, now))
        })?;
        Ok(list.end("no users found")?)
    }
}

impl ShowUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let detail = app.user_detail(&self.username)?;
        Ok(context.out.one(&UserDetail::new(&detail, app.now()))?)
    }
}
