//! `smtpcred store copy`

use crate::cli::world::WORLD;
use std::ffi::OsString;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::app::store_admin::copy::TableCopied;
use crate::cli::context::Context;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::record::Record;
use crate::store::{Access, Location, Store};

const HELP: &str = "\
Examples:
  smtpcred store copy /var/lib/smtpcred/smtpcred.db postgres://smtpcred@db.example.com/mail
  smtpcred store copy postgres:///mail /root/smtpcred-copy.db

Contents:
  Everything is copied: hashes, events with their numbers, limits, counts, unfinished rotations.
  Stop `serve`, or let it run: it then writes what it has gathered once the copy ends, to the store
  that it was started with.

JSON:
  A list of {table, rows, digest}; the digest is the same in both stores.";

/// Copy everything from one store to another, empty one
///
/// From a file to a database, or vice versa. The source cannot be changed until the copy ends: users can
/// sign in, but messages that count towards a limit are deferred (451). All rows are compared before
/// anything is committed.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct CopyStore {
    /// The existing store
    from: OsString,

    /// The store to fill; it is created if it does not exist
    to: OsString,
}

impl CopyStore {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let from = Location::parse(&self.from)?;
        let to = Location::parse(&self.to)?;
        let mut source = Store::open(&from, Access::Existing)?;
        let mut target = App::new(Store::open(&to, Access::Create)?, WORLD);
        context.out.note(&format!(
            "{from} cannot be changed until the copy ends: users can sign in, but messages that count towards a limit are deferred (451)"
        ));
        let mut list = context.out.list::<TableRecord>();
        target.copy_from(&mut source, &from, &mut |copied| {
            list.push(&TableRecord::from(copied))
        })?;
        list.end("nothing was copied")?;
        if let Err(error) = target.store.analyze() {
            context.out.warn(&format!(
                "{to} has no statistics ({error}), so lists and reports are slow; run: smtpcred store maintain"
            ));
        }
        context.out.note(&format!(
            "{to} is now identical to {from}; make all programs use it, and remove the old store"
        ));
        Ok(())
    }
}

#[derive(Serialize)]
struct TableRecord {
    table: &'static str,
    rows: u64,
    digest: String,
}

impl From<TableCopied> for TableRecord {
    fn from(copied: TableCopied) -> Self {
        Self {
            table: copied.table,
            rows: copied.rows,
            digest: copied.digest,
        }
    }
}

impl Record for TableRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Table"),
        Column::new("Rows").right(),
        Column::new("Digest").rank(1),
    ];

    const FIELDS: &'static [&'static str] = &["table", "rows", "digest"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.table.to_owned(),
            self.rows.to_string(),
            self.digest.clone(),
        ]
    }
}
