//! `smtpcred domain …`

mod check;
mod help;
mod record;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::record::{DomainAdded, DomainRecord, DomainWhole};
use super::lazy::Lazy;
use super::output::Format;
use super::page::Limit as Most;
use super::rotation::RotationArgs;
use super::sending::LimitArgs;
use super::{Context, complete, prompt};
use crate::app::App;
use crate::app::dns::{Subject, records};
use crate::error::Error;
use crate::model::name::{DomainName, HostName};
use crate::model::settings::{Limit, Setting};
use crate::store::{Access, DomainChange};

/// Sending domains, which own users
#[derive(Debug, Subcommand)]
pub enum Command {
    Add(Lazy<Add>),
    List(Lazy<List>),
    Show(Lazy<Show>),
    Set(Lazy<Set>),
    Remove(Lazy<Remove>),
    Check(Lazy<check::Check>),
    Verify(Lazy<verify::Verify>),
}

/// Add a sending domain, and print the DNS records to publish for it
///
/// As lines of a zone file. Nothing is looked up: `domain check` does that.
#[derive(Debug, Args)]
#[command(after_long_help = help::ADD)]
pub struct Add {
    /// Such as example.com; names in other scripts are stored in their ASCII form
    #[arg(value_name = "DOMAIN")]
    name: DomainName,
    #[command(flatten)]
    change: Change,
}

/// List the domains
#[derive(Debug, Args)]
#[command(after_long_help = help::LIST)]
pub struct List {
    /// Only those behind this one, which need not be there any more
    #[arg(long, value_name = "DOMAIN")]
    after: Option<DomainName>,

    #[command(flatten)]
    limit: Most,
}

/// Show one domain
#[derive(Debug, Args)]
#[command(after_long_help = help::SHOW)]
pub struct Show {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,
}

/// Change a domain's limits or server
#[derive(Debug, Args)]
#[command(after_long_help = help::SET)]
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
#[command(after_long_help = help::REMOVE)]
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
            Self::Add(add) => add.0.run(context),
            Self::List(list) => list.0.run(context),
            Self::Show(show) => show.0.run(context),
            Self::Set(set) => set.0.run(context),
            Self::Remove(remove) => remove.0.run(context),
            Self::Check(check) => check.0.run(context),
            Self::Verify(verify) => verify.0.run(context),
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
        let subject = app.subject(&self.name, Vec::new())?;
        if context.out.format() == Format::Table {
            return Ok(context.out.text(&zone(&subject))?);
        }
        let added = DomainAdded::new(domain, records(&subject));
        Ok(context.out.result(&added)?)
    }
}

/// What to publish, so that it can go into a zone file as it is.
fn zone(subject: &Subject) -> String {
    let domain = &subject.domain;
    let mut lines = vec![format!("; to publish in the DNS of {domain}")];
    lines.extend(records(subject).iter().map(ToString::to_string));
    lines.push(match &subject.host {
        Some(host) => format!("; where there is an SPF record: a:{host} goes into that one"),
        None => "; SPF: needs the server, so first: smtpcred set-settings --host …".to_owned(),
    });
    lines.push("; DKIM: what the relay's signer made; MX: whoever takes the domain's mail".into());
    lines.push(format!(
        "; then: smtpcred domain check {domain} --selector …"
    ));
    lines.join("\n")
}

impl List {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let page = self
            .limit
            .behind(self.after.as_ref().map(DomainName::as_str));
        let mut list = context.out.list::<DomainRecord>();
        app.list_domains(&page, &mut |domain, users| {
            list.push(&DomainRecord::new(domain, users))
        })?;
        Ok(list.end(match self.after {
            Some(_) => "no more domains",
            None => "no domains yet: smtpcred domain add example.com",
        })?)
    }
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
