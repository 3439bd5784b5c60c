//! `smtpcred audit list`

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::which::EventArgs;
use crate::app::App;
use crate::app::audit::{Period, Which};
use crate::cli::args::number;
use crate::cli::args::paging::PageArgs;
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Column, TimeForm};
use crate::cli::terminal::list::RecordList;
use crate::cli::terminal::record::Record;
use crate::error::{Error, Exit};
use crate::host;
use crate::model::event::Event;
use crate::store::{Access, EventFilter};

const LIST_HELP: &str = "\
Examples:
  smtpcred audit list --since 7d
  smtpcred audit list --since 2026-11-30 --user shop@example.com
  smtpcred audit list --action user.delete --until 2026-11-30
  smtpcred audit list --last 20                          the latest 20
  smtpcred audit list --follow                           the latest 10, and new ones as they come
  smtpcred audit list --json --limit 1000 --after 4711   the next page, or events since then

Order:
  On a terminal, the newest event is first, as with git log, and --limit means the same as --last. In
  pipes, in JSON and CSV, and with --after or --follow, the oldest is first, and --limit is the length
  of a page; with --follow it means the same as --last.

Following:
  --follow looks for new events once a second, until Ctrl-C (exit code 130) or until its output is no
  longer read. With --json, each line is a document of its own. With --user, a user that is renamed
  meanwhile is followed under its new name.

JSON:
  A list of {id, at, actor, run_as, host, action, domain, username, fields}. The actor is the
  person, even behind sudo; run_as is the account that the program ran as, if that is another one.
  The actions are domain.add, domain.set, domain.remove, domain.verify, user.create, user.import,
  user.set, user.reset, user.issue, user.rotate, user.retire, user.suspend, user.resume, user.rename,
  user.close, user.delete, user.expired, session.end, rotation.begin, rotation.withdraw, rotation.unfinished,
  password.rehash, settings.set, store.copy, store.backup, store.restore, store.grant, role.grant,
  role.revoke, limit.near, limit.reached, alert.ack and audit.archive.";

/// List events
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP, mut_arg(COLUMNS, complete::columns::<Event>))]
pub struct ListEvents {
    #[command(flatten)]
    events: EventArgs,

    /// Show only the latest N events
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "limit"],
        value_parser = number::within(1..=u32::MAX))]
    last: Option<u32>,

    /// Show only events after the one with this id, oldest first
    #[arg(long, value_name = "ID")]
    after: Option<i64>,

    /// Show the latest 10 events, or those that the other options select, and then new ones as they
    /// come
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

/// How many events `--follow` begins with, as many as journalctl.
const FOLLOWED: u32 = 10;
/// How often it looks for new ones.
const EVERY: Duration = Duration::from_secs(1);

impl ListEvents {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.follow && self.after.is_some() && self.page.limit.is_some() {
            let three = "--after with --follow shows all events since then: leave out --limit";
            return Err(Error::Usage(three.into()).into());
        }
        let which = self.which(context.out.is_for_people());
        let mut app = context.app(Access::Existing)?;
        let domain = self.events.domain.clone();
        let (filter, period) = self.events.filter();
        let old = match &filter.username {
            Some(username) => app.store.old_name(username)?,
            None => None,
        };
        let mut list = self.view.apply(context.out.list::<Event>())?;
        if self.follow {
            return follow(&mut app, filter, period, which, list.endless());
        }
        let mut found = false;
        app.list_events(filter, period, which, &mut |event| {
            found = true;
            list.push(&event)
        })?;
        list.end("no events found")?;
        if let Some(old) = old {
            let (name, now) = (&old.old_name, &old.username);
            context.out.note(&format!(
                "{name} was renamed to {now} on {}; all its events: smtpcred audit list --user {}",
                old.renamed_at,
                now.in_shell()
            ));
        }
        context.ask_if_empty(found, &mut app, domain.as_ref())
    }

    /// Returns which events are listed: for people the newest first.
    fn which(&self, for_people: bool) -> Which {
        let limit = self.page.limit;
        match (self.after, self.last) {
            (None, last) if for_people && !self.follow => Which::NewestFirst(last.or(limit)),
            (None, Some(last)) => Which::Last(last),
            (None, None) if self.follow => match limit {
                Some(limit) => Which::Last(limit),
                None if self.events.since.is_none() => Which::Last(FOLLOWED),
                None => Which::After(0, None),
            },
            (after, _) => Which::After(after.unwrap_or(0), limit),
        }
    }
}

/// Prints events, and then new ones as they come, until Ctrl-C or until they are no longer read. A
/// user that is renamed meanwhile is followed under its new name.
fn follow(
    app: &mut App,
    mut filter: EventFilter,
    mut period: Period,
    mut which: Which,
    mut list: RecordList,
) -> Result<()> {
    let stop = host::stop_on_signals()?;
    while !stop.load(Ordering::Relaxed) {
        if let Some(username) = &filter.username
            && let Some(old) = app.store.old_name(username)?
        {
            filter.username = Some(old.username);
        }
        // Events that do not match are not read again.
        let mut seen = app.store.last_event()?;
        app.list_events(filter.clone(), period, which, &mut |event| {
            seen = seen.max(event.id);
            list.push(&event)
        })?;
        list.wait(EVERY)?;
        (which, period.since) = (Which::After(seen, None), None);
    }
    Err(Error::Answered(Exit::Interrupted).into())
}

impl Record for Event {
    const COLUMNS: &'static [Column] = &[
        Column::new("Time").times(TimeForm::Stamp),
        Column::new("ID").right().on_request(),
        Column::new("Who").rank(1).cut(5),
        Column::new("Action"),
        Column::new("About").name_of(14),
        Column::new("Set").wrap(12).times(TimeForm::Fields),
    ];

    fn cells(&self) -> Vec<Cell> {
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
            self.at.to_string().into(),
            self.id.to_string().into(),
            who.into(),
            self.action.as_str().into(),
            about.cloned().into(),
            set.collect::<Vec<_>>().join(" ").into(),
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

#[cfg(test)]
mod tests {
    use crate::model::event::Action;

    #[test]
    fn the_help_lists_every_action() {
        for action in Action::ALL {
            let name = action.name();
            let mut words = super::LIST_HELP.split([' ', ',', '\n']);
            assert!(
                words.any(|word| word.trim_end_matches('.') == name),
                "{name}"
            );
        }
    }
}
