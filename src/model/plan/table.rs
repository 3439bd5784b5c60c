//! Tables of a plan. Known keys are read; all others are problems.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{PlanProblem, kind_of};
use crate::model::near::nearest;
use crate::model::text::{escaped, quoted};

/// The lines of a plan, and the problems found so far.
pub struct PlanReader {
    newlines: Vec<usize>,
    problems: Vec<PlanProblem>,
    more: usize,
}

/// The most problems that are kept: more than anyone reads, and few enough for memory.
const MOST_PROBLEMS: usize = 1000;

impl PlanReader {
    pub fn new(source: &str) -> Self {
        let newlines = source.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Self {
            newlines: newlines.map(|(at, _)| at).collect(),
            problems: Vec::new(),
            more: 0,
        }
    }

    fn line(&self, at: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < at)
    }

    pub fn problem(&mut self, line: Option<usize>, key: String, reason: &str) {
        if self.problems.len() >= MOST_PROBLEMS {
            self.more += 1;
            return;
        }
        self.problems.push(PlanProblem {
            line,
            key,
            reason: reason.to_owned(),
        });
    }

    pub fn syntax(&mut self, at: Option<Range<usize>>, message: &str) {
        let line = at.map(|at| self.line(at.start));
        self.problem(line, String::new(), &format!("invalid TOML: {message}"));
    }

    /// Returns whether there is no problem so far.
    pub const fn is_content(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the problems, by line.
    pub fn problems(mut self) -> Vec<PlanProblem> {
        self.problems.sort_by_key(|problem| problem.line);
        if self.more > 0 {
            self.problems.push(PlanProblem {
                line: None,
                key: String::new(),
                reason: format!("and {} more", self.more),
            });
        }
        self.problems
    }
}

pub struct PlanTable<'a> {
    inner: &'a DeTable<'a>,
    at: usize,
    name: &'a str,
    path: String,
    /// The keys that were asked for.
    known: BTreeSet<&'static str>,
}

impl<'a> PlanTable<'a> {
    pub fn root(table: &'a DeTable<'a>) -> Self {
        Self::new(table, 0, "", String::new())
    }

    fn new(inner: &'a DeTable<'a>, at: usize, name: &'a str, path: String) -> Self {
        let known = BTreeSet::new();
        Self {
            inner,
            at,
            name,
            path,
            known,
        }
    }

    /// Returns the last part of its path, as the plan spells it.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn line(&self, reader: &PlanReader) -> usize {
        reader.line(self.at)
    }

    fn path_of(&self, key: &str) -> String {
        let bare = !key.is_empty()
            && key.len() <= 60
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let key = if bare {
            key.to_owned()
        } else {
            let quoted = quoted(key);
            match quoted.strip_prefix('\'').and_then(|k| k.strip_suffix('\'')) {
                Some(whole) => format!("\"{whole}\""),
                None => quoted,
            }
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Reads the value of a key. Returns `None` if it is absent, or bad and reported.
    pub fn take<T>(
        &mut self,
        key: &'static str,
        reader: &mut PlanReader,
        read: impl FnOnce(&DeValue) -> Result<T, String>,
    ) -> Option<T> {
        self.known.insert(key);
        let value = self.inner.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(reason) => {
                let line = reader.line(value.span().start);
                reader.problem(Some(line), self.path_of(key), &reason);
                None
            }
        }
    }

    /// Reports a problem of a value that is valid by itself.
    pub fn refuse(&self, key: &str, reader: &mut PlanReader, reason: &str) {
        let at = self.inner.get(key).map_or(self.at, |v| v.span().start);
        let line = reader.line(at);
        reader.problem(Some(line), self.path_of(key), reason);
    }

    pub fn table(&mut self, key: &'static str, reader: &mut PlanReader) -> Option<Self> {
        self.known.insert(key);
        let (found, value) = self.inner.get_key_value(key)?;
        self.below(found, value, reader)
    }

    /// Returns all tables in it, in the order of the file.
    pub fn tables(&self, reader: &mut PlanReader) -> Vec<Self> {
        let all = self.inner.iter();
        let tables = all.filter_map(|(key, value)| self.below(key, value, reader));
        let mut tables: Vec<_> = tables.collect();
        tables.sort_by_key(|table| table.at);
        tables
    }

    pub fn holds_tables(&self) -> bool {
        let mut values = self.inner.values();
        values.any(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    fn below(
        &self,
        key: &'a Spanned<toml::de::DeString<'a>>,
        value: &'a Spanned<DeValue<'a>>,
        reader: &mut PlanReader,
    ) -> Option<Self> {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, at, name, self.path_of(name))),
            other => {
                let line = reader.line(at);
                let reason = format!("is {}, but must be a table", kind_of(other));
                reader.problem(Some(line), self.path_of(name), &reason);
                None
            }
        }
    }

    /// Reports each key that was not asked for.
    pub fn end(self, reader: &mut PlanReader) {
        for key in self.inner.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(name) {
                continue;
            }
            let line = reader.line(key.span().start);
            reader.problem(Some(line), self.path_of(name), &self.unknown(name));
        }
    }

    fn unknown(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase().replace('-', "_");
        // Its value is not looked at, and never shown.
        let secret = ["pass", "hash", "secret", "token"]
            .iter()
            .any(|word| name.contains(word));
        if secret {
            return "is not allowed: a plan contains no secrets. Passwords of new users are generated and delivered; `user import` imports hashes".into();
        }
        if name == "expires_in" {
            return "is relative, so each run would change it: use expires_at".into();
        }
        if self.path.is_empty() && name.contains('@') {
            return format!("is unknown; did you mean users.\"{}\"?", escaped(&name));
        }
        // Flags have the same names, with hyphens.
        let dashed: Vec<_> = self.known.iter().map(|k| k.replace('_', "-")).collect();
        let asked = name.replace('_', "-");
        if let Some(known) = nearest(&asked, dashed.iter().map(String::as_str)) {
            let known = known.replace('-', "_");
            return format!("is unknown; did you mean {known}?");
        }
        let all: Vec<_> = self.known.iter().copied().collect();
        format!("is unknown; known are {}", all.join(", "))
    }
}
