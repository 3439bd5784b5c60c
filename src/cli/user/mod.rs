//! `smtpcred user …`

mod addresses;
mod bulk;
mod case;
mod change;
mod close;
mod copy;
mod create;
mod export;
mod import;
mod input;
mod issue;
mod list;
mod overlap;
mod password_record;
pub mod record;
pub mod refusal;
mod rejected_rows;
mod rename;
mod reset;
mod retire;
mod rotate;
pub mod rotated;
mod row_record;
mod several;
mod temporary;

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::lazy::Lazy;

const HELP: &str = "\
Examples:
  smtpcred user create shop@example.com
  smtpcred user list --domain example.com
  smtpcred user reset shop@example.com --overlap 24h";

/// Manage SMTP users: one for each application
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum UserCommand {
    #[command(aliases = ["add", "new"])]
    Create(Lazy<Box<create::CreateUser>>),
    #[command(alias = "cp")]
    Copy(Lazy<copy::CopyUser>),
    #[command(aliases = ["passwd", "password"])]
    Reset(Lazy<reset::ResetPassword>),
    Issue(Lazy<issue::IssuePassword>),
    Rotate(Lazy<Box<rotate::RotatePasswords>>),
    Retire(Lazy<retire::RetirePassword>),
    Close(Lazy<Box<close::CloseUser>>),
    #[command(alias = "ls")]
    List(Lazy<list::ListUsers>),
    #[command(aliases = ["info", "get"])]
    Show(Lazy<list::ShowUser>),
    #[command(aliases = ["edit", "update", "modify"])]
    Set(Lazy<Box<change::SetUser>>),
    Allow(Lazy<addresses::AllowAddresses>),
    Disallow(Lazy<addresses::DisallowAddresses>),
    Addresses(Lazy<addresses::ListAddresses>),
    #[command(alias = "mv")]
    Rename(Lazy<rename::RenameUser>),
    #[command(aliases = ["disable", "lock"])]
    Suspend(Lazy<change::SuspendUser>),
    #[command(aliases = ["enable", "unlock", "unsuspend"])]
    Resume(Lazy<change::ResumeUser>),
    #[command(aliases = ["rm", "remove", "del"])]
    Delete(Lazy<change::DeleteUser>),
    Import(Lazy<import::ImportUsers>),
    Export(Lazy<export::ExportUsers>),
}

impl UserCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::Create(create) => create.0.run(context),
            Self::Copy(copy) => copy.0.run(context),
            Self::Reset(reset) => reset.0.run(context),
            Self::Issue(issue) => issue.0.run(context),
            Self::Rotate(rotate) => rotate.0.run(context),
            Self::Retire(retire) => retire.0.run(context),
            Self::Close(close) => close.0.run(context),
            Self::List(list) => list.0.run(context),
            Self::Show(show) => show.0.run(context),
            Self::Set(set) => set.0.run(context),
            Self::Allow(allow) => allow.0.run(context),
            Self::Disallow(disallow) => disallow.0.run(context),
            Self::Addresses(addresses) => addresses.0.run(context),
            Self::Rename(rename) => rename.0.run(context),
            Self::Suspend(suspend) => suspend.0.run(context),
            Self::Resume(resume) => resume.0.run(context),
            Self::Delete(delete) => delete.0.run(context),
            Self::Import(import) => import.0.run(context),
            Self::Export(export) => export.0.run(context),
        }
    }
}
