//! `smtpcred store …`

mod backup;
mod copy;
mod draft;
mod encrypted;
mod grant;
mod init;
mod maintain;
mod restore;
mod status;
mod verify;

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::lazy::Lazy;

const HELP: &str = "\
Examples:
  smtpcred store status
  smtpcred store backup /var/backups/smtpcred --keep 30
  smtpcred store verify /root/smtpcred.backup
  smtpcred store restore /root/smtpcred.backup
  smtpcred store maintain --dry-run
  smtpcred store copy /var/lib/smtpcred/smtpcred.db postgres:///mail";

/// Manage the store
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum StoreCommand {
    #[command(aliases = ["create", "new"])]
    Init(Lazy<init::InitStore>),
    #[command(aliases = ["info", "show"])]
    Status(Lazy<status::StoreStatus>),
    #[command(alias = "upgrade")]
    Migrate(Lazy<init::MigrateStore>),
    #[command(alias = "dump")]
    Backup(Lazy<backup::BackUpStore>),
    #[command(alias = "examine")]
    Verify(Lazy<verify::VerifyStore>),
    #[command(alias = "recover")]
    Restore(Lazy<restore::RestoreStore>),
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
            Self::Backup(backup) => backup.0.run(context),
            Self::Verify(verify) => verify.0.run(context),
            Self::Restore(restore) => restore.0.run(context),
            Self::Copy(copy) => copy.0.run(context),
            Self::Grant(grant) => grant.0.run(context),
            Self::Maintain(maintain) => maintain.0.run(context),
        }
    }
}
