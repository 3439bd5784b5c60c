//! `smtpcred alert …`

use std::sync::Arc;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::number;
use super::args::paging::PageArgs;
use super::args::view::{COLUMNS, ViewArgs};
use super::complete;
use super::context::Context;
use super::lazy::Lazy;
use super::terminal::column::{Cell, Column, TimeForm};
use super::terminal::record::Record;
use super::world::WORLD;
use crate::app::alerts::{AlertSender as _, SharedSender, test_document};
use crate::app::relay::Opener;
use crate::deliver::alert::SystemAlertSender;
use crate::error::{Error, Exit};
use crate::host;
use crate::model::alert::Alert;
use crate::model::text::count;
use crate::model::time::Time;
use crate::serve::alert_thread::Outbox;
use crate::store::{Access, AlertDelivery, Store};

const HELP: &str = "\
Examples:
  smtpcred set-settings --alert-mail you@example.org   where alerts go
  smtpcred alert test                                  sends one there
  smtpcred alert list                                  the newest first
  smtpcred alert ack --all                             what needs no attention any more";

/// Show and send what needs an admin's attention
///
/// `set-settings --alert KIND`, `--alert-exec CMD` and `--alert-mail ADDRESS` choose which alerts are
/// raised, and where they go. See smtpcred-alerts(7).
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum AlertCommand {
    #[command(alias = "ls")]
    List(Lazy<ListAlerts>),
    #[command(aliases = ["acknowledge", "dismiss"])]
    Ack(Lazy<AckAlerts>),
    Test(Lazy<TestAlerts>),
    Send(Lazy<SendAlerts>),
}

const LIST_HELP: &str = "\
Examples:
  smtpcred alert list                           what no one has acknowledged, newest first
  smtpcred alert list --all --limit 20
  smtpcred alert list --json --before 4711      the next page

JSON:
  A list of {id, at, last_at, kind, username, domain, address, text, next, more, acked_at, sent}. more
  is how often the same came up again within the hour. sent is sent, waiting, failed (given up
  somewhere) or nowhere (no command or address was set).";

/// List alerts, newest first
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP, mut_arg(COLUMNS, complete::columns::<AlertRecord>))]
pub struct ListAlerts {
    /// Show those that were acknowledged, too
    #[arg(long)]
    all: bool,

    /// Show only alerts before the one with this id
    #[arg(long, value_name = "ID")]
    before: Option<i64>,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

const ACK_HELP: &str = "\
Examples:
  smtpcred alert ack 4711 4712
  smtpcred alert ack --all

An alert that is acknowledged is no longer in `alert list` and `status`. If the same
happens again an hour later, there is a new alert.";

/// Acknowledge alerts
#[derive(Debug, Args)]
#[command(after_long_help = ACK_HELP)]
pub struct AckAlerts {
    /// The ids of the alerts, as `alert list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all",
        value_parser = number::within(1..=u32::MAX))]
    ids: Vec<u32>,

    /// Acknowledge all alerts
    #[arg(long)]
    all: bool,
}

const TEST_HELP: &str = "\
Examples:
  smtpcred alert test
  smtpcred alert test --json

JSON:
  A list of {way, sent, reason}. The kind of what is sent is test.

Exit codes:
  0 if everything was sent, 1 if anything was not, or if no command or address is set.";

/// Send a test to each command and address
#[derive(Debug, Args)]
#[command(after_long_help = TEST_HELP)]
pub struct TestAlerts {}

const SEND_HELP: &str = "\
Examples:
  smtpcred alert send             what is due now
  smtpcred alert send --follow    and everything that comes, as smtpcred-alerts.service does

`serve` does this by itself, unless it runs with --no-alerts. Several may send at the same time:
each alert is sent once. If one is killed while it sends, the alert is sent again after a minute.

Exit codes:
  0; 1 if anything was not sent: it is tried again later.";

/// Send alerts that are due
#[derive(Debug, Args)]
#[command(after_long_help = SEND_HELP)]
pub struct SendAlerts {
    /// Send alerts as they come, until SIGTERM
    #[arg(long)]
    follow: bool,
}

impl AlertCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(list) => list.0.run(context),
            Self::Ack(ack) => Ok(ack.0.run(context)?),
            Self::Test(_) => TestAlerts::run(context),
            Self::Send(send) => send.0.run(context),
        }
    }
}

impl ListAlerts {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut list = self.view.apply(context.out.list::<AlertRecord>())?;
        let before = self.before.unwrap_or(i64::MAX);
        app.list_alerts(
            before,
            self.page.limit,
            self.all,
            &mut |alert, deliveries| list.push(&AlertRecord::new(alert, deliveries)),
        )?;
        Ok(list.end("no alerts found")?)
    }
}

impl AckAlerts {
    fn run(self, context: &mut Context) -> Result<(), Error> {
        let mut app = context.app(Access::Existing)?;
        let acked = if self.all {
            app.ack_all_alerts()?
        } else {
            let ids: Vec<_> = self.ids.into_iter().map(i64::from).collect();
            app.ack_alerts(&ids)?
        };
        context
            .out
            .note(&format!("acknowledged {}", count(acked, "alert")));
        Ok(())
    }
}

impl TestAlerts {
    fn run(context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let ways: Vec<_> = app.safe_alert_rules()?.ways().collect();
        if ways.is_empty() {
            let none = "alerts are sent nowhere: set a command or an address: smtpcred set-settings --alert-mail you@example.org";
            return Err(Error::System(none.into()).into());
        }
        let document = test_document(app.now());
        drop(app);
        let mut failed = false;
        let mut list = context.out.list::<TestRecord>();
        for way in ways {
            let outcome = SystemAlertSender.send(&way, &document);
            failed |= outcome.is_err();
            list.push(&TestRecord {
                way: way.to_string(),
                sent: outcome.is_ok(),
                reason: outcome.err(),
            })?;
        }
        list.end("nothing to test")?;
        if failed {
            return Err(Error::Answered(Exit::Failed).into());
        }
        Ok(())
    }
}

impl SendAlerts {
    fn run(&self, context: &mut Context) -> Result<()> {
        drop(context.app(Access::Existing)?);
        let location = context.location()?;
        let store = location.clone();
        let open: Opener = Box::new(move |patience| {
            let mut store = Store::open_within(&store, Access::Existing, patience)?;
            store.keep_little()?;
            Ok(store)
        });
        let sender: SharedSender = Arc::new(SystemAlertSender);
        let outbox = Outbox::new(open, WORLD, sender, location);
        if self.follow {
            outbox.follow(&*host::stop_on_signals()?);
            return Ok(());
        }
        let mut failed = false;
        outbox.send_due(&mut |way, outcome| {
            if let Err(reason) = outcome {
                failed = true;
                context.out.warn(&format!("not sent to {way}: {reason}"));
            }
        })?;
        if failed {
            return Err(Error::Answered(Exit::Failed).into());
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct AlertRecord {
    id: i64,
    at: Time,
    last_at: Time,
    kind: &'static str,
    username: Option<String>,
    domain: Option<String>,
    address: Option<String>,
    text: String,
    next: Option<String>,
    more: i64,
    acked_at: Option<Time>,
    sent: &'static str,
}

impl AlertRecord {
    fn new(alert: &Alert, deliveries: &[AlertDelivery]) -> Self {
        let waits = |one: &AlertDelivery| one.next_at.is_some();
        let given_up = |one: &AlertDelivery| one.next_at.is_none() && one.sent_at.is_none();
        let sent = match deliveries {
            [] => "nowhere",
            all if all.iter().any(waits) => "waiting",
            all if all.iter().any(given_up) => "failed",
            _ => "sent",
        };
        Self {
            id: alert.id,
            at: alert.at,
            last_at: alert.last_at,
            kind: alert.kind.name(),
            username: alert.username.as_ref().map(ToString::to_string),
            domain: alert.domain.as_ref().map(ToString::to_string),
            address: alert.address.clone(),
            text: alert.text.clone(),
            next: alert.next.clone(),
            more: alert.more,
            acked_at: alert.acked_at,
            sent,
        }
    }
}

impl Record for AlertRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("ID").right(),
        Column::new("Time").times(TimeForm::Stamp),
        Column::new("Kind").rank(2),
        Column::new("About").name_of(14),
        Column::new("Address").rank(3).on_request(),
        Column::new("What happened").wrap(24),
        Column::new("Type now").wrap(20).rank(1),
        Column::new("More").right().on_request(),
        Column::new("Sent").rank(4),
    ];

    fn cells(&self) -> Vec<Cell> {
        let about = self.username.as_ref().or(self.domain.as_ref());
        vec![
            self.id.to_string().into(),
            self.at.to_string().into(),
            self.kind.into(),
            about.cloned().into(),
            self.address.clone().into(),
            self.text.clone().into(),
            self.next.clone().into(),
            self.more.to_string().into(),
            self.sent.into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "id", "at", "last_at", "kind", "username", "domain", "address", "text", "next", "more",
        "acked_at", "sent",
    ];

    fn fields(&self) -> Vec<String> {
        let owned = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.at.to_string(),
            self.last_at.to_string(),
            self.kind.to_owned(),
            owned(&self.username),
            owned(&self.domain),
            owned(&self.address),
            self.text.clone(),
            owned(&self.next),
            self.more.to_string(),
            self.acked_at.map(|at| at.to_string()).unwrap_or_default(),
            self.sent.to_owned(),
        ]
    }
}

#[derive(Serialize)]
struct TestRecord {
    way: String,
    sent: bool,
    reason: Option<String>,
}

impl Record for TestRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Sent to").wrap(20),
        Column::new("Result").wrap(20),
    ];

    fn cells(&self) -> Vec<Cell> {
        let result = self.reason.clone().unwrap_or_else(|| "sent".into());
        vec![self.way.clone().into(), result.into()]
    }

    const FIELDS: &'static [&'static str] = &["way", "sent", "reason"];

    fn fields(&self) -> Vec<String> {
        let reason = self.reason.clone().unwrap_or_default();
        vec![self.way.clone(), self.sent.to_string(), reason]
    }
}
