//! The words for what changes, for the differences from a plan and for single commands.

use serde_json::Value;

use super::terminal::output::Output;
use crate::app::apply::FieldChange;

/// Says what was changed, as "changed shop@example.com: daily limit 100 -> 50", or that nothing
/// was. A person sees each of several fields on a line of its own.
pub fn tell(out: &Output, what: &str, fields: &[FieldChange]) {
    if let ([_, _, ..], true) = (fields, out.tells_people()) {
        out.note(&format!("changed {what}:"));
        for line in in_lines(fields) {
            out.note(&line);
        }
        return;
    }
    out.note(&changed(what, fields));
}

fn changed(what: &str, fields: &[FieldChange]) -> String {
    if fields.is_empty() {
        return format!("unchanged: {what}");
    }
    let fields = fields.iter();
    let fields = fields.map(|field| format!("{} {}", title(&field.name), from_to(field)));
    format!("changed {what}: {}", fields.collect::<Vec<_>>().join(", "))
}

/// Returns the fields below each other.
fn in_lines(fields: &[FieldChange]) -> impl Iterator<Item = String> {
    let titles: Vec<_> = fields.iter().map(|field| title(&field.name)).collect();
    let width = titles.iter().map(String::len).max().unwrap_or(0);
    let lines = titles.into_iter().zip(fields);
    lines.map(move |(title, field)| format!("  {title:width$}  {}", from_to(field)))
}

/// Returns the name of a field in words.
fn title(name: &str) -> String {
    match name.strip_prefix("tags.") {
        Some(key) => format!("tag {key}"),
        None => name.replace('_', " "),
    }
}

/// Returns the value before and after, as "100 -> 50".
pub fn from_to(field: &FieldChange) -> String {
    format!("{} -> {}", shown_value(&field.from), shown_value(&field.to))
}

/// Returns a value as text, in quotes if it could be mistaken.
pub fn shown_value(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(shown_value).collect();
            all.join(", ")
        }
        other => other.to_string(),
    }
}

/// Returns whether it is clear where a text ends, and that it is not a missing value.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text != "none" && !text.contains([' ', '"', ','])
}

/// Returns the first names, and how many more there are.
pub fn listed(names: &[&str]) -> String {
    const MOST: usize = 10;
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, from: Value, to: Value) -> FieldChange {
        FieldChange {
            name: name.to_owned(),
            from,
            to,
        }
    }

    #[test]
    fn a_note_says_what_was_and_what_is() {
        let fields = [
            field("daily_limit", json!(100), json!(50)),
            field("label", Value::Null, json!("My shop")),
            field("senders", json!(["a.example", "b.example"]), Value::Null),
            field("note", json!("none"), json!("new")),
            field("tags.my_env", Value::Null, json!("prod")),
        ];
        assert_eq!(
            changed("shop@example.com", &fields),
            "changed shop@example.com: daily limit 100 -> 50, label none -> \"My shop\", \
             senders a.example, b.example -> none, note \"none\" -> new, tag my_env none -> prod"
        );
        let lines: Vec<_> = in_lines(&fields[..2]).collect();
        assert_eq!(
            lines,
            [
                "  daily limit  100 -> 50",
                "  label        none -> \"My shop\""
            ]
        );
        assert_eq!(changed("the settings", &[]), "unchanged: the settings");
    }

    #[test]
    fn many_names_are_counted() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        assert_eq!(
            listed(&["a"; 12]),
            format!("{} and 2 more", ["a"; 10].join(", "))
        );
    }
}
