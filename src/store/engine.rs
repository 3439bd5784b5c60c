//! The boundary behind which a database engine stands.
//!
//! Statements are written once, in the subset both SQLite and PostgreSQL
//! speak, with `$1` for arguments; an engine only runs them. The subset has no
//! booleans, `lower()`, `LIKE`, `now()` or `FOR UPDATE`.
//! Names are folded before they come here, times are seconds since 1970.
//! A long file: it is all that an engine has to do.

use std::any::Any;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::duration::Duration;
use crate::model::role::Role;
use crate::model::text::quoted;
use crate::model::time::Time;

/// An argument of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

/// An owned [`Arg`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedArg {
    /// NULL
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl<'a> From<&'a OwnedArg> for Arg<'a> {
    fn from(value: &'a OwnedArg) -> Self {
        match value {
            OwnedArg::Null => Self::Null,
            OwnedArg::Int(number) => Self::Int(*number),
            OwnedArg::Text(text) => Self::Text(text),
        }
    }
}

impl From<&Arg<'_>> for OwnedArg {
    fn from(value: &Arg<'_>) -> Self {
        match value {
            Arg::Null => Self::Null,
            Arg::Int(number) => Self::Int(*number),
            Arg::Text(text) => Self::Text((*text).to_owned()),
        }
    }
}

/// One row of an answer; columns count from 0. A column of another type than
/// asked for means a damaged store.
pub trait Row {
    fn int(&self, column: usize) -> Result<i64>;
    fn opt_int(&self, column: usize) -> Result<Option<i64>>;
    fn text(&self, column: usize) -> Result<&str>;
    fn opt_text(&self, column: usize) -> Result<Option<&str>>;

    /// The error for a value that no program of ours wrote.
    fn damaged(&self, reason: &str) -> Error;
}

/// Reads the program's own values.
impl dyn Row + '_ {
    /// Returns a time.
    pub fn time(&self, column: usize) -> Result<Time> {
        self.int(column).map(Time::from_epoch)
    }

    /// Returns a time, or `None` for NULL. Returns an error for an impossible one.
    pub fn opt_time(&self, column: usize) -> Result<Option<Time>> {
        let time = self.opt_int(column)?.map(Time::from_epoch);
        // No plausible clock shows less.
        time.map(Time::plausible)
            .transpose()
            .map_err(|_| self.damaged("a time cannot be"))
    }

    /// Returns a duration, or `None` for NULL.
    pub fn opt_duration(&self, column: usize) -> Result<Option<Duration>> {
        self.opt_int(column)?
            .map(|n| Duration::stored(n).ok_or_else(|| self.damaged("a duration is out of range")))
            .transpose()
    }

    /// Returns a limit, or `None` for NULL.
    pub fn opt_limit(&self, column: usize) -> Result<Option<u32>> {
        self.opt_int(column)?
            .map(|n| u32::try_from(n).map_err(|_| self.damaged("a limit is out of range")))
            .transpose()
    }

    /// The largest count, in place of a larger one.
    pub fn count(&self, column: usize) -> Result<u32> {
        let count = self.opt_int(column)?.unwrap_or(0).max(0);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Returns a text as a checked value.
    pub fn parsed<T: FromStr>(&self, column: usize) -> Result<T> {
        self.opt_parsed(column)?
            .ok_or_else(|| self.damaged("a name is missing"))
    }

    /// Returns a text as a checked value, or `None` for NULL.
    pub fn opt_parsed<T: FromStr>(&self, column: usize) -> Result<Option<T>> {
        self.opt_text(column)?
            .map(|text| text.parse().map_err(|_| self.not_valid(text)))
            .transpose()
    }

    /// Returns the error for a text that is not such a value.
    pub fn not_valid(&self, text: &str) -> Error {
        self.damaged(&format!("{} is not valid", quoted(text)))
    }
}

/// The result of reading everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing is damaged.
    Whole,
    /// What is damaged, in the database's words.
    Damaged(String),
    /// It took too long.
    Unfinished,
}

/// A right that some users of the store lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Others see how each was made in their place.
    SeeHashes,
    DeleteUsers,
    DeleteAlerts,
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "of a database: a file has modes")
    )]
    AddUsers,
}

/// How much room a store takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub whole: u64,
    /// The unused part, which can be given back.
    pub unused: u64,
    /// Whether it can be given back in small steps.
    pub gradually: bool,
}

/// One of the servers that a database may be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name or address, with its port.
    pub name: String,
    /// Its role, or why that is unknown.
    pub found: String,
    /// It runs but does not report its role: it may be a second primary.
    pub hides: bool,
}

/// The limit of sums: a pebibyte. A database can add eight thousand of them without
/// an overflow.
macro_rules! most {
    () => {
        "1125899906842624"
    };
}

/// Adds the new value to the existing one, in an upsert.
macro_rules! add {
    ($table:literal, $column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $table,
            ".",
            $column,
            " < ",
            $crate::store::engine::most!(),
            " - excluded.",
            $column,
            " THEN ",
            $table,
            ".",
            $column,
            " + excluded.",
            $column,
            " ELSE ",
            $crate::store::engine::most!(),
            " END"
        )
    };
}

/// The sum of a column, whatever it holds.
macro_rules! sum {
    ($column:literal) => {
        concat!(
            "CAST(sum(CASE WHEN ",
            $column,
            " < ",
            $crate::store::engine::most!(),
            " THEN ",
            $column,
            " ELSE ",
            $crate::store::engine::most!(),
            " END) AS BIGINT)"
        )
    };
}

/// Adds rows to those that `counts` has.
macro_rules! add_to_counts {
    ($($rows:expr),+) => {
        concat!(
            "INSERT INTO counts (owner, span, at, messages, recipients, new_recipients) ",
            $($rows,)+
            " ON CONFLICT (owner, span, at) DO UPDATE SET ",
            $crate::store::engine::add!("counts", "messages"),
            ", ",
            $crate::store::engine::add!("counts", "recipients"),
            ", ",
            $crate::store::engine::add!("counts", "new_recipients")
        )
    };
}

pub(super) use {add, add_to_counts, most, sum};

/// Called with each row.
pub type OnRow<'a> = dyn FnMut(&dyn Row) -> Result<()> + 'a;
/// Called with each row, and the number of the arguments it belongs to.
pub type OnNumberedRow<'a> = dyn FnMut(usize, &dyn Row) -> Result<()> + 'a;

/// A database engine. One thread may open it and another use it.
pub trait Engine: Send {
    /// Returns another number than before if another connection changed anything. Returns
    /// an error if the location names another store by now.
    fn version(&mut self) -> Result<i64>;

    /// The schema's version, and the one that this program knows.
    fn schema(&mut self) -> Result<(i64, i64)>;

    /// See [`super::Store::added`].
    fn added(&mut self) -> Result<Vec<String>>;

    /// See [`super::Store::missing`].
    fn missing(&mut self) -> Result<Vec<String>>;

    /// See [`super::Store::missing_indexes`].
    fn missing_indexes(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// See [`super::Store::may_analyze`].
    fn may_analyze(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Reads everything, up to this time limit.
    fn check(&mut self, patience: std::time::Duration) -> Result<Integrity>;

    /// See [`super::Store::lock_rotation`].
    fn lock_rotation(&mut self) -> Result<Box<dyn Any>>;

    /// See [`super::Store::check_deliveries`].
    fn check_deliveries(&self) -> Result<()>;

    /// Waits for commits whose senders may be gone, and which no reader sees yet.
    fn wait_for_commits(&mut self) -> Result<()>;

    /// Copies the whole store into an empty file while others use the store. Returns false
    /// if only its rows can be copied.
    fn copy_pages(&mut self, _: &std::path::Path) -> Result<bool> {
        Ok(false)
    }

    /// Returns the servers of a URL that names several.
    fn servers(&self) -> Vec<Replica> {
        Vec::new()
    }

    fn may(&mut self, what: Right) -> Result<bool>;

    /// Fails if this user may only read the store.
    fn need_rights(&mut self) -> Result<()> {
        Ok(())
    }

    /// Fails if the disk has no room for a change, if that can be seen from here.
    fn need_space(&mut self) -> Result<()> {
        Ok(())
    }

    /// Uses a small cache from now on.
    fn keep_little(&mut self) -> Result<()>;

    /// Creates an empty table `staged` for this connection.
    fn make_staging(&mut self) -> Result<()>;

    /// Begins a snapshot for several statements. It blocks no one; [`Engine::rollback`]
    /// ends it.
    fn begin_reading(&mut self) -> Result<()>;

    /// Begins a change. Waits some seconds for other writers.
    fn begin(&mut self) -> Result<()>;

    /// Begins a change, or fails as busy at once.
    fn begin_now(&mut self) -> Result<()>;

    /// Returns what the beginning of the change has read about the chain of events, as
    /// `event_chain` understands it: once, and `None` if it is cheap to ask.
    fn chain_end(&mut self) -> Option<String> {
        None
    }

    /// Writes all of the change that can be written without committing it, so
    /// that a full disk shows here, while nothing has been handed over yet.
    fn flush(&mut self) -> Result<()>;

    /// Returns `CommitUnknown` if the connection breaks at that moment.
    fn commit(&mut self) -> Result<()>;

    fn rollback(&mut self);

    /// Erases deleted data from every file of the store, as far as other processes let
    /// it.
    fn scrub(&mut self);

    /// Returns `None` if the engine reuses space by itself.
    fn space(&mut self) -> Result<Option<Space>>;

    /// Gives back a little unused space, in a change of its own that takes some
    /// milliseconds.
    fn shrink(&mut self) -> Result<()>;

    /// Rewrites the whole store without its unused space. Blocks writers, not readers.
    fn rewrite(&mut self) -> Result<()>;

    /// Collects statistics for the planner. Takes some milliseconds, or blocks no writer.
    fn analyze(&mut self) -> Result<()>;

    /// Returns whether the engine itself indexes events by the names in them.
    fn indexes_events(&self) -> bool;

    /// Creates the missing indexes while others write, and reports before each how many are
    /// left.
    fn index_events(&mut self, each: &mut dyn FnMut(u64)) -> Result<()>;

    /// Gives a database user the rights of a role, and revokes all others.
    fn grant(&mut self, role: Role, to: &str) -> Result<()>;

    /// Continues the numbering of alerts and ends of sessions after rows that came with their numbers.
    fn number_on(&mut self) -> Result<()>;

    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize>;

    /// Defers a statement of a change until the next call that waits for an answer.
    /// Deferred statements are sent together; that call returns the error of the first
    /// one that fails. `unless_changed` is the error if no row was changed.
    fn execute_later(
        &mut self,
        sql: &'static str,
        args: &[Arg],
        unless_changed: Option<Error>,
    ) -> Result<()>;

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut OnRow) -> Result<()>;

    /// Runs one query with many sets of arguments, sent together. The rows come in the
    /// order of the arguments.
    fn query_each(
        &mut self,
        sql: &'static str,
        args: &[Vec<Arg>],
        each: &mut OnNumberedRow,
    ) -> Result<()>;
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Arg<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<Time> for Arg<'_> {
    fn from(value: Time) -> Self {
        Self::Int(value.epoch())
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a, T: Into<Arg<'a>>> From<Option<T>> for Arg<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
