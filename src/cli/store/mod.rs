//! `smtpcred store …`

mod help;
mod maintain;

use anyhow::Result;
use clap::Subcommand;

use super::Context;
use super::lazy::Lazy;

/// The store's own care
#[derive(Debug, Subcommand)]
pub enum Command {
    Maintain(Lazy<maintain::Maintain>),
}

impl Command {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Maintain(maintain) => maintain.0.run(context),
        }
    }
}
