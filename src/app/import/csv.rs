//! Our own CSV: a line of names, and a line for each user.

use std::io::BufRead;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::format::{Columns, Each, Limited, Problem, Raw, Read1};
use crate::error::{Error, Result};

pub fn read(columns: Columns, input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
    let (limited, left) = Limited::new(input);
    let mut reader = ReaderBuilder::new()
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
        return each(Read1::bad(1, "is no UTF-8", ""));
    };
    if !good_names(columns, &names, each)? {
        return Ok(());
    }
    for row in 2.. {
        left.set(Limited::FULL);
        if !next(&mut reader, &mut record)? {
            break;
        }
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        let text = || written(&record);
        let Some(values) = texts(&record) else {
            each(Read1::bad(row, "is no UTF-8", ""))?;
            continue;
        };
        if values.len() != names.len() {
            let reason = format!("has {} fields, and not {}", values.len(), names.len());
            each(Read1::bad(row, &reason, &text()))?;
            continue;
        }
        let fields = names.iter().cloned().zip(values).collect();
        let text = text();
        each(Read1::Row(Raw { row, fields, text }))?;
    }
    Ok(())
}

fn next(reader: &mut csv::Reader<Limited>, record: &mut ByteRecord) -> Result<bool> {
    reader.read_byte_record(record).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::Io(error) => error.to_string(),
            _ => "it is no CSV".into(),
        };
        Error::Usage(format!("the file cannot be read: {reason}"))
    })
}

/// All names at once: known, and each once.
fn good_names(columns: Columns, names: &[String], each: &mut Each) -> Result<bool> {
    let mut good = true;
    for (i, name) in names.iter().enumerate() {
        let reason = if !columns.known.contains(&name.as_str()) {
            format!("is no column; the columns are {}", columns.known.join(", "))
        } else if names[..i].contains(name) {
            "is there twice".into()
        } else {
            continue;
        };
        good = false;
        // A name is no secret, unless the line of names is missing.
        let looks_like_one =
            name.len() <= 30 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        let column = if looks_like_one { name.as_str() } else { "" };
        each(Read1::Bad(Problem::new(1, column, reason), String::new()))?;
    }
    if !names
        .iter()
        .any(|name| columns.needed.contains(&name.as_str()))
    {
        good = false;
        each(Read1::Bad(
            Problem::new(1, &columns.needed.join(" or "), "is missing"),
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

/// As a line again.
fn written(record: &ByteRecord) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory it cannot fail.
    let _ = writer.write_byte_record(record);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}
