//! The fields of a row, and all that is wrong with them. The reasons name rules
//! and never values.

use super::format::{Problem, Raw};
use crate::error::Error;
use crate::model::limits::{Kind, LimitSetting};
use crate::model::name::{DomainName, Username};
use crate::model::sender::Sender;
use crate::model::text::invalid;

pub struct Fields<'a> {
    raw: &'a Raw,
    pub problems: Vec<Problem>,
}

/// The rule that was broken, without the value that broke it.
fn rule(error: Error) -> String {
    match error {
        Error::Invalid { rule, .. } => format!("is not {rule}"),
        Error::Clock(_) => "is before 2020".into(),
        _ => "is not valid".into(),
    }
}

impl<'a> Fields<'a> {
    pub const fn of(raw: &'a Raw) -> Self {
        Self {
            raw,
            problems: Vec::new(),
        }
    }

    pub fn field(&self, name: &str) -> Option<&'a str> {
        let found = self.raw.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn bad(&mut self, column: &str, reason: impl Into<String>) {
        self.problems
            .push(Problem::new(self.raw.row, column, reason));
    }

    pub fn good<T>(
        &mut self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Option<T> {
        let outcome = read(self.field(column)?);
        outcome.map_err(|error| self.bad(column, rule(error))).ok()
    }

    /// Whoever wrote JSON is told of each field that nobody reads.
    pub fn only(&mut self, columns: &[&str]) {
        for (name, _) in &self.raw.fields {
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

    /// A name, whole or with a domain from beside it.
    pub fn username(
        &mut self,
        column: &str,
        name: &str,
        domain: Option<&DomainName>,
    ) -> Option<Username> {
        let own = self.field("domain").filter(|d| !d.is_empty());
        let own = own.map(str::to_owned);
        let domain = own.or_else(|| domain.map(ToString::to_string));
        let whole = match domain {
            _ if name.contains('@') => name.to_owned(),
            Some(domain) => format!("{name}@{domain}"),
            None => {
                self.bad(column, "has no domain: say which with --domain");
                return None;
            }
        };
        whole
            .parse()
            .map_err(|error| self.bad(column, rule(error)))
            .ok()
    }
}

/// A line each, or with spaces between; in order.
pub fn senders(text: &str) -> Result<Vec<Sender>, Error> {
    let separator = if text.contains('\n') { '\n' } else { ' ' };
    let all = text.split(separator).filter(|part| !part.is_empty());
    let mut parsed: Vec<Sender> = all.map(str::parse).collect::<Result<_, _>>()?;
    parsed.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    parsed.dedup_by(|a, b| a.as_str() == b.as_str());
    Ok(parsed)
}

/// `messages/hour=100 recipients/day=500`
pub fn limits(text: &str) -> Result<Vec<LimitSetting>, Error> {
    let parts = text.split(' ').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let setting: LimitSetting = part.parse()?;
            if setting.kind == Kind::MESSAGES_A_DAY {
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
