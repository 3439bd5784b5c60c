//! `smtpcred domain …`

mod addresses;
mod check;
mod record;
mod remove;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::record::{DomainAdded, DomainDetailRecord, DomainRecord};
use super::complete;
use super::context::Context;
use super::lazy::Lazy;
use crate::app::dns::{Subject, records};
use crate::cli::args::addresses::AddressArgs;
use crate::cli::args::limits::LimitArgs;
use crate::cli::args::paging::PageArgs;
use crate::cli::args::rotation::RotationArgs;
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::changes;
use crate::cli::terminal::output::OutputFormat;
use crate::error::Error;
use crate::model::name::{DomainName, HostName};
use crate::model::setting::{LimitValue, Setting};
use crate::model::text::count;
use crate::store::{Access, DomainChange};

const HELP: &str = "\
Examples:
  smtpcred domain add example.com
  smtpcred domain check example.com --selector s1
  smtpcred domain set example.com --max-users 10";

/// Manage sending domains, which own users
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum DomainCommand {
    #[command(aliases = ["create", "new"])]
    Add(Lazy<AddDomain>),
    #[command(alias = "ls")]
    List(Lazy<ListDomains>),
    #[command(aliases = ["info", "get"])]
    Show(Lazy<ShowDomain>),
    #[command(aliases = ["edit", "update", "modify"])]
    Set(Lazy<SetDomain>),
    #[command(aliases = ["rm", "delete", "del"])]
    Remove(Lazy<remove::RemoveDomains>),
    Allow(Lazy<addresses::AllowAddresses>),
    Disallow(Lazy<addresses::DisallowAddresses>),
    Check(Lazy<check::CheckDomain>),
    Verify(Lazy<verify::VerifyDomain>),
}

const ADD_HELP: &str = "\
Examples:
  smtpcred domain add example.com
  smtpcred domain add example.com --max-users 15 --daily-limit 1500
  smtpcred domain add bücher.example --host smtp.example.com     stored as xn--bcher-kva.example

JSON:
  {domain, users, max_users, daily_limit, host, created_at, verified_at, records: [{name, type,
  value}]}; a missing value is null.

Records:
  stdout has lines of a zone file; value is what the web form of a DNS provider asks for. `domain
  check` shows them again, compared with what is published.";

/// Add a sending domain and print the DNS records to publish
///
/// The records are lines of a zone file. They are not looked up: `domain check` does that.
#[derive(Debug, Args)]
#[command(after_long_help = ADD_HELP)]
pub struct AddDomain {
    /// The domain, such as example.com; internationalized names are stored in their ASCII form
    #[arg(value_name = "DOMAIN")]
    name: DomainName,
    #[command(flatten)]
    change: DomainFlags,
}

const LIST_HELP: &str = "\
Examples:
  smtpcred domain list
  smtpcred domain list --json | jq -r '.[].domain'
  smtpcred domain list --limit 100 --after example.com   the next page

JSON:
  A list of {domain, users, max_users, daily_limit, host, created_at, verified_at}; a missing value
  is null.";

/// List domains
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP, mut_arg(COLUMNS, complete::columns::<DomainRecord>))]
pub struct ListDomains {
    /// Show only domains after this one, which may have been removed
    #[arg(long, value_name = "DOMAIN")]
    after: Option<DomainName>,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    view: ViewArgs,
}

const SHOW_HELP: &str = "\
Examples:
  smtpcred domain show example.com
  smtpcred domain show example.com --json | jq .users

JSON:
  {domain, users, max_users, daily_limit, host, created_at, verified_at, limits: {KIND: N},
  on_limit, addresses, unknown_address, learn_seconds, allowed_addresses, rotate_every_seconds,
  delivery: {command, write_file, write_env, env_name, timeout_seconds}}; a missing value is null.";

/// Show a domain
#[derive(Debug, Args)]
#[command(after_long_help = SHOW_HELP)]
pub struct ShowDomain {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,
}

const SET_HELP: &str = "\
Examples:
  smtpcred domain set example.com --max-users 10
  smtpcred domain set example.com --host smtp.example.com --daily-limit none
  smtpcred domain set example.com --limit recipients/hour=1000 --on-limit suspend
  smtpcred domain set example.com --rotate-every 90d --write-file '/etc/smtp/{username}'

JSON:
  The domain, as in `domain list`.";

/// Change a domain's limits, server, addresses or rotation
#[derive(Debug, Args)]
#[command(after_long_help = SET_HELP)]
pub struct SetDomain {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,
    #[command(flatten)]
    change: DomainFlags,
}

#[derive(Debug, Args)]
struct DomainFlags {
    /// Allow this many users, or none for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_users: Option<Setting<LimitValue>>,

    #[command(flatten)]
    limits: LimitArgs,

    /// Set the server that applications connect to, or none for the installation's
    #[arg(long, value_name = "HOST")]
    host: Option<Setting<HostName>>,

    #[command(flatten)]
    addresses: AddressArgs,

    #[command(flatten)]
    rotation: RotationArgs,
}

impl TryFrom<DomainFlags> for DomainChange {
    type Error = Error;

    fn try_from(change: DomainFlags) -> Result<Self, Error> {
        let (daily_limit, sending) = change.limits.split();
        Ok(Self {
            host: change.host,
            max_users: change.max_users,
            daily_limit,
            sending,
            rotation: change.rotation.change_for_many()?,
            addresses: change.addresses.change(),
        })
    }
}

impl DomainCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Add(add) => add.0.run(context),
            Self::List(list) => list.0.run(context),
            Self::Show(show) => show.0.run(context),
            Self::Set(set) => set.0.run(context),
            Self::Remove(remove) => remove.0.run(context),
            Self::Allow(allow) => allow.0.run(context),
            Self::Disallow(disallow) => disallow.0.run(context),
            Self::Check(check) => check.0.run(context),
            Self::Verify(verify) => verify.0.run(context),
        }
    }
}

impl AddDomain {
    fn run(self, context: &mut Context) -> Result<()> {
        let change = self.change.try_into()?;
        let mut app = context.app(Access::Create)?;
        let domain = app.add_domain(&self.name, &change)?;
        context
            .out
            .note(&format!("added the domain {}", domain.name));
        let subject = app.subject(&self.name, Vec::new())?;
        if context.out.format() == OutputFormat::Table {
            return Ok(context.out.text(&zone(&subject))?);
        }
        let added = DomainAdded::new(domain, records(&subject));
        Ok(context.out.result(&added)?)
    }
}

/// Returns the records to publish, as lines of a zone file.
fn zone(subject: &Subject) -> String {
    let domain = &subject.domain;
    let mut lines = vec![format!("; publish in the DNS of {domain}")];
    lines.extend(records(subject).iter().map(ToString::to_string));
    lines.push(match &subject.host {
        Some(host) => format!("; if there is an SPF record, add a:{host} to it"),
        None => "; SPF: first set the server: smtpcred set-settings --host …".to_owned(),
    });
    lines.push(
        "; DKIM: the key of the relay's signer; MX: the server that receives the domain's mail"
            .into(),
    );
    lines.push(format!(
        "; then: smtpcred domain check {domain} --selector …"
    ));
    lines.join("\n")
}

impl ListDomains {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let page = self
            .page
            .page_after(self.after.as_ref().map(DomainName::as_str));
        let mut list = self.view.apply(context.out.list::<DomainRecord>())?;
        app.list_domains(&page, &mut |domain, users| {
            list.push(&DomainRecord::new(domain, users))
        })?;
        Ok(list.end(match self.after {
            Some(_) => "no more domains",
            None => "no domains yet: smtpcred domain add example.com",
        })?)
    }
}

impl ShowDomain {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let detail = app.domain_detail(&self.name)?;
        Ok(context.out.one(&DomainDetailRecord::new(detail))?)
    }
}

impl SetDomain {
    fn run(self, context: &mut Context) -> Result<()> {
        let change = DomainChange::try_from(self.change)?;
        if change.is_empty() {
            let flags = "nothing to set: specify --max-users, --host, --daily-limit, --limit, --on-limit, --addresses, --unknown-address, --learn, --rotate-every or --deliver";
            return Err(Error::Usage(flags.into()).into());
        }
        let mut app = context.app(Access::Existing)?;
        let fields = app.set_domain(&self.name, &change)?;
        let what = format!("the domain {}", self.name);
        changes::tell(&context.out, &what, &fields);
        let (domain, users) = app.domain(&self.name)?;
        if let Some(most) = domain.max_users
            && change.max_users.is_some()
            && users > most.into()
        {
            context.out.warn(&format!(
                "{} has {} and a limit of {most}: its users stay, but no new ones can be created",
                self.name,
                count(users, "user")
            ));
        }
        Ok(context.out.result(&DomainRecord::new(domain, users))?)
    }
}
