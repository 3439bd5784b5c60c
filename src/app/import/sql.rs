//! Dumps of a table as `mysqldump`, `pg_dump` and the `.dump` of SQLite write
//! them: `CREATE TABLE` for the names of columns, `INSERT` and `COPY` for rows.

use std::io::BufRead;

use super::format::{Each, LONGEST, Raw, Read1};
use super::sql_tokens::{Token, Tokens, unescaped};
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
            "INSERT" => self.insert(each)?,
            "CREATE" => self.create()?,
            "COPY" => self.copy(each)?,
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

    /// A name, also behind that of a schema. Says what comes after it.
    fn name(&mut self) -> Result<(Option<String>, Option<Token>)> {
        let mut name = None;
        loop {
            match self.tokens.next()? {
                Some(Token::Word(word)) if name.is_none() => {
                    match word.to_ascii_uppercase().as_str() {
                        "INTO" | "TABLE" | "IF" | "NOT" | "EXISTS" | "IGNORE" => {}
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
        let (mut depth, mut begins) = (1, true);
        loop {
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
    }

    /// The names in brackets, if any; and what comes after them.
    fn listed(&mut self, mut token: Option<Token>) -> Result<(Option<Vec<String>>, Option<Token>)> {
        if token != Some(Token::Mark(b'(')) {
            return Ok((None, token));
        }
        let mut names = Vec::new();
        loop {
            token = self.tokens.next()?;
            match token {
                Some(Token::Word(name) | Token::Name(name)) => {
                    names.push(name.to_ascii_lowercase());
                }
                Some(Token::Mark(b',')) => {}
                _ => return Ok((Some(names), self.tokens.next()?)),
            }
        }
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
        loop {
            match token {
                None => return Err(cut_off()),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(Token::Mark(b'(')) => self.tuple(&names, each)?,
                _ => {}
            }
            token = self.tokens.next()?;
        }
    }

    fn tuple(&mut self, names: &[String], each: &mut Each) -> Result<()> {
        let mut values = Vec::new();
        let (mut depth, mut size, mut too_long) = (1, 0, false);
        let mut value: Option<String> = None;
        loop {
            match self.tokens.next()? {
                None => return Err(cut_off()),
                Some(Token::Mark(b'(')) => depth += 1,
                Some(Token::Mark(b')')) => {
                    depth -= 1;
                    if depth == 0 {
                        values.push(value.take().unwrap_or_default());
                        break;
                    }
                }
                Some(Token::Mark(b',')) if depth == 1 => {
                    values.push(value.take().unwrap_or_default());
                }
                Some(Token::Text(text) | Token::Name(text)) => {
                    size += text.len();
                    value = Some(text);
                }
                // MySQL says before a text in which character set it is: _binary.
                Some(Token::Word(word)) if word.starts_with('_') => {}
                Some(Token::Word(word)) if depth == 1 => {
                    let null = word.eq_ignore_ascii_case("NULL");
                    value = Some(if null { String::new() } else { word });
                }
                Some(Token::TooLong) => too_long = true,
                Some(_) => {}
            }
            too_long |= size > LONGEST || values.len() > 1000;
            if too_long {
                values.clear();
                size = 0;
            }
        }
        self.row += 1;
        if too_long {
            return each(Read1::bad(self.row, "is too long", ""));
        }
        self.emit(names, &values, each)
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
            (has("username"), has("password"), has("active"))
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

fn cut_off() -> Error {
    Error::Usage("the file is cut off: it ends within a statement".into())
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
