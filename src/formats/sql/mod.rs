//! Dumps of a table as `mysqldump`, `pg_dump` and the `.dump` of SQLite write
//! them: `CREATE TABLE` for the names of columns, `INSERT` and `COPY` for rows.

use std::io::BufRead;

mod origin;
mod tokens;
mod values;

use self::origin::{Dialect, failed_dump_error};
use self::tokens::{Token, Tokens, unescaped};
use self::values::{MAX_COLUMNS, tuple};
use super::input::truncated_error;
use super::row::{InputRow, ParsedRow, RowSink};
use crate::error::{Error, Result};
use crate::model::text::{count, from_hexadecimal};

/// Passes the rows of a table to `sink`. Fails if the dump is cut off, damaged, or has no
/// such table.
pub fn read(table: &str, input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    let mut dump = Dump {
        tokens: Tokens::of(input),
        table: table.to_owned(),
        columns: Vec::new(),
        row: 0,
        found: false,
    };
    while dump.statement(sink)? {}
    dump.tokens.origin.finished()?;
    if dump.found {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the file has no table {table}: it has to be a dump in SQL, such as of mysqldump, pg_dump or `sqlite3 FILE .dump`"
    )))
}

struct Dump<'a> {
    tokens: Tokens<'a>,
    table: String,
    columns: Vec<String>,
    row: i64,
    found: bool,
}

impl Dump<'_> {
    /// Reads a statement. Returns false at the end of the file.
    fn statement(&mut self, sink: &mut RowSink) -> Result<bool> {
        let Some(token) = self.tokens.next()? else {
            return Ok(false);
        };
        let Token::Word(word) = token else {
            if token != Token::Mark(b';') {
                self.skip()?;
            }
            return Ok(true);
        };
        match word.to_ascii_uppercase().as_str() {
            // A command of psql ends with its line.
            word if word.starts_with('\\') => self.tokens.line().map(|_| ())?,
            "INSERT" | "REPLACE" => self.insert(sink)?,
            "CREATE" => self.create()?,
            "COPY" => self.copy(sink)?,
            "SET" => self.set()?,
            "PRAGMA" => {
                self.tokens.origin.decide(Dialect::Sqlite);
                self.skip()?;
            }
            "BEGIN" | "START" => self.transaction(word == "BEGIN")?,
            "COMMIT" => {
                self.tokens.origin.commit();
                self.skip()?;
            }
            "END" => self.end()?,
            // SQLite ends a dump with it if something failed.
            "ROLLBACK" => return Err(failed_dump_error()),
            "DELIMITER" => self.routines()?,
            _ => self.skip()?,
        }
        Ok(true)
    }

    fn skip(&mut self) -> Result<()> {
        loop {
            match self.tokens.next()? {
                None => return Err(truncated_error()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// Learns from a setting of `PostgreSQL` whether texts have backslashes.
    fn set(&mut self) -> Result<()> {
        let mut ours = false;
        loop {
            match self.tokens.next()? {
                None => return Err(truncated_error()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(Token::Word(word)) if word == "standard_conforming_strings" => ours = true,
                Some(Token::Word(word) | Token::Text(word)) if ours => {
                    self.tokens.origin.escapes(word == "off");
                }
                Some(_) => {}
            }
        }
    }

    /// Begins a transaction, which has to end before the file does.
    fn transaction(&mut self, begin: bool) -> Result<()> {
        match self.tokens.next()? {
            Some(Token::Mark(b';')) => return Ok(()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRANSACTION") => {
                // MySQL writes only START TRANSACTION.
                if begin {
                    self.tokens.origin.decide(Dialect::Sqlite);
                }
                self.tokens.origin.transaction()?;
            }
            _ => {}
        }
        self.skip()
    }

    /// `END TRANSACTION` is a `COMMIT`; `END` alone ends a trigger.
    fn end(&mut self) -> Result<()> {
        match self.tokens.next()? {
            Some(Token::Mark(b';')) => return Ok(()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRANSACTION") => {
                self.tokens.origin.commit();
            }
            _ => {}
        }
        self.skip()
    }

    /// Skips routines, which stand between `DELIMITER ;;` and `DELIMITER ;`.
    fn routines(&mut self) -> Result<()> {
        let mut line = self.tokens.line()?;
        while let Some(text) = line {
            let text = text.trim();
            let other = text.strip_prefix("DELIMITER").unwrap_or(text);
            if other.trim() == ";" {
                return Ok(());
            }
            line = self.tokens.line()?;
        }
        Err(truncated_error())
    }

    /// Reads a name, perhaps after a schema. Also returns the token after it.
    fn name(&mut self) -> Result<(Option<String>, Option<Token>)> {
        let mut name = None;
        loop {
            match self.tokens.next()? {
                Some(Token::Word(word)) if name.is_none() => {
                    match word.to_ascii_uppercase().as_str() {
                        "INTO" | "TABLE" | "IF" | "NOT" | "EXISTS" | "IGNORE" | "OR"
                        | "REPLACE" | "LOW_PRIORITY" | "DELAYED" | "HIGH_PRIORITY" | "UNLOGGED" => {
                        }
                        _ => name = Some(word),
                    }
                }
                Some(Token::Name(word)) if name.is_none() => name = Some(word),
                Some(Token::Mark(b'.')) => name = None,
                other => return Ok((name, other)),
            }
        }
    }

    fn is_ours(&self, name: Option<&String>) -> bool {
        // PostfixAdmin's tables may have a prefix.
        name.is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name == self.table || name.ends_with(&format!("_{}", self.table))
        })
    }

    fn create(&mut self) -> Result<()> {
        let (name, mut token) = self.name()?;
        if !self.is_ours(name.as_ref()) || token != Some(Token::Mark(b'(')) {
            while !matches!(token, None | Some(Token::Mark(b';'))) {
                token = self.tokens.next()?;
            }
            return Ok(());
        }
        self.found = true;
        self.columns.clear();
        let (mut depth, mut begins) = (1_i64, true);
        while self.columns.len() <= MAX_COLUMNS {
            match self.tokens.next()? {
                None => return Err(truncated_error()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(Token::Mark(b'(')) => depth += 1,
                Some(Token::Mark(b')')) => depth -= 1,
                Some(Token::Mark(b',')) if depth == 1 => begins = true,
                Some(Token::Name(name)) if begins => {
                    begins = false;
                    self.columns.push(name.to_ascii_lowercase());
                }
                Some(Token::Word(word)) if begins => {
                    begins = false;
                    let rule = [
                        "PRIMARY",
                        "KEY",
                        "UNIQUE",
                        "CONSTRAINT",
                        "INDEX",
                        "FULLTEXT",
                        "FOREIGN",
                        "CHECK",
                    ];
                    // maddy has a column of this name; MySQL writes its rule in capitals.
                    let is_rule = rule.contains(&word.to_ascii_uppercase().as_str());
                    if !is_rule || word == "key" {
                        self.columns.push(word.to_ascii_lowercase());
                    }
                }
                Some(_) => {}
            }
        }
        Err(self.too_many())
    }

    /// Reads names in brackets, if there are any. Also returns the token after them.
    fn listed(&mut self, token: Option<Token>) -> Result<(Option<Vec<String>>, Option<Token>)> {
        if token != Some(Token::Mark(b'(')) {
            return Ok((None, token));
        }
        let mut names = Vec::new();
        while names.len() <= MAX_COLUMNS {
            match self.tokens.next()? {
                Some(Token::Word(name) | Token::Name(name)) => {
                    names.push(name.to_ascii_lowercase());
                }
                Some(Token::Mark(b',')) => {}
                _ => return Ok((Some(names), self.tokens.next()?)),
            }
        }
        Err(self.too_many())
    }

    fn too_many(&self) -> Error {
        Error::Usage(format!("the table {} has too many columns", self.table))
    }

    fn insert(&mut self, sink: &mut RowSink) -> Result<()> {
        let (name, token) = self.name()?;
        if !self.is_ours(name.as_ref()) {
            return if token == Some(Token::Mark(b';')) {
                Ok(())
            } else {
                self.skip()
            };
        }
        self.found = true;
        let (names, mut token) = self.listed(token)?;
        let names = names.unwrap_or_else(|| self.columns.clone());
        let mut any = false;
        loop {
            match token {
                None => return Err(truncated_error()),
                Some(Token::Mark(b';')) if any => return Ok(()),
                Some(Token::Mark(b';')) => {
                    self.row += 1;
                    let reason = "is an INSERT without values";
                    return sink(ParsedRow::bad(self.row, reason, ""));
                }
                Some(Token::Mark(b'(')) => {
                    any = true;
                    self.tuple(&names, sink)?;
                }
                // ON CONFLICT, ON DUPLICATE KEY.
                Some(Token::Word(_)) if any => return self.skip(),
                _ => {}
            }
            token = self.tokens.next()?;
        }
    }

    fn tuple(&mut self, names: &[String], sink: &mut RowSink) -> Result<()> {
        if names.is_empty() {
            return Err(Error::Usage(format!(
                "the file has rows of {}, and nothing that names their columns: dump its definition, too, or with the names (mysqldump --complete-insert, pg_dump --column-inserts, SQLite's .dump)",
                self.table
            )));
        }
        self.row += 1;
        match tuple(&mut self.tokens)? {
            Some(values) => self.emit(names, &values, sink),
            None => sink(ParsedRow::bad(self.row, "is too long", "")),
        }
    }

    fn emit(&mut self, names: &[String], values: &[String], sink: &mut RowSink) -> Result<()> {
        if names.len() != values.len() {
            let reason = format!(
                "has {} for {}",
                count(values.len() as u64, "value"),
                count(names.len() as u64, "column")
            );
            return sink(ParsedRow::bad(self.row, &reason, ""));
        }
        let has = |name: &str| {
            names
                .iter()
                .position(|n| n == name)
                .map(|i| values[i].clone())
        };
        let (username, hash, active) = if self.table == "mailbox" {
            // PostfixAdmin's oldest hashes have no mark.
            let is_md5 =
                |hash: &String| from_hexadecimal(hash).is_some_and(|bytes| bytes.len() == 16);
            let hash = has("password").map(|hash| match hash {
                hash if is_md5(&hash) => format!("{{PLAIN-MD5}}{hash}"),
                hash => hash,
            });
            (has("username"), hash, has("active"))
        } else {
            (has("key"), has("value"), None)
        };
        let (Some(username), Some(hash)) = (username, hash) else {
            return sink(ParsedRow::bad(
                self.row,
                "has no column for the name or the password",
                "",
            ));
        };
        let mut fields = vec![
            ("username".to_owned(), username.clone()),
            ("hash".to_owned(), hash),
        ];
        if let Some(active) = active {
            let on = matches!(active.as_str(), "1" | "t" | "true" | "TRUE" | "\u{1}");
            let suspended = if on { "no" } else { "yes" };
            fields.push(("suspended".to_owned(), suspended.to_owned()));
        }
        sink(ParsedRow::Good(InputRow {
            number: self.row,
            fields,
            text: username,
        }))
    }

    /// Reads `COPY` of `PostgreSQL`: lines of values separated by tabs, up to `\.`.
    fn copy(&mut self, sink: &mut RowSink) -> Result<()> {
        let (name, token) = self.name()?;
        let ours = self.is_ours(name.as_ref());
        let (names, mut token) = self.listed(token)?;
        while !matches!(token, None | Some(Token::Mark(b';'))) {
            token = self.tokens.next()?;
        }
        self.tokens.line()?;
        self.found |= ours;
        let names = names.unwrap_or_else(|| self.columns.clone());
        loop {
            let Some(line) = self.tokens.line()? else {
                return Err(truncated_error());
            };
            if line == "\\." {
                return Ok(());
            }
            if ours {
                self.row += 1;
                let values: Vec<_> = line.split('\t').map(copied).collect();
                self.emit(&names, &values, sink)?;
            }
        }
    }
}

fn copied(text: &str) -> String {
    if text == "\\N" {
        return String::new();
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => out.extend(letters.next().map(unescaped)),
            _ => out.push(c),
        }
    }
    out
}
