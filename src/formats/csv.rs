//! Our own CSV: a header line and one line for each user. Spreadsheets use semicolons
//! as delimiters where the comma is the decimal separator, and leave empty rows and
//! columns behind.

use std::io::{self, BufRead, Read as _};

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::input::{MAX_ROW, NOT_UTF8, RowReader, read_error};
use super::row::{Columns, InputRow, ParsedRow, RowProblem, RowSink};
use crate::error::{Error, Result};
use crate::model::text::{count, from_sheet};

/// Columns that are not unescaped: a secret may begin like an escaped value.
const SECRETS: [&str; 3] = ["password", "hash", "old_hash"];

/// Passes the rows of a CSV file to `sink`. Fails if the file has no header line.
pub fn read(columns: Columns, input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    let (delimiter, begin, said) = delimiter(columns, input)?;
    let input = &mut io::Cursor::new(begin).chain(input);
    let (limited, left) = RowReader::new(input);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(16 * 1024)
        .from_reader(limited);
    let mut record = ByteRecord::new();
    let Some(names) = next(&mut reader, &mut record)?.then(|| texts(&record)) else {
        return Err(Error::Usage(
            "the file is empty: its first line has to name the columns".into(),
        ));
    };
    let Some(names) = names else {
        return sink(ParsedRow::bad(1, NOT_UTF8, ""));
    };
    let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    if !good_names(columns, &names, sink)? {
        return Ok(());
    }
    for row in 2 + i64::from(said).. {
        left.set(RowReader::FULL);
        if !next(&mut reader, &mut record)? {
            break;
        }
        if record.iter().all(|field| field.trim_ascii().is_empty()) {
            continue;
        }
        let text = || written(&record);
        let Some(values) = texts(&record) else {
            sink(ParsedRow::bad(row, NOT_UTF8, ""))?;
            continue;
        };
        if values.len() < names.len() {
            let reason = format!(
                "has {}, and not {}",
                count(values.len() as u64, "field"),
                names.len()
            );
            sink(ParsedRow::bad(row, &reason, &text()))?;
            continue;
        }
        let unnamed = values
            .iter()
            .enumerate()
            .filter(|(i, _)| is_unnamed(&names, *i));
        if unnamed.clone().any(|(_, value)| !value.trim().is_empty()) {
            sink(ParsedRow::bad(
                row,
                "has a field in a column without a name",
                &text(),
            ))?;
            continue;
        }
        let fields = names.iter().cloned().zip(values);
        let fields = fields.filter(|(name, _)| !name.is_empty());
        let fields = fields.map(|(name, value)| {
            let value = read_field(&name, value);
            (name, value)
        });
        let fields = fields.collect();
        let text = text();
        sink(ParsedRow::Good(InputRow {
            number: row,
            fields,
            text,
        }))?;
    }
    Ok(())
}

/// Finds the delimiter that splits the header line into the most known columns. Also
/// returns the bytes read for this, and whether a line before the header names the
/// delimiter, as for Excel.
fn delimiter(columns: Columns, input: &mut dyn BufRead) -> Result<(u8, Vec<u8>, bool)> {
    let mut begin = Vec::new();
    let read = input.take(MAX_ROW as u64).read_until(b'\n', &mut begin);
    read.map_err(|e| read_error(&e))?;
    if let [
        b's' | b'S',
        b'e' | b'E',
        b'p' | b'P',
        b'=',
        sign,
        b'\r' | b'\n',
        ..,
    ] = begin[..]
    {
        return Ok((sign, Vec::new(), true));
    }
    let line = begin
        .split(|b| b"\r\n".contains(b))
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let known = |delimiter: u8| {
        let names = line.split(char::from(delimiter));
        let names = names.map(|name| name.trim().trim_matches('"'));
        (
            names.filter(|name| columns.known.contains(name)).count(),
            line.bytes().filter(|b| *b == delimiter).count(),
        )
    };
    // On a tie, the last one wins.
    let found = [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(|d| known(*d));
    Ok((found.unwrap_or(b','), begin, false))
}

/// A spreadsheet leaves an empty column without a name.
fn is_unnamed(names: &[String], column: usize) -> bool {
    names.get(column).is_none_or(String::is_empty)
}

fn next(reader: &mut csv::Reader<RowReader>, record: &mut ByteRecord) -> Result<bool> {
    reader.read_byte_record(record).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::Io(error) => error.to_string(),
            _ => "it is not CSV".into(),
        };
        Error::Usage(format!("the file cannot be read: {reason}"))
    })
}

/// Returns whether all column names are known and occur once. Reports all that are not.
fn good_names(columns: Columns, names: &[String], sink: &mut RowSink) -> Result<bool> {
    let mut good = true;
    for (i, name) in names.iter().enumerate() {
        // Without a header line, the first line may contain a secret.
        let looks_like_one =
            name.len() <= 30 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        let reason = if name.is_empty() {
            continue;
        } else if !looks_like_one {
            format!(
                "field {} is not a known column; the columns are {}",
                i + 1,
                columns.known.join(", ")
            )
        } else if !columns.known.contains(&name.as_str()) {
            format!(
                "is not a known column; the columns are {}",
                columns.known.join(", ")
            )
        } else if names[..i].contains(name) {
            "is there twice".into()
        } else {
            continue;
        };
        good = false;
        let column = if looks_like_one { name.as_str() } else { "" };
        sink(ParsedRow::Bad(
            RowProblem::new(1, column, reason),
            String::new(),
        ))?;
    }
    if !names
        .iter()
        .any(|name| columns.needed.contains(&name.as_str()))
    {
        good = false;
        sink(ParsedRow::Bad(
            RowProblem::new(1, &columns.needed.join(" or "), "is missing"),
            String::new(),
        ))?;
    }
    Ok(good)
}

fn texts(record: &ByteRecord) -> Option<Vec<String>> {
    let texts = record
        .iter()
        .map(|field| std::str::from_utf8(field).ok().map(str::to_owned));
    texts.collect()
}

/// Undoes the escaping against formulas that our own exports have.
fn read_field(column: &str, value: String) -> String {
    if SECRETS.contains(&column) {
        return value;
    }
    from_sheet(&value).to_owned()
}

/// Writes a record as a line again.
fn written(record: &ByteRecord) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = writer.write_byte_record(record);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}
