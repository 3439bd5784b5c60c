//! The boundary behind which a database engine stands.
//!
//! Statements are written once, in the subset both SQLite and PostgreSQL
//! speak, with `$1` for arguments; an engine says only how to run them. What
//! that subset leaves out: booleans, `lower()`, `LIKE`, `now()`, `FOR UPDATE`.
//! Names are folded before they come here, times are seconds since 1970.

use std::any::Any;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::duration::Duration;
use crate::model::role::Role;
use crate::model::text::quoted;
use crate::model::time::Time;

#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    Null,
    Int(i64),
    Text(&'a str),
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

/// What the values of the program are read with.
impl dyn Row + '_ {
    pub fn time(&self, column: usize) -> Result<Time> {
        self.int(column).map(Time::from_epoch)
    }

    pub fn opt_time(&self, column: usize) -> Result<Option<Time>> {
        let time = self.opt_int(column)?.map(Time::from_epoch);
        // No clock that we believe says less.
        time.map(Time::plausible)
            .transpose()
            .map_err(|_| self.damaged("a time cannot be"))
    }

    pub fn opt_duration(&self, column: usize) -> Result<Option<Duration>> {
        self.opt_int(column)?
            .map(|n| Duration::stored(n).ok_or_else(|| self.damaged("a duration is out of range")))
            .transpose()
    }

    pub fn opt_limit(&self, column: usize) -> Result<Option<u32>> {
        self.opt_int(column)?
            .map(|n| u32::try_from(n).map_err(|_| self.damaged("a limit is out of range")))
            .transpose()
    }

    pub fn parsed<T: FromStr>(&self, column: usize) -> Result<T> {
        self.opt_parsed(column)?
            .ok_or_else(|| self.damaged("a name is missing"))
    }

    pub fn opt_parsed<T: FromStr>(&self, column: usize) -> Result<Option<T>> {
        self.opt_text(column)?
            .map(|text| text.parse().map_err(|_| self.not_valid(text)))
            .transpose()
    }

    pub fn not_valid(&self, text: &str) -> Error {
        self.damaged(&format!("{} is not valid", quoted(text)))
    }
}

/// What came of reading all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    Whole,
    Damaged(String),
    /// It took too long.
    Unfinished,
}

/// What some may not who may use the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Others see how each was made in their place.
    SeeHashes,
    DeleteUsers,
}

/// How much room a store takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub whole: u64,
    /// Of that, what holds nothing and can be given back.
    pub unused: u64,
    /// It can be given back little by little.
    pub gradually: bool,
}

pub type Each<'a> = dyn FnMut(&dyn Row) -> Result<()> + 'a;

/// May be opened by one thread and used by another.
pub trait Engine: Send {
    /// Another number than before if another connection changed anything. Fails
    /// where the location names another store by now.
    fn version(&mut self) -> Result<i64>;

    /// The schema's version, and the one that this program knows.
    fn schema(&mut self) -> Result<(i64, i64)>;

    /// Reads everything, for so long at most.
    fn check(&mut self, patience: std::time::Duration) -> Result<Integrity>;

    /// See [`super::Store::lock_rotation`].
    fn lock_rotation(&mut self) -> Result<Box<dyn Any>>;

    /// See [`super::Store::foreign_owner`].
    fn foreign_owner(&self) -> Option<String>;

    /// Waits for commits whose senders may be gone, and which no reader sees yet.
    fn wait_for_commits(&mut self) -> Result<()>;

    fn may(&mut self, what: Right) -> Result<bool>;

    /// From now on keeps little of what was read in memory.
    fn keep_little(&mut self) -> Result<()>;

    /// An empty table `staged`, for this connection alone.
    fn make_staging(&mut self) -> Result<()>;

    /// Begins a piece of work on tables of this connection alone: nobody waits.
    fn begin_apart(&mut self) -> Result<()>;

    /// Begins to read in more than one statement what fits together. Nobody waits;
    /// ended by [`Engine::rollback`].
    fn begin_reading(&mut self) -> Result<()>;

    /// Begins a change. Waits for other writers, for some seconds at most.
    fn begin(&mut self) -> Result<()>;

    /// Begins a change, or fails as busy at once.
    fn begin_now(&mut self) -> Result<()>;

    /// Writes all of the change that can be written without committing it, so
    /// that a full disk shows here, while nothing has been handed over yet.
    fn flush(&mut self) -> Result<()>;

    /// Where the connection breaks just then, nobody knows: `CommitUnknown`.
    fn commit(&mut self) -> Result<()>;

    fn rollback(&mut self);

    /// Takes what was deleted out of every file of the store, as far as other
    /// processes let it.
    fn scrub(&mut self);

    /// Nothing where the engine sees to it by itself.
    fn space(&mut self) -> Result<Option<Space>>;

    /// Gives back a little of what holds nothing, in a change of its own that takes
    /// some milliseconds.
    fn shrink(&mut self) -> Result<()>;

    /// Writes all of it anew, without what holds nothing. Nobody else can write
    /// meanwhile; everybody can read.
    fn rewrite(&mut self) -> Result<()>;

    /// Looks at what the tables hold, so that statements are planned well. Takes
    /// some milliseconds, or keeps nobody from writing.
    fn analyze(&mut self) -> Result<()>;

    /// Gives a database user the rights of a role, and takes all others from it.
    fn grant(&mut self, role: Role, to: &str) -> Result<()>;

    /// Rows came with their numbers: those of new ones begin behind them.
    fn number_on(&mut self) -> Result<()>;

    /// Runs a statement, and says how many rows it changed.
    fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize>;

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut Each) -> Result<()>;
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
