//! Tags: what an admin groups users by, such as `env=prod`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::password::generated_form_in;
use super::setting::Setting;
use super::text::{invalid, is_printable};
use crate::error::{Error, Result};

/// The tags of a user as they are stored, each value by its key.
pub type Tags = BTreeMap<String, String>;

/// The most tags of a user.
pub const MOST_TAGS: usize = 20;

const KEY_RULE: &str = "1 to 40 of a-z 0-9 . - _";
const VALUE_RULE: &str = "one line of 1 to 100 printable characters, other than none";
const TAG_RULE: &str = "a key and a value, such as env=prod: the key of 1 to 40 of a-z 0-9 . - _, \
    the value of 1 to 100 printable characters, other than none";

/// The key of a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey(String);

/// The value of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagValue(String);

/// A tag: `env=prod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: TagKey,
    /// Its value.
    pub value: TagValue,
}

/// A tag to set or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// Its key.
    pub key: TagKey,
    /// Its new value; none removes the tag.
    pub value: Setting<TagValue>,
}

/// Users that have a tag, with any value or with this one: `env`, `env=prod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    /// The key.
    pub key: TagKey,
    /// The value; `None` for any.
    pub value: Option<TagValue>,
}

impl TagKey {
    /// In characters.
    const MAX: usize = 40;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(good) {
            return Err(invalid("tag key", text, KEY_RULE));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TagValue {
    /// In characters.
    const MAX: usize = 100;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagValue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let value = text.trim_matches(' ');
        let printable = value.chars().all(is_printable);
        let length = value.chars().count();
        // "none" removes a tag in a plan.
        if length == 0 || length > Self::MAX || !printable || value == "none" {
            return Err(invalid("tag value", text, VALUE_RULE));
        }
        if generated_form_in(value).is_some() {
            let rule = "not a password: tags are not secret";
            return Err(invalid("tag value", text, rule));
        }
        Ok(Self(value.to_owned()))
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| invalid("tag", text, TAG_RULE))?;
        Ok(Self {
            key: key.parse()?,
            value: value.parse()?,
        })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key.0, self.value.0)
    }
}

impl FromStr for TagFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            key: key.parse()?,
            value,
        })
    }
}

impl fmt::Display for TagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={}", self.key.0, value.0),
            None => f.write_str(&self.key.0),
        }
    }
}

impl From<Tag> for TagChange {
    fn from(tag: Tag) -> Self {
        Self {
            key: tag.key,
            value: Setting::Some(tag.value),
        }
    }
}

/// Returns the tags as they are after the changes. Fails if there are too many then.
pub fn changed(tags: &Tags, changes: &[TagChange]) -> Result<Tags> {
    let mut tags = tags.clone();
    for change in changes {
        let key = change.key.as_str();
        match &change.value {
            Setting::Some(value) => {
                tags.insert(key.to_owned(), value.as_str().to_owned());
            }
            Setting::None => {
                tags.remove(key);
            }
        }
    }
    if tags.len() > MOST_TAGS {
        let rule = format!("at most {MOST_TAGS}: `user set --remove-tag KEY` removes one");
        return Err(invalid("number of tags", &tags.len().to_string(), rule));
    }
    Ok(tags)
}

/// Returns the tags as text, `key=value` each.
pub fn listed(tags: &Tags) -> Vec<String> {
    tags.iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_key_and_a_value() {
        let tag: Tag = "env=prod".parse().unwrap();
        assert_eq!((tag.key.as_str(), tag.value.as_str()), ("env", "prod"));
        let tag: Tag = "x.y-z_1= a = b ".parse().unwrap();
        assert_eq!(tag.to_string(), "x.y-z_1=a = b");
        let long = format!("{}={}", "k".repeat(40), "é".repeat(100));
        assert!(long.parse::<Tag>().is_ok());
        for bad in [
            "",
            "env",
            "=prod",
            "env=",
            "Env=prod",
            "e v=x",
            "env=a\nb",
            "env=none",
            "env= ",
            &format!("{}=x", "k".repeat(41)),
            &format!("k={}", "x".repeat(101)),
            "old=smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89",
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
        for (text, value) in [("env", None), ("env=prod", Some("prod"))] {
            let filter: TagFilter = text.parse().unwrap();
            assert_eq!(filter.value.as_ref().map(TagValue::as_str), value);
            assert_eq!(filter.to_string(), text);
        }
        assert!("env=".parse::<TagFilter>().is_err());
    }

    #[test]
    fn a_user_has_a_bounded_number_of_tags() {
        let tags: Tags = (0..20).map(|n| (format!("k{n}"), "x".into())).collect();
        let set = |text: &str| TagChange::from(text.parse::<Tag>().unwrap());
        assert_eq!(changed(&tags, &[set("k1=y")]).unwrap()["k1"], "y");
        assert!(changed(&tags, &[set("new=y")]).is_err());
        let removed = TagChange {
            key: "k1".parse().unwrap(),
            value: Setting::None,
        };
        let after = changed(&tags, &[removed, set("new=y")]).unwrap();
        assert!(after.len() == 20 && !after.contains_key("k1"));
    }
}
