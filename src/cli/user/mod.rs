//! `smtpcred user …`

mod bulk;
mod change;
mod create;
mod export;
mod import;
mod list;
mod overlap;
pub mod record;
mod reset;
mod retire;
mod roster_help;
mod rotate;
mod rotated;
mod row_record;

use anyhow::Result;
use clap::Subcommand;

use super::Context;
use super::lazy::Lazy;

/// SMTP users: one for each application
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(Lazy<create::Create>),
    Reset(Lazy<reset::Reset>),
    Rotate(Lazy<Box<rotate::Rotate>>),
    Retire(Lazy<retire::Retire>),
    List(Lazy<list::List>),
    Show(Lazy<list::Show>),
    Set(Lazy<change::Set>),
    Suspend(Lazy<change::Suspend>),
    Resume(Lazy<change::Resume>),
    Delete(Lazy<change::Delete>),
    Import(Lazy<import::Import>),
    Export(Lazy<export::Export>),
}

impl Command {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Create(create) => create.0.run(context),
            Self::Reset(reset) => reset.0.run(context),
            Self::Rotate(rotate) => rotate.0.run(context),
            Self::Retire(retire) => retire.0.run(context),
            Self::List(list) => list.0.run(context),
            Self::Show(show) => show.0.run(context),
            Self::Set(set) => set.0.run(context),
            Self::Suspend(suspend) => suspend.0.run(context),
            Self::Resume(resume) => resume.0.run(context),
            Self::Delete(delete) => delete.0.run(context),
            Self::Import(import) => import.0.run(context),
            Self::Export(export) => export.0.run(context),
        }
    }
}
