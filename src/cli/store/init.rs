//! `smtpcred store init` and `store migrate`

use anyhow::Result;
use clap::Args;

use super::status;
use crate::app::store_admin::backfill::BackfillProgress;
use crate::cli::context::Context;
use crate::cli::terminal::progress::Progress;
use crate::error::Error;
use crate::model::text::count;
use crate::store::Access;

const INIT_HELP: &str = "\
Examples:
  smtpcred store init
  smtpcred --store postgres://smtpcred@db.example.com/mail store init
  smtpcred --store 'postgres://u@db1,db2/mail?target_session_attrs=read-write' store init

Databases:
  postgres://[USER@][HOST[:PORT][,…]]/[DATABASE][?PARAMETER=VALUE&…], as in PostgreSQL's own
  programs. What the URL omits comes from PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE,
  PGSSLROOTCERT, PGSSLCERT, PGSSLKEY, PGREQUIREAUTH, PGPASSFILE and PGPASSWORD. The password comes
  from ~/.pgpass or ?passfile=FILE, never from the URL. Without sslmode, servers on the network must
  show a certificate that matches their name (verify-full). Passwords are sent in clear text or as
  MD5 only to a server that TLS has verified or over a Unix socket, unless ?require_auth=password
  (or md5) allows it.

Several servers:
  smtpcred asks all servers which one is the primary, and uses that one. While two of them accept
  writes (a standby was promoted, and the old primary came back), it uses neither. Fence the old
  primary: stop PostgreSQL there, and let it return only as a standby (pg_rewind).

JSON:
  The store, as in `store status`.";

/// Create a store if there is none
///
/// The first `domain add` also creates a file. In a database, the tables are created in a schema of
/// their own, `smtpcred`, and belong to the database user that runs this.
#[derive(Debug, Args)]
#[command(after_long_help = INIT_HELP)]
pub struct InitStore {}

const MIGRATE_HELP: &str = "\
Examples:
  smtpcred store migrate
  smtpcred --store postgres:///mail store migrate

JSON:
  The store, as in `store status`.";

/// Upgrade a store to this program's version
///
/// The first command of a new version upgrades a file by itself. A database is used by several
/// machines, so run this once all of them have the new version. Years of history are upgraded in
/// batches, while others use the store: if this command is killed, the next run, `serve` or `store
/// maintain` does the rest.
#[derive(Debug, Args)]
#[command(after_long_help = MIGRATE_HELP)]
pub struct MigrateStore {}

/// Creates the store unless it exists, and prints its status.
pub fn init(context: &mut Context) -> Result<()> {
    match context.app(Access::Existing) {
        Ok(mut app) => {
            context.out.note("the store already exists");
            status::print(context, &mut app)
        }
        Err(Error::StoreMissing(_)) => {
            let mut app = context.app(Access::Create)?;
            status::print(context, &mut app)
        }
        Err(error) => Err(error.into()),
    }
}

/// Migrates the store, and fills in what a migration leaves to later.
pub fn migrate(context: &mut Context) -> Result<()> {
    let mut app = context.app(Access::Migrate)?;
    let progress = Progress::unbounded(&context.out);
    let filled = app.backfill(&mut |done| {
        if let Some(progress) = &progress {
            progress.say(described(done));
        }
    });
    if let Some(progress) = &progress {
        progress.end();
    }
    filled?;
    status::print(context, &mut app)
}

fn described(progress: BackfillProgress) -> String {
    match progress {
        BackfillProgress::Usage(rows) => format!("Summing usage by domain: {}", count(rows, "row")),
        BackfillProgress::Events(done, of) => {
            let percent = done * 100 / of.max(1);
            format!("Indexing events: {percent}%")
        }
        BackfillProgress::Indexes(left) => format!("Creating indexes of events: {left} left"),
    }
}
