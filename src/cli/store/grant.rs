//! `smtpcred store grant`

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use serde::Serialize;

use super::help;
use crate::cli::Context;
use crate::cli::output::Record;
use crate::model::role::Role;
use crate::store::Access;

/// Say what a database user may do with the store
///
/// Of PostgreSQL only, and by the owner of the tables. It takes the place of what that user was
/// given before. The user has to be there: CREATE ROLE … LOGIN makes it.
#[derive(Debug, Args)]
#[command(after_long_help = help::GRANT)]
pub struct Grant {
    /// signin is for `serve`, operator changes everything, auditor reads all but the hashes
    #[arg(long, value_name = "ROLE", value_parser = roles())]
    role: Role,

    /// The database user
    #[arg(long, value_name = "DBUSER")]
    to: String,
}

fn roles() -> impl clap::builder::TypedValueParser<Value = Role> {
    let names = Role::ALL.map(Role::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Role>())
}

impl Grant {
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
    const COLUMNS: &'static [&'static str] = &["Role", "To"];

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["role", "to"];

    fn fields(&self) -> Vec<String> {
        vec![self.role.to_owned(), self.to.clone()]
    }
}
