//! `smtpcred session …`

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::args::view::{COLUMNS, ViewArgs};
use super::complete;
use super::context::Context;
use super::lazy::Lazy;
use super::terminal::column::{Cell, Column, TimeForm};
use super::terminal::record::Record;
use crate::app::sessions::OpenSessions;
use crate::model::name::{DomainName, Username};
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::session::{OpenSession, SessionEnd};
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred session list                   who is signed in, with which password
  smtpcred session end shop@example.com   ends its sessions at their next command";

/// Show and end open sessions of applications
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum SessionCommand {
    #[command(alias = "ls")]
    List(Lazy<ListSessions>),
    #[command(aliases = ["kill", "close", "stop"])]
    End(Lazy<EndSessions>),
}

const LIST_HELP: &str = "\
Examples:
  smtpcred session list
  smtpcred session list --user shop@example.com
  smtpcred session list --address 192.0.2.0/24 --json

What is listed:
  Every `smtpcred serve` with this store is asked through the store, and answers within a second.
  A session is open from its sign-in until its process of the mail server ends or serves the next
  client. Mail servers do not say when a client hangs up: such a session is listed until then, so
  see when it was last active. Sessions that were silent for an hour are left out, and so are those
  whose password has stopped: they end at their next command. At most 10000 of each `serve` are
  listed, the latest ones.
  After a crash of `serve`, it does not know the sessions from before. Sessions stay known over a
  restart and an upgrade.

JSON:
  A list of {username, password_id, address, since, messages, last, recipients}, the latest first.
  The address is null if the mail server does not pass it on; last is the time of its last command
  about a message.";

/// List open sessions: who is signed in, since when and with which password
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP, mut_arg(COLUMNS, complete::columns::<SessionRecord>))]
pub struct ListSessions {
    /// Show only sessions of this user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Show only sessions of users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Show only sessions from this address or network
    #[arg(long, value_name = "CIDR")]
    address: Option<Network>,

    #[command(flatten)]
    view: ViewArgs,
}

const END_HELP: &str = "\
Examples:
  smtpcred session end shop@example.com                  all its sessions
  smtpcred session end shop@example.com --address 203.0.113.0/24
  smtpcred session end --password-id 7kq3abcd
  smtpcred session end --domain example.com

What happens:
  The next command of such a session about a message is answered with 421 4.7.0, and Postfix hangs
  up; Exim defers the message instead. This holds for every `smtpcred serve` with this store.
  An application whose password works can sign in again: `smtpcred user close` and `smtpcred user
  reset` stop the password.
  A session ends if all that is given matches; one from an unknown address does not match --address.
  After a crash of `serve` or kill -9, sessions from before it are unknown and do not end, not even
  with a new password: restart the mail server (a reload is not enough), or suspend the user.

JSON:
  {sessions, silent}: how many sessions were known, and the machines whose `serve` did not answer.";

/// End open sessions at their next command
#[derive(Debug, Args)]
#[command(
    override_usage = "smtpcred session end [OPTIONS] [USERNAME]",
    after_long_help = END_HELP,
    group = ArgGroup::new("which")
        .args(["username", "password_id", "address", "domain"])
        .required(true)
        .multiple(true)
)]
pub struct EndSessions {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Option<Username>,

    /// End only sessions that signed in with this password
    #[arg(long, value_name = "ID")]
    password_id: Option<String>,

    /// End only sessions from this address or network
    #[arg(long, value_name = "CIDR")]
    address: Option<Network>,

    /// End only sessions of users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains(), conflicts_with = "username")]
    domain: Option<DomainName>,
}

impl SessionCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(list) => list.0.run(context),
            Self::End(end) => end.0.run(context),
        }
    }
}

impl ListSessions {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let which = SessionEnd {
            domain: self.domain,
            username: self.user,
            network: self.address,
            password_id: None,
        };
        let open = app.open_sessions(&which)?;
        for host in &open.silent {
            context.out.warn(&format!(
                "`smtpcred serve` on {host} did not answer: its sessions are as of its last report"
            ));
        }
        let now = app.now();
        let mut list = self.view.apply(context.out.list::<SessionRecord>())?;
        for session in &open.sessions {
            list.push(&SessionRecord::new(session, now))?;
        }
        Ok(list.end(match open.relays {
            0 => {
                "no sessions known: `smtpcred serve` does not run with this store; to start it: systemctl start smtpcred-auth.socket smtpcred-policy.socket"
            }
            _ => "no open sessions found",
        })?)
    }
}

impl EndSessions {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let which = SessionEnd {
            domain: self.domain,
            username: self.username,
            password_id: self.password_id.map(PasswordId::stored),
            network: self.address,
        };
        let open = app.end_sessions(&which)?;
        context.out.note(&ended_text(&open));
        for host in &open.silent {
            context.out.warn(&format!(
                "`smtpcred serve` on {host} did not answer: sessions there end, too, and may be more"
            ));
        }
        Ok(context.out.result(&EndRecord {
            sessions: open.sessions.len(),
            silent: open.silent,
        })?)
    }
}

/// Says how many sessions end.
fn ended_text(open: &OpenSessions) -> String {
    let number = open.sessions.len() as u64;
    let verb = if number == 1 { "ends" } else { "end" };
    match (open.relays, number) {
        (0, _) => "`smtpcred serve` does not run with this store: no session is known".into(),
        (_, 0) => "no open session is known; any that match end at their next command".into(),
        _ => format!("{} {verb} at the next command", count(number, "session")),
    }
}

/// How many sessions end.
#[derive(Serialize)]
struct EndRecord {
    sessions: usize,
    silent: Vec<String>,
}

impl Record for EndRecord {
    const FIELDS: &'static [&'static str] = &["sessions", "silent"];

    fn fields(&self) -> Vec<String> {
        vec![self.sessions.to_string(), self.silent.join(" ")]
    }
}

/// An open session.
#[derive(Serialize)]
pub struct SessionRecord {
    username: String,
    password_id: String,
    address: Option<String>,
    since: Time,
    messages: u32,
    last: Time,
    recipients: u32,
    #[serde(skip)]
    now: Time,
}

impl SessionRecord {
    /// Returns the record of a session.
    pub fn new(session: &OpenSession, now: Time) -> Self {
        Self {
            username: session.username.to_string(),
            password_id: session.password_id.to_string(),
            address: session.address.map(|address| address.to_string()),
            since: session.since,
            messages: session.messages,
            last: session.last,
            recipients: session.recipients,
            now,
        }
    }
}

impl SessionRecord {
    /// Describes it on one line.
    pub fn text(&self) -> String {
        let address = self.address.as_deref().unwrap_or("an unknown address");
        format!(
            "from {address} since {}, last active {}, {}, password {}",
            self.since,
            self.last,
            count(self.messages.into(), "message"),
            self.password_id
        )
    }
}

impl Record for SessionRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("Password ID").rank(2),
        Column::new("Address"),
        Column::new("Since").rank(3).times(TimeForm::Near),
        Column::new("Messages").right(),
        Column::new("Recipients").right().rank(4),
        Column::new("Last").rank(1),
    ];

    fn cells(&self) -> Vec<Cell> {
        let last = format!("{} ago", self.now.since(self.last));
        vec![
            self.username.as_str().into(),
            self.password_id.as_str().into(),
            Cell::or(self.address.clone(), "unknown"),
            self.since.to_string().into(),
            self.messages.to_string().into(),
            self.recipients.to_string().into(),
            Cell::from(last).since(Some(self.last)),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "username",
        "password_id",
        "address",
        "since",
        "messages",
        "last",
        "recipients",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.password_id.clone(),
            self.address.clone().unwrap_or_default(),
            self.since.to_string(),
            self.messages.to_string(),
            self.last.to_string(),
            self.recipients.to_string(),
        ]
    }
}
