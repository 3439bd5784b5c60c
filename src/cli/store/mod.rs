//! `smtpcred store …`

mod copy;
mod grant;
mod help;
mod init;
mod maintain;
mod status;

use anyhow::Result;
use clap::Subcommand;

use super::Context;
use super::lazy::Lazy;

/// The store's own care
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(Lazy<init::Init>),
    Status(Lazy<status::Status>),
    Migrate(Lazy<init::Migrate>),
    Copy(Lazy<copy::Copy>),
    Grant(Lazy<grant::Grant>),
    Maintain(Lazy<maintain::Maintain>),
}

impl Command {
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
