//! `smtpcred audit failures`

use anyhow::Result;
use clap::Args;

use crate::cli::args::paging::PageArgs;
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::user::refusal::RefusalRecord;
use crate::model::name::Username;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::since::Since;
use crate::model::text::in_shell;
use crate::store::{Access, RefusalKey};

const FAILURES_HELP: &str = "\
Examples:
  smtpcred audit failures --since 24h
  smtpcred audit failures --user shop@example.com --json
  smtpcred audit failures --limit 100 --after \\
                 '2026-11-20T19:35:50Z,shop@example.com,192.0.2.7,wrong-password'  the next page

JSON:
  A list of {username, address, reason, count, first_at, last_at}. The reasons are those of
  `smtpcred serve`. A name is stored if it is a username or could be one: its
  domain is in the store, and it is too short for a password. Names with stray spaces or dots are
  shown in quotes. Any other name may be a password in the wrong field and is stored as
  (hidden:0a1b2c3d), with its domain if that is in the store; the same name gets the same eight
  characters until `smtpcred serve` restarts.";

/// List refused sign-ins, latest first
///
/// They are counted by user, address and reason, and kept for 30 days.
#[derive(Debug, Args)]
#[command(after_long_help = FAILURES_HELP, mut_arg(COLUMNS, complete::columns::<RefusalRecord>))]
pub struct ListFailures {
    /// Show only sign-ins of this user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Show only sign-ins since then: a duration ago (7d, 24h), a date (UTC) or a time
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<Since>,

    /// Show only sign-ins after this one: its time, username, address and reason, separated by commas
    #[arg(long, value_name = "PLACE")]
    after: Option<RefusalKey>,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

impl ListFailures {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut list = self.view.apply(context.out.list::<RefusalRecord>())?;
        let (user, most) = (self.user.as_ref(), self.page.limit);
        let mut refused_address = None;
        app.list_refusals(user, self.since, self.after, most, &mut |refusals| {
            if refusals.reason == RefusalReason::AddressNotAllowed {
                refused_address.get_or_insert_with(|| refusals.clone());
            }
            list.push(&RefusalRecord::new(&refusals))
        })?;
        list.end("no refused sign-ins found")?;
        if let Some(first) = refused_address {
            context.out.note(&format!(
                "address-not-allowed: the password was right; to allow an address: smtpcred user allow {} {}",
                in_shell(first.username.as_str()),
                first.address
            ));
        }
        Ok(())
    }
}
