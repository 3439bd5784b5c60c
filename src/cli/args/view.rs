//! The flags of lists that choose their columns.

use clap::Args;

use crate::cli::terminal::column::column_name;
use crate::cli::terminal::list::RecordList;
use crate::error::Result;

/// The columns of a table. The command adds their completion: `mut_arg(COLUMNS, …)`.
#[derive(Clone, Debug, Args)]
pub struct ViewArgs {
    /// Show all columns, however wide the table becomes
    #[arg(long)]
    wide: bool,

    /// Show these columns, such as username,status; JSON and CSV always have all
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "wide"
    )]
    columns: Vec<String>,
}

/// The ID of the flag that names columns.
pub const COLUMNS: &str = "columns";

impl ViewArgs {
    /// Returns these flags, or if there are none, the columns that the configuration files name.
    pub fn or_columns(mut self, configured: Vec<String>) -> Self {
        if !self.is_given() {
            self.columns = configured;
        }
        self
    }

    /// Returns whether one of these columns is asked for.
    pub fn asks_for(&self, names: &[&str]) -> bool {
        let asked = |column: &String| names.contains(&column_name(column).as_str());
        self.wide || self.columns.iter().any(asked)
    }

    /// Returns whether a flag chooses columns.
    pub const fn is_given(&self) -> bool {
        self.wide || !self.columns.is_empty()
    }

    /// Applies the flags to this list.
    pub fn apply<'a>(&self, mut list: RecordList<'a>) -> Result<RecordList<'a>> {
        list.choose(self.wide, &self.columns)?;
        Ok(list)
    }
}
