//! `smtpcred store copy`

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::help;
use crate::app::App;
use crate::app::copying::TableCopied;
use crate::cli::output::Record;
use crate::cli::{Context, machine};
use crate::store::{Access, Location, Store};

/// Copy everything from one store to another, empty one
///
/// From a file to a database, or back. Nobody can change the first one meanwhile; users sign in
/// all the same. All rows are compared before anything is committed.
#[derive(Debug, Args)]
#[command(after_long_help = help::COPY)]
pub struct Copy {
    /// The store that there is
    from: OsString,

    /// The store to fill; it is made where there is none
    to: OsString,
}

impl Copy {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let from = Location::parse(&self.from)?;
        let to = Location::parse(&self.to)?;
        let mut source = Store::open(&from, Access::Existing)?;
        let mut target = App::new(Store::open(&to, Access::Create)?, machine::WORLD);
        let mut list = context.out.list::<TableRecord>();
        target.copy_from(&mut source, &from, &mut |copied| {
            list.push(&TableRecord::from(copied))
        })?;
        list.end("nothing")?;
        context.out.note(&format!(
            "{to} is the same as {from} now; see that everybody uses it, and put the old one away"
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
    const COLUMNS: &'static [&'static str] = &["Table", "Rows", "Digest"];

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["table", "rows", "digest"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.table.to_owned(),
            self.rows.to_string(),
            self.digest.clone(),
        ]
    }
}
