//! `smtpcred messages list`

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::record::MessageRecord;
use crate::app::messages::kept::WantedMessages;
use crate::cli::args::paging::PageArgs;
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::model::followed_message::MessageState;
use crate::model::name::{DomainName, Username};
use crate::model::password::PasswordId;
use crate::model::since::Since;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred messages list --limit 20
  smtpcred messages list --user shop@example.com --since 24h
  smtpcred messages list --to bob@example.net            was it delivered?
  smtpcred messages list --to example.net --state deferred
  smtpcred messages list --json --limit 1000 --after 4dXyz12AbCz   the next page

Table and CSV:
  A row of the table is a message: it shows the recipient that needs attention the most, and how
  many others there are. A row of CSV is a recipient.

JSON:
  A list of {queue_id, username, password_id, sender, message_id, size, at, recipients: [{address,
  original, state, dsn, reply, at, reason, count}], settled, host, later_ids}. sender is <> for an
  empty one; address is null where the log only counts recipients (count is how many), or if it is
  not kept; original is the address before aliases; at is the time of the first line, of a
  recipient that of its state. settled is true if nothing more can happen. reason is null
  unless the state is unknown: no_line_yet, passed_on, no_line, lines_dropped, id_used_again,
  too_many_open or silent. host is that of the log, and empty in Exim's own.";

/// List messages of users, newest first
#[derive(Debug, Args)]
#[command(after_long_help = HELP, mut_arg(COLUMNS, complete::columns::<MessageRecord>))]
pub struct ListMessages {
    /// Show only messages of this user, also those sent under its old names
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Show only messages of users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Show only messages to this address, or to addresses of this domain
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    to: Option<String>,

    /// Show only messages with a recipient in this state
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<MessageState>,

    /// Show only messages since then: a duration ago (7d, 24h), a date (UTC) or a time
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<Since>,

    /// Show only messages before then, written like --since
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    until: Option<Since>,

    /// Show only messages that were sent with this password
    #[arg(long, value_name = "ID")]
    password_id: Option<String>,

    /// Show only messages that are older than the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

fn states() -> impl TypedValueParser<Value = MessageState> {
    let names = MessageState::ALL.map(MessageState::name);
    PossibleValuesParser::new(names).try_map(|name| {
        let state = MessageState::named(&name);
        state.ok_or("not a state")
    })
}

impl ListMessages {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut messages = app.messages(&context.location()?)?;
        let wanted = WantedMessages {
            user: self.user,
            domain: self.domain,
            to: self.to,
            state: self.state,
            since: self.since,
            until: self.until,
            password_id: self.password_id.map(PasswordId::stored),
            after: self.after,
            limit: self.page.limit,
        };
        let of_recipients = context.out.format() == OutputFormat::Csv;
        let mut found = false;
        let mut list = self.view.apply(context.out.list::<MessageRecord>())?;
        app.list_messages(&mut messages, &wanted, &mut |recorded| {
            found = true;
            let mut record = MessageRecord::new(recorded);
            let rows = if of_recipients { record.rows() } else { 1 };
            (0..rows).try_for_each(|row| {
                record.turn_to(row);
                list.push(&record)
            })
        })?;
        list.end("no messages found")?;
        context.ask_if_empty(found, &mut app, wanted.domain.as_ref())
    }
}
