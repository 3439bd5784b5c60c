//! `smtpcred audit …`

mod archive;
mod export;
mod failures;
mod list;
mod verify;
mod which;

use anyhow::Result;
use clap::Subcommand;

use self::archive::ArchiveEvents;
use self::export::ExportEvents;
use self::failures::ListFailures;
use self::list::ListEvents;
use self::verify::{PrintHead, VerifyEvents};
use super::context::Context;
use super::lazy::Lazy;

const HELP: &str = "\
Examples:
  smtpcred audit list --since 7d          what was changed
  smtpcred audit failures --since 24h     which sign-ins were refused
  smtpcred audit verify                   whether the history is whole";

/// Show who changed what, and when
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum AuditCommand {
    #[command(aliases = ["ls", "log"])]
    List(Lazy<ListEvents>),
    Failures(Lazy<ListFailures>),
    Export(Lazy<ExportEvents>),
    #[command(alias = "check")]
    Verify(Lazy<VerifyEvents>),
    Head(Lazy<PrintHead>),
    Archive(Lazy<ArchiveEvents>),
}

impl AuditCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(list) => list.0.run(context),
            Self::Failures(failures) => failures.0.run(context),
            Self::Export(export) => export.0.run(context),
            Self::Archive(archive) => archive.0.run(context),
            Self::Verify(verify) => verify.0.run(context),
            Self::Head(_) => PrintHead::run(context),
        }
    }
}
