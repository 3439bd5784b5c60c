//! `smtpcred user retire`

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::cli::{Context, complete, help};
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::store::Access;

/// End an overlap: the old password stops now
#[derive(Debug, Args)]
#[command(after_long_help = help::USER_RETIRE)]
pub struct Retire {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Which of its passwords, instead of the one that would retire later
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Retire {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let key = self.key.map(KeyId::stored);
        let (user, stopped) = app.retire_password(&self.username, key.as_ref())?;
        context.out.note(&format!(
            "the password {stopped} of {} has stopped",
            user.username
        ));
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}
