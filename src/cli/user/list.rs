//! `smtpcred user list` and `show`

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::overlap::OverlapRecord;
use super::record::{UserDetail, UserRecord};
use crate::app::users::UserQuery;
use crate::cli::args::one_of;
use crate::cli::args::paging::PageArgs;
use crate::cli::args::tags::{one_tag, without_doubles};
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::name::{DomainName, Username};
use crate::model::tag::TagFilter;
use crate::model::text::count;
use crate::model::time::Time;
use crate::model::user::{EXPIRES_SOON, Status, User};
use crate::model::user_search::{SearchText, UserSort};
use crate::store::Access;

const LIST_HELP: &str = "\
Examples:
  smtpcred user list
  smtpcred user list --domain example.com --status suspended
  smtpcred user list --stale 90d --never-used
  smtpcred user list --overlap                           which applications use an old password
  smtpcred user list --tag env=prod --tag team
  smtpcred user list wordpress                           in the username or the label
  smtpcred user list --expiring 14d --sort expires
  smtpcred user list --sort age --limit 20               the oldest passwords
  smtpcred user list --json --limit 1000 --after shop@example.com        the next page
  smtpcred user list --json | jq -r '.[] | select(.password_age_seconds > 15552000) | .username'

JSON:
  A list of {username, domain, label, note, tags: {KEY: VALUE}, status, passwords: [{id, created_at,
  retires_at, last_connection, last_sent_at, messages, recipients}], password_created_at,
  password_age_seconds, last_connection: {at, address}, daily_limit, expires_at, suspended_at,
  created_at}. The passwords are the live ones, oldest first; a missing value is null; status is
  active, overlap, suspended or expired. The messages and recipients are those that were sent with
  the password, as far as the mail server says in which session.

Columns:
  For --columns: username, label, status, password-id, expires, near-limit, refused, password-age,
  last-connection, created, daily-limit, suspended, tags, note. Columns that do not fit the terminal
  are left out, the least important ones first; --wide shows all of them.
  EXPIRES, NEAR LIMIT and REFUSED appear only if one of the users has a value there; the last two
  only on a terminal or on request. NEAR LIMIT is a limit of which at least 80 % is used, and
  REFUSED is the number of refused sign-ins from addresses that were refused in the last 24 hours.

Order:
  --sort age begins with the oldest password, used with the latest connection, expires with the
  next expiry, created with the newest user. Only a list by name has pages. Other orders show
  100000 users at most.

Pages:
  Continue with --after and the last username of this page, until a page is empty. A user that
  exists all the time is on exactly one page. Without --limit, one document has all users.";

/// List users
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP, mut_arg(COLUMNS, complete::columns::<UserRecord>))]
pub struct ListUsers {
    /// Show only users with this text in the username or label, ignoring case
    #[arg(value_name = "TEXT")]
    text: Option<SearchText>,

    /// Show only users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Show only users with this status; active includes users in an overlap
    #[arg(long, value_name = "STATUS", value_parser = one_of::<Status, _>(Status::ALL.map(Status::name)))]
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

    /// Show only users with this tag, or with this value of it; repeat it to require several tags
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = one_tag::<TagFilter>, add = complete::tags())]
    tag: Vec<TagFilter>,

    /// Show only users after this one, which may have been deleted
    #[arg(long, value_name = "USERNAME")]
    after: Option<Username>,

    #[command(flatten)]
    page: PageArgs,

    /// Show users in this order: name, age, used, expires or created
    #[arg(
        long,
        value_name = "ORDER",
        hide_possible_values = true,
        value_parser = orders()
    )]
    sort: Option<UserSort>,

    #[command(flatten)]
    view: ViewArgs,
}

/// Completes the orders.
fn orders() -> impl TypedValueParser<Value = UserSort> {
    let names = PossibleValuesParser::new(UserSort::ALL.map(UserSort::name));
    names.try_map(|name| name.parse::<UserSort>())
}

const SHOW_HELP: &str = "\
Examples:
  smtpcred user show shop@example.com
  smtpcred user show shop@example.com --json | jq .passwords

JSON:
  As in `user list`, and old_passwords (those that no longer work), temporary_passwords: [{id, label,
  created_at, expires_at, works, from, last_connection, last_sent_at, messages, recipients}] (also
  ended ones, until `store maintain` deletes them), senders, limits: {KIND: N},
  on_limit, refused_sign_ins: [{username, address, reason, count, first_at, last_at}],
  addresses, unknown_address, learning_until, allowed_addresses, rotate_every_seconds,
  delivery: {command, write_file, write_env, env_name, timeout_seconds},
  unfinished_rotation: {password_id, reason, began_at, ways_out: {arrived, not_arrived, reset}},
  old_names: [{username, renamed_at, until}]. The ways out are commands. The rules of rotation
  and of addresses are the user's own, its domain's or the installation's; allowed_addresses are the
  lists of all three.";

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
        let for_people = context.out.is_for_people();
        let view = if self.overlap {
            self.view
        } else {
            self.view.or_columns(context.columns())
        };
        let wanted = UserQuery {
            domain: self.domain,
            status: self.status.or(self.overlap.then_some(Status::Overlap)),
            stale: self.stale,
            never_used: self.never_used,
            expiring: self.expiring,
            tags: without_doubles(self.tag, |tag| &tag.key)?,
            text: self.text,
            sort: self.sort.unwrap_or_default(),
            with_trouble: !self.overlap
                && context.out.format() == OutputFormat::Table
                && (for_people || view.asks_for(&TROUBLE)),
        };
        if wanted.sort != UserSort::Name && self.after.is_some() {
            let only = "--after needs a list by name, without --sort";
            return Err(Error::Usage(only.into()).into());
        }
        let page = self
            .page
            .page_after(self.after.as_ref().map(Username::as_str));
        if self.overlap {
            let mut list = view.apply(context.out.list::<OverlapRecord>())?;
            app.list_users(&wanted, &page, &mut |user, _| {
                list.push(&OverlapRecord::new(UserRecord::new(&user, now)))
            })?;
            return Ok(list.end("no overlap is running")?);
        }
        let none = match self.after {
            Some(_) => "no more users",
            None => "no users found",
        };
        let mut tally = Tally::default();
        let mut list = view.apply(context.out.list::<UserRecord>())?;
        app.list_users(&wanted, &page, &mut |user, trouble| {
            if for_people {
                tally.add(&user, now);
            }
            list.push(&UserRecord::new(&user, now).with_trouble(trouble))
        })?;
        list.end(none)?;
        if for_people && tally.users > 0 {
            let more = page.most.is_some_and(|most| tally.users == u64::from(most));
            context.out.closing(&tally.text(more))?;
        }
        Ok(())
    }
}

/// The columns that take a look beside the users.
const TROUBLE: [&str; 2] = ["near-limit", "refused"];

/// Counts the users of a list.
#[derive(Default)]
struct Tally {
    users: u64,
    suspended: u64,
    expired: u64,
    expiring: u64,
}

impl Tally {
    fn add(&mut self, user: &User, now: Time) {
        self.users += 1;
        match user.status(now) {
            Status::Suspended => self.suspended += 1,
            Status::Expired => self.expired += 1,
            Status::Active | Status::Overlap => {}
        }
        if user.expires_within(EXPIRES_SOON, now) {
            self.expiring += 1;
        }
    }

    /// Says how many there are. There may be more than the list has.
    fn text(&self, more: bool) -> String {
        let mut text = count(self.users, "user");
        if more {
            text.push_str(" shown");
        }
        let within = format!("expiring within {} days", EXPIRES_SOON.seconds() / 86_400);
        for (n, what) in [
            (self.suspended, "suspended"),
            (self.expired, "expired"),
            (self.expiring, within.as_str()),
        ] {
            if n > 0 {
                let _ = write!(text, ", {n} {what}");
            }
        }
        text
    }
}

impl ShowUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let detail = app.user_detail(&self.username)?;
        Ok(context.out.one(&UserDetail::new(&detail, app.now()))?)
    }
}
