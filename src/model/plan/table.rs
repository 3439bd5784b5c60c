//! Tables of a plan: what is known is taken out of them, what is left is refused.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Problem, kind_of};
use crate::model::text::{escaped, quoted};

/// Where lines begin, and what was found to be wrong.
pub struct Reader {
    newlines: Vec<usize>,
    problems: Vec<Problem>,
    more: usize,
}

/// As many as anybody reads, and as fit into memory whatever the plan.
const MOST_PROBLEMS: usize = 1000;

impl Reader {
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
        self.problems.push(Problem {
            line,
            key,
            reason: reason.to_owned(),
        });
    }

    pub fn syntax(&mut self, at: Option<Range<usize>>, message: &str) {
        let line = at.map(|at| self.line(at.start));
        self.problem(line, String::new(), &format!("no TOML: {message}"));
    }

    /// Nothing is wrong so far.
    pub const fn is_content(&self) -> bool {
        self.problems.is_empty()
    }

    /// By line.
    pub fn problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        if self.more > 0 {
            self.problems.push(Problem {
                line: None,
                key: String::new(),
                reason: format!("and {} more", self.more),
            });
        }
        self.problems
    }
}

pub struct Table<'a> {
    inner: &'a DeTable<'a>,
    at: usize,
    name: &'a str,
    path: String,
    /// The keys that were asked for.
    known: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
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

    /// The last part of its path, as it stands there.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn line(&self, reader: &Reader) -> usize {
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

    /// The value of a key, if it is there and as it should be.
    pub fn take<T>(
        &mut self,
        key: &'static str,
        reader: &mut Reader,
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

    /// A value that is well by itself.
    pub fn refuse(&self, key: &str, reader: &mut Reader, reason: &str) {
        let at = self.inner.get(key).map_or(self.at, |v| v.span().start);
        let line = reader.line(at);
        reader.problem(Some(line), self.path_of(key), reason);
    }

    pub fn table(&mut self, key: &'static str, reader: &mut Reader) -> Option<Self> {
        self.known.insert(key);
        let (found, value) = self.inner.get_key_value(key)?;
        self.below(found, value, reader)
    }

    /// All there are in it, as they stand there.
    pub fn tables(&self, reader: &mut Reader) -> Vec<Self> {
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
        reader: &mut Reader,
    ) -> Option<Self> {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, at, name, self.path_of(name))),
            other => {
                let line = reader.line(at);
                let reason = format!("is {}, and should be a table", kind_of(other));
                reader.problem(Some(line), self.path_of(name), &reason);
                None
            }
        }
    }

    /// What nobody asked for is nothing that is known.
    pub fn end(self, reader: &mut Reader) {
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
        let name = name.to_lowercase().replace('-', "_");
        // Its value is not looked at, and never shown.
        let secret = ["pass", "hash", "secret", "token"]
            .iter()
            .any(|word| name.contains(word));
        if secret {
            return "has no place in a plan, which holds no secrets: a new user's password is generated and delivered, and `user import` takes hashes".into();
        }
        if name == "expires_in" {
            return "would mean another time at each run: say expires_at".into();
        }
        if self.path.is_empty() && name.contains('@') {
            return format!(
                "is not known here; did you mean users.\"{}\"?",
                escaped(&name)
            );
        }
        let near = self
            .known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, &name), known));
        let nearest = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
        match nearest {
            Some((likeness, known)) if likeness > 0.8 => {
                format!("is not known here; did you mean {known}?")
            }
            _ => {
                let all: Vec<_> = self.known.iter().copied().collect();
                format!("is not known here: there are {}", all.join(", "))
            }
        }
    }
}
