//! A plan: what an admin wants settings, domains and users to be, as TOML. What
//! it does not name stays as it is. All that is wrong with one is told at once,
//! each thing with its line; none of it is a secret, and none may be in it.

mod table;
mod values;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use self::table::{Reader, Table};
use self::values::{boolean, limits, list, number, path, senders, text, time};
use super::day::Day;
use super::hash::{Accepted, Cost};
use super::label::Label;
use super::limits::{Kind, LimitSetting, OnLimit};
use super::name::{DomainName, HostName, Username};
use super::rotation::{RotationRules, RulesChange};
use super::sender::Sender;
use super::settings::{Limit, Ports, Setting};
use super::time::Time;
use crate::error::Error;

/// In bytes. Some 40,000 users; more are a matter of `user import`.
pub const MAX_SIZE: usize = 4 * 1024 * 1024;

/// In bytes. In larger ones the first mistake in the syntax is told alone: each may
/// be one, and takes memory.
const ALL_MISTAKES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub struct Plan {
    pub settings: Option<SettingsPlan>,
    pub domains: BTreeMap<DomainName, DomainPlan>,
    pub users: BTreeMap<Username, UserPlan>,
}

/// In all three: absent is not said, and stays as it is.
#[derive(Debug, Default)]
pub struct SettingsPlan {
    pub line: usize,
    pub host: Option<Setting<HostName>>,
    pub ports: Option<Ports>,
    pub argon2: Option<Cost>,
    pub accept_hash: Option<Accepted>,
    pub day: Option<Day>,
    pub allow_insecure: Option<bool>,
    pub require_verified_domains: Option<bool>,
    pub common: Common,
}

#[derive(Debug, Default)]
pub struct DomainPlan {
    pub line: usize,
    pub host: Option<Setting<HostName>>,
    pub max_users: Option<Setting<Limit>>,
    pub daily_limit: Option<Setting<Limit>>,
    pub common: Common,
}

#[derive(Debug, Default)]
pub struct UserPlan {
    pub line: usize,
    pub label: Option<Setting<Label>>,
    pub daily_limit: Option<Setting<Limit>>,
    pub expires_at: Option<Setting<Time>>,
    pub suspended: Option<bool>,
    /// In order. Empty: every address of the user's domain.
    pub senders: Option<Vec<Sender>>,
    pub common: Common,
}

/// What settings, domains and users share.
#[derive(Debug, Default)]
pub struct Common {
    /// In the order of kinds. Messages a day of users and domains stand apart.
    pub limits: Vec<LimitSetting>,
    pub on_limit: Option<Setting<OnLimit>>,
    pub rotation: RulesChange,
}

/// What is wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; nothing of what is no line's fault.
    pub line: Option<usize>,
    /// As TOML names it, such as `users."shop@example.com".label`. Escaped.
    pub key: String,
    pub reason: String,
}

impl Problem {
    /// Of one table: `domains` or `users`, and a name that was checked.
    pub fn of(line: usize, tables: &str, name: impl Display, reason: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            key: format!("{tables}.\"{name}\""),
            reason: reason.into(),
        }
    }
}

impl Plan {
    /// All there is to say against it, if anything, by line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let source = match std::str::from_utf8(bytes) {
            // Some editors put it there.
            Ok(source) => source.trim_start_matches('\u{feff}'),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = before.split(|byte| *byte == b'\n').count();
                return Err(vec![Problem {
                    line: Some(line),
                    key: String::new(),
                    reason: "is not UTF-8".into(),
                }]);
            }
        };
        let mut reader = Reader::new(source);
        let root = match DeTable::parse(source) {
            Ok(root) => root,
            // What follows from a mistake in the syntax is no mistake of its own.
            Err(first) => {
                let all = if source.len() <= ALL_MISTAKES {
                    DeTable::parse_recoverable(source).1
                } else {
                    vec![first]
                };
                for error in all {
                    // Never the text itself: somebody may have put a password there.
                    reader.syntax(error.span(), error.message());
                }
                return Err(reader.problems());
            }
        };
        let plan = Self::read(root.get_ref(), &mut reader);
        let problems = reader.problems();
        if problems.is_empty() {
            Ok(plan)
        } else {
            Err(problems)
        }
    }

    fn read(root: &DeTable, reader: &mut Reader) -> Self {
        let mut plan = Self::default();
        let mut root = Table::root(root);
        if let Some(table) = root.table("settings", reader) {
            plan.settings = Some(SettingsPlan::read(table, reader));
        }
        if let Some(domains) = root.table("domains", reader) {
            plan.domains = named(&domains, reader, DomainPlan::read);
        }
        if let Some(users) = root.table("users", reader) {
            plan.users = named(&users, reader, UserPlan::read);
        }
        root.end(reader);
        if reader.is_content() && plan.is_empty() {
            reader.problem(
                None,
                String::new(),
                "it names nothing: there is no [settings], [domains.\"…\"] or [users.\"…\"]",
            );
        }
        plan
    }

    fn is_empty(&self) -> bool {
        self.settings.is_none() && self.domains.is_empty() && self.users.is_empty()
    }
}

/// Tables by names, which are folded to one form each.
fn named<'a, N, T>(
    tables: &Table<'a>,
    reader: &mut Reader,
    read: fn(Table<'a>, &mut Reader) -> T,
) -> BTreeMap<N, T>
where
    N: FromStr<Err = Error> + Ord + Display,
{
    let mut all = BTreeMap::new();
    for table in tables.tables(reader) {
        let (line, path) = (table.line(reader), table.path().to_owned());
        match table.name().parse::<N>() {
            Err(error) => {
                // [domains.example.com] are three tables in each other.
                let reason = if table.holds_tables() {
                    format!("{error}; a name with a dot stands in quotes: \"example.com\"")
                } else {
                    error.to_string()
                };
                reader.problem(Some(line), path, &reason);
            }
            Ok(name) => {
                let plan = read(table, reader);
                match all.entry(name) {
                    Entry::Vacant(free) => {
                        free.insert(plan);
                    }
                    Entry::Occupied(taken) => {
                        let reason = format!("is {}, which is named twice", taken.key());
                        reader.problem(Some(line), path, &reason);
                    }
                }
            }
        }
    }
    all
}

impl SettingsPlan {
    fn read(mut table: Table, reader: &mut Reader) -> Self {
        let (daily, mut common) = Common::read(&mut table, reader, true);
        if let Some(most) = daily {
            let kind = Kind::MESSAGES_A_DAY;
            common.limits.push(LimitSetting { kind, most });
        }
        let plan = Self {
            line: table.line(reader),
            host: table.take("host", reader, text),
            ports: table.take("ports", reader, list),
            argon2: table.take("argon2", reader, text),
            accept_hash: table.take("accept_hash", reader, list),
            day: table.take("day", reader, text),
            allow_insecure: table.take("allow_insecure", reader, boolean),
            require_verified_domains: table.take("require_verified_domains", reader, boolean),
            common,
        };
        table.end(reader);
        plan
    }
}

impl DomainPlan {
    fn read(mut table: Table, reader: &mut Reader) -> Self {
        let (daily_limit, common) = Common::read(&mut table, reader, true);
        let plan = Self {
            line: table.line(reader),
            host: table.take("host", reader, text),
            max_users: table.take("max_users", reader, number),
            daily_limit,
            common,
        };
        table.end(reader);
        plan
    }
}

impl UserPlan {
    fn read(mut table: Table, reader: &mut Reader) -> Self {
        let (daily_limit, common) = Common::read(&mut table, reader, false);
        let plan = Self {
            line: table.line(reader),
            label: table.take("label", reader, text),
            daily_limit,
            expires_at: table.take("expires_at", reader, time),
            suspended: table.take("suspended", reader, boolean),
            senders: table.take("senders", reader, senders),
            common,
        };
        table.end(reader);
        plan
    }
}

impl Common {
    /// And the messages a day, which have two names.
    fn read(
        table: &mut Table,
        reader: &mut Reader,
        of_many: bool,
    ) -> (Option<Setting<Limit>>, Self) {
        let mut daily = table.take("daily_limit", reader, number);
        let mut limits: Vec<LimitSetting> =
            table.take("limits", reader, limits).unwrap_or_default();
        let a_day = limits.iter().position(|l| l.kind == Kind::MESSAGES_A_DAY);
        if let Some(at) = a_day {
            let most = limits.remove(at).most;
            if daily.is_some() {
                table.refuse(
                    "daily_limit",
                    reader,
                    "is the same as messages/day in limits",
                );
            }
            daily = Some(most);
        }
        let rotation = RulesChange {
            every: table.take("rotate_every", reader, text),
            command: table.take("deliver", reader, text),
            timeout: table.take("deliver_timeout", reader, text),
            write_file: table.take("write_file", reader, path),
            write_env: table.take("write_env", reader, path),
            env_name: table.take("env_name", reader, text),
        };
        if of_many {
            let mut rules = RotationRules::default();
            rules.change(&rotation);
            for (key, path) in [
                ("write_file", &rules.delivery.write_file),
                ("write_env", &rules.delivery.write_env),
            ] {
                if path.as_ref().is_some_and(|path| !path.is_for_each_user()) {
                    let reason = "would be shared by all users: it needs {username} in it";
                    table.refuse(key, reader, reason);
                }
            }
        }
        let common = Self {
            limits,
            on_limit: table.take("on_limit", reader, text),
            rotation,
        };
        (daily, common)
    }
}

/// What kind of value something is, for people.
const fn kind_of(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
