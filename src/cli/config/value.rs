//! The values of keys.

use std::fmt;

use serde::Serialize;
use toml::de::DeValue;

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

/// The kinds of value that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Flag,
    FlagOrText,
    List,
}

impl Kind {
    /// Reads a value of a file.
    pub fn read(self, value: &DeValue) -> Result<Value, String> {
        let text = |value: &DeValue| value.as_str().map(str::to_owned);
        let read = match (self, value) {
            (Self::Text | Self::FlagOrText, DeValue::String(_)) => text(value).map(Value::Text),
            (Self::Flag | Self::FlagOrText, DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Self::List, DeValue::Array(list)) => {
                let texts = list.iter().map(|value| text(value.get_ref()));
                texts.collect::<Option<_>>().map(Value::List)
            }
            _ => None,
        };
        read.ok_or_else(|| format!("must be {}", self.described()))
    }

    /// Reads a value of the command line.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match (self, text) {
            (Self::Flag | Self::FlagOrText, "true") => Ok(Value::Flag(true)),
            (Self::Flag | Self::FlagOrText, "false") => Ok(Value::Flag(false)),
            (Self::Flag, _) => Err("must be true or false".to_owned()),
            (Self::Text | Self::FlagOrText, text) => Ok(Value::Text(text.to_owned())),
            (Self::List, text) => {
                let parts = text.split(',').map(|part| part.trim().to_owned());
                Ok(Value::List(parts.collect()))
            }
        }
    }

    const fn described(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Flag => "true or false",
            Self::FlagOrText => "true, false or a text in quotes",
            Self::List => "a list of texts, such as [\"username\", \"status\"]",
        }
    }
}

impl Value {
    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// As the command line accepts it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(list) => f.write_str(&list.join(",")),
        }
    }
}

impl From<&Value> for toml_edit::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => text.as_str().into(),
            Value::Flag(flag) => (*flag).into(),
            Value::List(list) => list
                .iter()
                .map(String::as_str)
                .collect::<toml_edit::Value>(),
        }
    }
}
