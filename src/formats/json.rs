//! JSON: a list of objects, or an object with such a list in `items` (Mailgun's
//! credentials), read one by one.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::input::RowReader;
use super::row::{Columns, InputRow, ParsedRow, RowProblem, RowSink};
use crate::error::{Error, Result};

/// Passes the rows of a JSON file to `sink`. A file that is not JSON is one more bad row.
pub fn read(columns: Columns, input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    let (limited, left) = RowReader::new(input);
    let buffered = std::io::BufReader::with_capacity(16 * 1024, limited);
    let mut deserializer = serde_json::Deserializer::from_reader(buffered);
    let mut row = 0;
    let mut stopped = None;
    let list = List {
        sink: &mut |members| {
            row += 1;
            left.set(RowReader::FULL);
            let said = sink(taken(columns, row, members));
            let go_on = said.is_ok();
            stopped = said.err();
            go_on
        },
    };
    let outcome = deserializer
        .deserialize_any(list)
        .and_then(|()| deserializer.end());
    match (stopped, outcome) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => {
            Err(Error::Usage(format!("the file cannot be read: {error}")))
        }
        // The message of serde may contain values.
        (None, Err(error)) => sink(ParsedRow::Bad(
            RowProblem::new(
                row + 1,
                "",
                format!("is not a JSON object in a list, at line {}", error.line()),
            ),
            String::new(),
        )),
    }
}

fn taken(columns: Columns, row: i64, members: Option<Members>) -> ParsedRow {
    let Some(Members(members)) = members else {
        return ParsedRow::bad(row, "is not an object", "");
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in members {
        let known = columns.known.contains(&name.as_str()) || MAILGUN.contains(&name.as_str());
        let shown = if known { name.as_str() } else { "" };
        if fields.iter().any(|(other, _)| *other == name) {
            return ParsedRow::Bad(RowProblem::new(row, shown, "is there twice"), String::new());
        }
        // Fields that are not read may have any type.
        let unread = !known || name == "size_bytes";
        let Some(value) = text(&value).or_else(|| unread.then(String::new)) else {
            return ParsedRow::Bad(
                RowProblem::new(row, shown, "is of the wrong type"),
                String::new(),
            );
        };
        fields.push((name, value));
    }
    let object: serde_json::Map<_, _> = fields
        .iter()
        .map(|(n, v)| (n.clone(), Value::from(v.as_str())))
        .collect();
    let text = Value::Object(object).to_string();
    ParsedRow::Good(InputRow {
        number: row,
        fields,
        text,
    })
}

/// The fields of Mailgun's `GET /v3/domains/{domain}/credentials`
/// (<https://documentation.mailgun.com>).
pub const MAILGUN: [&str; 4] = ["mailbox", "login", "created_at", "size_bytes"];

/// Returns a value as CSV would have it, or `None` for a type that no column has.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => String::new(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Option<Vec<_>> = items
                .iter()
                .map(|i| i.as_str().map(str::to_owned))
                .collect();
            items?
                .iter()
                .flat_map(|item| [item.as_str(), "\n"])
                .collect()
        }
        Value::Object(members) => {
            // Limits are numbers, tags are texts, which may contain spaces.
            let members: Option<Vec<_>> = members
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => Some(format!("{key}={text}\n")),
                    number => Some(format!("{key}={} ", number.as_u64()?)),
                })
                .collect();
            members?.concat().trim_end_matches(' ').to_owned()
        }
    })
}

/// Members in the order of the file; names may occur twice.
struct Members(Vec<(String, Value)>);

struct Element(Option<Members>);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Element, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Element(Some(Members(members))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Element, A::Error> {
        while seq.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Element(None))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }

    fn visit_unit<E>(self) -> std::result::Result<Element, E> {
        Ok(Element(None))
    }
}

struct List<'a> {
    sink: &'a mut dyn FnMut(Option<Members>) -> bool,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while let Some(Element(members)) = seq.next_element()? {
            if !(self.sink)(members) {
                return Err(de::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "items" || name == "users" {
                map.next_value_seed(List {
                    sink: &mut *self.sink,
                })?;
            } else {
                map.next_value::<de::IgnoredAny>()?;
            }
        }
        // `each` must live to the end.
        let _ = &mut self;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}
