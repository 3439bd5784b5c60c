//! `smtpcred audit …`

use anyhow::Result;
use clap::{Args, Subcommand};

use super::lazy::Lazy;
use super::output::Record;
use super::page::Limit;
use super::user::record::RefusalRecord;
use super::{Context, complete, help};
use crate::model::duration::Duration;
use crate::model::event::Event;
use crate::model::name::{DomainName, Username};
use crate::store::{Access, EventFilter, RefusalKey};

/// Who changed what, and when
#[derive(Debug, Subcommand)]
pub enum Command {
    List(Lazy<List>),
    Failures(Lazy<Failures>),
}

/// List the events, oldest first
#[derive(Debug, Args)]
#[command(after_long_help = help::AUDIT_LIST)]
pub struct List {
    /// Only those about one domain and its users
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Only those about one user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Only those of the last 7d, 24h, …
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    since: Option<Duration>,

    /// Only those behind the one with this id
    #[arg(
        long,
        value_name = "ID",
        default_value_t = 0,
        hide_default_value = true
    )]
    after: i64,

    #[command(flatten)]
    limit: Limit,
}

/// List the sign-ins that were refused, the latest first
///
/// Counted by user, address and reason, and kept for 30 days.
#[derive(Debug, Args)]
#[command(after_long_help = help::AUDIT_FAILURES)]
pub struct Failures {
    /// Only those of one user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Only those of the last 7d, 24h, …
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    since: Option<Duration>,

    /// Only those behind this one: its time, username, address and reason, with commas
    #[arg(long, value_name = "PLACE")]
    after: Option<RefusalKey>,

    #[command(flatten)]
    limit: Limit,
}

impl Command {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(list) => list.0.run(context),
            Self::Failures(failures) => failures.0.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let filter = EventFilter {
            domain: self.domain,
            username: self.user,
            since: None,
        };
        let mut list = context.out.list::<Event>();
        app.list_events(
            filter,
            self.since,
            self.after,
            self.limit.limit,
            &mut |event| list.push(&event),
        )?;
        Ok(list.end("no such events")?)
    }
}

impl Failures {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut list = context.out.list::<RefusalRecord>();
        let (user, most) = (self.user.as_ref(), self.limit.limit);
        app.list_refusals(user, self.since, self.after, most, &mut |refusals| {
            list.push(&RefusalRecord::new(&refusals))
        })?;
        Ok(list.end("no sign-ins were refused")?)
    }
}

impl Record for Event {
    const COLUMNS: &'static [&'static str] = &["Time", "Who", "Action", "About", "Set"];

    fn cells(&self) -> Vec<String> {
        let who = match &self.run_as {
            Some(run_as) => format!("{} as {run_as}", self.actor),
            None => self.actor.clone(),
        };
        let about = self.username.as_ref().or(self.domain.as_ref());
        let set = self
            .fields
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{name}={value}")
            });
        vec![
            self.at.to_string(),
            who,
            self.action.clone(),
            about.cloned().unwrap_or_default(),
            set.collect::<Vec<_>>().join(" "),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "id", "at", "actor", "run_as", "host", "action", "domain", "username", "fields",
    ];

    fn fields(&self) -> Vec<String> {
        let owned = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.at.to_string(),
            self.actor.clone(),
            owned(&self.run_as),
            self.host.clone(),
            self.action.clone(),
            owned(&self.domain),
            owned(&self.username),
            self.fields.to_string(),
        ]
    }
}
