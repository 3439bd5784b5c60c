//! `smtpcred store maintain`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::help;
use crate::app::upkeep::{Done, Upkeep};
use crate::cli::Context;
use crate::cli::output::Record;
use crate::store::Access;

/// Forget what is past its time, and give the space back
///
/// Meant to be run each night: see smtpcred-maintain.timer. While others use the store, too.
#[derive(Debug, Args)]
#[command(after_long_help = help::MAINTAIN)]
pub struct Maintain {
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Write the whole store anew where that makes it smaller; nobody else can write meanwhile
    #[arg(long)]
    vacuum: bool,
}

impl Maintain {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let upkeep = Upkeep {
            dry_run: self.dry_run,
            vacuum: self.vacuum,
        };
        let mut list = context.out.list::<DoneRecord>();
        app.keep_up(upkeep, &mut |done| list.push(&DoneRecord::from(done)))?;
        Ok(list.end("nothing to do")?)
    }
}

#[derive(Serialize)]
struct DoneRecord {
    task: &'static str,
    what: String,
    rows: Option<u64>,
    bytes: Option<u64>,
}

impl From<Done> for DoneRecord {
    fn from(done: Done) -> Self {
        Self {
            task: done.task.name(),
            what: done.what,
            rows: done.rows,
            bytes: done.bytes,
        }
    }
}

impl Record for DoneRecord {
    const COLUMNS: &'static [&'static str] = &["Task", "Rows", "Bytes", "What"];

    fn cells(&self) -> Vec<String> {
        let mut cells = self.fields();
        // What is said of it may be long.
        let what = cells.remove(1);
        cells.push(what);
        cells
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
