//! Changes of one or several users: all are looked up first, and then each is changed in a
//! transaction of its own.

use anyhow::Result;
use clap::Args;

use super::record::UserRecord;
use crate::app::App;
use crate::cli::changes::listed;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::error::{self, Error};
use crate::model::name::Username;
use crate::model::user::User;
use crate::store::Access;

/// One or several users.
#[derive(Debug, Args)]
pub struct UserNames {
    /// The users; all must exist
    #[arg(value_name = "USERNAME", required = true, add = complete::usernames())]
    pub usernames: Vec<Username>,
}

/// Users that are being changed.
pub struct Several {
    pub app: App,
    /// As they were before.
    pub users: Vec<User>,
    /// Whether programs get the users on stdout.
    pub is_printed: bool,
    changed: Vec<User>,
}

impl UserNames {
    /// Looks the users up, each once. Fails if one does not exist.
    pub fn look_up(&self, context: &Context) -> error::Result<Several> {
        let mut app = context.app(Access::Existing)?;
        let users = app.need_users(&self.usernames)?;
        Ok(Several {
            app,
            users,
            is_printed: true,
            changed: Vec::new(),
        })
    }
}

impl Several {
    /// Returns the names, for a question.
    pub fn names(&self) -> String {
        listed(&names(&self.users))
    }

    /// Changes the users one after the other and prints those that were changed. The first
    /// failure ends it; `done` says what was done, as a participle. A change returns the user
    /// and, if the command cannot go on although it was committed, why.
    pub fn change(
        mut self,
        context: &mut Context,
        done: &'static str,
        mut change: impl FnMut(&mut App, &Context, &User) -> error::Result<(User, error::Result<()>)>,
    ) -> Result<()> {
        let users = std::mem::take(&mut self.users);
        let failed = users.iter().find_map(|user| {
            let changed = change(&mut self.app, context, user);
            changed.map_or_else(Some, |(user, then)| {
                self.changed.push(user);
                then.err()
            })
        });
        let printed = self.print(context, users.len());
        let Some(cause) = failed else {
            return Ok(printed?);
        };
        if self.changed.is_empty() {
            return Err(cause.into());
        }
        Err(Error::PartlyNamed {
            what: done,
            done: listed(&names(&self.changed)),
            left: listed(&names(&users[self.changed.len()..])),
            cause: Box::new(cause),
        }
        .into())
    }

    /// Prints one user as a record and several as a list, for programs.
    fn print(&self, context: &mut Context, users: usize) -> error::Result<()> {
        if !self.is_printed || context.out.format() == OutputFormat::Table {
            return Ok(());
        }
        let now = self.app.now();
        let mut records = self.changed.iter().map(|user| UserRecord::new(user, now));
        if users == 1 {
            return records.try_for_each(|record| context.out.result(&record));
        }
        let mut list = context.out.list::<UserRecord>();
        let printed = records.try_for_each(|record| list.push(&record));
        let printed = printed.and_then(|()| list.end(""));
        context.out.recorded(printed)
    }
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.username.as_str()).collect()
}
