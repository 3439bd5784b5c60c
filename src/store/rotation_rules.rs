//! How often passwords are replaced, and where the new ones go: of users,
//! domains and the installation.

use super::engine::Row;
use super::{Scope, Store, Tx};
use crate::error::Result;
use crate::model::delivery::{CommandLine, Destination, VariableName};
use crate::model::duration::Duration;
use crate::model::event::Fields;
use crate::model::name::Username;
use crate::model::rotation::{RotationRules, RulesChange};

impl Store {
    /// What one owner says itself.
    pub fn own_rotation_rules(&mut self, owner: Scope) -> Result<RotationRules> {
        let found = self.own_rotation_rules_of(&[owner])?.pop();
        Ok(found.unwrap_or_default())
    }

    /// Returns the rules that each owner has itself.
    pub fn own_rotation_rules_of(&mut self, owners: &[Scope]) -> Result<Vec<RotationRules>> {
        const SQL: &str = "SELECT every, command, write_file, write_env, env_name, timeout
            FROM rotation_rules WHERE owner = $1";
        let args: Vec<_> = owners.iter().map(|o| vec![o.as_str().into()]).collect();
        let mut rules = vec![RotationRules::default(); owners.len()];
        self.engine.query_each(SQL, &args, &mut |number, row| {
            rules[number] = read(row)?;
            Ok(())
        })?;
        Ok(rules)
    }

    /// What holds for a user.
    pub fn rotation_rules(&mut self, username: &Username) -> Result<RotationRules> {
        let found = self.all_rotation_rules_of(&[username])?.pop();
        Ok(RotationRules::nearest(found.unwrap_or_default()))
    }

    /// Returns the rules of each user, of its domain and of the installation.
    pub fn all_rotation_rules_of(
        &mut self,
        names: &[&Username],
    ) -> Result<Vec<[RotationRules; 3]>> {
        let owners: Vec<_> = names.iter().flat_map(|name| Scope::all(name)).collect();
        let mut rules = self.own_rotation_rules_of(&owners)?.into_iter();
        let mut next = || rules.next().unwrap_or_default();
        Ok(names.iter().map(|_| [next(), next(), next()]).collect())
    }
}

fn read(row: &dyn Row) -> Result<RotationRules> {
    let command = row.opt_text(1)?.map(|text| {
        let words = serde_json::from_str(text).ok();
        words
            .and_then(CommandLine::stored)
            .ok_or_else(|| row.damaged("a command is not a list of words"))
    });
    Ok(RotationRules {
        every: row.opt_duration(0)?,
        delivery: Destination {
            command: command.transpose()?,
            write_file: row.opt_parsed(2)?,
            write_env: row.opt_parsed(3)?,
            env_name: row.opt_parsed(4)?,
            timeout: row.opt_duration(5)?,
        },
    })
}

impl Tx<'_> {
    /// `rules` are the owner's own, as they are now.
    pub(super) fn change_rotation_rules(
        &mut self,
        owner: Scope,
        mut rules: RotationRules,
        change: &RulesChange,
        mut fields: Fields,
    ) -> Result<Fields> {
        const SET: &str = "INSERT INTO rotation_rules
            (owner, every, command, write_file, write_env, env_name, timeout)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (owner) DO UPDATE SET every = excluded.every,
                command = excluded.command, write_file = excluded.write_file,
                write_env = excluded.write_env, env_name = excluded.env_name,
                timeout = excluded.timeout";
        if change.is_empty() {
            return Ok(fields);
        }
        rules.change(change);
        if rules.is_empty() {
            self.forget_rotation_rules(owner)?;
        } else {
            let delivery = &rules.delivery;
            let command = delivery.command.as_ref();
            let command = command.map(|command| serde_json::json!(command.words()).to_string());
            let [file, env] = [&delivery.write_file, &delivery.write_env]
                .map(|path| path.as_ref().map(ToString::to_string));
            let args = [
                owner.as_str().into(),
                rules.every.map(Duration::seconds).into(),
                command.as_deref().into(),
                file.as_deref().into(),
                env.as_deref().into(),
                delivery.env_name.as_ref().map(VariableName::as_str).into(),
                delivery.timeout.map(Duration::seconds).into(),
            ];
            self.later(SET, &args)?;
        }
        if change.every.is_some() {
            fields = fields.with("rotate_every", rules.every.map(Duration::seconds));
        }
        if change.keeps_delivery() {
            return Ok(fields);
        }
        let delivery = (!rules.delivery.is_empty()).then(|| rules.delivery.to_string());
        Ok(fields.with("delivery", delivery))
    }

    pub(super) fn forget_rotation_rules(&mut self, owner: Scope) -> Result<()> {
        const SQL: &str = "DELETE FROM rotation_rules WHERE owner = $1";
        self.later(SQL, &[owner.as_str().into()])
    }
}
