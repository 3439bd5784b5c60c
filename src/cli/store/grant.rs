//! `smtpcred store grant`

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::record::Record;
use crate::model::role::Role;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred store grant --role signin --to relay1         for `serve` on a relay
  smtpcred store grant --role operator --to ana          creates and resets users
  smtpcred store grant --role auditor --to monitoring    only reads
  smtpcred store grant --role messages --to logs         for `messages follow`
  smtpcred store grant --role none --to relay1           revokes all rights

Roles:
  signin    reads everything; writes last connections, counts, usage, refused sign-ins and events;
            it records expiries and retirements, and replaces hashes by stronger ones. It
            suspends users that reach a limit, even if --on-limit says delete. It raises and sends
            alerts, and cannot acknowledge or delete them: old ones are deleted by `store maintain`
            as operator. It cannot create, resume or delete users, nor end sessions. The database
            allows it only to strengthen a hash and to shorten the life of a password. A stronger hash
            can still be that of any password, so protect the password of this role as well as a relay.
  operator  changes everything except events, which it can only add.
  auditor   reads everything except hashes.
  messages  reads the names of users, and writes what they sent; it has no access to passwords.
  Events of these roles name the database user as well as the user that the program reports.

JSON:
  {role, to}.";

/// Grant a database user rights on the store
///
/// Only for PostgreSQL, and only by the owner of the tables. Replaces what that user was granted
/// before. The user must exist: create it with CREATE ROLE … LOGIN.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct GrantRole {
    /// Grant this role: signin is for `serve`, operator changes everything, auditor reads everything
    /// except hashes, messages is for `messages follow`
    #[arg(long, value_name = "ROLE", value_parser = roles())]
    role: Role,

    /// Grant it to this database user
    #[arg(long, value_name = "DBUSER")]
    to: String,
}

fn roles() -> impl clap::builder::TypedValueParser<Value = Role> {
    let names = Role::ALL.map(Role::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Role>())
}

impl GrantRole {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        app.grant(self.role, &self.to)?;
        Ok(context.out.result(&Granted {
            role: self.role.name(),
            to: self.to,
        })?)
    }
}

#[derive(Serialize)]
struct Granted {
    role: &'static str,
    to: String,
}

impl Record for Granted {
    const COLUMNS: &'static [Column] = &[Column::new("Role"), Column::new("To")];

    const FIELDS: &'static [&'static str] = &["role", "to"];

    fn fields(&self) -> Vec<String> {
        vec![self.role.to_owned(), self.to.clone()]
    }
}
