//! `smtpcred user list` and `show`

use anyhow::Result;
use clap::Args;

use super::overlap::OverlapRecord;
use super::record::{UserDetail, UserRecord};
use crate::app::users::Wanted;
use crate::cli::beside::written_beside;
use crate::cli::page::Limit;
use crate::cli::{Context, complete, help};
use crate::model::duration::Duration;
use crate::model::name::{DomainName, Username};
use crate::model::user::Status;
use crate::store::Access;

/// List the users
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_LIST)]
pub struct List {
    /// Only those of one domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Only active, suspended, expired or overlap ones
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,

    /// Only those that have not connected for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    stale: Option<Duration>,

    /// Only those that have never connected
    #[arg(long)]
    never_used: bool,

    /// Only those that will expire within this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expiring: Option<Duration>,

    /// Only those with an old password that still works, and who last used which
    #[arg(long, conflicts_with = "status")]
    overlap: bool,

    /// Only those behind this one, which need not be there any more
    #[arg(long, value_name = "USERNAME")]
    after: Option<Username>,

    #[command(flatten)]
    limit: Limit,
}

/// Show one user
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_SHOW)]
pub struct Show {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

impl List {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let now = app.now();
        let wanted = Wanted {
            domain: self.domain,
            status: self.status.or(self.overlap.then_some(Status::Overlap)),
            stale: self.stale,
            never_used: self.never_used,
            expiring: self.expiring,
        };
        let page = self.limit.behind(self.after.as_ref().map(Username::as_str));
        if self.overlap {
            let mut list = context.out.list::<OverlapRecord>();
            written_beside(
                |take| app.list_users(&wanted, &page, take),
                |user| list.push(&OverlapRecord::new(UserRecord::new(user, now))),
            )?;
            return Ok(list.end("no overlap is running")?);
        }
        let mut list = context.out.list::<UserRecord>();
        written_beside(
            |take| app.list_users(&wanted, &page, take),
            |user| list.push(&UserRecord::new(user, now)),
        )?;
        Ok(list.end("no such users")?)
    }
}

impl Show {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let detail = app.user_detail(&self.username)?;
        Ok(context.out.one(&UserDetail::new(&detail, app.now()))?)
    }
}
