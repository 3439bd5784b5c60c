//! A plan: the wanted settings, domains and users, as TOML. What it does not name stays as
//! it is. All problems are reported at once, each with its line. A plan contains no
//! secrets.

mod problem;
mod table;
mod values;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;

use toml::de::DeTable;

pub use self::problem::PlanProblem;
use self::table::{PlanReader, PlanTable};
use self::values::{
    alerts, all, boolean, limits, list, networks, number, path, senders, tags, text, time,
};
use super::address_rules::AddressChange;
use super::alert_rules::AlertChange;
use super::day::Day;
use super::hash::{AcceptedSchemes, Cost};
use super::label::Label;
use super::limit_kind::LimitKind;
use super::limits::{LimitSetting, OnLimit};
use super::message_rules::{KeepMessages, KeptRecipients};
use super::name::{DomainName, HostName, Username};
use super::network::Network;
use super::note::Note;
use super::rotation::{RotationRules, RulesChange};
use super::sender::Sender;
use super::setting::{LimitValue, Setting};
use super::settings::Ports;
use super::tag::TagChange;
use super::time::Time;
use crate::error::Error;

/// The largest plan, in bytes: about 40,000 users. `user import` is for more.
pub const MAX_SIZE: usize = 4 * 1024 * 1024;

/// The size in bytes above which only the first syntax error is reported: there may be one
/// per byte, and each takes memory.
const ALL_MISTAKES: usize = 256 * 1024;

/// The wanted settings, domains and users.
#[derive(Debug, Default)]
pub struct Plan {
    /// The wanted settings; `None` if the plan has no such table.
    pub settings: Option<SettingsPlan>,
    /// The wanted domains, by name.
    pub domains: BTreeMap<DomainName, DomainPlan>,
    /// The wanted users, by name.
    pub users: BTreeMap<Username, UserPlan>,
}

/// The wanted settings. Here as in domains and users, absent values stay as they are.
#[derive(Debug, Default)]
pub struct SettingsPlan {
    /// The line of its table, from 1.
    pub line: usize,
    /// The name of the mail server.
    pub host: Option<Setting<HostName>>,
    /// The ports that applications may use.
    pub ports: Option<Ports>,
    /// The cost of new hashes.
    pub argon2: Option<Cost>,
    /// The hashes that an import accepts.
    pub accept_hash: Option<AcceptedSchemes>,
    /// When limits of a day begin anew.
    pub day: Option<Day>,
    /// Whether passwords may come over connections without encryption.
    pub allow_insecure: Option<bool>,
    /// Whether users of domains that are not verified cannot send.
    pub require_verified_domains: Option<bool>,
    /// What is told, and where.
    pub alerts: AlertChange,
    /// Networks that say nothing about a client.
    pub ignore_addresses: Option<Vec<Network>>,
    /// Whether and how long messages are kept.
    pub keep_messages: Option<KeepMessages>,
    /// What is kept of their recipients.
    pub keep_recipients: Option<KeptRecipients>,
    /// What domains and users have, too.
    pub common: Common,
}

/// The wanted values of a domain.
#[derive(Debug, Default)]
pub struct DomainPlan {
    /// The line of its table, from 1.
    pub line: usize,
    /// The name of its mail server.
    pub host: Option<Setting<HostName>>,
    /// The most users it may have.
    pub max_users: Option<Setting<LimitValue>>,
    /// Messages a day of all its users together.
    pub daily_limit: Option<Setting<LimitValue>>,
    /// What settings and users have, too.
    pub common: Common,
}

/// The wanted values of a user.
#[derive(Debug, Default)]
pub struct UserPlan {
    /// The line of its table, from 1.
    pub line: usize,
    /// What it is for.
    pub label: Option<Setting<Label>>,
    /// A note about it.
    pub note: Option<Setting<Note>>,
    /// Tags to set or remove, by key.
    pub tags: Vec<TagChange>,
    /// Messages a day.
    pub daily_limit: Option<Setting<LimitValue>>,
    /// When it expires.
    pub expires_at: Option<Setting<Time>>,
    /// Whether it is suspended.
    pub suspended: Option<bool>,
    /// In order. Empty: every address of the user's domain.
    pub senders: Option<Vec<Sender>>,
    /// What settings and domains have, too.
    pub common: Common,
}

/// What settings, domains and users share.
#[derive(Debug, Default)]
pub struct Common {
    /// In the order of kinds. Messages a day of users and domains stand apart.
    pub limits: Vec<LimitSetting>,
    /// What happens at a limit.
    pub on_limit: Option<Setting<OnLimit>>,
    /// How passwords are rotated.
    pub rotation: RulesChange,
    /// From where users may sign in.
    pub addresses: AddressChange,
    /// The whole list of allowed networks, apart from learned ones.
    pub allowed: Option<Vec<Network>>,
}

impl Plan {
    /// Parses a plan. Fails with all problems, by line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<PlanProblem>> {
        let source = match std::str::from_utf8(bytes) {
            // Some editors write a byte order mark.
            Ok(source) => source.trim_start_matches('\u{feff}'),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = before.split(|byte| *byte == b'\n').count();
                return Err(vec![PlanProblem {
                    line: Some(line),
                    key: String::new(),
                    reason: "is not UTF-8".into(),
                }]);
            }
        };
        let mut reader = PlanReader::new(source);
        let root = match DeTable::parse(source) {
            Ok(root) => root,
            // After a syntax error, other problems may only follow from it.
            Err(first) => {
                let all = if source.len() <= ALL_MISTAKES {
                    DeTable::parse_recoverable(source).1
                } else {
                    vec![first]
                };
                for error in all {
                    // Without the text itself, which may contain a password.
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

    fn read(root: &DeTable, reader: &mut PlanReader) -> Self {
        let mut plan = Self::default();
        let mut root = PlanTable::root(root);
        if let Some(table) = root.table("settings", reader) {
            plan.settings = Some(SettingsPlan::read(table, reader));
        }
        if let Some(domains) = root.table("domains", reader) {
            plan.domains = named(&domains, reader, str::parse, DomainPlan::read);
        }
        if let Some(users) = root.table("users", reader) {
            plan.users = named(&users, reader, Username::of_new_user, UserPlan::read);
        }
        root.end(reader);
        if reader.is_content() && plan.is_empty() {
            reader.problem(
                None,
                String::new(),
                "the plan is empty: it needs [settings], [domains.\"…\"] or [users.\"…\"]",
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
    tables: &PlanTable<'a>,
    reader: &mut PlanReader,
    name: fn(&str) -> Result<N, Error>,
    read: fn(PlanTable<'a>, &mut PlanReader) -> T,
) -> BTreeMap<N, T>
where
    N: Ord + Display,
{
    let mut all = BTreeMap::new();
    for table in tables.tables(reader) {
        let (line, path) = (table.line(reader), table.path().to_owned());
        match name(table.name()) {
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
    fn read(mut table: PlanTable, reader: &mut PlanReader) -> Self {
        let (daily, mut common) = Common::read(&mut table, reader, true);
        if let Some(most) = daily {
            let kind = LimitKind::MESSAGES_A_DAY;
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
            alerts: AlertChange {
                rules: table.take("alerts", reader, alerts).unwrap_or_default(),
                commands: table.take("alert_exec", reader, all),
                addresses: table.take("alert_mail", reader, all),
            },
            ignore_addresses: table.take("ignore_addresses", reader, networks),
            keep_messages: table.take("keep_messages", reader, text),
            keep_recipients: table.take("keep_recipients", reader, text),
            common,
        };
        table.end(reader);
        plan
    }
}

impl DomainPlan {
    fn read(mut table: PlanTable, reader: &mut PlanReader) -> Self {
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
    fn read(mut table: PlanTable, reader: &mut PlanReader) -> Self {
        let (daily_limit, common) = Common::read(&mut table, reader, false);
        let plan = Self {
            line: table.line(reader),
            label: table.take("label", reader, text),
            note: table.take("note", reader, text),
            tags: table.take("tags", reader, tags).unwrap_or_default(),
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
        table: &mut PlanTable,
        reader: &mut PlanReader,
        of_many: bool,
    ) -> (Option<Setting<LimitValue>>, Self) {
        let mut daily = table.take("daily_limit", reader, number);
        let mut limits: Vec<LimitSetting> =
            table.take("limits", reader, limits).unwrap_or_default();
        let a_day = limits
            .iter()
            .position(|l| l.kind == LimitKind::MESSAGES_A_DAY);
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
                    let reason = "would be shared by all users: add {username} to its name";
                    table.refuse(key, reader, reason);
                }
            }
        }
        let common = Self {
            limits,
            on_limit: table.take("on_limit", reader, text),
            rotation,
            addresses: AddressChange {
                mode: table.take("addresses", reader, text),
                unknown: table.take("unknown_address", reader, text),
                learn: table.take("learn", reader, text),
                ..AddressChange::default()
            },
            allowed: table.take("allowed_addresses", reader, networks),
        };
        (daily, common)
    }
}

#[cfg(test)]
mod tests;
