//! Values of a plan, in the form that the flags of the same names accept.

use std::fmt::Display;
use std::str::FromStr;

use toml::de::{DeInteger, DeValue};

use super::problem::kind_of;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertRule, AlertSetting};
use crate::model::delivery::PathTemplate;
use crate::model::limits::LimitSetting;
use crate::model::network::Network;
use crate::model::sender::Sender;
use crate::model::setting::Setting;
use crate::model::tag::TagChange;
use crate::model::text::quoted;
use crate::model::time::Time;

type Read<T> = Result<T, String>;

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Read<T> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn other(value: &DeValue, wanted: &str) -> String {
    format!("is {}, but must be {wanted}", kind_of(value))
}

/// As it is usually written.
fn digits(number: &DeInteger) -> String {
    let parsed = i64::from_str_radix(number.as_str(), number.radix());
    parsed.map_or_else(|_| number.to_string(), |number| number.to_string())
}

pub fn text<T: FromStr<Err: Display>>(value: &DeValue) -> Read<T> {
    match value {
        DeValue::String(text) => parsed(text),
        value => Err(other(value, "a string in quotes")),
    }
}

pub fn number<T: FromStr<Err: Display>>(value: &DeValue) -> Read<T> {
    match value {
        DeValue::Integer(number) => parsed(&digits(number)),
        DeValue::String(text) if text == "none" => parsed(text),
        value => Err(other(value, "a whole number, or \"none\"")),
    }
}

pub fn boolean(value: &DeValue) -> Read<bool> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        value => Err(other(value, "true or false")),
    }
}

pub fn time(value: &DeValue) -> Read<Setting<Time>> {
    match value {
        // TOML knows times without a zone, too, which the rule refuses.
        DeValue::Datetime(time) => parsed(&time.to_string()),
        DeValue::String(text) => parsed(text),
        value => Err(other(value, "a time, or \"none\"")),
    }
}

/// Reads a list of what a flag takes with commas.
pub fn list<T: FromStr<Err: Display>>(value: &DeValue) -> Read<T> {
    let items = match value {
        DeValue::String(text) => return parsed(text),
        DeValue::Array(items) => items,
        value => return Err(other(value, "a list")),
    };
    let words = items.iter().map(|item| match item.get_ref() {
        DeValue::String(text) if !text.contains(',') => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(digits(number)),
        value => Err(format!("has {} in it", kind_of(value))),
    });
    let words: Vec<_> = words.collect::<Result<_, _>>()?;
    parsed(&words.join(","))
}

pub fn senders(value: &DeValue) -> Read<Vec<Sender>> {
    sorted(value)
}

pub fn networks(value: &DeValue) -> Read<Vec<Network>> {
    sorted(value)
}

/// Reads a list, sorted and each once.
fn sorted<T: FromStr<Err: Display> + Ord>(value: &DeValue) -> Read<Vec<T>> {
    let items = match value {
        DeValue::String(text) if text == "none" => return Ok(Vec::new()),
        DeValue::Array(items) => items,
        value => return Err(other(value, "a list of strings, or \"none\"")),
    };
    let mut all = items
        .iter()
        .map(|item| text::<T>(item.get_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    all.sort();
    all.dedup();
    Ok(all)
}

/// Reads limits by the names of their kinds, in the order of kinds.
pub fn limits(value: &DeValue) -> Read<Vec<LimitSetting>> {
    let DeValue::Table(table) = value else {
        let wanted = "a table such as { \"messages/hour\" = 100, \"recipients/day\" = \"none\" }";
        return Err(other(value, wanted));
    };
    let mut limits = Vec::new();
    let mut wrong = Vec::new();
    for (kind, most) in table {
        let read = parsed(kind.get_ref()).and_then(|kind| {
            let most = number(most.get_ref())?;
            Ok(LimitSetting { kind, most })
        });
        match read {
            Ok(limit) => limits.push(limit),
            Err(reason) => wrong.push(format!("{}: {reason}", quoted(kind.get_ref()))),
        }
    }
    if wrong.is_empty() {
        Ok(limits)
    } else {
        Err(wrong.join("; "))
    }
}

/// Reads the rules of alerts by their kinds, in the order of kinds.
pub fn alerts(value: &DeValue) -> Read<Vec<AlertSetting>> {
    let DeValue::Table(table) = value else {
        let wanted = "a table such as { limit = \"90%\", guesses = \"off\" }";
        return Err(other(value, wanted));
    };
    let mut rules = Vec::new();
    let mut wrong = Vec::new();
    for (kind, rule) in table {
        let name = kind.get_ref();
        let read = parsed::<AlertKind>(name).and_then(|kind| match rule.get_ref() {
            DeValue::String(text) => AlertRule::stored(kind, text)
                .map(|rule| AlertSetting { kind, rule })
                .ok_or_else(|| format!("must be \"off\" or such as \"{}\"", kind.default_on())),
            value => Err(other(value, "a string in quotes")),
        });
        match read {
            Ok(rule) => rules.push(rule),
            Err(reason) => wrong.push(format!("{}: {reason}", quoted(name))),
        }
    }
    rules.sort_by_key(|rule| rule.kind);
    if wrong.is_empty() {
        Ok(rules)
    } else {
        Err(wrong.join("; "))
    }
}

/// Reads everything that a repeatable flag takes.
pub fn all<T: FromStr<Err: Display>>(value: &DeValue) -> Read<Vec<T>> {
    match value {
        DeValue::String(text) if text == "none" => Ok(Vec::new()),
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect(),
        value => Err(other(value, "a list of strings, or \"none\"")),
    }
}

/// Reads tags by their keys, in the order of keys.
pub fn tags(value: &DeValue) -> Read<Vec<TagChange>> {
    let DeValue::Table(table) = value else {
        let wanted = "a table such as { env = \"prod\", team = \"none\" }";
        return Err(other(value, wanted));
    };
    let mut tags = Vec::new();
    let mut wrong = Vec::new();
    for (key, tag) in table {
        let name = key.get_ref();
        let value = text(tag.get_ref()).map_err(|reason| format!("{}: {reason}", quoted(name)));
        match parsed(name).and_then(|key| Ok(TagChange { key, value: value? })) {
            Ok(tag) => tags.push(tag),
            Err(reason) => wrong.push(reason),
        }
    }
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    if wrong.is_empty() {
        Ok(tags)
    } else {
        Err(wrong.join("; "))
    }
}

/// Reads a path that means the same in every working folder.
pub fn path(value: &DeValue) -> Read<Setting<PathTemplate>> {
    let path: Setting<PathTemplate> = text(value)?;
    match &path {
        Setting::Some(named) if !named.to_string().starts_with('/') => Err(format!(
            "{} does not begin with /, and would be another file in each folder",
            quoted(&named.to_string())
        )),
        _ => Ok(path),
    }
}
