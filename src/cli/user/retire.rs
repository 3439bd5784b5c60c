//! `smtpcred user retire`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user list --overlap                           which applications use an old password
  smtpcred user retire shop@example.com                  stops the old password now
  smtpcred user retire shop@example.com --password-id 7kq3abcd
                                                         stops this one; the other stays valid
  smtpcred user show shop@example.com                    lists the IDs, also of temporary passwords

JSON:
  The user, as in `user list`.";

/// End an overlap or a temporary password: it stops working now
///
/// Without --password-id, the old password stops. A temporary one is ended by its ID (user issue).
/// If an application cannot switch to the new password, stop the new one with --password-id: the
/// old one then stays valid and does not retire.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct RetirePassword {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// The password to stop, instead of the one that would retire later
    #[arg(long, value_name = "ID")]
    password_id: Option<String>,
}

impl RetirePassword {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let password_id = self.password_id.map(PasswordId::stored);
        let (user, stopped) = app.retire_password(&self.username, password_id.as_ref())?;
        // Without an ID it is clear which one stays.
        let is_temporary = user.temporary.iter().any(|own| own.password.id == stopped);
        let stays = user
            .password()
            .filter(|_| password_id.is_some() && !is_temporary);
        let stays =
            stays.map(|password| format!("; {} still works and does not retire", password.id));
        context.out.note(&format!(
            "revoked the password {stopped} of {}; it no longer works{}",
            user.username,
            stays.unwrap_or_default()
        ));
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}
