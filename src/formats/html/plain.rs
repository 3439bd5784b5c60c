//! The same document as text, for readers of mail that show no HTML.

use std::fmt::Write as _;

use super::{Document, Field, Section, Table, grouped};
use crate::model::text::escaped;

/// Returns the document as text.
pub fn plain(document: &Document) -> String {
    let mut out = format!(
        "{}\n\n{}\n",
        escaped(&document.title),
        escaped(&document.lead)
    );
    for section in &document.sections {
        write_section(&mut out, section);
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "\n-- \n{}\n", escaped(&document.footer));
    out
}

fn write_section(out: &mut String, section: &Section) {
    let title = escaped(&section.title);
    let line = "-".repeat(title.chars().count());
    let _ = write!(out, "\n{title}\n{line}\n");
    if !section.text.is_empty() {
        let _ = writeln!(out, "{}", escaped(&section.text));
    }
    if let Some(table) = &section.table {
        write_table(out, table);
    }
    if let Some(cut) = &section.cut {
        let _ = writeln!(out, "{}", escaped(cut));
    }
    for command in &section.commands {
        let _ = writeln!(out, "    {}", escaped(command));
    }
}

/// Writes each row as "name: 3 messages, 4 recipients".
fn write_table(out: &mut String, table: &Table) {
    for row in &table.rows {
        let mut commands = Vec::new();
        let mut parts = Vec::new();
        for (field, column) in row.iter().zip(&table.columns).skip(1) {
            match field {
                Field::Text(text) if text.is_empty() => {}
                Field::Text(text) | Field::Time(text) => parts.push(escaped(text)),
                Field::Number(number) => parts.push(format!(
                    "{} {}",
                    column.name.to_lowercase(),
                    grouped(*number)
                )),
                Field::Commands(lines) => commands.extend(lines.lines().map(escaped)),
            }
        }
        let name = match row.first() {
            Some(Field::Text(text) | Field::Time(text)) => escaped(text),
            _ => String::new(),
        };
        let colon = if parts.is_empty() { "" } else { ": " };
        let _ = writeln!(out, "  {name}{colon}{}", parts.join(", "));
        for command in commands {
            let _ = writeln!(out, "    {command}");
        }
    }
}
