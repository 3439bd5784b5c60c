//! Tags of users.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::model::event::Fields;
use crate::model::name::Username;
use crate::model::tag::{TagChange, TagFilter, TagValue, Tags};
use crate::store::engine::Row;
use crate::store::{Store, Tx};

/// The tags of a user as one text, `key=value` each; neither of them contains a line break.
macro_rules! tags_of {
    ($user:literal) => {
        concat!(
            "(SELECT string_agg(t.key || '=' || t.value, '\n') FROM tags t WHERE t.username = ",
            $user,
            ".username)"
        )
    };
}

/// How many of the [`wanted`] tags the user `u` has.
macro_rules! tags_among {
    ($wanted:literal) => {
        concat!(
            "(SELECT count(*) FROM tags t WHERE t.username = u.username
                AND (replace(",
            $wanted,
            ", '\n' || t.key || '\n', '') <> ",
            $wanted,
            " OR replace(",
            $wanted,
            ", '\n' || t.key || '=' || t.value || '\n', '') <> ",
            $wanted,
            "))"
        )
    };
}
pub(in crate::store) use {tags_among, tags_of};

/// Returns the tags to look for as one text: a statement has a fixed number of arguments.
pub(in crate::store) fn wanted(tags: &[TagFilter]) -> String {
    let wanted: Vec<_> = tags.iter().map(|tag| format!("\n{tag}\n")).collect();
    wanted.concat()
}

/// Reads what [`tags_of`] selects.
pub(in crate::store) fn read(row: &dyn Row, column: usize) -> Result<Tags> {
    let Some(all) = row.opt_text(column)? else {
        return Ok(Tags::new());
    };
    let split = |tag: &str| {
        let tag = tag.split_once('=');
        tag.map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    let tags: Option<Tags> = all.split('\n').map(split).collect();
    tags.ok_or_else(|| row.not_valid(all))
}

impl Store {
    /// Returns the different tags among the first `limit` ones, as `key=value`.
    pub fn some_tags(&mut self, limit: u32) -> Result<Vec<String>> {
        const SQL: &str = "SELECT key, value FROM tags ORDER BY username, key LIMIT $1";
        let mut found = BTreeSet::new();
        self.engine.query(SQL, &[limit.into()], &mut |row| {
            found.insert(format!("{}={}", row.text(0)?, row.text(1)?));
            Ok(())
        })?;
        Ok(found.into_iter().collect())
    }
}

impl Tx<'_> {
    /// Changes tags and adds them to the fields of an event. The caller writes the event.
    pub(in crate::store) fn change_tags(
        &mut self,
        username: &Username,
        changes: &[TagChange],
        fields: Fields,
    ) -> Result<Fields> {
        const SET: &str = "INSERT INTO tags (username, key, value) VALUES ($1, $2, $3)
            ON CONFLICT (username, key) DO UPDATE SET value = excluded.value";
        const REMOVE: &str = "DELETE FROM tags WHERE username = $1 AND key = $2";
        if changes.is_empty() {
            return Ok(fields);
        }
        let mut set = Fields::default();
        for TagChange { key, value } in changes {
            let (name, key) = (username.as_str(), key.as_str());
            let value = value.as_ref().value().map(TagValue::as_str);
            match value {
                Some(value) => self.later(SET, &[name.into(), key.into(), value.into()])?,
                None => self.later(REMOVE, &[name.into(), key.into()])?,
            }
            set = set.with(key, value);
        }
        Ok(fields.with("tags", set))
    }

    /// Removes all tags, to set others.
    pub(in crate::store) fn remove_tags(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM tags WHERE username = $1";
        self.later(SQL, &[username.as_str().into()])
    }
}
