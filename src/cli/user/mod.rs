//! `smtpcred user …`

mod change;
mod create;
mod list;
mod overlap;
pub mod record;
mod reset;
mod retire;
mod rotate;
mod rotated;

use anyhow::Result;
use clap::Subcommand;

use super::Context;

/// SMTP users: one for each application
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    Reset(reset::Reset),
    Rotate(Box<rotate::Rotate>),
    Retire(retire::Retire),
    List(list::List),
    Show(list::Show),
    Set(change::Set),
    Suspend(change::Suspend),
    Resume(change::Resume),
    Delete(change::Delete),
}

impl Command {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Create(create) => create.run(context),
            Self::Reset(reset) => reset.run(context),
            Self::Rotate(rotate) => rotate.run(context),
            Self::Retire(retire) => retire.run(context),
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
            Self::Set(set) => set.run(context),
            Self::Suspend(suspend) => suspend.run(context),
            Self::Resume(resume) => resume.run(context),
            Self::Delete(delete) => delete.run(context),
        }
    }
}
