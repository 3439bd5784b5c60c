//! Users, with what is known of their passwords.

use super::engine::Right;
use super::{NewPassword, Owner, SendingChange, Store, Tx, roll};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::rotation::RulesChange;
use crate::model::settings::{Limit, Setting};
use crate::model::time::Time;
use crate::model::user::User;

#[derive(Debug)]
pub struct NewUser<'a> {
    pub username: &'a Username,
    pub label: Option<&'a Label>,
    pub daily_limit: Option<Limit>,
    pub expires_at: Option<Time>,
    pub sending: &'a SendingChange,
    pub rotation: &'a RulesChange,
}

/// What to set; absent stays as it is.
#[derive(Debug, Default)]
pub struct UserChange {
    pub label: Option<Setting<Label>>,
    pub daily_limit: Option<Setting<Limit>>,
    pub expires_at: Option<Setting<Time>>,
    pub sending: SendingChange,
    pub rotation: RulesChange,
}

impl Store {
    /// What is not there afterwards was not made by anybody who is gone. To be asked
    /// before something is taken for left over.
    pub fn wait_for_commits(&mut self) -> Result<()> {
        self.engine.wait_for_commits()
    }

    pub fn user(&mut self, username: &Username) -> Result<Option<User>> {
        const SQL: &str = roll::select_users!("", "users", "WHERE u.username = $1");
        let (users, _) = self.fold(SQL, &[username.as_str().into()])?;
        Ok(users.into_iter().next())
    }

    /// The names of all users of a domain.
    pub fn usernames_of(&mut self, domain: &DomainName) -> Result<Vec<Username>> {
        const SQL: &str = "SELECT username FROM users WHERE domain = $1 ORDER BY username";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[domain.as_str().into()], &mut |row| {
                found.push(row.parsed(0)?);
                Ok(())
            })?;
        Ok(found)
    }

    /// Up to `limit` names that begin so, for completion.
    pub fn usernames(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>> {
        const SQL: &str = "SELECT username FROM users
            WHERE username >= $1 AND username < $2 ORDER BY username LIMIT $3";
        self.names(SQL, prefix, limit)
    }
}

impl Tx<'_> {
    pub fn add_user(&mut self, user: &NewUser, password: &NewPassword) -> Result<()> {
        const SQL: &str = "INSERT INTO users
            (username, domain, label, daily_limit, expires_at, created_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let domain = user.username.domain();
        let label = user.label.map(Label::as_str);
        let daily_limit = user.daily_limit.map(Limit::get);
        let args = [
            user.username.as_str().into(),
            domain.as_str().into(),
            label.into(),
            daily_limit.into(),
            user.expires_at.into(),
            self.stamp.at.into(),
        ];
        if self.execute(SQL, &args)? == 0 {
            return Err(Error::UserExists(user.username.to_string()));
        }
        self.insert_password(user.username, password)?;
        let fields = Fields::default()
            .with("key", password.key.as_str())
            .with_some("label", label)
            .with_some("daily_limit", daily_limit)
            .with_some("expires_at", user.expires_at.map(|at| at.to_string()));
        let owner = Owner::user(user.username);
        let fields = self.change_sending(owner, user.sending, fields)?;
        let fields = self.change_rotation_rules(owner, user.rotation, fields)?;
        self.event(
            Action::UserCreate,
            Some(&domain),
            Some(user.username),
            &fields,
        )
    }

    pub fn set_user(&mut self, username: &Username, change: &UserChange) -> Result<()> {
        const LABEL: &str = "UPDATE users SET label = $2 WHERE username = $1";
        const DAILY_LIMIT: &str = "UPDATE users SET daily_limit = $2 WHERE username = $1";
        const EXPIRES: &str =
            "UPDATE users SET expires_at = $2, expiry_told = NULL WHERE username = $1";
        let name = username.as_str().into();
        let mut fields = Fields::default();
        if let Some(label) = &change.label {
            let label = label.as_ref().value().map(Label::as_str);
            self.execute(LABEL, &[name, label.into()])?;
            fields = fields.with("label", label);
        }
        if let Some(limit) = &change.daily_limit {
            let limit = limit.as_ref().value().map(|l| l.get());
            self.execute(DAILY_LIMIT, &[name, limit.into()])?;
            fields = fields.with("daily_limit", limit);
        }
        if let Some(expires) = &change.expires_at {
            let at = expires.as_ref().value().copied();
            self.execute(EXPIRES, &[name, at.into()])?;
            fields = fields.with("expires_at", at.map(|at| at.to_string()));
        }
        let owner = Owner::user(username);
        let fields = self.change_sending(owner, &change.sending, fields)?;
        let fields = self.change_rotation_rules(owner, &change.rotation, fields)?;
        self.event(
            Action::UserSet,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }

    pub fn suspend_user(&mut self, username: &Username) -> Result<()> {
        let at = self.stamp.at;
        self.set_suspended(username, Some(at), Action::UserSuspend)
    }

    pub fn resume_user(&mut self, username: &Username) -> Result<()> {
        self.set_suspended(username, None, Action::UserResume)
    }

    fn set_suspended(
        &mut self,
        username: &Username,
        at: Option<Time>,
        action: Action,
    ) -> Result<()> {
        const SQL: &str = "UPDATE users SET suspended_at = $2 WHERE username = $1";
        self.execute(SQL, &[username.as_str().into(), at.into()])?;
        self.event(
            action,
            Some(&username.domain()),
            Some(username),
            &Fields::default(),
        )
    }

    /// A relay may have the right to suspend them only.
    pub fn may_delete_users(&mut self) -> Result<bool> {
        self.store.engine.may(Right::DeleteUsers)
    }

    /// Its hashes are gone with it; its events stay.
    pub fn delete_user(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM users WHERE username = $1";
        self.execute(SQL, &[username.as_str().into()])?;
        self.forget_limits(Owner::user(username))?;
        self.forget_rotation_rules(Owner::user(username))?;
        self.scrub = true;
        self.event(
            Action::UserDelete,
            Some(&username.domain()),
            Some(username),
            &Fields::default(),
        )
    }
}
