//! The flags for notes and tags.

use std::str::FromStr;

use clap::Args;

use crate::cli::complete;
use crate::error::{Error, Result};
use crate::model::note::Note;
use crate::model::setting::Setting;
use crate::model::tag::{Tag, TagChange, TagKey};
use crate::model::text::invalid;

/// The flags for the note and the tags of a user.
#[derive(Debug, Default, Args)]
pub struct TagArgs {
    /// Set a note about the user (up to 1000 characters), or none
    #[arg(long, value_name = "TEXT")]
    pub note: Option<Setting<Note>>,

    /// Set a tag, such as env=prod; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = one_tag::<Tag>, add = complete::tags())]
    tag: Vec<Tag>,
}

impl TagArgs {
    /// Returns the note and the tags of a new user.
    pub fn of_new_user(self) -> Result<(Option<Note>, Vec<TagChange>)> {
        let note = self.note.and_then(Setting::value);
        Ok((note, changes(self.tag, Vec::new())?))
    }

    /// Returns the changes of tags. Fails if one of them is both set and removed.
    pub fn changes(self, removed: Vec<TagKey>) -> Result<Vec<TagChange>> {
        changes(self.tag, removed)
    }
}

/// Parses one tag. Several behind one flag are refused, as with `--sender`.
pub fn one_tag<T: FromStr<Err = Error>>(text: &str) -> Result<T> {
    let is_tag = |part: &str| part.trim().parse::<Tag>().is_ok();
    if let Some((_, rest)) = text.split_once(',')
        && rest.split(',').any(is_tag)
    {
        return Err(invalid("tag", text, "a single tag; repeat --tag for each"));
    }
    text.parse()
}

fn changes(tags: Vec<Tag>, removed: Vec<TagKey>) -> Result<Vec<TagChange>> {
    let removed = removed.into_iter().map(|key| TagChange {
        key,
        value: Setting::None,
    });
    let all = tags.into_iter().map(TagChange::from).chain(removed);
    without_doubles(all.collect(), |change| &change.key)
}

/// Fails if a key is given twice.
pub fn without_doubles<T>(all: Vec<T>, key: impl Fn(&T) -> &TagKey) -> Result<Vec<T>> {
    for (number, one) in all.iter().enumerate() {
        if all[..number].iter().any(|other| key(other) == key(one)) {
            let key = key(one).as_str();
            return Err(Error::Usage(format!("the tag {key} is given twice")));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tag::TagFilter;

    #[test]
    fn several_tags_behind_one_flag_are_refused() {
        assert!(one_tag::<Tag>("env=prod,team=web").is_err());
        assert!(one_tag::<TagFilter>("env,team=web").is_err());
        assert!(one_tag::<Tag>("city=Berlin, Germany").is_ok());
        assert!(one_tag::<TagFilter>("env").is_ok());
    }
}
