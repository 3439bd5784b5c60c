//! Looks many users up by name: a distant server gets all queries before it answers the
//! first. The results are in the order of the names.

use super::list::{self, add_password, read_user, select_users};
use crate::error::Result;
use crate::model::address_rules::AddressRules;
use crate::model::limits::{Limits, OnLimit};
use crate::model::name::Username;
use crate::model::rotation::RotationRules;
use crate::model::sender::Sender;
use crate::model::user::User;
use crate::store::engine::Row;
use crate::store::{Scope, Store};

/// A user with all its settings.
#[derive(Debug)]
pub struct UserRules {
    /// The user.
    pub user: User,
    /// Its senders; empty for its whole domain.
    pub senders: Vec<Sender>,
    /// Its limits besides the one in `user`.
    pub limits: Limits,
    /// What happens when it reaches a limit.
    pub on_limit: Option<OnLimit>,
    /// Its own rotation rules.
    pub rotation: RotationRules,
    /// Its own rules about addresses.
    pub addresses: AddressRules,
}

impl Store {
    /// Returns each of these users; `None` for one that does not exist.
    pub fn users_named(&mut self, names: &[&Username]) -> Result<Vec<Option<User>>> {
        const SQL: &str = select_users!("", "users", "WHERE u.username = $1");
        let mut found = none(names);
        self.of_each(SQL, names, &mut |number, row| {
            let user = match &mut found[number] {
                Some(user) => user,
                none => none.insert(read_user(row)?),
            };
            add_password(user, row)
        })?;
        found.iter_mut().flatten().for_each(list::sort_passwords);
        let hidden = found.iter_mut().zip(names);
        for (found, _) in hidden.filter(|(_, name)| !self.shows_user(name)) {
            *found = None;
        }
        Ok(found)
    }

    /// Returns each of these users with its settings; `None` for one that does not exist.
    pub fn rules_of_users(&mut self, names: &[&Username]) -> Result<Vec<Option<UserRules>>> {
        const SENDERS: &str = "SELECT sender FROM senders WHERE username = $1 ORDER BY sender";
        const LIMITS: &str = "SELECT kind, most FROM limits WHERE owner = $1";
        const ON_LIMIT: &str = "SELECT on_limit FROM users WHERE username = $1";
        let users = self.users_named(names)?;
        let owners: Vec<_> = names.iter().map(|name| Scope::user(name)).collect();
        let rotation = self.own_rotation_rules_of(&owners)?;
        let addresses = self.own_address_rules_of(&owners)?;
        let mut found: Vec<_> = users
            .into_iter()
            .zip(rotation.into_iter().zip(addresses))
            .map(|(user, (rotation, addresses))| {
                user.map(|user| UserRules {
                    user,
                    senders: Vec::new(),
                    limits: Limits::default(),
                    on_limit: None,
                    rotation,
                    addresses,
                })
            })
            .collect();
        self.of_each(SENDERS, names, &mut |number, row| {
            let sender = row.text(0)?;
            let sender = Sender::stored(sender).ok_or_else(|| row.not_valid(sender))?;
            found[number]
                .iter_mut()
                .for_each(|user| user.senders.push(sender.clone()));
            Ok(())
        })?;
        self.of_each(LIMITS, names, &mut |number, row| {
            let (kind, most) = (row.parsed(0)?, row.opt_limit(1)?);
            found[number]
                .iter_mut()
                .for_each(|user| user.limits.set(kind, most));
            Ok(())
        })?;
        self.of_each(ON_LIMIT, names, &mut |number, row| {
            let on_limit = row.opt_parsed(0)?;
            found[number]
                .iter_mut()
                .for_each(|user| user.on_limit = on_limit);
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs a query whose only argument is a name, for each name.
    pub(in crate::store) fn of_each(
        &mut self,
        sql: &'static str,
        names: &[&Username],
        each: &mut dyn FnMut(usize, &dyn Row) -> Result<()>,
    ) -> Result<()> {
        let args: Vec<_> = names
            .iter()
            .map(|name| vec![name.as_str().into()])
            .collect();
        self.engine.query_each(sql, &args, each)
    }
}

fn none<T>(names: &[&Username]) -> Vec<Option<T>> {
    names.iter().map(|_| None).collect()
}
