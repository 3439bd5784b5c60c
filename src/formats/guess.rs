//! Guesses the format of a file by how it begins. Each format has a sign that no other has;
//! where none is found, the admin has to say.

use std::io::{BufRead, Cursor, Read};

use super::format::ImportFormat;
use super::input::read_error;
use super::row::Columns;
use crate::error::Result;

/// How much of a file is looked at: the table in question may follow others in a dump.
const LOOKED_AT: u64 = 1024 * 1024;
/// How many lines of a file with a user on each are looked at.
const LINES: usize = 100;

/// Returns the format, if it is recognised, and the whole input again. `columns` are those
/// of our own CSV and JSON.
pub fn guess<'a>(
    columns: Columns,
    mut input: Box<dyn BufRead + 'a>,
) -> Result<(Option<ImportFormat>, Box<dyn BufRead + 'a>)> {
    let mut begin = Vec::new();
    let read = Read::take(&mut *input, LOOKED_AT).read_to_end(&mut begin);
    read.map_err(|e| read_error(&e))?;
    let format = format_of(columns, &String::from_utf8_lossy(&begin));
    Ok((format, Box::new(Cursor::new(begin).chain(input))))
}

fn format_of(columns: Columns, text: &str) -> Option<ImportFormat> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.as_bytes().first()? {
        b'[' | b'{' if is_json(text) => return Some(json(text)),
        _ => {}
    }
    let first = text.lines().next()?;
    if first.starts_with("VERSION=") {
        return Some(ImportFormat::Sasldb);
    }
    if is_header(columns, first) {
        return Some(ImportFormat::Csv);
    }
    dump(text).or_else(|| by_lines(text))
}

/// A line of Dovecot's may begin with a brace, too, but not with one of JSON.
fn is_json(text: &str) -> bool {
    let next = text[1..].trim_start();
    next.starts_with(['"', '{', '}', ']'])
}

fn json(text: &str) -> ImportFormat {
    let is_mailguns = ["\"mailbox\"", "\"size_bytes\"", "\"total_count\""];
    if is_mailguns.iter().any(|sign| text.contains(sign)) {
        ImportFormat::MailgunJson
    } else {
        ImportFormat::Json
    }
}

/// Whether a line names columns of ours. One alone may be the name of a user.
fn is_header(columns: Columns, line: &str) -> bool {
    let line = line.trim_end();
    if line
        .get(..4)
        .is_some_and(|sep| sep.eq_ignore_ascii_case("sep="))
    {
        return true;
    }
    [',', ';', '\t', '|'].into_iter().any(|delimiter| {
        let mut names = line
            .split(delimiter)
            .map(|name| name.trim().trim_matches('"'));
        names.any(|name| columns.needed.contains(&name))
    })
}

/// A dump in SQL, by the table that it has.
fn dump(text: &str) -> Option<ImportFormat> {
    let mut found = None;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace().map(str::to_ascii_lowercase);
        let table = match words.next().as_deref() {
            Some("create") if words.next().as_deref() == Some("table") => {
                words.find(|word| !["if", "not", "exists"].contains(&word.as_str()))
            }
            Some("insert" | "replace") => words.find(|word| word != "into" && word != "ignore"),
            Some("copy") => words.next(),
            _ => None,
        };
        let Some(table) = table else {
            continue;
        };
        let table = table.split('(').next().unwrap_or_default();
        let table = table.rsplit('.').next().unwrap_or_default();
        match table.trim_matches(['`', '"', '\'', '[', ']', ';']) {
            "mailbox" => return Some(ImportFormat::PostfixAdmin),
            "passwords" => found = Some(ImportFormat::Maddy),
            _ => {}
        }
    }
    found
}

/// A user on each line: all lines have to agree.
fn by_lines(text: &str) -> Option<ImportFormat> {
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let mut found = None;
    for line in lines.take(LINES) {
        let format = by_line(line)?;
        match found {
            // A name without a domain may be in both.
            Some(ImportFormat::Htpasswd) if format == ImportFormat::DovecotPasswd => {
                found = Some(format);
            }
            Some(ImportFormat::DovecotPasswd) if format == ImportFormat::Htpasswd => {}
            Some(known) if known != format => return None,
            _ => found = Some(format),
        }
    }
    found
}

fn by_line(line: &str) -> Option<ImportFormat> {
    if let Some((name, rest)) = line.split_once('|')
        && !name.contains(':')
    {
        return (name.contains('@') && !rest.is_empty()).then_some(ImportFormat::DockerMailserver);
    }
    let (name, rest) = line.split_once(':')?;
    if rest.starts_with(' ') {
        // What sasldblistusers2 prints: `name@realm: userPassword`.
        return rest
            .trim()
            .chars()
            .all(char::is_alphanumeric)
            .then_some(ImportFormat::Sasldb);
    }
    if rest.contains(':') || name.contains('@') {
        return Some(ImportFormat::DovecotPasswd);
    }
    let signs = ["$apr1$", "$2y$", "$2a$", "$2b$", "$5$", "$6$", "{SHA}"];
    if signs.iter().any(|sign| rest.starts_with(sign)) {
        return Some(ImportFormat::Htpasswd);
    }
    rest.starts_with('{').then_some(ImportFormat::DovecotPasswd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        known: &["username", "hash", "label"],
        needed: &["username"],
    };

    #[test]
    fn each_format_is_recognised_by_its_sign() {
        use ImportFormat as F;
        for (text, format) in [
            ("username,hash\na@b.example,x\n", Some(F::Csv)),
            ("\u{feff}\"label\";\"username\"\n", Some(F::Csv)),
            ("sep=;\nusername;hash\n", Some(F::Csv)),
            ("username\na@b.example\n", Some(F::Csv)),
            ("[{\"username\": \"a@b.example\"}]", Some(F::Json)),
            ("{\"users\": []}", Some(F::Json)),
            (
                "{\"items\": [{\"mailbox\": \"a@b.example\"}]}",
                Some(F::MailgunJson),
            ),
            ("VERSION=3\nformat=print\n", Some(F::Sasldb)),
            ("a@b.example: userPassword\n", Some(F::Sasldb)),
            (
                "a@b.example:{SHA512-CRYPT}$6$x::::::\n",
                Some(F::DovecotPasswd),
            ),
            ("a@b.example:$2y$05$x\n", Some(F::DovecotPasswd)),
            ("# users\nana:{PLAIN}x\n", Some(F::DovecotPasswd)),
            ("ana:$apr1$x$y\n", Some(F::Htpasswd)),
            ("ana:$2y$05$x\nbob:{SHA}x\n", Some(F::Htpasswd)),
            (
                "a@b.example|{SHA512-CRYPT}$6$x\n",
                Some(F::DockerMailserver),
            ),
            (
                "-- MySQL dump\nCREATE TABLE `alias` (\n);\nCREATE TABLE `mailbox` (\n",
                Some(F::PostfixAdmin),
            ),
            (
                "COPY public.mailbox (username) FROM stdin;\n",
                Some(F::PostfixAdmin),
            ),
            ("CREATE TABLE IF NOT EXISTS passwords(\n", Some(F::Maddy)),
            ("insert into passwords VALUES('a','b');\n", Some(F::Maddy)),
            ("-- MySQL dump\nCREATE TABLE `other` (\n", None),
            ("ana:secret\n", None),
            ("ana:$apr1$x$y\nno line of it\n", None),
            ("hello\n", None),
            ("", None),
        ] {
            assert_eq!(format_of(COLUMNS, text), format, "{text}");
        }
    }

    #[test]
    fn nothing_of_the_input_is_lost() {
        let text = "username\n".repeat(200_000);
        let input: Box<dyn BufRead> = Box::new(Cursor::new(text.clone()));
        let (format, mut input) = guess(COLUMNS, input).unwrap();
        let mut read = String::new();
        input.read_to_string(&mut read).unwrap();
        assert_eq!((format, read == text), (Some(ImportFormat::Csv), true));
    }
}
