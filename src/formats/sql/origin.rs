//! Finds out which program wrote a dump. That decides what a backslash means, and which
//! line ends a complete dump.

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Mysql,
    Sqlite,
    Postgres,
}

#[derive(Default)]
pub struct Origin {
    /// The dialect, by the first sign of one.
    dialect: Option<Dialect>,
    /// Whether there were backquotes: a weak sign of `MySQL`, as `SQLite` may have them.
    backquotes: bool,
    /// Whether `PostgreSQL` set `standard_conforming_strings = off`.
    escapes: bool,
    /// The ends that are still missing.
    awaited: Vec<&'static str>,
}

/// Comments that begin a dump, and the ones that end it.
const BEGINS: [(&str, Dialect, &str); 4] = [
    ("MySQL dump", Dialect::Mysql, COMPLETED),
    ("MariaDB dump", Dialect::Mysql, COMPLETED),
    ("PostgreSQL database dump", Dialect::Postgres, PG_COMPLETE),
    (
        "PostgreSQL database cluster dump",
        Dialect::Postgres,
        PG_CLUSTER_COMPLETE,
    ),
];
const COMPLETED: &str = "-- Dump completed";
const PG_COMPLETE: &str = "-- PostgreSQL database dump complete";
const PG_CLUSTER_COMPLETE: &str = "-- PostgreSQL database cluster dump complete";
const COMMIT: &str = "COMMIT";

/// How many dumps may be nested; `pg_dumpall` nests two.
const DEEPEST: usize = 8;

impl Origin {
    pub fn decide(&mut self, dialect: Dialect) {
        self.dialect.get_or_insert(dialect);
    }

    pub const fn backquote(&mut self) {
        self.backquotes = true;
    }

    pub const fn escapes(&mut self, on: bool) {
        self.escapes = on;
    }

    pub const fn backslashes(&self) -> bool {
        self.is_mysql() || self.escapes
    }

    pub const fn is_mysql(&self) -> bool {
        match self.dialect {
            Some(dialect) => matches!(dialect, Dialect::Mysql),
            None => self.backquotes,
        }
    }

    pub const fn has_brackets(&self) -> bool {
        matches!(self.dialect, None | Some(Dialect::Sqlite))
    }

    /// Reads a comment of one line, without its dashes.
    pub fn comment(&mut self, text: &str) -> Result<()> {
        let text = text.trim();
        let ends = |end: &&str| {
            end.strip_prefix("-- ").is_some_and(|end| match end {
                "Dump completed" => text.starts_with(end),
                _ => text == end,
            })
        };
        if let Some(at) = self.awaited.iter().rposition(ends) {
            self.awaited.remove(at);
            return Ok(());
        }
        if text.starts_with("phpMyAdmin SQL Dump") {
            self.decide(Dialect::Mysql);
        }
        for (begin, dialect, end) in BEGINS {
            let begins = match dialect {
                Dialect::Mysql => text.starts_with(begin),
                _ => text == begin,
            };
            if begins {
                self.decide(dialect);
                self.awaits(end)?;
            }
        }
        Ok(())
    }

    /// Reads the beginning of a block comment.
    pub fn block_comment(&mut self, begin: &str) -> Result<()> {
        // Conditional comments, which only MySQL executes.
        if begin.starts_with("/*!") || begin.starts_with("/*M!") {
            self.decide(Dialect::Mysql);
        }
        if self.dialect == Some(Dialect::Sqlite)
            && begin.starts_with("/****")
            && begin.contains("ERROR")
        {
            return Err(failed_dump_error());
        }
        Ok(())
    }

    pub fn word(&mut self, word: &str) {
        if word.eq_ignore_ascii_case("AUTOINCREMENT") {
            self.decide(Dialect::Sqlite);
        }
    }

    pub fn transaction(&mut self) -> Result<()> {
        self.awaits(COMMIT)
    }

    pub fn commit(&mut self) {
        if let Some(at) = self.awaited.iter().rposition(|end| *end == COMMIT) {
            self.awaited.remove(at);
        }
    }

    fn awaits(&mut self, end: &'static str) -> Result<()> {
        if self.awaited.len() >= DEEPEST {
            return self.finished();
        }
        self.awaited.push(end);
        Ok(())
    }

    /// Fails if an end is missing, at the end of the file.
    pub fn finished(&self) -> Result<()> {
        match self.awaited.last() {
            None => Ok(()),
            Some(end) => Err(Error::Usage(format!(
                "the file is cut off: the line `{end}`, with which such a dump ends, is missing; dump it again"
            ))),
        }
    }
}

pub fn failed_dump_error() -> Error {
    Error::Usage(
        "the dump failed: it ends with an error or ROLLBACK; fix the database and dump it again"
            .into(),
    )
}
