//! The fields of a row, and their problems. Reasons name rules and never values.

use super::row::{InputRow, RowProblem};
use crate::error::Error;
use crate::model::limit_kind::LimitKind;
use crate::model::limits::LimitSetting;
use crate::model::name::{DomainName, Username};
use crate::model::sender::Sender;
use crate::model::tag::{self, Tag, TagChange, Tags};
use crate::model::text::invalid;

/// The fields of a row, and the problems found so far.
pub struct RowFields<'a> {
    row: &'a InputRow,
    /// All problems found so far.
    pub problems: Vec<RowProblem>,
}

/// Names the rule that a value breaks, without the value.
fn rule(error: Error) -> String {
    match error {
        Error::Invalid { rule, .. } => format!("is not {rule}"),
        Error::Clock(_) => "is before 2020".into(),
        Error::ExpiryPassed(_) => {
            "is in the past; to stop a user from signing in, use `user suspend`".into()
        }
        _ => "is not valid".into(),
    }
}

impl<'a> RowFields<'a> {
    /// Looks at the fields of a row.
    pub const fn of(row: &'a InputRow) -> Self {
        Self {
            row,
            problems: Vec::new(),
        }
    }

    /// Returns the value of a field, or `None` if the row has no such field.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let found = self.row.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Reports a problem of a column.
    pub fn bad(&mut self, column: &str, reason: impl Into<String>) {
        self.problems
            .push(RowProblem::new(self.row.number, column, reason));
    }

    /// Parses a field. Returns `None` if it is absent, or bad and reported.
    pub fn good<T>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Option<T> {
        let outcome = read(self.field(column)?);
        outcome.map_err(|error| self.bad(column, rule(error))).ok()
    }

    /// Reports each field with another name: JSON must not have unknown fields.
    pub fn only(&mut self, columns: &[&str]) {
        for (name, _) in &self.row.fields {
            if !columns.contains(&name.as_str()) {
                self.bad(
                    "",
                    format!(
                        "has an unknown field; the fields are {}",
                        columns.join(", ")
                    ),
                );
            }
        }
    }

    /// Reads a username: a whole one, or a local part with the row's domain, or `domain`.
    pub fn username(
        &mut self,
        column: &str,
        name: &str,
        domain: Option<&DomainName>,
    ) -> Option<Username> {
        let own = self.field("domain").filter(|d| !d.is_empty());
        let or = domain.map(ToString::to_string);
        let whole = match own.map(str::to_owned).or(or) {
            _ if name.contains('@') => name.to_owned(),
            Some(domain) => format!("{name}@{domain}"),
            None => {
                self.bad(column, "has no domain: specify it with --domain");
                return None;
            }
        };
        let parsed = Username::of_new_user(&whole);
        let username = parsed.map_err(|error| self.bad(column, rule(error))).ok()?;
        // A domain that contradicts the username must not be ignored silently.
        let is_its = |own: &str| {
            own.parse()
                .is_ok_and(|own: DomainName| own == username.domain())
        };
        if own.is_some_and(|own| !is_its(own)) {
            self.bad("domain", format!("is not the domain of its {column}"));
            return None;
        }
        Some(username)
    }
}

/// Reads senders, separated by newlines or spaces. Returns them sorted, each once.
pub fn senders(text: &str) -> Result<Vec<Sender>, Error> {
    let separator = if text.contains('\n') { '\n' } else { ' ' };
    let all = text.split(separator).filter(|part| !part.is_empty());
    let mut parsed: Vec<Sender> = all.map(str::parse).collect::<Result<_, _>>()?;
    parsed.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    parsed.dedup_by(|a, b| a.as_str() == b.as_str());
    Ok(parsed)
}

/// Reads tags such as `env=prod team=web`, separated by newlines or spaces. Returns them in
/// the order of their keys. Fails if a key is there twice or if there are too many.
pub fn tags(text: &str) -> Result<Vec<Tag>, Error> {
    let separator = if text.contains('\n') { '\n' } else { ' ' };
    let all = text.split(separator).filter(|part| !part.is_empty());
    let mut tags: Vec<Tag> = all.map(str::parse).collect::<Result<_, _>>()?;
    tags.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    if tags.windows(2).any(|two| two[0].key == two[1].key) {
        return Err(invalid(
            "list of tags",
            "",
            "tags with a key of its own each",
        ));
    }
    let changes: Vec<TagChange> = tags.iter().cloned().map(TagChange::from).collect();
    tag::changed(&Tags::new(), &changes)?;
    Ok(tags)
}

/// Reads limits such as `messages/hour=100 recipients/day=500`.
pub fn limits(text: &str) -> Result<Vec<LimitSetting>, Error> {
    let parts = text.split(' ').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let setting: LimitSetting = part.parse()?;
            if setting.kind == LimitKind::MESSAGES_A_DAY {
                return Err(invalid(
                    "limit",
                    "",
                    "a limit of this column: that one is daily_limit",
                ));
            }
            Ok(setting)
        })
        .collect()
}
