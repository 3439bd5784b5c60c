//! `smtpcred store init` and `store migrate`

use anyhow::Result;
use clap::Args;

use super::help;
use super::status;
use crate::cli::Context;
use crate::error::Error;
use crate::store::Access;

/// Make a store where there is none
///
/// A file is also made by the first `domain add`. In a database, the tables are made in a schema
/// of their own, `smtpcred`; whoever runs this owns them.
#[derive(Debug, Args)]
#[command(after_long_help = help::INIT)]
pub struct Init {}

/// Bring a store to this program's version
///
/// Files are brought there by whatever command comes first. A database is used by several machines,
/// so somebody has to say when all of them have the new version.
#[derive(Debug, Args)]
#[command(after_long_help = help::MIGRATE)]
pub struct Migrate {}

pub fn init(context: &mut Context) -> Result<()> {
    match context.app(Access::Existing) {
        Ok(mut app) => {
            context.out.note("there is a store already");
            status::print(context, &mut app)
        }
        Err(Error::StoreMissing(_)) => {
            let mut app = context.app(Access::Create)?;
            status::print(context, &mut app)
        }
        Err(error) => Err(error.into()),
    }
}

pub fn migrate(context: &mut Context) -> Result<()> {
    let mut app = context.app(Access::Migrate)?;
    status::print(context, &mut app)
}
