//! `smtpcred store …`

mod copy;
mod grant;
mod init;
mod maintain;
mod status;

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::lazy::Lazy;

const HELP: &str = "\
Examples:
  smtpcred store status
  smtpcred store maintain --dry-run
  smtpcred store copy /var/lib/smtpcred/smtpcred.db postgres:///mail";

/// Manage the store
///
/// To back up a file that may be in use: sqlite3 smtpcred.db ".backup copy.db". To restore it: stop
/// all programs that use the store, remove smtpcred.db-wal and smtpcred.db-shm, copy the backup to
/// smtpcred.db, and start the programs. Back up and restore a database with PostgreSQL's own programs.
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum StoreCommand {
    #[command(aliases = ["create", "new"])]
    Init(Lazy<init::InitStore>),
    #[command(aliases = ["info", "show"])]
    Status(Lazy<status::StoreStatus>),
    #[command(alias = "upgrade")]
    Migrate(Lazy<init::MigrateStore>),
    Copy(Lazy<copy::CopyStore>),
    Grant(Lazy<grant::GrantRole>),
    Maintain(Lazy<maintain::MaintainStore>),
}

impl StoreCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Init(_) => init::init(context),
            Self::Status(_) => status::run(context),
            Self::Migrate(_) => init::migrate(context),
            Self::Copy(copy) => copy.0.run(context),
            Self::Grant(grant) => grant.0.run(context),
            Self::Maintain(maintain) => maintain.0.run(context),
        }
    }
}
