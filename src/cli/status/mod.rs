//! `smtpcred status`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::args::path;
use super::context::Context;
use super::terminal::column::{Cell, Tone};
use super::terminal::watch::Watched;
use super::world::WORLD;
use crate::app::App;
use crate::doctor::serve_sockets;
use crate::error::{Error, Exit};
use crate::store::{Access, Location, Store};

mod lines;
mod metrics;
mod record;

use lines::{ATTENTION, Lines};
use record::{Messages, StatusRecord};

const HELP: &str = "\
Examples:
  smtpcred status
  smtpcred status --watch                                refreshes every 2 seconds; q quits
  smtpcred status --json | jq -r '.look_at[].command'
  smtpcred status >/dev/null || echo 'something needs attention'
  smtpcred status --format openmetrics >smtpcred.tmp; mv smtpcred.tmp smtpcred.prom

Metrics:
  --format openmetrics, which only this command has, prints metrics for the textfile collector of
  node_exporter: users, expiries, refused sign-ins, unfinished rotations, open alerts, messages of
  today, whether serve answers, and smtpcred_attention, which is 1 for each matter that needs
  attention. At most 100 users or limits are named in each metric: those with the most messages,
  the oldest passwords, the fullest limits. To find these, all passwords are read. If the store
  cannot be read, the only metrics are smtpcred_build_info and smtpcred_store_up, which is 0 then.
  For the counters and times of sign-ins, see `smtpcred serve --metrics 127.0.0.1:9590`.

JSON:
  {at, users: {total, active, overlap, suspended, expired}, domains, expiring: [{username, label,
  expires_at}], refused_24h: {count, exact, top_user: {username, count, exists}, top_address:
  {address, count}}, limits_near: [{owner, limit, most, used, used_up}], rotations_unfinished:
  [{username, password_id, reason, began_at}], sessions, serve: {answers, sockets: [{name, path,
  answers, found}]}, last_backup: {at, file}, alerts: {open, latest: {id, at, kind, username}},
  messages_1h: {sent, deferred, bounced, other}, look_at: [{matter, text, command}], counts:
  {expiring, limits_near, rotations_unfinished}}. Lists have at most 10 entries; counts has the full
  numbers, for expiring those within 14d. messages_1h counts the recipients of the last hour's
  messages, and is null if they are not kept. exact is
  false if a part of the refused sign-ins is estimated because it began earlier. answers is null if
  serve is not set up on this machine, or this user may not connect. sessions is the number of open
  ones at the last report of each `serve`, at most 5 minutes ago, and null if none runs. last_backup
  is the last one by `store backup`, null if there is none. alerts.open is how many alerts no one
  has acknowledged; without any, latest is null. A matter is serve, history, alert,
  unfinished_rotation, limit, refused, expired or expiring.

Exit codes:
  0 nothing needs attention, 7 something does. With --format openmetrics, 0 in both cases.";

/// Show what matters now, on one screen
///
/// Users, expiries, refused sign-ins, limits that are nearly used up, unfinished rotations, open
/// alerts, and whether `smtpcred serve` answers. Exits with 0 if nothing needs attention, and with 7
/// if something does. `smtpcred report` and `smtpcred doctor` check everything and take longer.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ShowStatus {
    /// Refresh every 2 seconds, until q, Esc or Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Query this sign-in socket of serve [default: all that exist]
    #[arg(long, value_name = "SOCKET", value_parser = path::given())]
    auth: Option<PathBuf>,

    /// Query this policy socket of serve
    #[arg(long, value_name = "SOCKET", value_parser = path::given())]
    policy: Option<PathBuf>,
}

impl ShowStatus {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if context.wants_metrics() && self.watch {
            let rule = "--watch shows a table, not --format openmetrics";
            return Err(Error::Usage(rule.into()).into());
        }
        if context.wants_metrics() {
            return metrics::print(context, self.auth.as_deref(), self.policy.as_deref());
        }
        if self.watch {
            context.out.check_watchable("smtpcred status --json")?;
        }
        let mut app = context.app(Access::Existing)?;
        if self.watch {
            return self.watch(context, app);
        }
        let record = self.record(&mut app, &context.location()?)?;
        context.out.one(&record)?;
        if record.look_at.is_empty() {
            return Ok(());
        }
        Err(Error::Answered(Exit::Attention).into())
    }

    fn record(&self, app: &mut App, store: &Location) -> crate::error::Result<StatusRecord> {
        let report = app.status()?;
        let sockets = serve_sockets(self.auth.as_deref(), self.policy.as_deref());
        let mut record = StatusRecord::new(report, sockets);
        record.messages_1h = app.recent_messages(store)?.map(Messages::new);
        Ok(record)
    }

    /// Trouble with the store is shown, and the store opened again.
    fn watch(self, context: &Context, app: App) -> Result<()> {
        const EVERY: Duration = Duration::from_secs(2);
        let mut app = Some(app);
        let mut last = Vec::new();
        context.out.watch(EVERY, &mut || {
            match self.watched(context, &mut app) {
                Ok(lines) => last = lines,
                Err(error) => {
                    let lines = trouble(&error, &last);
                    return Watched { lines, first: 0 };
                }
            }
            let first = last.iter().position(|(name, _)| *name == ATTENTION);
            Watched {
                first: first.unwrap_or(0),
                lines: last.clone(),
            }
        })?;
        Ok(())
    }

    fn watched(&self, context: &Context, app: &mut Option<App>) -> crate::error::Result<Lines> {
        /// Keys are not answered meanwhile.
        const PATIENCE: Duration = Duration::from_secs(1);
        let location = context.location()?;
        let mut open = if let Some(open) = app.take() {
            open
        } else {
            let store = Store::open_within(&location, Access::Existing, PATIENCE)?;
            App::new(store, WORLD)
        };
        // Fails if the file was replaced.
        open.store.version()?;
        let lines = self.record(&mut open, &location)?.all_lines();
        *app = Some(open);
        Ok(lines)
    }
}

/// Shows what is wrong above what was last seen.
fn trouble(error: &Error, last: &Lines) -> Lines {
    let mut lines = vec![("Trouble", Cell::new(error.to_string(), Tone::Bad))];
    if let Some(hint) = error.hint() {
        lines.push(("", hint.into()));
    }
    lines.push(("", "retrying every 2 seconds; the last result was:".into()));
    lines.push(("", "".into()));
    let old = last.iter().cloned();
    lines.extend(old.map(|(name, cell)| (name, Cell::new(cell.text, Tone::Dim))));
    lines
}
