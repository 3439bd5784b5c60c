//! How often passwords are replaced, and where the new ones go: of users,
//! domains and the installation.

use super::engine::Row;
use super::{Owner, Store, Tx};
use crate::error::Result;
use crate::model::delivery::{CommandLine, Delivery, VariableName};
use crate::model::duration::Duration;
use crate::model::event::Fields;
use crate::model::name::Username;
use crate::model::rotation::{RotationRules, RulesChange};

impl Store {
    /// What one owner says itself.
    pub fn own_rotation_rules(&mut self, owner: Owner) -> Result<RotationRules> {
        const SQL: &str = "SELECT every, command, write_file, write_env, env_name, timeout
            FROM rotation_rules WHERE owner = $1";
        let mut rules = RotationRules::default();
        self.engine
            .query(SQL, &[owner.as_str().into()], &mut |row| {
                rules = read(row)?;
                Ok(())
            })?;
        Ok(rules)
    }

    /// What holds for a user.
    pub fn rotation_rules(&mut self, username: &Username) -> Result<RotationRules> {
        let [user, domain, installation] = Owner::all(username);
        Ok(RotationRules::nearest([
            self.own_rotation_rules(user)?,
            self.own_rotation_rules(domain)?,
            self.own_rotation_rules(installation)?,
        ]))
    }
}

fn read(row: &dyn Row) -> Result<RotationRules> {
    let command = row.opt_text(1)?.map(|text| {
        let words = serde_json::from_str(text).ok();
        words
            .and_then(CommandLine::stored)
            .ok_or_else(|| row.damaged("a command is no list of words"))
    });
    Ok(RotationRules {
        every: row.opt_duration(0)?,
        delivery: Delivery {
            command: command.transpose()?,
            write_file: row.opt_parsed(2)?,
            write_env: row.opt_parsed(3)?,
            env_name: row.opt_parsed(4)?,
            timeout: row.opt_duration(5)?,
        },
    })
}

impl Tx<'_> {
    pub(super) fn change_rotation_rules(
        &mut self,
        owner: Owner,
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
        let mut rules = self.store().own_rotation_rules(owner)?;
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
            self.execute(SET, &args)?;
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

    pub(super) fn forget_rotation_rules(&mut self, owner: Owner) -> Result<()> {
        const SQL: &str = "DELETE FROM rotation_rules WHERE owner = $1";
        self.execute(SQL, &[owner.as_str().into()]).map(|_| ())
    }
}
