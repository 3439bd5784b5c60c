//! Dumps of a table as `mysqldump`, `pg_dump` and the `.dump` of SQLite write
//! them: `CREATE TABLE` for the names of columns, `INSERT` and `COPY` for rows.

use std::io::BufRead;

use super::format::{Each, Raw, Read1};
use super::sql_origin::{Dialect, failed};
use super::sql_tokens::{Token, Tokens, unescaped};
use super::sql_values::{MOST, cut_off, tuple};
use crate::error::{Error, Result};

pub fn read(table: &str, input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
    let mut dump = Dump {
        tokens: Tokens::of(input),
        table: table.to_owned(),
        columns: Vec::new(),
        row: 0,
        found: false,
    };
    while dump.statement(each)? {}
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
    /// Nothing is left if it says no.
    fn statement(&mut self, each: &mut Each) -> Result<bool> {
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
            // A command of psql: a line.
            word if word.starts_with('\\') => self.tokens.line().map(|_| ())?,
            "INSERT" | "REPLACE" => self.insert(each)?,
            "CREATE" => self.create()?,
            "COPY" => self.copy(each)?,
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
            // What SQLite writes at the end of a dump in which something failed.
            "ROLLBACK" => return Err(failed()),
            "DELIMITER" => self.routines()?,
            _ => self.skip()?,
        }
        Ok(true)
    }

    fn skip(&mut self) -> Result<()> {
        loop {
            match self.tokens.next()? {
                None => return Err(cut_off()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// `PostgreSQL` says whether its texts have backslashes.
    fn set(&mut self) -> Result<()> {
        let mut ours = false;
        loop {
            match self.tokens.next()? {
                None => return Err(cut_off()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(Token::Word(word)) if word == "standard_conforming_strings" => ours = true,
                Some(Token::Word(word) | Token::Text(word)) if ours => {
                    self.tokens.origin.escapes(word == "off");
                }
                Some(_) => {}
            }
        }
    }

    /// Whoever begins one has to end it.
    fn transaction(&mut self, begin: bool) -> Result<()> {
        match self.tokens.next()? {
            Some(Token::Mark(b';')) => return Ok(()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRANSACTION") => {
                // MySQL has START TRANSACTION alone.
                if begin {
                    self.tokens.origin.decide(Dialect::Sqlite);
                }
                self.tokens.origin.transaction()?;
            }
            _ => {}
        }
        self.skip()
    }

    /// The same as `COMMIT`, and the end of a trigger without the second word.
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

    /// Between `DELIMITER ;;` and `DELIMITER ;` is what the server runs, and no row.
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
        Err(cut_off())
    }

    /// A name, also behind that of a schema. Says what comes after it.
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
        while self.columns.len() <= MOST {
            match self.tokens.next()? {
                None => return Err(cut_off()),
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
                    // maddy has a column that is named so; MySQL's rule has a list behind it.
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

    /// The names in brackets, if any; and what comes after them.
    fn listed(&mut self, token: Option<Token>) -> Result<(Option<Vec<String>>, Option<Token>)> {
        if token != Some(Token::Mark(b'(')) {
            return Ok((None, token));
        }
        let mut names = Vec::new();
        while names.len() <= MOST {
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

    fn insert(&mut self, each: &mut Each) -> Result<()> {
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
                None => return Err(cut_off()),
                Some(Token::Mark(b';')) if any => return Ok(()),
                Some(Token::Mark(b';')) => {
                    self.row += 1;
                    let reason = "is an INSERT without values";
                    return each(Read1::bad(self.row, reason, ""));
                }
                Some(Token::Mark(b'(')) => {
                    any = true;
                    self.tuple(&names, each)?;
                }
                // What to do with such as are there: ON CONFLICT, ON DUPLICATE KEY.
                Some(Token::Word(_)) if any => return self.skip(),
                _ => {}
            }
            token = self.tokens.next()?;
        }
    }

    fn tuple(&mut self, names: &[String], each: &mut Each) -> Result<()> {
        if names.is_empty() {
            return Err(Error::Usage(format!(
                "the file has rows of {}, and nothing that names their columns: dump its definition, too, or with the names (mysqldump --complete-insert, pg_dump --column-inserts, SQLite's .dump)",
                self.table
            )));
        }
        self.row += 1;
        match tuple(&mut self.tokens)? {
            Some(values) => self.emit(names, &values, each),
            None => each(Read1::bad(self.row, "is too long", "")),
        }
    }

    fn emit(&mut self, names: &[String], values: &[String], each: &mut Each) -> Result<()> {
        if names.len() != values.len() {
            let reason = format!("has {} values for {} columns", values.len(), names.len());
            return each(Read1::bad(self.row, &reason, ""));
        }
        let has = |name: &str| {
            names
                .iter()
                .position(|n| n == name)
                .map(|i| values[i].clone())
        };
        let (username, hash, active) = if self.table == "mailbox" {
            // PostfixAdmin's oldest: nothing says what it is.
            let is_md5 = |hash: &String| {
                hash.len() == 32 && hash.bytes().all(|letter| letter.is_ascii_hexdigit())
            };
            let hash = has("password").map(|hash| match hash {
                hash if is_md5(&hash) => format!("{{PLAIN-MD5}}{hash}"),
                hash => hash,
            });
            (has("username"), hash, has("active"))
        } else {
            (has("key"), has("value"), None)
        };
        let (Some(username), Some(hash)) = (username, hash) else {
            return each(Read1::bad(
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
        each(Read1::Row(Raw {
            row: self.row,
            fields,
            text: username,
        }))
    }

    /// PostgreSQL's: lines of values with tabs between, up to `\.`.
    fn copy(&mut self, each: &mut Each) -> Result<()> {
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
                return Err(cut_off());
            };
            if line == "\\." {
                return Ok(());
            }
            if ours {
                self.row += 1;
                let values: Vec<_> = line.split('\t').map(copied).collect();
                self.emit(&names, &values, each)?;
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
