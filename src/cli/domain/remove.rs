//! `smtpcred domain remove`

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::record::DomainRecord;
use crate::app::App;
use crate::app::domains::Removal;
use crate::cli::changes::listed;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::prompt;
use crate::error::{self, Error};
use crate::model::name::DomainName;
use crate::model::text::count;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred domain remove example.com                     asks you to type the name
  smtpcred domain remove example.com --with-users --yes  for scripts; cannot be undone
  smtpcred domain remove example.com example.org         asks once: for the number of domains

JSON:
  The domain as it was before; of several domains, a list.";

/// Remove domains
///
/// Refused while a domain has users, or users that were renamed to another domain can still sign
/// in with an old name in it, unless --with-users is given. Asks you to type the name, or for several
/// domains their number, unless --yes is given. This cannot be undone: the hashes are erased, the
/// events stay.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct RemoveDomains {
    /// The domains; all must exist
    #[arg(value_name = "DOMAIN", required = true, add = complete::domains())]
    names: Vec<DomainName>,

    /// Also delete their users and stop old names in them
    #[arg(long)]
    with_users: bool,
}

impl RemoveDomains {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut once = BTreeSet::new();
        let names = self.names.iter().filter(|name| once.insert(*name));
        let seen: Vec<Removal> = names
            .map(|name| app.plan_removal(name, self.with_users))
            .collect::<error::Result<_>>()?;
        let (what, typed) = match seen.as_slice() {
            [seen] => ("removing a domain", seen.domain.name.to_string()),
            all => ("removing domains", all.len().to_string()),
        };
        prompt::confirm(context, what, &consequence(&seen), &typed)?;
        let mut removed = Vec::new();
        let failed = seen
            .iter()
            .find_map(|seen| match self.remove(&mut app, context, seen) {
                Ok(domain) => {
                    removed.push(domain);
                    None
                }
                Err(error) => Some(error),
            });
        let (done, left) = seen.split_at(removed.len());
        let printed = print(context, &removed, seen.len());
        match failed {
            None => Ok(printed?),
            Some(cause) if done.is_empty() => Err(cause.into()),
            Some(cause) => Err(Error::PartlyNamed {
                what: "removed",
                done: listed(&of(done)),
                left: listed(&of(left)),
                cause: Box::new(cause),
            }
            .into()),
        }
    }

    /// Removes one domain. Returns it as it was.
    fn remove(
        &self,
        app: &mut App,
        context: &Context,
        seen: &Removal,
    ) -> error::Result<DomainRecord> {
        // With --yes, no count was shown.
        let confirmed = Some(seen).filter(|_| !context.confirmed_beforehand());
        let removed = app.remove_domain(&seen.domain.name, self.with_users, confirmed)?;
        let (domain, users) = (removed.domain, removed.users.len() as u64);
        let with = match users {
            0 => String::new(),
            _ => format!(" and its {}", count(users, "user")),
        };
        let with = match removed.old_names.len() as u64 {
            0 => with,
            n => format!("{with}, and stopped {} in it", count(n, "old name")),
        };
        context
            .out
            .note(&format!("removed the domain {}{with}", domain.name));
        Ok(DomainRecord::new(domain, users))
    }
}

/// Prints one domain as a record and several as a list, for programs.
fn print(context: &mut Context, removed: &[DomainRecord], asked: usize) -> error::Result<()> {
    if asked == 1 {
        return removed
            .iter()
            .try_for_each(|domain| context.out.result(domain));
    }
    if context.out.format() == OutputFormat::Table {
        return Ok(());
    }
    let mut list = context.out.list::<DomainRecord>();
    let printed = removed.iter().try_for_each(|domain| list.push(domain));
    let printed = printed.and_then(|()| list.end(""));
    context.out.recorded(printed)
}

fn of(seen: &[Removal]) -> Vec<&str> {
    seen.iter().map(|one| one.domain.name.as_str()).collect()
}

/// Returns what a person has to confirm.
fn consequence(seen: &[Removal]) -> String {
    let sum = |of: fn(&Removal) -> usize| seen.iter().map(of).sum::<usize>() as u64;
    let its = if seen.len() == 1 { "its" } else { "their" };
    let mut parts = Vec::new();
    match sum(|one| one.users.len()) {
        0 => {}
        n => parts.push(format!(
            "also deletes {its} {}: passwords stop working at once",
            count(n, "user")
        )),
    }
    match sum(|one| one.old_names.len()) {
        0 => {}
        1 => parts.push("stops 1 old name, of a user in another domain".to_owned()),
        n => parts.push(format!("stops {n} old names, of users in other domains")),
    }
    parts.push(match parts.as_slice() {
        [] => "cannot be undone".to_owned(),
        _ => "this cannot be undone".to_owned(),
    });
    format!("removing {} {}", listed(&of(seen)), parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::domain::Domain;
    use crate::model::time::Time;

    fn removal(name: &str, users: usize) -> Removal {
        let at = Time::from_epoch(1);
        let user = |n| (format!("u{n}@{name}").parse().unwrap(), at);
        Removal {
            domain: Domain {
                name: name.parse().unwrap(),
                max_users: None,
                daily_limit: None,
                host: None,
                created_at: at,
                verified_at: None,
            },
            users: (0..users).map(user).collect(),
            old_names: Vec::new(),
        }
    }

    #[test]
    fn the_question_counts_what_goes() {
        for (seen, text) in [
            (
                vec![removal("a.example", 0)],
                "removing a.example cannot be undone",
            ),
            (
                vec![removal("a.example", 1)],
                "removing a.example also deletes its 1 user: passwords stop working at once; \
                this cannot be undone",
            ),
            (
                vec![removal("a.example", 1), removal("b.example", 2)],
                "removing a.example, b.example also deletes their 3 users: passwords stop working \
                at once; this cannot be undone",
            ),
        ] {
            assert_eq!(consequence(&seen), text);
        }
    }
}
