//! `smtpcred role …`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{number, one_of};
use super::complete;
use super::context::Context;
use super::lazy::Lazy;
use super::terminal::column::{Cell, Column, TimeForm};
use super::terminal::record::Record;
use crate::app::roles::RoleRequest;
use crate::model::holder::{GivenRole, HolderName, HolderRole, Reach};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred role grant ana --role operator --domain example.com
  smtpcred role grant shop-app --role self --user shop@example.com
  smtpcred role list";

/// Manage what others may do over SSH or sudo
///
/// A role works only through `smtpcred as`, which SSH or sudo runs for its holder: see
/// smtpcred-roles(7). A user that can open the store is its owner and needs no role.
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum RoleCommand {
    #[command(aliases = ["add", "set"])]
    Grant(Lazy<GrantHolder>),
    #[command(aliases = ["rm", "remove", "delete"])]
    Revoke(Lazy<RevokeHolder>),
    #[command(alias = "ls")]
    List(Lazy<ListHolders>),
}

const GRANT_HELP: &str = "\
Examples:
  smtpcred role grant ana --role operator --domain example.com --domain example.org
  smtpcred role grant helpdesk --role viewer             in all domains
  smtpcred role grant shop-app --role self --user shop@example.com
  smtpcred role grant ci --role operator --domain example.com --hourly-changes 10

Roles:
  viewer    sees domains and users, and why a user cannot sign in or send. No hashes, no recipients.
  operator  also creates, resets, rotates, suspends, resumes and deletes users, issues and ends
            temporary passwords, and sets labels, notes, tags, expiries and limits, up to those of
            the domain.
  self      sees one user and resets its password: for an application that renews its own.
  Nothing outside the domains or the user exists for the holder.

Then:
  Let SSH or sudo run `smtpcred as` for the holder: see smtpcred-roles(7).

JSON:
  {holder, role, all_domains, domains, username, hourly_changes, granted_at}.";

/// Grant a role, in place of the one that the holder had
#[derive(Debug, Args)]
#[command(after_long_help = GRANT_HELP)]
pub struct GrantHolder {
    /// The holder, such as a login name
    #[arg(value_name = "NAME")]
    name: HolderName,

    /// Grant this role: viewer, operator or self
    #[arg(
        long,
        value_name = "ROLE",
        hide_possible_values = true,
        value_parser = one_of::<HolderRole, _>(HolderRole::ALL.map(HolderRole::name))
    )]
    role: HolderRole,

    /// Grant it in this domain instead of all; repeatable
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Vec<DomainName>,

    /// With --role self: grant it for this user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    user: Option<Username>,

    /// Allow this many changes within an hour [default: 100]
    #[arg(long, value_name = "N", value_parser = number::within(1..=100_000_u32))]
    hourly_changes: Option<u32>,
}

const REVOKE_HELP: &str = "\
Examples:
  smtpcred role revoke ana
  smtpcred role list                                     who still has one

A command that the holder is running then changes nothing more.";

/// Revoke the role of a holder
#[derive(Debug, Args)]
#[command(after_long_help = REVOKE_HELP)]
pub struct RevokeHolder {
    /// The holder
    #[arg(value_name = "NAME")]
    name: HolderName,
}

const LIST_HELP: &str = "\
Examples:
  smtpcred role list
  smtpcred role list --json | jq -r '.[].holder'

JSON:
  A list of {holder, role, all_domains, domains, username, hourly_changes, granted_at}, by holder.
  username is null except for the role self.";

/// List roles and their holders
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub struct ListHolders {}

impl RoleCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Grant(grant) => grant.0.run(context),
            Self::Revoke(revoke) => revoke.0.run(context),
            Self::List(_) => ListHolders::run(context),
        }
    }
}

impl GrantHolder {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let given = app.grant_role(&RoleRequest {
            holder: self.name,
            role: self.role,
            domains: self.domain,
            user: self.user,
            hourly_changes: self.hourly_changes,
        })?;
        context.out.note(&format!(
            "granted {} the role {} for {}",
            given.holder, given.role, given.reach
        ));
        Ok(context.out.result(&RoleRecord::new(&given))?)
    }
}

impl RevokeHolder {
    fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        app.revoke_role(&self.name)?;
        context
            .out
            .note(&format!("revoked the role of {}", self.name));
        Ok(())
    }
}

impl ListHolders {
    fn run(context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut list = context.out.list::<RoleRecord>();
        for given in app.given_roles()? {
            list.push(&RoleRecord::new(&given))?;
        }
        Ok(list.end("no roles granted")?)
    }
}

#[derive(Serialize)]
struct RoleRecord {
    holder: String,
    role: &'static str,
    all_domains: bool,
    domains: Vec<String>,
    username: Option<String>,
    hourly_changes: u32,
    granted_at: Time,
    #[serde(skip)]
    reach: String,
}

impl RoleRecord {
    fn new(given: &GivenRole) -> Self {
        let (domains, username) = match &given.reach {
            Reach::All => (&[][..], None),
            Reach::Domains(domains) => (&domains[..], None),
            Reach::User(username) => (&[][..], Some(username.to_string())),
        };
        Self {
            holder: given.holder.to_string(),
            role: given.role.name(),
            all_domains: given.reach == Reach::All,
            domains: domains.iter().map(ToString::to_string).collect(),
            username,
            hourly_changes: given.hourly_changes,
            granted_at: given.granted_at,
            reach: given.reach.to_string(),
        }
    }
}

impl Record for RoleRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Holder"),
        Column::new("Role"),
        Column::new("For").wrap(20),
        Column::new("Changes per hour").right().rank(2),
        Column::new("Granted").rank(1).times(TimeForm::Near),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            self.holder.as_str().into(),
            self.role.into(),
            self.reach.as_str().into(),
            self.hourly_changes.to_string().into(),
            self.granted_at.to_string().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "holder",
        "role",
        "all_domains",
        "domains",
        "username",
        "hourly_changes",
        "granted_at",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            self.holder.clone(),
            self.role.to_owned(),
            self.all_domains.to_string(),
            self.domains.join(" "),
            self.username.clone().unwrap_or_default(),
            self.hourly_changes.to_string(),
            self.granted_at.to_string(),
        ]
    }
}
