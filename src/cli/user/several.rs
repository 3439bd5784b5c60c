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
use crate::cli::terminal::prompt;
use crate::error::{self, Error};
use crate::model::name::{DomainName, Username};
use crate::model::text::count;
use crate::model::user::User;
use crate::store::Access;

/// One or several users.
#[derive(Debug, Args)]
pub struct UserNames {
    /// The users; all must exist
    #[arg(value_name = "USERNAME", required = true, add = complete::usernames())]
    pub usernames: Vec<Username>,
}

/// One or several users, or all of a domain.
#[derive(Debug, Args)]
pub struct UsersOrDomain {
    /// The users; all must exist
    #[arg(value_name = "USERNAME", required_unless_present = "domain", add = complete::usernames())]
    usernames: Vec<Username>,

    /// All users of this domain; asks you to type their number
    #[arg(long, value_name = "DOMAIN", conflicts_with = "usernames", add = complete::domains())]
    domain: Option<DomainName>,
}

/// Users that are being changed.
pub struct Several {
    pub app: App,
    /// As they were before.
    pub users: Vec<User>,
    /// Whether programs get the users on stdout.
    pub is_printed: bool,
    /// Whether they are those of a domain, which are printed as a list, even one.
    pub of_domain: Option<DomainName>,
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
            of_domain: None,
            changed: Vec::new(),
        })
    }
}

impl UsersOrDomain {
    /// Looks the users up, each once; of a domain, those that match. Fails if one does not exist,
    /// or the domain.
    pub fn look_up(self, context: &Context, matches: fn(&User) -> bool) -> error::Result<Several> {
        let Some(domain) = self.domain else {
            let usernames = self.usernames;
            return UserNames { usernames }.look_up(context);
        };
        let mut app = context.app(Access::Existing)?;
        let mut users = app.users_of_domain(&domain)?;
        users.retain(matches);
        Ok(Several {
            app,
            users,
            is_printed: true,
            of_domain: Some(domain),
            changed: Vec::new(),
        })
    }
}

impl Several {
    /// Returns the names, for a question.
    pub fn names(&self) -> String {
        listed(&names(&self.users))
    }

    /// Asks for the number of users, if they are those of a domain. Returns whether they are.
    pub fn confirm(
        &self,
        context: &Context,
        what: &'static str,
        consequence: impl FnOnce(&str, &DomainName) -> String,
    ) -> error::Result<bool> {
        let Some(domain) = &self.of_domain else {
            return Ok(false);
        };
        let number = self.users.len();
        if number > 0 {
            let consequence = consequence(&count(number as u64, "user"), domain);
            prompt::confirm(context, what, &consequence, &number.to_string())?;
        }
        Ok(true)
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
        if let Some(domain) = &self.of_domain {
            let changed = count(self.changed.len() as u64, "user");
            context.out.note(&format!("{done} {changed} of {domain}"));
        }
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
        if users == 1 && self.of_domain.is_none() {
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
