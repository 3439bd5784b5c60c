//! `smtpcred domain …`

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Record;
use super::rotation::{RotationArgs, RulesRecord};
use super::sending::LimitArgs;
use super::settings::named;
use super::{Context, complete, help, prompt};
use crate::app::App;
use crate::app::usage::DomainDetail;
use crate::error::Error;
use crate::model::domain::Domain;
use crate::model::limits::OnLimit;
use crate::model::name::{DomainName, HostName};
use crate::model::settings::{Limit, Setting};
use crate::model::time::Time;
use crate::store::{Access, DomainChange};

/// Sending domains, which own users
#[derive(Debug, Subcommand)]
pub enum Command {
    Add(Add),
    List(List),
    Show(Show),
    Set(Set),
    Remove(Remove),
}

/// Add a sending domain
#[derive(Debug, Args)]
#[command(after_long_help = help::DOMAIN_ADD)]
pub struct Add {
    /// Such as example.com; names in other scripts are stored in their ASCII form
    #[arg(value_name = "DOMAIN")]
    name: DomainName,
    #[command(flatten)]
    change: Change,
}

/// List the domains
#[derive(Debug, Args)]
#[command(after_long_help = help::DOMAIN_LIST)]
pub struct List {}

/// Show one domain
#[derive(Debug, Args)]
#[command(after_long_help = help::DOMAIN_SHOW)]
pub struct Show {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,
}

/// Change a domain's limits or server
#[derive(Debug, Args)]
#[command(after_long_help = help::DOMAIN_SET)]
pub struct Set {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,
    #[command(flatten)]
    change: Change,
}

/// Remove a domain
///
/// Refused while it has users, unless --with-users is given. Asks for the name to be typed, or for
/// --yes. There is no way back: the hashes are erased, the events stay.
#[derive(Debug, Args)]
#[command(after_long_help = help::DOMAIN_REMOVE)]
pub struct Remove {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// Delete its users with it
    #[arg(long)]
    with_users: bool,
}

#[derive(Debug, Args)]
struct Change {
    /// How many users it may have, or none
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_users: Option<Setting<Limit>>,

    #[command(flatten)]
    limits: LimitArgs,

    /// The server its applications connect to, or none for the installation's
    #[arg(long, value_name = "HOST")]
    host: Option<Setting<HostName>>,

    #[command(flatten)]
    rotation: RotationArgs,
}

impl TryFrom<Change> for DomainChange {
    type Error = Error;

    fn try_from(change: Change) -> Result<Self, Error> {
        let (daily_limit, sending) = change.limits.split();
        Ok(Self {
            host: change.host,
            max_users: change.max_users,
            daily_limit,
            sending,
            rotation: change.rotation.change_for_many()?,
        })
    }
}

impl Command {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Add(add) => add.run(context),
            Self::List(_) => list(context),
            Self::Show(show) => show.run(context),
            Self::Set(set) => set.run(context),
            Self::Remove(remove) => remove.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &mut Context) -> Result<()> {
        let change = self.change.try_into()?;
        let mut app = context.app(Access::Create)?;
        let domain = app.add_domain(&self.name, &change)?;
        context
            .out
            .note(&format!("added the domain {}", domain.name));
        Ok(context.out.result(&DomainRecord::new(domain, 0))?)
    }
}

fn list(context: &mut Context) -> Result<()> {
    let mut app = context.app(Access::Existing)?;
    let mut list = context.out.list::<DomainRecord>();
    app.list_domains(&mut |domain, users| list.push(&DomainRecord::new(domain, users)))?;
    Ok(list.end("no domains yet: smtpcred domain add example.com")?)
}

impl Show {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let detail = app.domain_detail(&self.name)?;
        Ok(context.out.one(&DomainWhole::new(detail))?)
    }
}

impl Set {
    fn run(self, context: &mut Context) -> Result<()> {
        let change = DomainChange::try_from(self.change)?;
        if change.is_empty() {
            let flags = "nothing to set: give --max-users, --host, --daily-limit, --limit, --on-limit, --rotate-every or --deliver";
            return Err(Error::Usage(flags.into()).into());
        }
        let mut app = context.app(Access::Existing)?;
        app.set_domain(&self.name, &change)?;
        context
            .out
            .note(&format!("changed the domain {}", self.name));
        let record = record(&mut app, &self.name)?;
        Ok(context.out.result(&record)?)
    }
}

impl Remove {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (domain, users) = app.domain(&self.name)?;
        if users > 0 && !self.with_users {
            let domain = domain.name.to_string();
            return Err(Error::DomainNotEmpty { domain, users }.into());
        }
        let consequence = format!(
            "removing {} deletes its {users} users; their passwords stop at once, and there is no way back",
            domain.name
        );
        prompt::confirm(
            context,
            "removing a domain",
            &consequence,
            domain.name.as_str(),
        )?;
        let (domain, users) = app.remove_domain(&self.name, self.with_users)?;
        context.out.note(&format!(
            "removed the domain {} and its {users} users",
            domain.name
        ));
        Ok(context.out.result(&DomainRecord::new(domain, users))?)
    }
}

fn record(app: &mut App, name: &DomainName) -> Result<DomainRecord, Error> {
    let (domain, users) = app.domain(name)?;
    Ok(DomainRecord::new(domain, users))
}

#[derive(Serialize)]
struct DomainRecord {
    domain: String,
    users: u64,
    max_users: Option<u32>,
    daily_limit: Option<u32>,
    host: Option<String>,
    created_at: Time,
}

impl DomainRecord {
    fn new(domain: Domain, users: u64) -> Self {
        Self {
            domain: domain.name.to_string(),
            users,
            max_users: domain.max_users,
            daily_limit: domain.daily_limit,
            host: domain.host.map(|host| host.to_string()),
            created_at: domain.created_at,
        }
    }
}

/// A domain with its limits.
#[derive(Serialize)]
struct DomainWhole {
    #[serde(flatten)]
    domain: DomainRecord,
    limits: BTreeMap<String, u32>,
    on_limit: Option<&'static str>,
    #[serde(flatten)]
    rotation: RulesRecord,
}

impl DomainWhole {
    fn new(detail: DomainDetail) -> Self {
        Self {
            domain: DomainRecord::new(detail.domain, detail.users),
            limits: named(&detail.limits),
            on_limit: detail.on_limit.map(OnLimit::name),
            rotation: RulesRecord::new(&detail.rotation),
        }
    }
}

impl Record for DomainWhole {
    const COLUMNS: &'static [&'static str] = DomainRecord::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.domain.cells()
    }

    const FIELDS: &'static [&'static str] = DomainRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.domain.fields()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines: Vec<_> = Self::COLUMNS.iter().copied().zip(self.cells()).collect();
        let others: Vec<_> = self
            .limits
            .iter()
            .map(|(kind, most)| format!("{most} {kind}"))
            .collect();
        let others = if others.is_empty() {
            "none".into()
        } else {
            others.join("\n")
        };
        lines.push(("Other limits", others));
        lines.push((
            "Over a limit",
            self.on_limit.unwrap_or("as the installation").to_owned(),
        ));
        lines.push(("Rotation", self.rotation.text()));
        lines
    }
}

impl Record for DomainRecord {
    const COLUMNS: &'static [&'static str] =
        &["Domain", "Users", "Daily limit", "Server", "Created"];

    fn cells(&self) -> Vec<String> {
        let limit = |limit: Option<u32>| limit.map_or("none".to_owned(), |n| n.to_string());
        vec![
            self.domain.clone(),
            match self.max_users {
                Some(max) => format!("{} of {max}", self.users),
                None => self.users.to_string(),
            },
            limit(self.daily_limit),
            self.host
                .clone()
                .unwrap_or_else(|| "the installation's".into()),
            self.created_at.to_string(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "domain",
        "users",
        "max_users",
        "daily_limit",
        "host",
        "created_at",
    ];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<u32>| n.map_or(String::new(), |n| n.to_string());
        vec![
            self.domain.clone(),
            self.users.to_string(),
            number(self.max_users),
            number(self.daily_limit),
            self.host.clone().unwrap_or_default(),
            self.created_at.to_string(),
        ]
    }
}
