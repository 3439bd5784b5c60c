//! Users: creates, changes and deletes them.

mod all;
mod beside;
mod list;
mod lookup;
mod reader;
mod scan;
pub(super) mod tags;

pub use self::list::UserFilter;
pub(super) use self::list::{
    add_password, last_sign_of_life, read_user, select_users, sort_passwords,
};
pub use self::lookup::UserRules;
pub use self::reader::UserReader;
pub use self::scan::UserScan;
use super::engine::Right;
use super::{NewPassword, Scope, SendingChange, Store, Tx};
use crate::error::{Error, Result};
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::event::{Action, Fields};
use crate::model::label::Label;
use crate::model::limit_kind::LimitKind;
use crate::model::name::{DomainName, Username};
use crate::model::note::Note;
use crate::model::rotation::{RotationRules, RulesChange};
use crate::model::setting::{LimitValue, Setting};
use crate::model::tag::TagChange;
use crate::model::time::Time;
use crate::model::user::User;

/// A user to create.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Its name.
    pub username: &'a Username,
    /// Its label.
    pub label: Option<&'a Label>,
    /// The user that it is a copy of.
    pub copy_of: Option<&'a Username>,
    /// The note about it.
    pub note: Option<&'a Note>,
    /// Its tags.
    pub tags: &'a [TagChange],
    /// The most messages a day.
    pub daily_limit: Option<LimitValue>,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// Its senders and limits.
    pub sending: &'a SendingChange,
    /// Its rotation rules.
    pub rotation: &'a RulesChange,
    /// From where it may sign in.
    pub addresses: &'a AddressChange,
}

/// A change of a user; absent fields stay.
#[derive(Debug, Default)]
pub struct UserChange {
    /// Its label.
    pub label: Option<Setting<Label>>,
    /// The note about it.
    pub note: Option<Setting<Note>>,
    /// Tags to set or remove.
    pub tags: Vec<TagChange>,
    /// The most messages a day.
    pub daily_limit: Option<Setting<LimitValue>>,
    /// When it expires.
    pub expires_at: Option<Setting<Time>>,
    /// Its senders and limits.
    pub sending: SendingChange,
    /// Its rotation rules.
    pub rotation: RulesChange,
    /// From where it may sign in.
    pub addresses: AddressChange,
}

impl Store {
    /// Waits for commits of processes that may be gone. What is missing afterwards was not
    /// created; call it before treating something as a leftover.
    pub fn wait_for_commits(&mut self) -> Result<()> {
        self.engine.wait_for_commits()
    }

    /// Returns a user; `None` if it does not exist.
    pub fn user(&mut self, username: &Username) -> Result<Option<User>> {
        Ok(self.users_named(&[username])?.pop().flatten())
    }

    /// Returns all users of a domain with their creation times.
    pub fn users_of(&mut self, domain: &DomainName) -> Result<Vec<(Username, Time)>> {
        const SQL: &str =
            "SELECT username, created_at FROM users WHERE domain = $1 ORDER BY username";
        let mut found: Vec<(Username, Time)> = Vec::new();
        self.engine
            .query(SQL, &[domain.as_str().into()], &mut |row| {
                found.push((row.parsed(0)?, row.time(1)?));
                Ok(())
            })?;
        found.retain(|(username, _)| self.shows_user(username));
        Ok(found)
    }

    /// Returns up to `limit` names with this prefix, for completion.
    pub fn usernames(&mut self, prefix: &str, limit: u32) -> Result<Vec<String>> {
        const SQL: &str = "SELECT username FROM users
            WHERE username >= $1 AND username < $2 ORDER BY username LIMIT $3";
        self.names(SQL, prefix, limit)
    }

    /// Returns up to `limit` names of a domain with this prefix.
    pub fn usernames_of(&mut self, domain: &str, prefix: &str, limit: u32) -> Result<Vec<String>> {
        const SQL: &str = "SELECT username FROM users
            WHERE domain = $4 AND username >= $1 AND username < $2 ORDER BY username LIMIT $3";
        if self.restricted_to().is_some() {
            return Ok(Vec::new());
        }
        let end = format!("{prefix}\u{10ffff}");
        let mut names = Vec::new();
        let args = [
            prefix.into(),
            end.as_str().into(),
            limit.into(),
            domain.into(),
        ];
        self.engine.query(SQL, &args, &mut |row| {
            names.push(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    /// Returns the first `limit` users, each with its label or an empty text.
    pub fn labels(&mut self, limit: u32) -> Result<Vec<(String, String)>> {
        const SQL: &str = "SELECT username, label FROM users ORDER BY username LIMIT $1";
        let mut found = Vec::new();
        if self.restricted_to().is_some() {
            return Ok(found);
        }
        self.engine.query(SQL, &[limit.into()], &mut |row| {
            let label = row.opt_text(1)?.unwrap_or_default();
            found.push((row.text(0)?.to_owned(), label.to_owned()));
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Creates a user with a password. Returns an error if it exists.
    pub fn add_user(&mut self, user: &NewUser, password: &NewPassword) -> Result<()> {
        const SQL: &str = "INSERT INTO users
            (username, domain, label, daily_limit, expires_at, created_at, note)
            SELECT $1, $2, $3, $4, $5, $6, $7
            WHERE NOT EXISTS (SELECT 1 FROM old_names WHERE old_name = $1)
            ON CONFLICT DO NOTHING";
        let domain = user.username.domain();
        let label = user.label.map(Label::as_str);
        let note = user.note.map(Note::as_str);
        let daily_limit = user.daily_limit.map(LimitValue::get);
        let args = [
            user.username.as_str().into(),
            domain.as_str().into(),
            label.into(),
            daily_limit.into(),
            user.expires_at.into(),
            self.stamp.at.into(),
            note.into(),
        ];
        let others = !(user.rotation.is_empty() && user.addresses.is_empty());
        self.need_limits_of_domain(user.username, user.daily_limit, user.sending, others)?;
        let exists = Error::UserExists(user.username.to_string());
        self.free_old_name(user.username)?;
        self.change_later(SQL, &args, exists)?;
        self.created += 1;
        self.insert_password(user.username, password)?;
        let fields = Fields::default()
            .with("password_id", password.password_id.as_str())
            .with_some("copy_of", user.copy_of.map(Username::as_str))
            .with_some("label", label)
            .with_some("note", note)
            .with_some("daily_limit", daily_limit)
            .with_some("expires_at", user.expires_at.map(|at| at.to_string()));
        let fields = self.change_tags(user.username, user.tags, fields)?;
        let owner = Scope::user(user.username);
        let fields = self.change_sending(owner, user.sending, fields)?;
        // An earlier user of the same name left no rules.
        let no_rules = RotationRules::default();
        let fields = self.change_rotation_rules(owner, no_rules, user.rotation, fields)?;
        let no_rules = AddressRules::default();
        let fields = self.change_addresses(owner, no_rules, user.addresses, fields)?;
        self.event(
            Action::UserCreate,
            Some(&domain),
            Some(user.username),
            &fields,
        )
    }

    /// Changes a user.
    pub fn set_user(&mut self, username: &Username, change: &UserChange) -> Result<()> {
        let owner = Scope::user(username);
        let rules = self.store.own_rotation_rules(owner)?;
        let addresses = self.store.own_address_rules(owner)?;
        self.update_user(username, change, rules, addresses)
    }

    /// Does the same for a user that was read in this change.
    pub fn set_read_user(&mut self, read: &UserRules, change: &UserChange) -> Result<()> {
        let (rotation, addresses) = (read.rotation.clone(), read.addresses.clone());
        self.update_user(&read.user.username, change, rotation, addresses)
    }

    fn update_user(
        &mut self,
        username: &Username,
        change: &UserChange,
        rules: RotationRules,
        addresses: AddressRules,
    ) -> Result<()> {
        const LABEL: &str = "UPDATE users SET label = $2 WHERE username = $1";
        const NOTE: &str = "UPDATE users SET note = $2 WHERE username = $1";
        const DAILY_LIMIT: &str = "UPDATE users SET daily_limit = $2 WHERE username = $1";
        const EXPIRES: &str =
            "UPDATE users SET expires_at = $2, expiry_told = NULL WHERE username = $1";
        let others = !(change.rotation.is_empty() && change.addresses.is_empty());
        let daily_limit = change.daily_limit.clone().and_then(Setting::value);
        self.need_limits_of_domain(username, daily_limit, &change.sending, others)?;
        let name = username.as_str().into();
        let mut fields = Fields::default();
        if let Some(label) = &change.label {
            let label = label.as_ref().value().map(Label::as_str);
            self.later(LABEL, &[name, label.into()])?;
            fields = fields.with("label", label);
        }
        if let Some(note) = &change.note {
            let note = note.as_ref().value().map(Note::as_str);
            self.later(NOTE, &[name, note.into()])?;
            fields = fields.with("note", note);
        }
        if let Some(limit) = &change.daily_limit {
            let limit = limit.as_ref().value().map(|l| l.get());
            self.later(DAILY_LIMIT, &[name, limit.into()])?;
            self.look_at_limit(Scope::user(username), LimitKind::MESSAGES_A_DAY, limit)?;
            fields = fields.with("daily_limit", limit);
        }
        if let Some(expires) = &change.expires_at {
            let at = expires.as_ref().value().copied();
            self.later(EXPIRES, &[name, at.into()])?;
            fields = fields.with("expires_at", at.map(|at| at.to_string()));
        }
        let fields = self.change_tags(username, &change.tags, fields)?;
        let owner = Scope::user(username);
        let fields = self.change_sending(owner, &change.sending, fields)?;
        let fields = self.change_rotation_rules(owner, rules, &change.rotation, fields)?;
        let fields = self.change_addresses(owner, addresses, &change.addresses, fields)?;
        self.event(
            Action::UserSet,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }

    /// Suspends a user: it cannot sign in until it is resumed.
    pub fn suspend_user(&mut self, username: &Username) -> Result<()> {
        let at = self.stamp.at;
        self.set_suspended(username, Some(at), Action::UserSuspend)
    }

    /// Lets a suspended user sign in again.
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
        self.later(SQL, &[username.as_str().into(), at.into()])?;
        self.event(
            action,
            Some(&username.domain()),
            Some(username),
            &Fields::default(),
        )
    }

    /// Returns whether users can be deleted: a relay may only be allowed to suspend them.
    pub fn may_delete_users(&mut self) -> Result<bool> {
        self.store.engine.may(Right::DeleteUsers)
    }

    /// Deletes a user with its hashes; its events stay.
    pub fn delete_user(&mut self, username: &Username) -> Result<()> {
        self.erase_user(username)?;
        self.event(
            Action::UserDelete,
            Some(&username.domain()),
            Some(username),
            &Fields::default(),
        )
    }

    /// Does the same as a part of another change, whose event says so.
    pub(super) fn erase_user(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM users WHERE username = $1";
        self.subtract_user(username)?;
        self.later(SQL, &[username.as_str().into()])?;
        self.delete_limits(Scope::user(username))?;
        self.forget_rotation_rules(Scope::user(username))?;
        self.forget_addresses(Scope::user(username))?;
        self.end_roles_of_user(username)?;
        self.scrub = true;
        Ok(())
    }
}
