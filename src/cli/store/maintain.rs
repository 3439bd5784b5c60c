//! `smtpcred store maintain`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::app::store_admin::maintain::{MaintainOptions, TaskReport};
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Column};
use crate::cli::terminal::record::Record;
use crate::error::{Error, Exit};
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred store maintain                                from the timer, while everything runs
  smtpcred store maintain --dry-run                      what there is to do
  smtpcred store maintain --vacuum                       while nothing else needs to write

Tasks:
  usage       deleted after 400 days
  failures    refused sign-ins: deleted 30 days after the last one, or beyond the latest 10,000
  counts      deleted once no limit needs them
  hashes      of passwords that retired 30 days ago: erased; temporary passwords are deleted
  sums        of the usage of domains, where an older smtpcred left them wrong: corrected
  messages    deleted as `messages --help` says, if any are kept
  indexes     of events, if any is missing (PostgreSQL): created
  statistics  of the tables, so that queries stay fast
  space       returned to the file system if a quarter of the file is unused
  Events and users are kept. Nothing takes longer than a few milliseconds at a time, so others can
  write in between. If a run is killed, the next run does the rest.

Space:
  Stores made by older versions have to be rewritten completely to become smaller. Users can sign in
  meanwhile, but nothing can be written, so this is done only for small stores, or with --vacuum. It
  needs free disk space of twice the size of the store.

JSON:
  A list of {task, what, rows, bytes}; rows and bytes are null if they are not counted. Sums,
  messages and indexes appear only if there is something to do.

Exit codes:
  0; 7 if this database user does not own the tables: only their owner can collect statistics and
  create indexes. Everything else was done.";

/// Delete what is past its retention time and free the space
///
/// Meant to run each night, even while others use the store: see smtpcred-maintain.timer.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct MaintainStore {
    /// Show what would be done, without doing it
    #[arg(long)]
    dry_run: bool,

    /// Rewrite the whole store if that makes it smaller; nothing else can write meanwhile
    #[arg(long)]
    vacuum: bool,
}

impl MaintainStore {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let upkeep = MaintainOptions {
            dry_run: self.dry_run,
            vacuum: self.vacuum,
        };
        let location = context.location()?;
        let mut list = context.out.list::<DoneRecord>();
        let complete = app.maintain(upkeep, &mut |done| list.push(&DoneRecord::from(&done)))?;
        // Last: the rest is done even if they cannot be read.
        let messages = app.maintain_messages(&location, self.dry_run);
        if let Ok(Some(done)) = &messages {
            list.push(&DoneRecord::from(done))?;
        }
        list.end("nothing to do")?;
        messages?;
        if complete {
            return Ok(());
        }
        Err(Error::Answered(Exit::Attention).into())
    }
}

#[derive(Serialize)]
struct DoneRecord {
    task: &'static str,
    what: String,
    rows: Option<u64>,
    bytes: Option<u64>,
}

impl From<&TaskReport> for DoneRecord {
    fn from(done: &TaskReport) -> Self {
        Self {
            task: done.task.name(),
            what: done.what.clone(),
            rows: done.rows,
            bytes: done.bytes,
        }
    }
}

impl Record for DoneRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Task"),
        Column::new("Rows").right(),
        Column::new("Bytes").right(),
        Column::new("What").wrap(24),
    ];

    fn cells(&self) -> Vec<Cell> {
        let mut cells = self.fields();
        // The description may be long.
        let what = cells.remove(1);
        cells.push(what);
        cells.into_iter().map(Cell::from).collect()
    }

    const FIELDS: &'static [&'static str] = &["task", "what", "rows", "bytes"];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        vec![
            self.task.to_owned(),
            self.what.clone(),
            number(self.rows),
            number(self.bytes),
        ]
    }
}
