//! `smtpcred store status`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::app::store_admin::StoreContents;
use crate::cli::context::Context;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::record::Record;
use crate::error::{Error, Exit};
use crate::store::{Access, Location, Schema};

const HELP: &str = "\
Examples:
  smtpcred store status
  smtpcred store status --json | jq .users

JSON:
  {store, engine, schema, program_schema, domains, users, events, bytes}; engine is sqlite or
  postgresql. Counts are null if this program does not know the schema, and bytes if the database
  server does not report them.

Exit codes:
  0; 7 if this program does not know the schema.";

/// Show the store's location, schema version and contents
///
/// Nothing is changed. `smtpcred doctor` checks whether the store is intact and whether every
/// program that needs it can use it.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct StoreStatus {}

/// Prints the status of a store, of whatever version.
pub fn run(context: &mut Context) -> Result<()> {
    let mut app = context.app(Access::Look)?;
    let schema = app.store.schema()?;
    if schema.found == schema.known {
        return print(context, &mut app);
    }
    // Its tables may differ from what this program expects.
    let location = context.location()?;
    context.out.one(&StoreRecord::new(&location, schema))?;
    Err(Error::Answered(Exit::Attention).into())
}

/// Prints the status of an open store.
pub fn print(context: &mut Context, app: &mut App) -> Result<()> {
    let location = context.location()?;
    let StoreContents {
        schema,
        domains,
        users,
        events,
        space,
    } = app.contents()?;
    let record = StoreRecord {
        domains: Some(domains),
        users: Some(users),
        events: Some(events),
        bytes: space.map(|space| space.whole),
        ..StoreRecord::new(&location, schema)
    };
    Ok(context.out.one(&record)?)
}

#[derive(Serialize)]
struct StoreRecord {
    store: String,
    engine: &'static str,
    schema: i64,
    program_schema: i64,
    domains: Option<u64>,
    users: Option<u64>,
    events: Option<u64>,
    bytes: Option<u64>,
}

impl StoreRecord {
    fn new(location: &Location, schema: Schema) -> Self {
        Self {
            store: location.to_string(),
            engine: match location {
                Location::File(_) => "sqlite",
                Location::Postgres(_) => "postgresql",
            },
            schema: schema.found,
            program_schema: schema.known,
            domains: None,
            users: None,
            events: None,
            bytes: None,
        }
    }
}

impl Record for StoreRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Store"),
        Column::new("Engine"),
        Column::new("Schema"),
        Column::new("Program"),
        Column::new("Domains"),
        Column::new("Users"),
        Column::new("Events"),
        Column::new("Bytes"),
    ];

    const FIELDS: &'static [&'static str] = &[
        "store",
        "engine",
        "schema",
        "program_schema",
        "domains",
        "users",
        "events",
        "bytes",
    ];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        vec![
            self.store.clone(),
            self.engine.to_owned(),
            self.schema.to_string(),
            self.program_schema.to_string(),
            number(self.domains),
            number(self.users),
            number(self.events),
            number(self.bytes),
        ]
    }
}
